"""Which of two parents is left: the one that brings less of the stream before the other.

Two parents of one content feed a child while it changes from one to the other, and nobody knows
beforehand which is the better one. After a while it is seen, by the numbers that each has brought first:

    the newer one has brought clearly more   the older one is left: the newer one has proven itself
    anything else                            the newer one is left: it is the one too many

*Clearly* is by more than a tenth of all. Of two that are as good as each other the older one stays, so that
a suspicion that was none changes no path; and who is worse by a hair after one look may be better after the
next.

Pure: what each has brought is told by others, and so is the time.
"""

from typing import Protocol

from mcast.overlay.actions import UpstreamId

TIE = 0.1
"""Of all numbers: the newer parent must have brought so much more of them first than the older one."""


class Runner(Protocol):
    """A parent, as far as it takes part."""

    @property
    def upstream(self) -> UpstreamId:
        """Return which one it is."""
        ...

    @property
    def new(self) -> int:
        """Return how many numbers it has brought that the other had not brought before."""
        ...


class Race:
    """Two parents that both bring media. One thread owns it."""

    __slots__ = ("_began", "_newer", "_older", "_were_new")

    def __init__(self, older: Runner, newer: Runner, now: float) -> None:
        self._older, self._newer, self._began = older, newer, now
        self._were_new = (older.new, newer.new)

    def loser(self, now: float, after: float) -> UpstreamId | None:
        """Return who is outdone, once after each `after` seconds in which something new has come."""
        if now - self._began < after:
            return None
        older, newer = self._older.new - self._were_new[0], self._newer.new - self._were_new[1]
        self._began, self._were_new = now, (self._older.new, self._newer.new)
        if not older + newer:
            return None
        is_better = newer - older > TIE * (older + newer)
        return self._older.upstream if is_better else self._newer.upstream
