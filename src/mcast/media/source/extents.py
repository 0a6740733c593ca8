"""When a file's streams begin and end, from all of their packets.

Durations in a container's header are estimates more often than not; packets are what will be sent.

A joined recording's clock jumps: at each seam to anywhere, forward by hours or back to 0. Containers that
come from broadcasting allow that, and ffmpeg goes on there as if it had not happened. So do we, for each
stream: a packet whose time is before the last one's, or far behind its end, comes right after the last.
"""

from dataclasses import dataclass, field

from mcast.media.cancelling import Cancelled, never
from mcast.media.source.ffmpeg import lines_of
from mcast.media.source.probe import Probe, number
from mcast.media.source.tracks import Audio, Video
from mcast.media.tools import find_tool

BACK = 0.1  # seconds: ffmpeg's own limit
FORWARD = 10.0  # seconds: ffmpeg's own limit (-dts_delta_threshold)
SEAM = 1.0
"""Seconds of a gap that all streams have: nothing was sent meanwhile, the receiver was switched off."""
MANY = 50  # packets for each gap: where gaps are more frequent, they are the picture's slow rhythm


@dataclass(slots=True)
class Extent:
    """When a stream begins and ends, in seconds of an unbroken clock."""

    start: float = float("inf")
    end: float = float("-inf")
    packets: int = 0
    filled: float = 0.0  # seconds that the packets last together
    keyframes: list[float] = field(default_factory=list)
    longest: float = 0.0  # duration of a packet
    hidden: bool = False  # the container says that some packets are not to be shown (edit list)
    jumps: int = 0  # of its clock

    def add(self, time: float, duration: float, flags: str) -> None:
        self.start, self.end = min(self.start, time), max(self.end, time + duration)
        self.packets += 1
        self.filled += duration
        self.longest = max(self.longest, duration)
        if "K" in flags:
            self.keyframes.append(time)
        self.hidden = self.hidden or "D" in flags


@dataclass(frozen=True, slots=True)
class Extents:
    """All streams' extents by their index, and what step forward of the clock was taken for a jump."""

    by_index: dict[int, Extent] = field(default_factory=dict)
    threshold: float = FORWARD

    def of(self, stream: Video | Audio | None) -> Extent | None:
        """Return the extent of a stream that is there and has timestamps."""
        return self.by_index.get(stream.index) if stream else None


class _Walk:
    """The packets of one stream, read once: what they give with each way to see a gap."""

    def __init__(self, *, may_jump: bool) -> None:
        self._may_jump = may_jump
        self.straight, self.lenient, self.strict = Extent(), Extent(), Extent()
        self.gaps = 0  # longer than a seam, but no jump for ffmpeg
        self._order: float | None = None  # when the last packet is decoded, which alone never goes back
        self._duration = self._moved_lenient = self._moved_strict = 0.0

    def add(self, time: float, order: float, duration: float, flags: str) -> None:
        self.straight.add(time, duration, flags)
        if not self._may_jump:
            return
        if self._order is not None:
            step = order - self._order
            back = self._duration - step  # what makes it come right after the last one
            if step < -BACK or -back > FORWARD:
                self._moved_lenient += back
                self.lenient.jumps += 1
            if step < -BACK or -back > SEAM:
                self._moved_strict += back
                self.strict.jumps += 1
            self.gaps += SEAM < -back <= FORWARD
        self.lenient.add(time + self._moved_lenient, duration, flags)
        self.strict.add(time + self._moved_strict, duration, flags)
        self._order, self._duration = order, duration


def extents(path: str, found: Probe | None = None, cancelled: Cancelled = never) -> Extents:
    """Walk through all packets of a file. Raises SourceError and CancelledError."""
    may_jump = found is not None and found.has_clock_jumps
    walks = _walks(path, found.input_options if found else (), may_jump=may_jump, cancelled=cancelled)
    if found is None or not may_jump:
        return Extents({index: walk.straight for index, walk in walks.items()})
    held: list[Video | Audio] = [*found.streams.videos, *found.streams.audios]
    if _gaps_are_seams([walks[stream.index] for stream in held if stream.index in walks]):
        return Extents({index: walk.strict for index, walk in walks.items()}, SEAM)
    return Extents({index: walk.lenient for index, walk in walks.items()})


def _walks(path: str, options: tuple[str, ...], *, may_jump: bool, cancelled: Cancelled) -> dict[int, _Walk]:
    entries = "packet=stream_index,pts_time,dts_time,duration_time,flags"
    command = [
        find_tool("ffprobe"),
        "-v",
        "error",
        *options,
        "-of",
        "csv=p=0",
        "-show_entries",
        entries,
        path,
    ]
    found: dict[int, _Walk] = {}
    for line in lines_of(command, path, cancelled):
        index, time, order, duration, flags = [*line.split(","), "", "", "", "", ""][:5]
        time = order if time in ("N/A", "") else time
        order = time if order in ("N/A", "") else order
        if index.isdecimal() and time not in ("N/A", ""):
            if (walk := found.get(int(index))) is None:
                walk = found[int(index)] = _Walk(may_jump=may_jump)
            walk.add(float(time), float(order), number(duration), flags)
    return found


def _gaps_are_seams(walks: list[_Walk]) -> bool:
    """Return whether all streams have the same few gaps: one stream's alone are its slow rhythm."""
    gaps = {walk.gaps for walk in walks}
    return len(gaps) == 1 and all(0 < walk.gaps * MANY <= walk.straight.packets for walk in walks)
