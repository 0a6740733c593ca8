"""A parent's answers to NACKs: out of the history, each number once per round trip, within a budget.

A number is sent again at most once per round trip, however often it is asked for: children ask
twice in that time, as NACKs are lost, too. Whose repair was lost gets two copies from then on. What
the parent misses too comes by itself: it has asked its own parent, and passes on what comes at
once. That counts as a repair: who asks for it in that moment need not get it twice.

The budget of a child is a share of the stream's own rate, so that a flood of NACKs costs no more than
the stream itself does. All children together share another one with those that catch up; repairs are
taken from it first, as a viewer waits for them. And a child may ask for so many numbers a second
that the search for them is no burden either.

**What this node has never asked for** lies below where it began, for one child's sake, and another child, or
one below that one, may lack it. So it is asked for above then, from the lowest number that is asked for here:
once, whoever asks, so that it goes up from node to node to the first that has it. When it comes it is
handed on as all that comes late is (children.py), to those that go on from there or have asked for it.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from mcast.media.child import Child, ChildState, Repairs
from mcast.media.children import Children
from mcast.media.history import MAX_DATAGRAMS, MAX_SECONDS
from mcast.media.reception import extend
from mcast.media.token_bucket import TokenBucket

MIN_ROUND_TRIP = 0.01
"""Seconds within which a number is not sent twice, where the round trip is shorter or unknown."""
MAX_REPAIRED = 4_096
"""Numbers remembered as repaired."""
REPAIR_SHARE = 1.0
"""Of the stream's rate. At 25 % loss both ways a child needs 0.5 of it."""
MIN_REPAIR_RATE = 400.0
"""Datagrams a second where the stream's rate is low or not known yet: 4 Mbit/s."""
SAVED_SECONDS = 1.0
"""What is saved up repairs a link that was dead for so long, at once."""
QUESTIONS = 32.0
"""Numbers looked up for each one sent: a child asks again and again for what its parent lacks, too."""
MEASURE_SECONDS = 0.5
"""How long a measured rate is good for."""
REACH_SECONDS = 0.1
"""For so long a child that has made this node ask above does not make it ask for something still older."""

ReachBack: TypeAlias = Callable[[int], None]
"""Has the numbers from this one on asked for above, if they lie below where this node has begun. It may be
called by any thread."""


class Repair:
    """The feedback thread's."""

    def __init__(self, children: Children, total: TokenBucket, reach_back: ReachBack | None = None) -> None:
        """`total` are the bytes that may be sent to all children beside the stream itself.

        `reach_back` is None where nothing is above.
        """
        self._children, self._total, self._reach_back = children, total, reach_back
        self._rate, self._measured = MIN_REPAIR_RATE, float("-inf")
        self._reached: int | None = None  # asked for above: from this number on

    def answer(self, child: Child, sequences: Iterable[int], now: float) -> None:
        """Send again what a child asks for, as far as it is held; ask above for what is too old for us."""
        if child.sender is None or child.state not in (ChildState.CATCHING_UP, ChildState.LIVE):
            return
        repairs = self._allowed(child, now)
        before = now - max(child.round_trip.smoothed or 0.0, MIN_ROUND_TRIP)
        for sequence in sequences:
            if repairs.questions.left(now) < 1:
                child.unrepaired += 1
                continue
            repairs.questions.take(1)
            number = extend(sequence, child.cursor)
            # Also what lies below where it began: it, or one below it, may go on from where another parent
            # has left it.
            if 0 <= number < child.cursor:
                self._send(child, repairs, number, before, now)

    def _send(self, child: Child, repairs: Repairs, number: int, before: float, now: float) -> None:
        last = repairs.sent.get(number)
        if last is None and number >= child.floor:
            last = self._children.late_sent.get(number)
        if last is not None and last > before:
            return
        datagram = self._children.read(number)
        copies = 1 if last is None else 2
        if datagram is None:
            self._ask_above(child, number, now)
        if datagram is None or child.sender is None or repairs.datagrams.left(now) < 1:
            child.unrepaired += 1
            return
        for _ in range(copies):
            repairs.datagrams.take(1)
            self._total.take(len(datagram))
            self._total.note_loss(len(datagram))
            child.resent += child.sender.send_packet(datagram)
        _remember(repairs.sent, number, now)

    def _ask_above(self, child: Child, number: int, now: float) -> None:
        """Have a number that is not held asked for above, and handed on to this child when it comes."""
        depth = min(MAX_DATAGRAMS, round(self._rate * MAX_SECONDS))  # what a history may hold
        if self._reach_back is None or number < child.cursor - depth:
            return
        is_older = self._reached is None or number < self._reached
        if is_older and now - child.reached_at < REACH_SECONDS:
            return
        self._children.lower(child, number)
        if is_older:
            self._reached, child.reached_at = number, now
            self._reach_back(number)

    def _allowed(self, child: Child, now: float) -> Repairs:
        """Return what a child may ask for: its budgets follow the stream's rate."""
        if now - self._measured > MEASURE_SECONDS:
            self._rate = max(MIN_REPAIR_RATE, REPAIR_SHARE * self._children.rate())
            self._measured = now
        rate, questions = self._rate, self._rate * QUESTIONS
        if child.repairs is None:
            child.repairs = Repairs(
                TokenBucket(rate, rate * SAVED_SECONDS, now),
                TokenBucket(questions, questions * SAVED_SECONDS, now),
            )
        for bucket, at in ((child.repairs.datagrams, rate), (child.repairs.questions, questions)):
            if bucket.rate != at:
                bucket.rate, bucket.burst = at, at * SAVED_SECONDS
        return child.repairs


def _remember(sent: dict[int, float], number: int, now: float) -> None:
    sent.pop(number, None)  # to the end: dicts keep the order in which keys came
    sent[number] = now
    if len(sent) > MAX_REPAIRED:
        del sent[next(iter(sent))]
