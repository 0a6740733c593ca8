"""Which TS packets does a recording lack, held against another one of the same stream?

Both are walked side by side. Where they differ, the recording goes on somewhere behind in the witness: what
lies between is missing. A packet that the witness has nowhere behind is foreign: altered, or there twice.
"""

from dataclasses import dataclass

from mcast.wire.mpegts import PACKET

_STRIDE = 1024 * PACKET  # equal recordings are compared in large pieces
_ANCHORS = (4 * PACKET, PACKET)
"""So much has to be equal for the two to be in step again. A single packet may repeat: it comes second."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a recording has of the witness's."""

    packets: int  # that it should have
    missing: int
    foreign: int = 0

    @property
    def is_complete(self) -> bool:
        return self.packets > 0 and not self.missing and not self.foreign


def compare(recording: bytes, witness: bytes, start: int, end: int) -> Comparison:
    """Compare a recording with the witness's bytes from `start`, where it begins, to `end` at least.

    A recording that stops early lacks the rest. `start` below 0: it begins before the witness does.
    """
    whole = len(recording) // PACKET * PACKET
    here, there = max(0, -start), max(0, start)
    wanted, missing, foreign = (end - there) // PACKET, 0, int(whole < len(recording))
    while there < end:
        equal = _equal_bytes(recording, here, witness, there)
        here, there = here + equal, there + equal
        if there >= end:
            break
        if here >= whole:
            missing += (end - there) // PACKET
            break
        again = _again(witness, recording[here : min(here + _ANCHORS[0], whole)], there)
        if again < 0:
            foreign, here = foreign + 1, here + PACKET
        else:
            missing, there = missing + (min(again, end) - there) // PACKET, again
    return Comparison(wanted, missing, foreign)


def _equal_bytes(one: bytes, at: int, other: bytes, other_at: int) -> int:
    """Return how many bytes are equal from these places on, in whole packets."""
    begin = at
    for step in (_STRIDE, PACKET):
        while (piece := one[at : at + step]) and len(piece) % PACKET == 0:
            if piece != other[other_at : other_at + len(piece)]:
                break
            at, other_at = at + len(piece), other_at + len(piece)
    return at - begin


def _again(witness: bytes, piece: bytes, start: int) -> int:
    """Return where a recording goes on in the witness; -1 if nowhere."""
    found = (_find(witness, piece[:size], start) for size in _ANCHORS)
    return next((at for at in found if at >= 0), -1)


def _find(data: bytes, piece: bytes, start: int) -> int:
    """Return where a piece begins in some packets, at a packet's beginning; -1 if nowhere."""
    at = data.find(piece, start)
    while at >= 0 and (at - start) % PACKET:
        at = data.find(piece, at + 1)
    return at
