"""Which numbers of a stream have arrived: what is new, what is missing, whom to ask for it.

Every datagram of a stream has a 64-bit number, of which RTP carries the low 16 bits. `extend`
finds the whole number near the one that is expected; `Reception` remembers what is still missing
below the highest number seen, so that each number is handed on at most once:

    ... received ... | missing | received | missing | received | next ->
                                                               everything from here on is new

A number below `next` is new only if it is in a missing range; otherwise it is a duplicate, or so
old that its range was given up. So a loop of relays can neither amplify nor look alive. It makes no
difference which parent brings a number: the first one that does is handed on.

In the normal case (what arrives begins at `next`) a whole train costs one comparison. Pure.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from mcast.overlay.actions import UpstreamId

WINDOW = 16_384
"""Numbers below the highest that may still arrive: a quarter of what 16 bits can name, as much as a
history holds. What is missing for longer is given up."""
MAX_MISSING_RANGES = 1_024
"""Gaps remembered at a time; beyond, the oldest is given up."""
MAX_SEQUENCE_GAP = 32_768
"""Half of 2**16: how far a number may be from the expected one."""

MAX_JUMP = 1 << 24
"""What a parent may say that it has sent meanwhile: hours of a fast stream. More is a mistake."""

HASTY_ASKS = 12
"""So often a number is asked for twice as often as answers may take: a NACK is small, half of the failures
are lost NACKs, and the parent answers once per round trip all the same. Who has no answer then mostly
has a parent that misses the number, too."""
ASK_SLACK = 0.003
"""Seconds by which a number may be asked for too early: the next look may be 10 ms later."""

_NEVER = float("-inf")

Span = tuple[int, int]
"""First number, and how many."""


def extend(sequence: int, expected: int) -> int:
    """Return the number nearest to `expected` whose low 16 bits are `sequence`.

    Below the beginning of a stream it may be negative: that is no number, and never accepted.
    """
    return expected + ((sequence - expected + MAX_SEQUENCE_GAP) & 0xFFFF) - MAX_SEQUENCE_GAP


@dataclass(slots=True)
class Missing:
    """A gap: numbers from `begin` up to `end` (not included). Times are monotonic seconds."""

    begin: int
    end: int
    since: float
    again: float = _NEVER  # not to be asked for before
    asked_of: UpstreamId | None = None  # who was asked for it last
    asks: int = 0  # how often it was asked for

    def part(self, begin: int, end: int) -> "Missing":
        """Return the same gap between these numbers only."""
        return Missing(begin, end, self.since, self.again, self.asked_of, self.asks)


@dataclass(frozen=True, slots=True)
class Asking:
    """Which missing numbers a parent may be asked for."""

    upstream: UpstreamId
    begin: int  # it has sent the numbers from here
    end: int  # up to here
    patience: float  # seconds that its answer may take


class Reception:
    """What one child has received of one stream. One thread owns it; others may read its numbers.

    `start` is the first number that counts; None: the first that arrives, or the one that a parent
    tells by `begin`. Until then `next` is what the first parent's position says.
    """

    def __init__(self, expected: int, start: int | None = None) -> None:
        self.start = start
        self.next = expected if start is None else start
        self.received = 0  # each number once
        self.duplicates = 0
        self.reordered = 0  # arrived after a higher number, without having been asked for
        self.repaired = 0  # arrived after they were asked for
        self.missing: list[Missing] = []  # in order
        self._ask_at = _NEVER  # nothing is to be asked for before

    def __repr__(self) -> str:
        return (
            f"<Reception next={self.next} received={self.received} lost={self.lost} gaps={len(self.missing)}>"
        )

    @property
    def expected(self) -> int:
        """Return how many numbers should have arrived."""
        return 0 if self.start is None else self.next - self.start

    @property
    def lost(self) -> int:
        """Return how many of them have not (yet)."""
        return self.expected - self.received

    @property
    def wanted(self) -> int:
        """Return the lowest number that is still wanted: the first missing one, else the next."""
        # Read by other threads, so `next` first: a gap that opens meanwhile begins at it or above.
        number = self.next
        first = next(iter(self.missing), None)
        return number if first is None else min(number, first.begin)

    def begin(self, number: int, now: float) -> bool:
        """Take in a parent's word that it goes on with `number`: what is below has been sent.

        Before anything has arrived this is the start; later it shows what was lost at the tail.
        Return whether it can be true.
        """
        if self.start is None:
            self.start = self.next = number
        elif number >= self.next + MAX_JUMP:
            return False
        elif number > self.next:
            self._miss(self.next, number, now)
            self.next = number
        return True

    def reach_back(self, number: int, now: float) -> bool:
        """Want what lies between `number` and the start, too; return whether that is news.

        No more than a window: what is older nobody holds.
        """
        if self.start is None or not max(0, self.next - WINDOW) <= number < self.start:
            return False
        self.missing.insert(0, Missing(number, self.start, now))
        self.start, self._ask_at = number, _NEVER
        return True

    def accept(self, first: int, count: int, now: float) -> tuple[Span, ...]:
        """Take in `count` datagrams from number `first` on; return those that are new, in order."""
        if first == self.next and self.start is not None:
            self.next = first + count
            self.received += count
            return ((first, count),)
        if self.start is None:
            self.start = self.next = max(first, 0)
        return self._accept(first, first + count, now)

    def _accept(self, first: int, end: int, now: float) -> tuple[Span, ...]:
        spans = self._fill(first, min(end, self.next))
        if end > self.next:
            begin = max(first, self.next)
            if begin > self.next:
                self._miss(self.next, begin, now)
            spans.append((begin, end - begin))
            self.next = end
        new = sum(count for _, count in spans)
        self.received += new
        self.duplicates += end - first - new
        return tuple(spans)

    def _fill(self, first: int, end: int) -> list[Span]:
        """Take what lies in missing ranges out of them; return it."""
        spans: list[Span] = []
        index = bisect_right(self.missing, first, key=lambda gap: gap.end)
        while index < len(self.missing) and (gap := self.missing[index]).begin < end:
            begin, stop = max(first, gap.begin), min(end, gap.end)
            spans.append((begin, stop - begin))
            if gap.asked_of is not None:
                self.repaired += stop - begin
            else:
                self.reordered += stop - begin
            rest = [gap.part(a, b) for a, b in ((gap.begin, begin), (stop, gap.end)) if a < b]
            self.missing[index : index + 1] = rest
            index += len(rest)
        return spans

    def _miss(self, begin: int, end: int, now: float) -> None:
        self.missing.append(Missing(max(begin, end - WINDOW), end, now))
        self._ask_at = _NEVER
        oldest = end - WINDOW
        while self.missing[0].end <= oldest or len(self.missing) > MAX_MISSING_RANGES:
            self.missing.pop(0)

    def give_up(self, before: float) -> None:
        """Miss no longer what was noticed before this time."""
        # In order of time, too, but for the first, if it lies below what was the start before.
        if any(gap.since <= before for gap in self.missing[:2]):
            self.missing = [gap for gap in self.missing if gap.since > before]

    def defer(self, seconds: float, now: float) -> None:
        """Miss everything as if that had been noticed so much later: nobody could be asked meanwhile."""
        for gap in self.missing:
            gap.since = min(gap.since + seconds, now)

    def renew(self, now: float) -> None:
        """Miss everything as if that had just been noticed: there is somebody new to ask."""
        for gap in self.missing:
            gap.since, gap.asks = now, 0

    def to_ask(
        self, asking: Asking, now: float, most: int, other_has: Callable[[int], bool] | None = None
    ) -> list[int]:
        """Return up to `most` missing numbers to ask one parent for, and note that it is asked.

        A number that it was asked for and has not sent is the other parent's turn, if `other_has` it.
        """
        now += ASK_SLACK
        if now < self._ask_at:
            return []
        numbers = self._collect(asking, now, most, other_has)
        if other_has is None and len(numbers) < most:
            self._ask_at = min((gap.again for gap in self.missing), default=now)
        return numbers

    def _collect(
        self, asking: Asking, now: float, most: int, other_has: Callable[[int], bool] | None
    ) -> list[int]:
        numbers: list[int] = []
        index = 0
        while index < len(self.missing) and len(numbers) < most:
            gap = self.missing[index]
            begin = max(gap.begin, asking.begin)
            end = min(gap.end, asking.end, begin + most - len(numbers))
            turn = gap.asked_of != asking.upstream or other_has is None or not other_has(begin)
            if begin < end and turn and now >= gap.again:
                index += self._split(index, begin, end)
                gap = self.missing[index]
                hasty = other_has is None and gap.asks < HASTY_ASKS
                gap.again = now + (asking.patience / 2 if hasty else asking.patience)
                gap.asked_of = asking.upstream
                gap.asks += 1
                numbers.extend(range(begin, end))
            index += 1
        return numbers

    def _split(self, index: int, begin: int, end: int) -> int:
        """Make a gap of its own out of a part of a gap; return how much further on it is."""
        gap = self.missing[index]
        bounds = ((gap.begin, begin), (begin, end), (end, gap.end))
        self.missing[index : index + 1] = [gap.part(a, b) for a, b in bounds if a < b]
        return int(gap.begin < begin)
