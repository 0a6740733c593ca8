"""Better ways: when a node that is well fed moves to another parent, as the path there is clearly better.

Each node advertises how its path is: how long a datagram takes from the rendezvous point (half a round trip
each hop), and how many of a thousand are lost on the way and have to be repaired. A node compares

    the path it has     its parent's delay + the measured hop; the losses that it sees itself
    one it could have   the neighbour's delay + half the round trip to it; the neighbour's losses

by one figure, milliseconds, in which one datagram of a thousand that is lost counts as one millisecond.

**Nobody flaps.** A way must be better by a clear margin for some seconds without a break; then the parent
there is taken in addition, and what is measured on *both* decides. Only if the new one has proven better does
its path become this node's, and the former parent is left only when that has been so for another 2 s:
should the path turn out to lead in a ring, nothing was lost. After a try nobody moves for half a minute
and some more, drawn at random, so that two nodes do not move for each other's sake.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from mcast.overlay.actions import NodeParent
from mcast.overlay.chance import Chance

LOOK_SECONDS = 1.0
"""Between two comparisons."""
HOLD_SECONDS = 5.0
"""For so long a way must have been better: a burst of losses, or of other traffic, is over by then."""
REST = (30.0, 40.0)
"""Seconds after a try in which the content stays where it is, drawn at random."""
LEAST_GAIN_MS = 10.0
"""A gain that a viewer's buffer can feel; less is within what measurements differ by."""
LEAST_SHARE = 0.25
"""Of the present figure, which the gain must reach, too."""
MS_PER_PERMILLE = 1.0
"""Milliseconds that are as bad as one lost datagram of a thousand: each is late by a round trip or two."""
TOLERANCE_MS, TOLERANCE_PERMILLE = 5, 5
"""By so much, or by a quarter, a figure must have changed to be told anew."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a path from the rendezvous point is."""

    delay_ms: float
    lost_permille: int = 0  # of the datagrams, before repair

    def __str__(self) -> str:
        return f"{self.delay_ms:.0f} ms, {self.lost_permille / 10:g} % lost"

    @property
    def cost(self) -> float:
        """Return the figure by which paths are compared; less is better."""
        return self.delay_ms + MS_PER_PERMILLE * self.lost_permille

    def is_clearly_better_than(self, other: "Quality") -> bool:
        """Return whether it is worth a move."""
        return self.cost + max(LEAST_GAIN_MS, LEAST_SHARE * other.cost) <= other.cost


@dataclass(frozen=True, slots=True)
class Told:
    """The same as neighbours are told it: whole numbers, which change only when the figures have."""

    delay_ms: int | None = None  # None: it is not known
    lost_permille: int = 0

    def renewed(self, quality: Quality | None) -> "Told":
        """Return what is to be told now."""
        if quality is None:
            return Told()
        return Told(
            _steady(self.delay_ms, round(quality.delay_ms), TOLERANCE_MS),
            _steady(self.lost_permille, quality.lost_permille, TOLERANCE_PERMILLE),
        )


def _steady(told: int | None, measured: int, tolerance: int) -> int:
    if told is None or abs(measured - told) > max(tolerance, told // 4):
        return measured
    return told


class Content(Protocol):
    """What is asked about a branch."""

    @property
    def may_move(self) -> bool:
        """Whether it is well fed, and by a node."""


ContentT = TypeVar("ContentT", bound=Content)
OfQuality: TypeAlias = Callable[[ContentT], Quality | None]
"""Return how the present path is, None if that is not known."""
Offers: TypeAlias = Callable[[ContentT], Iterable[tuple[Quality, NodeParent]]]
"""Return how the paths by way of others would be."""


@dataclass(frozen=True, slots=True)
class Better:
    """A way that has been clearly better for a while."""

    parent: NodeParent
    present: Quality
    offered: Quality


@dataclass(slots=True)
class Trial:
    """How far one content has come on such a way."""

    target: NodeParent | None = None  # whose path will be this node's, if it proves better
    has_moved: bool = False  # to it, and the former parent is still there


class BetterWays:
    """What one node compares. Times are monotonic seconds."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._look_at = 0.0
        self._since: dict[str, tuple[NodeParent, float]] = {}  # by content: who is better, since when
        self._rest: dict[str, float] = {}  # by content: until when it stays

    def find(
        self,
        branches: Mapping[str, ContentT],
        quality: OfQuality[ContentT],
        offers: Offers[ContentT],
        now: float,
    ) -> dict[str, Better]:
        """Return to whom contents should move now."""
        if now < self._look_at:
            return {}
        self._look_at = now + LOOK_SECONDS
        self._rest = {content: until for content, until in self._rest.items() if content in branches}
        better = {content: _look(branch, quality, offers) for content, branch in branches.items()}
        self._since = {
            content: before
            if (before := self._since.get(content)) and before[0] == way.parent
            else (way.parent, now)
            for content, way in better.items()
            if way is not None
        }
        return {
            content: way for content, way in better.items() if way is not None and self._is_due(content, now)
        }

    def _is_due(self, content: str, now: float) -> bool:
        if now < max(self._since[content][1] + HOLD_SECONDS, self._rest.get(content, 0.0)):
            return False
        self._rest[content] = now + self._chance.uniform(*REST)
        return True


def _look(branch: ContentT, quality: OfQuality[ContentT], offers: Offers[ContentT]) -> Better | None:
    present = quality(branch) if branch.may_move else None
    if present is None:
        return None
    ways = [Better(parent, present, offered) for offered, parent in offers(branch)]
    best = min(ways, key=lambda each: (each.offered.cost, each.parent.name), default=None)
    return best if best is not None and best.offered.is_clearly_better_than(present) else None
