"""Of two parents of a content, the one that stays.

Where one is wanted, it is the one that brings everything sooner, or whose path has proven better (better.py).
Where two are wanted (pairing.py), both stay. In either case one that cannot be talked to gives way
(renewal.py).
"""

from collections.abc import Callable

from mcast.overlay.actions import Action, UpstreamId
from mcast.overlay.better import Better, Quality
from mcast.overlay.branch_data import BranchData, Why
from mcast.overlay.table import Input, State
from mcast.overlay.transitions import Transitions


class Contest(Transitions):
    """One content, as far as two parents compete. Times are monotonic seconds."""

    def on_outdone(
        self, upstream: UpstreamId, now: float, quality: Callable[[BranchData, UpstreamId], Quality | None]
    ) -> list[Action]:
        """Take in which of two parents brings nothing that the other has not brought before.

        Where a way is tried that seems better, what is measured on both decides: `quality` tells it.
        """
        if not self.others:
            return []  # the other one has left meanwhile
        if self.is_silent:
            return self.take(Input.OUTDONE, Why(now))  # of two, the one that can be talked to stays
        if self.wish.parents > 1:
            return []
        if self.target is not None and self.state is State.DOUBLED and self.primary is not None:
            present, (tried,) = quality(self, self.primary), (quality(self, other) for other in self.others)
            return self._on_tried(present, tried, now)
        is_primary = upstream == self.primary and not self.has_moved
        return self.take(Input.OUTDONE if is_primary else Input.OTHER_OUTDONE, Why(now))

    def on_better(self, better: Better, now: float) -> list[Action]:
        """Try a way that seems to be better: its parent in addition, for the time being."""
        self.target = better.parent
        return self.take(Input.PAIRS, Why(now))

    def _on_tried(self, present: Quality | None, tried: Quality | None, now: float) -> list[Action]:
        self.target = None
        self.has_moved = present is not None and tried is not None and tried.cost < present.cost
        if not self.has_moved:
            return self.take(Input.OTHER_OUTDONE, Why(now))
        return self.take(Input.MOVES, Why(now, f"{tried} instead of {present}"))

    def leave_silent(self, now: float) -> list[Action]:
        """Leave one of two parents that nothing is heard of but media: another is asked for afterwards."""
        if self.is_silent:
            return self.take(Input.OUTDONE, Why(now))
        if any(self.upstreams[other].silent for other in self.others):
            return self.take(Input.OTHER_OUTDONE, Why(now))
        return []
