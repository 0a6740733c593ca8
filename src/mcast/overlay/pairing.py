"""When a node that is well fed asks for another parent all the same, and whom.

**Two parents** (`parents = 2`). Each number is forwarded once, whoever brings it first, so a second parent
costs one more copy on its link, and a failure on either path costs nothing. It is looked for in peace: a
moment after media comes, and then more and more rarely, at moments drawn at random; and soon, when a
neighbour appears who could be it.

A second parent is worth what its path does not share with the primary's. So first those are asked, and
a flood is sent where only those can answer, that have no node in common with the primary's path but the
rendezvous point; if that finds nobody, anybody else (`is_strict` tells which turn it is).

**Only where somebody watches.** A node that feeds others by their second ways alone has one parent: its own
second one would be for nobody, and nodes that are each other's second would keep each other for ever. So a
second parent is asked for while there are viewers below by the tree, and left some seconds after the last.

**The primaries form the tree.** Loops are judged by the primary's path alone, and where the second parent's
path is shorter it is made the primary one. A second parent is never a node whose path leads through this one.
Two nodes may be each other's second: should both lose their first parents at once, each finds itself in
the other's path a moment later.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcast.overlay.actions import Path
from mcast.overlay.chance import Chance
from mcast.overlay.table import State
from mcast.wire.identity import Identity

FIRST_PAUSE = 1.0
"""Seconds from when media comes to when a second parent is asked for: what joins at once has joined."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries, at most: a flood each half minute costs nobody anything."""
SPREAD = (0.5, 1.5)
"""By this factor, drawn at random, each pause is longer or shorter."""
HURRY_SECONDS = 10.0
"""Between two tries for the sake of who has appeared, at least: somebody may come and go all the time."""
WATCHED_SECONDS = 5.0
"""How long a second parent is kept after the last viewer below: longer than a viewer takes to come again."""
PAIR_SECONDS = 10.0
"""Until a try is given up: a flood, a join through several nodes, and the first media."""


@dataclass(slots=True)
class Wish:
    """What a node wants of its parents. All branches of a node share one."""

    parents: int = 1  # all the time
    optimise: bool = False  # move to a clearly better path


class Pairing:
    """When one branch asks for a second parent. Times are monotonic seconds."""

    def __init__(self, chance: Chance, wish: Wish) -> None:
        self._chance, self._wish = chance, wish
        self._failures, self._pause, self._hurries_from = 0, FIRST_PAUSE, 0.0
        self.due: float | None = None

    def __repr__(self) -> str:
        return f"<Pairing due={self.due} failures={self._failures}>"

    @property
    def is_strict(self) -> bool:
        """Return whether the next try is for a path that shares no node with the primary's."""
        return self._failures % 2 == 0

    def on_state(self, before: State, state: State, now: float) -> None:
        """Take in that a branch comes from one state to another."""
        if self._wish.parents < 2:
            self.due = None
        elif state is State.DOUBLED:
            self._failures = 0
            self._plan(now, LONGEST_PAUSE)
        elif state is State.FED:
            self._failures += before is State.PAIRING
            self._plan(now, min(FIRST_PAUSE * 2.0 ** min(self._failures, 10), LONGEST_PAUSE))

    def hurry(self, now: float) -> None:
        """Try soon, if a try is to come at all: somebody has appeared who could be a second parent."""
        if self.due is not None and now >= self._hurries_from:
            self._hurries_from = now + HURRY_SECONDS
            self.due = min(self.due, now + FIRST_PAUSE * self._chance.uniform(*SPREAD))

    def begin(self, now: float, may_pair: Callable[[], bool]) -> bool:
        """Return whether a second parent is to be asked for now; `may_pair` tells whether that is of use."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        if self._wish.parents < 2:
            return False
        if may_pair():
            return True
        self._plan(now, self._pause)
        return False

    def _plan(self, now: float, pause: float) -> None:
        self._pause = pause
        self.due = now + pause * self._chance.uniform(*SPREAD)


def inner(path: Path) -> tuple[Identity, ...]:
    """Return the nodes of a path that another could do without: all but the rendezvous point."""
    return path[1:]


def shared(path: Path, others: Iterable[Identity]) -> int:
    """Return how many nodes of a parent's path are among others, but for the rendezvous point."""
    return len(set(inner(path)).intersection(others))
