"""Which numbers of a stream have arrived: what is new, what is missing, what to report upwards.

Every datagram of a stream has a 64-bit number, of which RTP carries the low 16 bits. `extend`
finds the whole number near the one that is expected; `Reception` remembers what is still missing
below the highest number seen, so that each number is handed on at most once:

    ... received ... | missing | received | missing | received | next ->
                                                               everything from here on is new

A number below `next` is new only if it is in a missing range; otherwise it is a duplicate, or so
old that its range was given up. So a loop of relays can neither amplify nor look alive.

In the normal case (what arrives begins at `next`) a whole train costs one comparison.
"""

from bisect import bisect_right
from dataclasses import dataclass

from mcast.wire.rtcp import ReportBlock
from mcast.wire.rtp import CLOCK_RATE

WINDOW = 16_384
"""Numbers below the highest that may still arrive: a quarter of what 16 bits can name, as much as a
history holds. What is missing for longer is given up."""
MAX_MISSING_RANGES = 1_024
"""Gaps remembered at a time; beyond, the oldest is given up."""
MAX_SEQUENCE_GAP = 32_768
"""Half of 2**16: how far a number may be from the expected one."""

MAX_JUMP = 1 << 24
"""What a parent may say that it has sent meanwhile: hours of a fast stream. More is a mistake."""

_NEVER = float("-inf")
_MAX_CUMULATIVE = (1 << 23) - 1  # 24 bits, signed (RFC 3550, A.3)

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
    asked: float = _NEVER


class Reception:
    """What one child has received of one stream. Not thread-safe: one thread owns it.

    `start` is the first number that counts; None: the first that arrives, or the one that the
    parent tells by `begin`. `expected` is what 16-bit numbers are extended against until then.
    """

    def __init__(self, expected: int, start: int | None = None) -> None:
        self.start = start
        self.next = expected if start is None else start
        self.received = 0  # each number once
        self.duplicates = 0
        self.reordered = 0  # arrived after a higher number, without having been asked for
        self.repaired = 0  # arrived after they were asked for
        self.missing: list[Missing] = []  # in order
        self.jitter = 0.0  # RFC 3550, A.8, in ticks of 90 kHz
        self._transit: int | None = None
        self._reported = (0, 0)  # expected and received at the last report

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

    def extend(self, sequence: int) -> int:
        """Return the number that `sequence` stands for here."""
        return extend(sequence, self.next)

    def begin(self, number: int, now: float) -> None:
        """Take in the parent's word that it goes on with `number`: what is below has been sent.

        Before anything has arrived this is the start; later it shows what was lost at the tail.
        """
        if self.start is None:
            self.start = self.next = number
        elif self.next < number < self.next + MAX_JUMP:
            self._miss(self.next, number, now)
            self.next = number

    def accept(self, first: int, count: int, now: float) -> tuple[Span, ...]:
        """Take in `count` datagrams from number `first` on; return those that are new, in order."""
        if first == self.next and self.start is not None:
            self.next = first + count
            self.received += count
            return ((first, count),)
        if self.start is None and first >= 0:
            self.start = self.next = first
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
            if gap.asked > _NEVER:
                self.repaired += stop - begin
            else:
                self.reordered += stop - begin
            rest = [Missing(a, b, gap.since, gap.asked)
                    for a, b in ((gap.begin, begin), (stop, gap.end)) if a < b]  # fmt: skip
            self.missing[index : index + 1] = rest
            index += len(rest)
        return spans

    def _miss(self, begin: int, end: int, now: float) -> None:
        self.missing.append(Missing(max(begin, end - WINDOW), end, now))
        oldest = end - WINDOW
        while self.missing[0].end <= oldest or len(self.missing) > MAX_MISSING_RANGES:
            self.missing.pop(0)

    def to_ask(self, now: float, *, every: float, max_age: float, most: int) -> list[int]:
        """Return up to `most` missing numbers to ask the parent for, and note that they are asked.

        Each is named again after `every` seconds; a gap older than `max_age` is given up.
        """
        self.missing = [gap for gap in self.missing if now - gap.since < max_age]
        numbers: list[int] = []
        for index, gap in enumerate(self.missing):
            room = most - len(numbers)
            if room == 0:
                break
            if now - gap.asked < every:
                continue
            if gap.end - gap.begin > room:  # the rest is asked for next time
                self.missing.insert(index + 1, Missing(gap.begin + room, gap.end, gap.since, gap.asked))
                gap.end = gap.begin + room
            gap.asked = now
            numbers.extend(range(gap.begin, gap.end))
        return numbers

    def note_arrival(self, timestamp: int, now: float) -> None:
        """Take in an RTP timestamp and when it came, for the jitter; once a train is enough."""
        transit = int(now * CLOCK_RATE) - timestamp
        if self._transit is not None:
            difference = (transit - self._transit + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
            self.jitter += (abs(difference) - self.jitter) / 16
        self._transit = transit

    def report(self, ssrc: int, last_sr: int = 0, delay_since_sr: int = 0) -> ReportBlock:
        """Give the report block for the parent (RFC 3550, 6.4.1 and A.3) and begin a new interval.

        Unlike A.3 a duplicate does not make up for a loss: each number counts once.
        """
        expected, received = self.expected, self.received
        interval = expected - self._reported[0]
        lost = interval - (received - self._reported[1])
        self._reported = (expected, received)
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min((lost << 8) // interval, 255) if interval > 0 and lost > 0 else 0,
            cumulative_lost=min(self.lost, _MAX_CUMULATIVE),
            highest_sequence=(self.next - 1) & 0xFFFF_FFFF if expected else 0,
            jitter=min(int(self.jitter), 0xFFFF_FFFF),
            last_sr=last_sr,
            delay_since_sr=min(delay_since_sr, 0xFFFF_FFFF),
        )
