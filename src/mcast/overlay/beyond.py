"""Nodes beyond one's neighbours: who is up, as the bootstrapper says.

    Seek --the bootstrapper--> Offered --no neighbour has a way--> Reach --connect--> RoundTripMeasured
                                                                     '--> asked by floods, or chosen

**Cut off.** A node whose neighbours offer no way, be it for a stream of its own or for somebody who asks
while one of them is dead or says nothing, has others offered (`repair = "anyone"`), connects to them, and
asks those that it has reached beside its neighbours. So the nearest that has a way is found as any parent is.
Such a parent is left again as soon as a neighbour has a way (`strayed`): the links of the layout are what its
author has wanted.

The nearest may all be siblings that have lost the same parent, and are as helpless. So each flood asks
others: those that were asked least often, of them a rendezvous point, which has a way if anybody has, the one
that the bootstrapper thinks most of, and the nearest. And who is not offered any more is forgotten, unless
media comes from there: the bootstrapper has found that it is dead, or cut off as well.

**A few at a time.** When a relay dies above many nodes, all that have no way are offered as many others. If
each connected to all of them at once, hundreds of handshakes would keep everybody from the first one that
helps. So two are connected to, and a few more each time that nobody has a way after all.

**Joined.** A node that the layout's file does not name chooses its neighbours in the same way: the nearest
of those that it could connect to. It looks again when one of them is silent, or when none knows of a way
to a rendezvous point, and otherwise rarely, as others may have come.

An offer is a hint: only a connection that has succeeded counts (the other end may be behind a NAT).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from math import ceil

from mcast.overlay import homing
from mcast.overlay.actions import Action, Announce, Ask, NodeParent, Reach, Seek, TakeLinks
from mcast.overlay.branch import Branch
from mcast.overlay.chance import Chance
from mcast.overlay.events import LayoutChanged
from mcast.overlay.table import PAIRABLE, SEEKING
from mcast.wire.bootstrap import DEFAULT_POLICY, MAX_OFFERED, NamedAddress

MAX_ASKED = 4
"""Nodes beyond the neighbours that are asked at a time, not only the nearest ones."""
FIRST_REACHED = 2
"""Nodes that are connected to first of those offered: a rendezvous point, and the best of the others."""
WIDEN_SECONDS = 0.25
"""Between two times that more of those that were offered are connected to: a connect and a flood."""
OFFER_MS = 500
"""When who asks in vain is to ask again: somebody will have been offered by then, and been connected to."""
SEEK_AGAIN_SECONDS = 1.0
"""Until the bootstrapper is asked again: it knows of a dead node after some seconds at the latest."""
KEPT_SECONDS = 10.0
"""How long those that were offered are kept after somebody has asked for a content in vain."""
HOME_SECONDS = 5.0
"""Between two looks for a way by the links of the layout, for a stream that comes by another one."""
CHOICE_SECONDS = 1.0
"""From the offer to the choice of neighbours: a connect, and another if its first segment is lost."""
FIRST_LOOK_SECONDS = 0.5
"""To the second look of a node that joins, if the first finds nobody; doubled each time up to the last."""
LAST_LOOK_SECONDS = 30.0
NO_WAY_LOOK_SECONDS = 2.0
"""The same for a node that has joined and knows of no way to a rendezvous point any more."""
FRESH_SECONDS = 1.0
"""How long neighbours that the layout has just named may take to be reached: nodes are started one by one."""
LOOK_SPREAD = (0.75, 1.25)
"""By this factor, drawn at random, each of these times is longer or shorter: many join together."""

Branches = Mapping[str, Branch]


class Beyond:
    """Whom one node knows beyond its neighbours. Times are monotonic seconds."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._policy, self._joined = DEFAULT_POLICY, False
        self._own: Set[str] = frozenset()
        self._offered: tuple[NamedAddress, ...] = ()
        self._reaching: tuple[NamedAddress, ...] = ()  # those of them that are connected to
        self._width, self._widen_at = FIRST_REACHED, 0.0  # how many these are at most; until when no more
        self._round_trips_ms: dict[str, float] = {}  # of those that were offered, and have been reached
        self._asked: Counter[str] = Counter()  # how often each of them was, since it was offered
        self._rendezvous: Set[str] = frozenset()
        self._seek_at = self._kept_until = 0.0
        self._fresh: set[str] = set()  # neighbours that have just been named, and were not reached yet
        self._fresh_until = 0.0
        self._home_at: dict[str, float] = {}  # by content
        self._strays: dict[str, str] = {}  # the parents that are no neighbours, by content
        self._chosen: tuple[str, ...] = ()
        self._choose_at: float | None = None
        self._look_at, self._look_seconds = 0.0, FIRST_LOOK_SECONDS

    @property
    def reached(self) -> Set[str]:
        """Return who of those that were offered could be connected to."""
        return self._round_trips_ms.keys()

    @property
    def askable(self) -> Mapping[str, float]:
        """Return who of those that were offered is asked next, and the milliseconds to each and back."""
        others = dict(self._others())
        nearest = sorted(others, key=lambda name: (self._asked[name], others[name], name))
        offered = [each.name for each in self._offered if each.name in others]
        first = [*(name for name in nearest if name in self._rendezvous)][:1]
        first += sorted(offered, key=self._asked.__getitem__)[:1]
        chosen = [*dict.fromkeys([*first, *nearest])][:MAX_ASKED]
        return {name: others[name] for name in chosen}

    def _others(self) -> Iterable[tuple[str, float]]:
        """Return who was reached and is no neighbour."""
        return ((name, ms) for name, ms in self._round_trips_ms.items() if name not in self._own)

    @property
    def parents(self) -> tuple[str, ...]:
        """Return the parents that are no neighbours."""
        return tuple(sorted(set(self._strays.values())))

    def on_layout(self, layout: LayoutChanged, now: float) -> None:
        """Take in who the neighbours are, and what may be done."""
        own = frozenset(layout.neighbours)
        if new := own - self._own:
            self._fresh, self._fresh_until = (self._fresh & own) | new, now + FRESH_SECONDS
        self._own, self._policy = own, layout.policy
        self._joined, self._rendezvous = layout.joined, frozenset(layout.rendezvous)
        self._chosen = tuple(name for name in self._chosen if name in self._own)

    def on_introduced(self, neighbour: str) -> None:
        """Take in that a neighbour has been reached."""
        self._fresh.discard(neighbour)

    def on_round_trip(self, name: str, round_trip_ms: float) -> bool:
        """Take in how far one is that has been offered; return whether that is the first news of it."""
        if name in self._own or name not in {each.name for each in self._reaching}:
            return False
        is_first = name not in self._round_trips_ms
        self._round_trips_ms[name] = round_trip_ms
        return is_first

    # Cut off

    def starting_ms(self, now: float) -> int:
        """Return how long a neighbour that the layout has just named may still be starting; 0: none is."""
        return ceil(1000 * max(self._fresh_until - now, 0)) if self._fresh else 0

    @property
    def repairs_by_anyone(self) -> bool:
        """Return whether any node may be asked where no neighbour has a way."""
        return self._policy.repair_anyone

    @property
    def again_ms(self) -> int:
        """Return when who asks in vain is to ask again, as others may have been reached then; 0: not so."""
        return OFFER_MS if self.repairs_by_anyone else 0

    def prepare(self, content: str, now: float) -> list[Action]:
        """Have others offered while the neighbours are asked: they are connected to if those have no way.

        Not while one of them may just be starting: the links of the layout are what its author has wanted.
        """
        return self._seek(content, now) if self.repairs_by_anyone and not self.starting_ms(now) else []

    def seek(self, content: str, now: float) -> list[Action]:
        """Turn to others, as no neighbour has a way to a content; not while one may just be starting."""
        if not self.repairs_by_anyone or self.starting_ms(now):
            return []
        self._kept_until = now + KEPT_SECONDS
        return [*self._seek(content, now), *self._widen(now)]

    def _widen(self, now: float) -> list[Action]:
        """Connect to those that were offered, or to some more of them: the others have been no help."""
        if not self._offered or now < self._widen_at:
            return []
        if self._reaching:
            self._width += MAX_ASKED
        return self._reach(self._offered, now)

    def _seek(self, content: str, now: float) -> list[Action]:
        if now < self._seek_at:
            return []
        self._seek_at = now + SEEK_AGAIN_SECONDS
        return [Seek(content)]

    def on_offered(self, nodes: Iterable[NamedAddress], branches: Branches, now: float) -> list[Action]:
        """Take in who is up; of the others those stay that are parents, or have been asked to be."""
        parents = _parents(branches)
        used = {each.name: each for each in self._offered if each.name in parents}
        fresh = {each.name: each for each in nodes if each.name not in self._own}
        offered = tuple({**used, **fresh}.values())[:MAX_OFFERED]
        if self._joined and self._choose_at is None:
            self._choose_at = now + CHOICE_SECONDS
        if not self._reaching and self._choose_at is None and now >= self._kept_until:
            self._offered = offered  # a neighbour may have a way yet
            return []
        return self._reach(offered, now)

    def _reach(self, offered: tuple[NamedAddress, ...], now: float) -> list[Action]:
        """Connect to the first of those that are offered, a rendezvous point among them."""
        self._offered, before = offered, self._reaching
        present = {each.name: each for each in offered}
        kept = [present[each.name] for each in before if each.name in present]
        first = [each for each in offered if each.name in self._rendezvous][:1]
        wanted = tuple(dict.fromkeys([*kept, *first, *offered]))
        width = len(wanted) if self._choose_at is not None else max(self._width, len(kept))
        self._reaching = wanted[:width]
        if self._reaching == before:
            return []
        self._widen_at = now + WIDEN_SECONDS
        names = {each.name for each in self._reaching}
        self._round_trips_ms = {name: ms for name, ms in self._round_trips_ms.items() if name in names}
        self._asked = Counter({name: times for name, times in self._asked.items() if name in names})
        return [Reach(self._reaching)]

    def note_asked(self, actions: Iterable[Action]) -> None:
        """Take in who is asked: next time others come first."""
        if self._round_trips_ms:
            asked = (action.neighbour for action in actions if isinstance(action, Ask))
            self._asked.update(name for name in asked if name in self._round_trips_ms)

    def part(self, branches: Branches, now: float) -> list[Action]:
        """Forget those that were offered when they are of no use any more."""
        is_sought = any(branch.state in SEEKING for branch in branches.values())
        if not self._offered or is_sought or now < self._kept_until or self._choose_at is not None:
            return []
        used, self._width = self._strays.values(), FIRST_REACHED
        return self._reach(tuple(each for each in self._offered if each.name in used), now)

    # Streams that come by links which the layout does not have

    def note_strays(self, branches: Branches) -> list[Action]:
        """Say which streams come from one who is no neighbour, and which do no more."""
        before, self._strays = self._strays, dict(self._find_strays(branches))
        taken = [item for item in self._strays.items() if before.get(item[0]) != item[1]]
        left = [item for item in before.items() if self._strays.get(item[0]) != item[1]]
        return [
            *(_announced(*item, taken=False) for item in left),
            *(_announced(*item, taken=True) for item in taken),
        ]

    def _find_strays(self, branches: Branches) -> Iterable[tuple[str, str]]:
        for content, branch in branches.items():
            if strays := homing.strays(branch, self._own):
                yield content, strays[0]

    def strayed(self, branches: Branches, now: float) -> list[Branch]:
        """Return the contents for which a way by the links of the layout is to be looked for now."""
        astray = [branch for content, branch in branches.items()
                  if content in self._strays or self._is_root_no_more(branch)]  # fmt: skip
        due = [branch for branch in astray
               if branch.state in PAIRABLE and now >= self._home_at.get(branch.content, 0.0)]  # fmt: skip
        left = {branch.content for branch in astray}
        self._home_at = {content: at for content, at in self._home_at.items() if content in left}
        pause = HOME_SECONDS * self._chance.uniform(*LOOK_SPREAD) if due else 0.0
        self._home_at.update((branch.content, now + pause) for branch in due)
        return due

    def _is_root_no_more(self, branch: Branch) -> bool:
        is_listed = not self._rendezvous or branch.me.name in self._rendezvous
        return not is_listed and homing.is_at_server(branch)

    # Joined

    def on_time(self, alive: Set[str], distance: int | None, now: float) -> list[Action]:
        """Choose neighbours, if that is this node's to do and it is time to.

        `alive` are the neighbours that have said what they are, `distance` the links to a rendezvous point.
        """
        if not self._joined:
            return []
        if self._choose_at is not None:
            is_due = now >= self._choose_at or len(self._round_trips_ms) == len(self._reaching)
            return self._choose(alive, distance, now) if is_due else []
        if distance is None and self._chosen:
            self._look_at = min(self._look_at, now + NO_WAY_LOOK_SECONDS)
        is_whole = distance is not None and len(alive & set(self._chosen)) >= self._policy.max_neighbours
        if is_whole or now < self._look_at:
            return []
        self._look_at = now + self._look_seconds * self._chance.uniform(*LOOK_SPREAD)
        self._look_seconds = min(2 * self._look_seconds, LAST_LOOK_SECONDS)
        return self._seek("", now)

    def _choose(self, alive: Set[str], distance: int | None, now: float) -> list[Action]:
        """Take the nearest that have been reached, in the place of neighbours that are of no use."""
        self._choose_at = None
        near = sorted((ms, name) for name, ms in self._others())
        kept = [name for name in self._chosen if name in alive]
        if distance is None:  # all of them together are cut off: one place is for another
            kept = kept[: self._policy.max_neighbours - 1]
        chosen = tuple([*kept, *(name for _, name in near)][: self._policy.max_neighbours])
        if not near or chosen == self._chosen:
            return []
        self._chosen, self._look_seconds = chosen, LAST_LOOK_SECONDS
        self._look_at = now + LAST_LOOK_SECONDS * self._chance.uniform(*LOOK_SPREAD)
        return [TakeLinks(chosen)]


def _parents(branches: Branches) -> Set[str]:
    """Return from whom a stream comes, or is to come."""
    entries = (entry for branch in branches.values() for entry in branch.upstreams.values())
    return {entry.parent.name for entry in entries if isinstance(entry.parent, NodeParent)}


def _announced(content: str, parent: str, *, taken: bool) -> Announce:
    fields = (("content", content), ("parent", parent), ("taken", taken))
    what = "comes from" if taken else "comes no more from"
    return Announce(
        "link_beyond_file", f"[{content}] {what} {parent}, which the layout does not link", fields
    )
