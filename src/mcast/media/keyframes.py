"""Where a transport stream may be begun: who serves, relays to browsers or records asks the same judge.

A keyframe is where the random access indicator is set. Of a stream that sets none, the beginning of the
picture tells: parameter sets or an IDR of H.264, VPS or IRAP of HEVC, the sequence header of MPEG-2. Where
there is no picture, or no keyframe comes for long, time decides.

What the stream's picture is, its tables tell. Where none can be read (a filter has left them out, their
checksums are wrong), or the picture that they name does not come, a *stand-in* decides after a while: another
picture, else a sound, known by its PES packets alone.

The judge is shown the packets in which something begins (a table, a picture, a sound) and all of the tables,
in the order of the stream. Pure.
"""

import re
from collections.abc import Iterator

from mcast.media.programme import Programme, presentation_time, seconds_between
from mcast.media.tables import Tables
from mcast.wire.mpegts import PACKET, PICTURES, SOUNDS, pid_at, random_access_at, stream_id_at

SOUND_SECONDS = 2.0
"""From one start to the next where there is only sound: what servers give pictures, too."""
LONGEST = 10.0
"""Seconds after which any picture counts as a start: some streams renew the picture bit by bit."""
TABLE_SECONDS = 3.0
"""For the tables, and a picture that they name, to come for the first time: they come every half second."""
_START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_H264, _HEVC = 0x1B, 0x24  # stream types
_H264_STARTS = {5, 7}  # an IDR, a sequence parameter set (H.264, table 7-1)
_HEVC_STARTS = {*range(16, 22), 32, 33}  # IRAP pictures, VPS, SPS (H.265, table 7-1)
_SEQUENCE = 0xB3  # a sequence header (ISO 13818-2, table 6-1)


class Keyframes:
    """The judge of one stream."""

    def __init__(self) -> None:
        self.latest: int | None = None
        """The PTS of the newest picture, or sound where there is none."""
        self.reference: int | None = None
        """The PTS of the last start; until there is one, of what came first."""
        self.has_begun = False
        self._tables = Tables()
        self._has_come: int | None = None  # what has led last
        self._has_indicators = False
        self._stand_in: _StandIn | None = None  # while nothing comes of what should lead

    @property
    def programme(self) -> Programme:
        """Return the programme that decides, as far as it is known."""
        return self._tables.programme

    @property
    def clock(self) -> int | None:
        """Return the PID whose PCR counts; None: any."""
        return self.programme.clock if self._tables.is_led else None

    @property
    def tables(self) -> tuple[bytes, ...]:
        """Return the packets that a viewer needs first: the newest PAT, and the programme's PMT."""
        return self._tables.packets

    @property
    def leading(self) -> int | None:
        """Return the PID that decides."""
        if self._stand_in is not None and not self._tables.is_led:
            return self._stand_in.pid
        return self.programme.leading

    def telling(self, packets: bytes) -> Iterator[int]:
        """Yield the numbers of the packets that are to be looked at, of some whole ones.

        Something begins there, a field says something, or a table goes on. Where tables are may change
        while they are gone through.
        """
        tables = self._tables.pids
        heads = zip(packets[1::PACKET], packets[2::PACKET], packets[3::PACKET], strict=True)
        for number, (high, low, control) in enumerate(heads):
            if high & 0x40 or control & 0x20 or (high & 0x1F) << 8 | low in tables:
                yield number

    def holds_table(self, packet: bytes) -> bool:
        """Return whether a packet is of a table that counts."""
        return pid_at(packet, 0) in self._tables.pids

    def take_table(self, packet: bytes) -> None:
        """Take in a packet of a table."""
        self._tables.feed(packet)

    def begins(self, packet: bytes) -> bool:
        """Return whether a viewer can begin with this packet, given the tables before it."""
        pid = pid_at(packet, 0)
        self._tables.note(pid)
        if self._tables.is_led and pid == self.programme.leading:
            self._stand_in = None
        elif not self._is_led_by(pid, packet):
            return False
        if pid != self._has_come:  # another picture, by another clock
            self._has_come, self.reference, self._has_indicators = pid, None, False
        time = self.latest = presentation_time(packet)
        if self.reference is None:
            self.reference = time
        if not self._is_start(packet, seconds_between(self.reference, time)):
            return False
        self.has_begun, self.reference = True, time
        return True

    def _is_led_by(self, pid: int, packet: bytes) -> bool:
        """Return whether a stand-in decides, and this is of it."""
        stream = stream_id_at(packet, 0)
        if stream is None:
            return False
        if self._stand_in is None or _rank(stream) < _rank(self._stand_in.stream):
            self._stand_in = _StandIn(pid, stream)
        if pid != self._stand_in.pid:
            return False
        self._stand_in.look(packet)
        if self._stand_in.seconds < self._patience:
            return False
        if self._tables.is_led:
            self._tables.pass_over()
        if self._tables.is_led:  # another programme is waited for
            self._stand_in = None
            return False
        return True

    @property
    def _patience(self) -> float:
        has_come = self._has_come is not None and self._has_come == self.programme.leading
        return LONGEST if has_come else TABLE_SECONDS

    def _is_start(self, packet: bytes, elapsed: float) -> bool:
        has_picture, is_known = self.programme.video is not None, self._stand_in is None
        if self._stand_in is not None:
            has_picture, self._has_indicators = (
                self._stand_in.stream in PICTURES,
                self._stand_in.has_indicators,
            )
        if not has_picture or not (is_known or self._has_indicators):
            return not self.has_begun or not 0 <= elapsed < SOUND_SECONDS
        is_marked = random_access_at(packet, 0)
        self._has_indicators |= is_marked
        is_key = is_marked if self._has_indicators else self._tells(packet)
        return is_key or not abs(elapsed) < LONGEST

    def _tells(self, packet: bytes) -> bool:
        """Return whether the picture that begins here says that it needs no other."""
        codes = [match[1][0] for match in _START.finditer(packet)]
        kind = self.programme.kind_of(self.programme.video)
        if kind == _H264:
            return any(code & 0x1F in _H264_STARTS for code in codes)
        if kind == _HEVC:
            return any(code >> 1 & 0x3F in _HEVC_STARTS for code in codes)
        return _SEQUENCE in codes


class _StandIn:
    """What comes while that does not come which should decide."""

    def __init__(self, pid: int, stream: int) -> None:
        self.pid, self.stream = pid, stream
        self.seconds = 0.0
        """For how long it has come alone."""
        self.has_indicators = False
        self._time: int | None = None

    def look(self, packet: bytes) -> None:
        """Take in its next packet."""
        self.has_indicators |= random_access_at(packet, 0)
        time = presentation_time(packet)
        step = seconds_between(self._time, time)
        self.seconds += step if 0 <= step <= LONGEST else 0.0  # more is a leap of the clock
        self._time = time if time is not None else self._time


def _rank(stream: int) -> int:
    """Return how well a stream id stands in: a picture best, then a sound, then what may be either."""
    return 0 if stream in PICTURES else 1 if stream in SOUNDS else 2
