"""Who else streams a content: what neighbours advertise, and whom of them to ask when a parent fails.

A parent chosen *before* the failure costs one round trip; one that is searched afterwards costs a flood.
Each node tells its neighbours, on a connection of its own, by which path it streams each content and
whether it is fed, and tells changes only.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from mcast.overlay.actions import NodeParent, Parent, Path
from mcast.overlay.better_paths import Quality
from mcast.overlay.branch_data import BranchData
from mcast.overlay.pairing import shared
from mcast.wire.identity import Identity

MAX_ADVERTS = 1024
"""Contents that are remembered of one neighbour: four times what one node relays."""

MAX_SPARES = 4
"""Spare parents that are asked before a search begins: siblings that have all lost one parent would ask
each other, one after another."""


_AT_ONCE = Quality(0.0)  # the rendezvous point


@dataclass(frozen=True, slots=True)
class Advert:
    """How a neighbour streams one content."""

    path: Path  # from the rendezvous point to the neighbour
    fed: bool
    quality: Quality | None = None  # of that path; None: not known
    viewers: int = 0  # below the neighbour
    full: bool = False  # it takes no more children of the content


class Adverts:
    """What all neighbours have advertised."""

    def __init__(self) -> None:
        self._adverts: dict[str, dict[str, Advert]] = {}
        self._full: set[str] = set()  # who takes no more children of any content

    def on_advertised(
        self, neighbour: str, content: str, path: Path, *, fed: bool, quality: Quality | None = None,
        viewers: int = 0, full: bool = False,
    ) -> None:  # fmt: skip
        """Take in a neighbour's word; an empty path withdraws it."""
        told = self._adverts.setdefault(neighbour, {})
        if not path:
            told.pop(content, None)
        elif content in told or len(told) < MAX_ADVERTS:
            told[content] = Advert(path, fed, _AT_ONCE if len(path) == 1 else quality, viewers, full)

    def on_lost(self, neighbour: str) -> None:
        """Forget a neighbour of which nothing is heard any more."""
        self._adverts.pop(neighbour, None)
        self._full.discard(neighbour)

    def on_full(self, neighbour: str, *, full: bool) -> None:
        """Take in whether a neighbour takes children at all."""
        (self._full.add if full else self._full.discard)(neighbour)

    def _is_full(self, neighbour: str, advert: Advert) -> bool:
        return advert.full or neighbour in self._full

    def streaming(self, content: str, me: Identity, *, full: bool = True) -> list[str]:
        """Return the neighbours that are fed with a content, and not by way of this node.

        `full`: whether to name those, too, that take nobody in now.
        """
        told = ((name, adverts.get(content)) for name, adverts in self._adverts.items())
        return [
            name
            for name, advert in told
            if advert and advert.fed and me not in advert.path
            if full or not self._is_full(name, advert)
        ]

    def nearest(
        self, content: str, neighbours: Mapping[str, float], avoided: Set[Identity]
    ) -> list[str]:  # fmt: skip
        """Return those of some neighbours (names, and round trips) that are fed with a content, and not full.

        Not by way of anybody who is avoided. First that with the shortest path, of several the nearest.
        """
        told = ((name, self._adverts.get(name, {}).get(content)) for name in neighbours)
        ranked = [
            (len(advert.path), neighbours[name], name)
            for name, advert in told
            if advert is not None and advert.fed and avoided.isdisjoint(advert.path)
            if not self._is_full(name, advert)
        ]
        return [name for *_, name in sorted(ranked)]

    def spares(self, branch: BranchData, round_trips_ms: Mapping[str, float]) -> list[Parent]:
        """Return the neighbours that could feed this branch, the best first.

        Never one whose path leads through this node, nor a child of it, nor one below a parent that was no
        help; but for the rendezvous point, below which all are: it may be the link alone that failed.
        One that says that it is full may have room again, and is the last. One that does not hang below a
        present parent is better, then a short path, then a near neighbour.
        After `MAX_SPARES` that were no help a search is quicker.
        """
        parents, helpless = set(branch.excluded), set(branch.helpless)
        below = branch.below
        ranked = [
            (
                self._is_full(name, advert),
                not parents.isdisjoint(advert.path),
                len(advert.path),
                round_trip_ms,
                name,
            )
            for name, advert, round_trip_ms in self._able(branch, round_trips_ms)
            if helpless.isdisjoint(advert.path[1:]) and Identity.node(name) not in below
        ]
        return [NodeParent(name) for *_, name in sorted(ranked)[:MAX_SPARES]]

    def partners(self, branch: BranchData, round_trips_ms: Mapping[str, float]) -> list[Parent]:
        """Return the neighbours that could be a second parent, those first whose path shares least.

        Only those that share nothing, as long as such are looked for. Of several that share as much those
        first that have viewers below them: they have a second parent themselves, by a way of its own.
        """
        ranked = sorted(
            (common, common > 0 and not advert.viewers, len(advert.path), round_trip_ms, name)
            for name, advert, round_trip_ms in self._able(branch, round_trips_ms)
            for common in [shared(advert.path, branch.path)]
            if not self._is_full(name, advert)
        )
        most = 0 if branch.pairing.is_strict else len(branch.path)
        return [NodeParent(name) for common, *_, name in ranked[:MAX_SPARES] if common <= most]

    def tells(self, neighbour: str, content: str) -> bool:
        """Return whether a neighbour says that it streams a content."""
        return content in self._adverts.get(neighbour, {})

    def by_way_of(self, content: str, avoided: Set[Identity]) -> Set[Identity]:
        """Return the neighbours that are fed with a content by way of anybody who is avoided.

        They stream already, and go on as they do, whoever else comes to them.
        """
        told = ((name, adverts.get(content)) for name, adverts in self._adverts.items())
        return {
            Identity.node(name)
            for name, advert in told
            if advert is not None and advert.fed and not avoided.isdisjoint(advert.path)
        }

    def viewers(self, neighbour: str, content: str, parent: Identity | None = None) -> int | None:
        """Return how many viewers a neighbour says are fed from there and below; None if it says nothing.

        With `parent` only if its path leads there from that node: with two parents it counts at one of them.
        """
        advert = self._adverts.get(neighbour, {}).get(content)
        if advert is None or (parent is not None and advert.path[-2:-1] != (parent,)):
            return None
        return advert.viewers

    def quality(self, neighbour: str, content: str) -> Quality | None:
        """Return how a neighbour's path is, None if that is not known."""
        advert = self._adverts.get(neighbour, {}).get(content)
        return None if advert is None else advert.quality

    def offers(
        self, branch: BranchData, round_trips_ms: Mapping[str, float]
    ) -> Iterator[tuple[Quality, NodeParent]]:
        """Yield how this node's path would be by way of others that could feed it."""
        below = branch.below
        for name, advert, round_trip_ms in self._able(branch, round_trips_ms):
            known = advert.quality
            is_open = not self._is_full(name, advert) and Identity.node(name) not in below
            if known is not None and round_trip_ms > 0.0 and is_open:
                way = Quality(known.delay_ms + round_trip_ms / 2, known.lost_permille)
                yield way, NodeParent(name)

    def _able(
        self, branch: BranchData, round_trips_ms: Mapping[str, float]
    ) -> Iterator[tuple[str, Advert, float]]:
        """Yield who is fed, but for this node's parents and those above which it is itself."""
        near = set(branch.excluded)
        for name, round_trip_ms in round_trips_ms.items():
            advert = self._adverts.get(name, {}).get(branch.content)
            if advert is None or not advert.fed or Identity.node(name) in near:
                continue
            if branch.me not in advert.path:
                yield name, advert, round_trip_ms
