"""Where a transport stream may be begun: at keyframes, each with the tables in front of it.

Bytes come in as they are read, whole packets; out come pieces, of which those that are *starts* begin with a
PAT, a PMT and a packet at which a decoder can begin (where the stream has no tables, with that alone).
Nothing is altered; only where the tables do not stand right before the keyframe (a stream that was not made
by mcast) all packets of the last ones are repeated there.

What a keyframe is, `mcast.media.keyframes` tells; a stream without any is begun every few seconds.

A *break* is a start behind a discontinuity that the stream marks (ISO 13818-1, 2.4.3.5): its clock and its
counters begin anew, however near the new time is to the old one.
"""

from dataclasses import dataclass

from mcast.media.keyframes import Keyframes
from mcast.media.programme import Programme
from mcast.wire.mpegts import PACKET, discontinuity_at, pid_at


@dataclass(frozen=True, slots=True)
class Piece:
    """Some packets of the stream."""

    data: bytes
    is_start: bool = False
    time: int | None = None  # of a start: its PTS, 90 kHz
    is_break: bool = False  # of a start: what was before it does not go on here
    former: int | None = None  # of a start: the PTS of the newest picture before it


class PieceCutter:
    """Cuts one stream. Pure: it looks at nothing but the bytes."""

    def __init__(self) -> None:
        self._keyframes = Keyframes()
        self._is_broken = False  # a discontinuity was marked since the last start

    @property
    def programme(self) -> Programme:
        """Return what is in the stream, as far as it is known."""
        return self._keyframes.programme

    @property
    def latest(self) -> int | None:
        """Return the PTS of the newest picture, or sound where there is none."""
        return self._keyframes.latest

    def begin_anew(self) -> None:
        """Take in that another stream follows, which marks no discontinuity."""
        self._is_broken = self._keyframes.has_begun

    def feed(self, data: bytes) -> list[Piece]:
        """Return the pieces of some whole packets; what comes before the first start belongs to none."""
        had_begun = self._keyframes.has_begun
        starts = self._starts(data)
        first = starts[0].begin if starts else len(data)
        pieces = [Piece(data[:first])] if had_begun and first else []
        ends = [*(start.begin for start in starts[1:]), len(data)]
        pieces += [
            Piece(start.tables + data[start.begin : end], True, start.time, start.is_break, start.former)
            for start, end in zip(starts, ends, strict=False)
        ]
        return pieces

    def _starts(self, data: bytes) -> list["_Start"]:
        found: list[_Start] = []
        keyframes = self._keyframes
        for number in keyframes.telling(data):
            at = number * PACKET
            packet = data[at : at + PACKET]
            if discontinuity_at(packet, 0) and self._decides(pid_at(packet, 0)):
                self._is_broken = keyframes.has_begun
            former = keyframes.latest
            if keyframes.holds_table(packet):
                keyframes.take_table(packet)
            elif packet[1] & 0x40 and keyframes.begins(packet):
                tables = b"".join(keyframes.tables)
                stand_in_front = tables != b"" and data[max(at - len(tables), 0) : at] == tables
                begin, tables = (at - len(tables), b"") if stand_in_front else (at, tables)
                found.append(_Start(begin, tables, keyframes.reference, self._is_broken, former))
                self._is_broken = False
        return found

    def _decides(self, pid: int) -> bool:
        """Return whether a discontinuity of this PID is one of the stream: of the picture, or of the clock.

        Other streams mark theirs, too, each at its own next packet: for one break that would be several.
        """
        told = self._keyframes.programme
        return pid == self._keyframes.leading or (pid == told.clock and pid not in told.pids)


@dataclass(frozen=True, slots=True)
class _Start:
    """A place where the stream may be begun."""

    begin: int  # its offset
    tables: bytes  # to be put in front
    time: int | None
    is_break: bool
    former: int | None
