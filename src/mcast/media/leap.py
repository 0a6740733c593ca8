"""Whether a parent has really leapt ahead (RFC 3550, A.1).

A number far above what has come from a parent so far is not believed on one word, be it a datagram's
or an SR's: a single broken or forged packet would make all that is really sent look old. Two words
must agree, of which the second goes on where the first has ended, and nothing may have come in
between from where the parent was before. What came with the first word is kept until then.
"""

from mcast.wire.burst import Run

MAX_DROPOUT = 128
"""Numbers that may be missing at once without a second word; 250 ms at 5 Mbit/s. That what was kept
comes a train later costs nothing, so this can be less than the 3,000 of the RFC."""


class Leap:
    """The first word of a leap. One thread owns it."""

    __slots__ = ("_expected", "_held", "next")

    def __init__(self) -> None:
        self.next: int | None = None  # where the first word ended
        self._expected = 0  # where the parent was then
        self._held: Run | None = None

    def is_one(self, begin: int, expected: int) -> bool:
        """Return whether a word that begins there needs a second one."""
        return begin > expected + MAX_DROPOUT

    def believe(self, begin: int, end: int, expected: int, run: Run | None = None) -> bool:
        """Take in a word; return whether it is the second one, so that both are to be believed."""
        confirmed = (
            self.next is not None and self._expected == expected and 0 <= begin - self.next <= MAX_DROPOUT
        )
        if not confirmed:
            self.next, self._expected, self._held = end, expected, run
        return confirmed

    def take(self) -> tuple[int, Run] | None:
        """Return what came with the first word, and its number, if that was media; forget the leap."""
        run, end = self._held, self.next
        self.next = self._held = None
        return None if run is None or end is None else (end - run.count, run)
