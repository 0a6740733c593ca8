"""Where a transport stream may be begun: at keyframes, each with the tables in front of it.

Bytes come in as they are read, whole packets; out come pieces, of which those that are *starts* begin with a
PAT, a PMT and a packet at which a decoder can begin. Nothing is altered; only where the tables do not stand
right before the keyframe (a stream that was not made by mcast) the last ones are repeated there.

Without pictures a stream may be begun wherever sound begins; there, and where no keyframe comes for
`LONGEST` seconds, time decides.
"""

from dataclasses import dataclass

from mcast.media.programme import Programme, pmt_pid, presentation_time, programme, seconds_between
from mcast.wire.mpegts import PACKET, PAT_PID, pid_at, random_access_at

SOUND_SECONDS = 2.0
"""From one start to the next where there is only sound: what servers give pictures, too."""
LONGEST = 10.0
"""Seconds after which a start is made at any picture: players of HLS give up waiting."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some packets of the stream."""

    data: bytes
    is_start: bool = False
    time: int | None = None  # of a start: its PTS, 90 kHz


class PieceCutter:
    """Cuts one stream. Pure: it looks at nothing but the bytes."""

    def __init__(self) -> None:
        self.programme = Programme()
        self._pat, self._pmt = b"", b""
        self._pmt_pid: int | None = None
        self._reference: int | None = None  # the PTS of the last start, or of what came first
        self.latest: int | None = None
        """The PTS of the newest picture, or sound where there is none."""
        self._has_begun = False

    def feed(self, data: bytes) -> list[Piece]:
        """Return the pieces of some whole packets; what comes before the first start belongs to none."""
        had_begun, starts = self._has_begun, self._starts(data)
        first = starts[0].begin if starts else len(data)
        pieces = [Piece(data[:first])] if had_begun and first else []
        ends = [*(start.begin for start in starts[1:]), len(data)]
        pieces += [
            Piece(start.tables + data[start.begin : end], is_start=True, time=start.time)
            for start, end in zip(starts, ends, strict=False)
        ]
        return pieces

    def _starts(self, data: bytes) -> list["_Start"]:
        found: list[_Start] = []
        pat_at = pmt_at = -1  # numbers of packets
        for number in [number for number, high in enumerate(data[1::PACKET]) if high & 0x40]:
            at = number * PACKET
            packet = data[at : at + PACKET]
            pid = pid_at(packet, 0)
            if pid == PAT_PID:
                self._pat, self._pmt_pid, pat_at = packet, pmt_pid(packet), number
            elif pid == self._pmt_pid:
                self._pmt, pmt_at = packet, number
                self.programme = programme(packet) or self.programme
            elif pid == self._leading and self._begins(packet):
                stand_in_front = (pat_at, pmt_at) == (number - 2, number - 1)
                tables = b"" if stand_in_front else self._pat + self._pmt
                found.append(_Start(at - 2 * PACKET * stand_in_front, tables, self._reference))
        return found

    @property
    def _leading(self) -> int | None:
        """Return the PID that decides: the picture's, or the sound's where there is none."""
        video = self.programme.video
        return self.programme.audio if video is None else video

    def _begins(self, packet: bytes) -> bool:
        """Return whether the stream may be begun at this packet, and remember that it was."""
        time = self.latest = presentation_time(packet)
        if self._reference is None:
            self._reference = time
        elapsed = seconds_between(self._reference, time)
        is_key = self.programme.video is not None and random_access_at(packet, 0)
        is_sound = self.programme.video is None and (not self._has_begun or elapsed >= SOUND_SECONDS)
        if not (is_key or is_sound or elapsed >= LONGEST):
            return False
        self._has_begun, self._reference = True, time
        return True


@dataclass(frozen=True, slots=True)
class _Start:
    """A place where the stream may be begun."""

    begin: int  # its offset
    tables: bytes  # to be put in front
    time: int | None
