"""How the bytes of a live input become packets that can be cut into datagrams.

What ffmpeg has encoded (`Encoded`) is as mcast wants it: a PAT stands right before each keyframe, and nowhere
else. A transport stream that is copied (`Copied`) comes as its sender has made it, and no byte of its packets
is touched: its tables stand anywhere, ten times a second. So it is looked for the PAT behind which a keyframe
comes before the next PAT does. There a viewer begins; until that is known, at most a tenth of a second, the
packets since the PAT are held back.

What a keyframe is, `mcast.media.keyframes` tells. Pure.
"""

from dataclasses import dataclass
from typing import Protocol

from mcast.media.keyframes import Keyframes
from mcast.media.source.alignment import Aligner
from mcast.media.source.ts_inspection import SDT_PID, begins_media, holds_media, without_tables
from mcast.wire.mpegts import PACKET, pcr_at, pid_at, starts_with_pat

MAX_HELD = 8_192
"""Packets that are held back: 1.5 MB. Behind a PAT there is another one long before."""

MAX_UNTIMED = 12_288
"""Packets without a PCR where the PMT says that it is, after which any PCR counts. It comes every 100 ms:
that many are 180 Mbit/s, and fewer than what a `Cutter` lets wait."""


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
        self._aligner, self._keyframes = Aligner(), Keyframes()
        self._held: bytes | None = None  # since the last PAT
        self._untimed = 0  # packets since the clock has ticked

    def feed(self, data: bytes) -> list[Run]:
        packets, keyframes = self._aligner.feed(data), self._keyframes
        self.has_media = False
        runs: list[Run] = []
        begun = 0
        for number in keyframes.telling(packets):
            at = number * PACKET
            packet = packets[at : at + PACKET]
            if pid_at(packet, 0) == keyframes.clock and pcr_at(packet, 0) is not None:
                self._untimed = -number
            if keyframes.holds_table(packet):
                keyframes.take_table(packet)
                if starts_with_pat(packet, 0):
                    runs.append(Run((self._held or b"") + packets[begun:at], is_start=False))
                    self._held, begun = b"", at
            elif begins_media(packet):
                self.has_media = True
                if keyframes.begins(packet) and self._held is not None:
                    runs.append(Run(self._held + packets[begun : at + PACKET], is_start=True))
                    self._held, begun = None, at + PACKET
        self._untimed += len(packets) // PACKET
        self.clock = keyframes.clock if self._untimed < MAX_UNTIMED else None
        rest = packets[begun:]
        if self._held is not None and len(self._held) + len(rest) <= MAX_HELD * PACKET:
            self._held += rest
        else:
            runs.append(Run((self._held or b"") + rest, is_start=False))
            self._held = None
        return [run for run in runs if run.packets]
