"""How the bytes of a live input become packets that can be cut into datagrams.

What ffmpeg has encoded (`Encoded`) is as mcast wants it: a PAT stands right before each keyframe, and nowhere
else. A transport stream that is copied (`Copied`) comes as its sender has made it, and no byte of its packets
is touched: its tables stand anywhere, ten times a second. So it is looked for the PAT behind which a keyframe
comes before the next PAT does. There a viewer begins; until that is known, at most a tenth of a second, the
packets since the PAT are held back.

A keyframe is where the random access indicator is set. Of a stream that sets none, the beginning of the
picture tells: parameter sets or an IDR of H.264, VPS or IRAP of HEVC, the sequence header of MPEG-2. Where
there is no picture, or no keyframe comes for long, time decides.

Pure.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from mcast.media.programme import Programme, pmt_pid, presentation_time, programme, seconds_between
from mcast.media.source.alignment import Aligner
from mcast.media.source.ts_inspection import SDT_PID, holds_media, without_tables
from mcast.wire.mpegts import PACKET, PAT_PID, pid_at, random_access_at

SOUND_SECONDS = 2.0
"""From one start to the next where there is only sound."""
LONGEST = 10.0
"""Seconds after which any picture counts as a start: some streams renew the picture bit by bit."""
MAX_HELD = 8_192
"""Packets that are held back: 1.5 MB. Behind a PAT there is another one long before."""
_START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_H264, _HEVC = 0x1B, 0x24  # stream types
_H264_STARTS = {5, 7}  # an IDR, a sequence parameter set (H.264, table 7-1)
_HEVC_STARTS = {*range(16, 22), 32, 33}  # IRAP pictures, VPS, SPS (H.265, table 7-1)
_SEQUENCE = 0xB3  # a sequence header (ISO 13818-2, table 6-1)


@dataclass(frozen=True, slots=True)
class Run:
    """Some packets, in the order of the stream."""

    packets: bytes
    is_start: bool | None = None  # begins with a PAT where a viewer may begin; None: every PAT is one


class Framing(Protocol):
    """Makes packets of the bytes of one run of a source."""

    clock: int | None
    """The PID whose PCR counts; None: any."""
    has_media: bool
    """Whether picture or sound was in what was fed last."""

    def feed(self, data: bytes) -> list[Run]:
        """Return the packets that are complete, and of which all is known."""
        ...


class Encoded:
    """The stream of an ffmpeg that has encoded it for us."""

    def __init__(self) -> None:
        self.has_media = False
        self.clock: int | None = None
        self._rest = b""

    def feed(self, data: bytes) -> list[Run]:
        data = self._rest + data
        whole = len(data) - len(data) % PACKET
        self._rest = data[whole:]
        packets = without_tables(data[:whole], SDT_PID)
        self.has_media = holds_media(packets)
        return [Run(packets)]


class Copied:
    """A transport stream that is sent as it comes."""

    def __init__(self) -> None:
        self.has_media = False
        self.clock: int | None = None
        self._aligner, self._keyframes = Aligner(), _Keyframes()
        self._held: bytes | None = None  # since the last PAT

    def feed(self, data: bytes) -> list[Run]:
        packets = self._aligner.feed(data)
        self.has_media = False
        runs: list[Run] = []
        begun = 0
        for number in [number for number, high in enumerate(packets[1::PACKET]) if high & 0x40]:
            at = number * PACKET
            packet = packets[at : at + PACKET]
            if pid_at(packet, 0) == PAT_PID:
                self._keyframes.take_pat(packet)
                runs.append(Run((self._held or b"") + packets[begun:at], is_start=False))
                self._held, begun = b"", at
            elif self._keyframes.look(packet) and self._held is not None:
                runs.append(Run(self._held + packets[begun : at + PACKET], is_start=True))
                self._held, begun = None, at + PACKET
            self.has_media |= self._keyframes.is_media
        self.clock = self._keyframes.programme.clock
        rest = packets[begun:]
        if self._held is not None and len(self._held) + len(rest) <= MAX_HELD * PACKET:
            self._held += rest
        else:
            runs.append(Run((self._held or b"") + rest, is_start=False))
            self._held = None
        return [run for run in runs if run.packets]


class _Keyframes:
    """Looks at each packet in which something begins."""

    def __init__(self) -> None:
        self.programme = Programme()
        self.is_media = False  # the last one is the beginning of picture or sound
        self._pmt_pid: int | None = None
        self._has_indicators = False
        self._last: int | None = None  # the PTS of the last start

    def look(self, packet: bytes) -> bool:
        """Return whether a viewer can begin with this packet, given the tables before it."""
        pid = pid_at(packet, 0)
        self.is_media = pid in self.programme.pids
        if pid == self._pmt_pid:
            self.programme = programme(packet) or self.programme
        if not self.is_media or not self._is_start(pid, packet):
            return False
        self._last = presentation_time(packet)
        return True

    def take_pat(self, packet: bytes) -> None:
        """Take in where the programme's table is."""
        self._pmt_pid, self.is_media = pmt_pid(packet), False

    def _is_start(self, pid: int, packet: bytes) -> bool:
        video = self.programme.video
        elapsed = seconds_between(self._last, presentation_time(packet))
        if video is None:
            return self._last is None or not 0 <= elapsed < SOUND_SECONDS
        if pid != video:
            return False
        self._has_indicators |= random_access_at(packet, 0)
        is_key = random_access_at(packet, 0) if self._has_indicators else self._tells(packet)
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
