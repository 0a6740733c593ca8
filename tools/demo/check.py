"""Is a recording what the server sent, from its first packet on, and can it be played?

Three judges that know nothing of each other: the bytes (a recording is a piece of the prepared
stream), ffmpeg (which decodes it without a word), and the client's own report (nothing lost, twice
or out of order). What goes to a pipe ends where the client was told to stop, in the middle of a picture: so
ffmpeg gets all without the last one.
"""

import json
import subprocess
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcast.errors import ConfigError
from mcast.media.cancelling import never
from mcast.media.source.cache import Cache
from mcast.media.source.complaints import SourceError
from mcast.media.source.encoding import Quality
from mcast.media.source.prepare import prepare
from mcast.media.source.prepared import Prepared
from mcast.media.source.progress import progress_of
from mcast.media.tools import find_tool
from mcast.wire.mpegts import NULL_PID, PACKET, pid_at, random_access_at, starts_with_pat

VIDEO_PID = 0x100
MOST_TRIMMED = 512 * 1024
"""Bytes of one picture, and of the sound beside it: a recording ends in front of one that is not whole."""
_STEP = 256  # datagrams
_ZERO = ("lost_datagrams", "duplicate_datagrams", "reordered_datagrams", "continuity_errors")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a server sends of one content: its cache entry."""

    entry: Path
    datagram_packets: int = 7

    @property
    def first_round(self) -> bytes:
        return (self.entry / "stream.ts").read_bytes()

    def payload(self, first: int, size: int) -> bytes:
        """Return `size` bytes of what was sent from datagram `first` on, over any number of rounds."""
        with Prepared(self.entry, self.datagram_packets, loop=True) as prepared:
            data = bytearray()
            while len(data) < size:
                data += prepared.payload(first, first + _STEP)
                first += _STEP
            return bytes(data[:size])


def sent_by(source: Path, cache: Path, datagram_packets: int = 7) -> Sent:
    """Find what a server has prepared from a source file, or prepare it; a terminal shows how far.

    Raises ConfigError.
    """
    try:
        with progress_of(source.stem) as show:
            entry = prepare(source, Quality(), Cache(cache), cancelled=never, on_progress=show)
    except SourceError as error:
        raise ConfigError(f"{source}: {error}") from None
    return Sent(entry, datagram_packets)


def problems_of(recording: Path, report: Path, sent: Sent, seconds: float) -> list[str]:
    """Return all that is wrong with one client's recording; nothing if it is complete."""
    try:
        figures: Mapping[str, Any] = json.loads(report.read_text())
        data = recording.read_bytes()
    except (OSError, ValueError) as error:
        return [f"there is no recording: {error}"]
    if not data:
        return [f"nothing was recorded: {figures['exit_reason']}"]
    return [
        *_report_problems(figures, data),
        *head_problems(data),
        *origin_problems(data, sent, int(figures["first_number"] or 0)),
        *([f"{figures['duration_s']:.1f} s of {seconds:g} s"] if figures["duration_s"] < seconds - 1 else []),
        *decode_problems(data),
    ]


def _report_problems(figures: Mapping[str, Any], data: bytes) -> list[str]:
    counted = [f"{key} {figures[key]}" for key in _ZERO if figures[key]]
    if figures["exit_status"]:
        counted.append(f"the client ended: {figures['exit_reason']}")
    return [*counted, *size_problems(figures, len(data))]


def size_problems(figures: Mapping[str, Any], size: int) -> list[str]:
    """Return what is wrong unless a recording has the size that is told: all but for a last picture."""
    written = figures["outputs"][0]["bytes"]
    if written != size:
        return [f"reports {written} bytes, wrote {size}"]
    if not 0 <= figures["bytes"] - size <= MOST_TRIMMED:
        return [f"of {figures['bytes']} bytes that were put out {size} are in the file"]
    return []


def head_problems(data: bytes, *, pictures: bool = True) -> list[str]:
    """Return what is wrong unless the recording begins with a keyframe: PAT, PMT, then the picture."""
    if len(data) < 3 * PACKET or len(data) % PACKET:
        return [f"{len(data)} bytes are no transport stream"]
    if not starts_with_pat(data, 0):
        return ["it does not begin with a program association table"]
    if pictures and not random_access_at(data, 2 * PACKET):
        return ["it does not begin with a keyframe"]
    return []


def origin_problems(data: bytes, sent: Sent, first_number: int) -> list[str]:
    """Return what is wrong unless the bytes are those that the server sent, without a gap."""
    plain = without_nulls(data)
    stream = sent.first_round
    at = stream.find(plain)
    if at >= 0:
        return [] if at % PACKET == 0 else [f"it begins in the middle of a packet, at byte {at}"]
    if data == sent.payload(first_number, len(data)):
        return []  # it goes on over the end of the file
    same = bisect_left(range(len(plain) // PACKET), 1, key=lambda n: plain[: (n + 1) * PACKET] not in stream)
    return [f"it differs from what the server sent after {same} packets"]


def without_nulls(data: bytes) -> bytes:
    """Leave out the null packets, with which the server fills gaps and which the file has not."""
    if not any(pid_at(data, at) == NULL_PID for at in range(0, len(data), PACKET)):
        return data
    kept = (data[at : at + PACKET] for at in range(0, len(data), PACKET) if pid_at(data, at) != NULL_PID)
    return b"".join(kept)


def decode_problems(data: bytes) -> list[str]:
    """Let ffmpeg decode all but the last picture; return what it says, which should be nothing."""
    command = [find_tool("ffmpeg"), "-nostdin", "-v", "error", "-xerror", "-f", "mpegts", "-i", "-"]
    result = subprocess.run(
        [*command, "-f", "null", "-"], input=without_last_picture(data), capture_output=True, check=False
    )
    said = result.stderr.decode(errors="replace").strip().splitlines()
    if said or result.returncode:
        return [f"ffmpeg: {said[0] if said else f'status {result.returncode}'}"]
    return []


def without_last_picture(data: bytes) -> bytes:
    """Cut a recording where its last picture begins; one without pictures stays as it is."""
    for at in range(len(data) - PACKET, 0, -PACKET):
        if pid_at(data, at) == VIDEO_PID and data[at + 1] & 0x40:
            # The tables in front of a keyframe belong to it.
            return data[: at - 2 * PACKET] if starts_with_pat(data, at - 2 * PACKET) else data[:at]
    return data


def ffprobe_streams(recording: Path) -> list[dict[str, Any]]:
    """Return what ffprobe says about each stream: codec, and the number of packets."""
    command = [
        find_tool("ffprobe"),
        "-v",
        "error",
        "-count_packets",
        "-of",
        "json",
        "-show_streams",
        str(recording),
    ]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    found = json.loads(result.stdout or "{}").get("streams", [])
    return [dict(stream) for stream in found]
