"""Repair, hop by hop: a child names what it misses, its parent sends it again from the history.

A number is sent again at most once per round trip, however often it is asked for, and the repairs
of a child are bounded by a rate, so that a flood of NACKs costs no more than the stream itself.
What the parent misses too comes by itself: the parent has asked its own parent, and passes it on.
"""

from collections.abc import Iterable

from mcast.media.child import MAX_REPAIRED, Child, ChildState
from mcast.media.children import Children
from mcast.media.reception import extend
from mcast.media.token_bucket import TokenBucket

MIN_ROUND_TRIP = 0.01
"""Seconds within which a number is not sent twice, where the round trip is shorter or unknown."""


def repair(roster: Children, child: Child, sequences: Iterable[int], total: TokenBucket, now: float) -> None:
    """Send again what a child asks for, as far as it is held and was sent to it before."""
    if child.sender is None or child.state not in (ChildState.CATCHING_UP, ChildState.LIVE):
        return
    again = now - max(child.round_trip or 0.0, MIN_ROUND_TRIP)
    for sequence in sequences:
        number = extend(sequence, child.cursor)
        if not child.floor <= number < child.cursor or child.repaired.get(number, again) > again:
            continue
        datagram = roster.read(number)
        if datagram is None or child.repairs.left(now) < 1 or total.left(now) <= 0:
            child.unrepaired += 1
            continue
        child.repairs.take(1)
        total.take(len(datagram))
        if child.sender.send_packet(datagram):
            child.resent += 1
            _remember(child, number, now)


def _remember(child: Child, number: int, now: float) -> None:
    child.repaired.pop(number, None)  # to the end: dicts keep the order in which keys came
    child.repaired[number] = now
    if len(child.repaired) > MAX_REPAIRED:
        del child.repaired[next(iter(child.repaired))]
