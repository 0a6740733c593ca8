"""Where a transport stream may be begun: who serves, relays to browsers or records asks the same judge.

A keyframe is where the random access indicator is set. Of a stream that sets none, the beginning of the
picture tells: parameter sets or an IDR of H.264, VPS or IRAP of HEVC, the sequence header of MPEG-2. Where
there is no picture, or no keyframe comes for long, time decides.

The judge is shown the packets in which something begins (a table, a picture, a sound), in the order of the
stream. Pure.
"""

import re

from mcast.media.programme import Programme, pmt_pid, presentation_time, programme, seconds_between
from mcast.wire.mpegts import pid_at, random_access_at

SOUND_SECONDS = 2.0
"""From one start to the next where there is only sound: what servers give pictures, too."""
LONGEST = 10.0
"""Seconds after which any picture counts as a start: some streams renew the picture bit by bit."""
_START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_H264, _HEVC = 0x1B, 0x24  # stream types
_H264_STARTS = {5, 7}  # an IDR, a sequence parameter set (H.264, table 7-1)
_HEVC_STARTS = {*range(16, 22), 32, 33}  # IRAP pictures, VPS, SPS (H.265, table 7-1)
_SEQUENCE = 0xB3  # a sequence header (ISO 13818-2, table 6-1)


class Keyframes:
    """The judge of one stream."""

    def __init__(self) -> None:
        self.programme = Programme()
        self.pmt_pid: int | None = None
        """Where the programme's table is, as the last PAT has said."""
        self.latest: int | None = None
        """The PTS of the newest picture, or sound where there is none."""
        self.reference: int | None = None
        """The PTS of the last start; until there is one, of what came first."""
        self.has_begun = False
        self._has_indicators = False

    @property
    def leading(self) -> int | None:
        """Return the PID that decides: the picture's, else the sound's, else the first there is."""
        told = self.programme
        if told.video is not None:
            return told.video
        return told.audio if told.audio is not None else next((pid for pid, _ in told.streams), None)

    def take_pat(self, packet: bytes) -> None:
        """Take in where the programme's table is."""
        self.pmt_pid = pmt_pid(packet)

    def take_pmt(self, packet: bytes) -> None:
        """Take in what the programme is."""
        self.programme = programme(packet) or self.programme

    def begins(self, packet: bytes) -> bool:
        """Return whether a viewer can begin with this packet, given the tables before it."""
        if pid_at(packet, 0) != self.leading:
            return False
        time = self.latest = presentation_time(packet)
        if self.reference is None:
            self.reference = time
        if not self._is_start(packet, seconds_between(self.reference, time)):
            return False
        self.has_begun, self.reference = True, time
        return True

    def _is_start(self, packet: bytes, elapsed: float) -> bool:
        if self.programme.video is None:
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
