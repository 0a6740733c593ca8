"""What one node knows of its neighbours, and what it tells them.

Who there is, it knows from the layout; a client from its user, and while it searches from its parents
(further.py). How far away each one is, is measured: it decides how long a flood may take, and who is asked
first. What each streams is advertised, so the way is known before it is needed (spares.py). What each is, is
introduced, so that a client can be told whom else it may ask. Where all of them are of no use, the
bootstrapper offers others (beyond.py).
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from mcast.overlay.actions import (
    LOCAL,
    Accept,
    Action,
    Advertise,
    Introduce,
    Meet,
    NodeParent,
    Parent,
    Reply,
    Update,
    UpstreamId,
)
from mcast.overlay.better_paths import Quality
from mcast.overlay.beyond import Beyond
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import BranchData
from mcast.overlay.chance import Chance
from mcast.overlay.dead_ends import DeadEnds
from mcast.overlay.discovery import WIDTH
from mcast.overlay.distance import STANDBY_DISTANCE, Distance
from mcast.overlay.events import (
    Advertised,
    AdvertsLost,
    Event,
    Introduced,
    LayoutChanged,
    Offered,
    RoundTripMeasured,
)
from mcast.overlay.flood import Hindered
from mcast.overlay.further import MAX_MET, RENEW_SECONDS, Acquaintances, Introductions
from mcast.overlay.room import Room
from mcast.overlay.spares import Adverts
from mcast.overlay.table import LOOKING, PAIRED, State
from mcast.overlay.telling import Telling
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity, IdentityKind
from mcast.wire.node import MAX_EXCLUDED, Disc, Miss, MissReason, Port

Branches = Mapping[str, Branch]

COUNT_SECONDS = 1.0
"""Between two counts of the viewers below: there may be thousands of children, and more events than that."""


class Neighbours:
    """The neighbours of one node. Times are monotonic seconds."""

    def __init__(self, me: Identity, chance: Chance) -> None:
        self._me = me
        self._beyond = Beyond(chance)
        self.is_root = False
        """Whether streams begin at this node now."""
        self.is_standby = False
        """Whether it is a rendezvous point where they do not, as another one serves."""
        self._round_trips_ms: dict[str, float] = {}  # by name
        self._adverts, self._introductions = Adverts(), Introductions()
        self._acquaintances = Acquaintances()
        self._telling = Telling()
        self._counts: dict[str, int] = {}  # viewers below, by content, as they were counted last
        self._count_at = 0.0
        self._distance = Distance()
        self._told_distance: int | None = None  # as we have told it last
        self._is_full = False  # the same
        self._is_introduced = self._is_leaving = False
        self._named: dict[str, tuple[Endpoint, ...]] = {}  # to the clients of a content
        self._renew_at = 0.0

    def __contains__(self, name: str) -> bool:
        """Tell whether somebody can be asked, though it may not be that one's turn."""
        return name in self.askable or name in self._beyond.reached

    @property
    def is_leaf(self) -> bool:
        """Return whether this is a client: nobody watches it, and nobody asks it."""
        return self._me.kind is IdentityKind.CLIENT

    @property
    def askable(self) -> Mapping[str, float]:
        """Return who can be asked, and how many milliseconds there and back it takes."""
        others = dict.fromkeys(self._acquaintances, 0.0) if self.is_leaf else self._beyond.askable
        return {**self._round_trips_ms, **others}

    @property
    def own(self) -> Mapping[str, float]:
        """Return the same of those that the layout (a client's user) names."""
        return self._round_trips_ms

    @property
    def parents_beyond(self) -> tuple[str, ...]:
        """Return the parents that are no neighbours by the layout."""
        return self._beyond.parents

    def learn(self, event: Event, now: float) -> None:
        """Take in what is told by or of a neighbour."""
        match event:
            case LayoutChanged(names):
                self._beyond.on_layout(event, now)
                self._round_trips_ms = {name: self._round_trips_ms.get(name, 0.0) for name in names}
                self._introductions.keep(self._round_trips_ms)
            case RoundTripMeasured(name, round_trip_ms) if name in self._round_trips_ms:
                self._round_trips_ms[name] = round_trip_ms
            case Advertised(name, content, path, fed, delay, lost) if name in self._round_trips_ms:
                quality = None if delay is None else Quality(delay, lost)
                self._adverts.on_advertised(
                    name, content, path, fed=fed, quality=quality, viewers=event.viewers, full=event.full
                )
            case Introduced(name, leaving=True):
                self._adverts.on_lost(name)
                self._introductions.on_lost(name)
            case Introduced(name) if name in self._round_trips_ms:
                self._introductions.on_introduced(event)
                self._adverts.on_full(name, full=event.full)
                self._beyond.on_introduced(name)
            case AdvertsLost(name):
                self._adverts.on_lost(name)
                self._introductions.on_lost(name)

    def towards(self, disc: Disc, dead_ends: DeadEnds, now: float) -> Mapping[str, float]:
        """Return who is asked for a content where not everybody is, one after another, and the round trips.

        Those who stream it, then those that are nearest to a rendezvous point: further from it than this node
        where the nearer ones are full, or have had no way a moment ago.
        """
        avoided = {disc.sender, disc.asker, *disc.excluded}
        able = {
            name: ms
            for name, ms in self._round_trips_ms.items()
            if Identity.node(name) not in avoided and not dead_ends.is_one(disc.content, name, now)
        }
        streaming = self._adverts.nearest(disc.content, able, avoided | {self._me})
        chosen = dict.fromkeys((*streaming, *self._introductions.nearest(able)))
        return {name: able[name] for name in [*chosen][:WIDTH]}

    def with_a_way(self, content: str) -> Mapping[str, float]:
        """Return who may know of a way to a content: all but those who say that they know of none."""
        lost = self._introductions.lost - {*self._adverts.streaming(content, self._me)}
        return {name: ms for name, ms in self.askable.items() if name not in lost}

    def nearest_to_rendezvous(self) -> list[tuple[str, float]]:
        """Return who can be asked, who says that a rendezvous point is nearest first; and the round trips."""
        ranked = sorted(
            self.askable.items(), key=lambda each: (self._introductions.distance_of(each[0]), each[1])
        )
        return [*ranked]

    def spares(self, branch: BranchData) -> list[Parent]:
        """Return the neighbours that could feed a branch at once, the best first."""
        if branch.state in PAIRED:
            return self._adverts.partners(branch, self._round_trips_ms)
        return self._adverts.spares(branch, self._round_trips_ms)

    def whom_to_ask(self, branch: Branch) -> tuple[tuple[Identity, ...], Mapping[str, float]]:
        """Return whom a flood should not lead to, and who of the neighbours may be asked."""
        names = {Identity.node(name): name for name in self.askable}
        if branch.state is State.PAIRING:
            no_help = self._adverts.by_way_of(branch.content, {*branch.avoided})
            return branch.avoided[:MAX_EXCLUDED], self._but_for({*branch.excluded, *no_help}, names)
        if not branch.is_first_flood and self._has_nobody_for(branch):
            # Not so at first: a client has further neighbours that it has not met yet.
            branch.failed.clear()
        return (*branch.excluded, *branch.helpless)[:MAX_EXCLUDED], self._but_for(branch.below, names)

    def _has_nobody_for(self, branch: Branch) -> bool:
        """Return whether each neighbour is a parent already, was no help, or is fed from here."""
        names = {Identity.node(name) for name in self.askable}
        return not names - {*branch.excluded, *branch.helpless, *branch.below}

    def _but_for(self, others: AbstractSet[Identity], names: Mapping[Identity, str]) -> Mapping[str, float]:
        askable = self.askable
        return {name: askable[name] for who, name in names.items() if who not in others}

    # What they are told

    def leave(self) -> list[Action]:
        """Tell that this node is about to end, so that nobody is sent here any more."""
        self._is_introduced = self._is_leaving = True
        return [] if self.is_leaf else [Introduce(self._told_distance, leaving=True)]

    def news(self, branches: Branches, room: Room, now: float) -> list[Action]:
        """Tell what has changed of what this node streams, of what it is, and whether there is room."""
        if self.is_leaf:
            return []
        why_full = room.why_full(branches)
        is_full = self._telling.is_full(bool(why_full), now)
        full = frozenset[str]() if is_full else room.full_contents(branches)
        if now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self._counts = {content: self._viewers_below(branch) for content, branch in branches.items()}
            for branch in branches.values():
                if self._counts[branch.content] or self._has_untold(branch):
                    branch.watched_at = now
        present = {
            content: self._advert(branch, full=content in full)
            for content, branch in branches.items()
            if branch.path
        }
        told = self._telling.of_room(is_full, why_full, now)
        return [*told, *self._introduce(branches, now, full=is_full), *self._telling.news(present, now)]

    def _advert(self, branch: Branch, *, full: bool) -> Advertise:
        told = self._telling.figures(branch.content).renewed(self.quality(branch))
        viewers = self._counts.get(branch.content, 0)
        return Advertise(
            branch.content, branch.path, branch.fed, told.delay_ms, told.lost_permille, viewers, full
        )  # fmt: skip

    def _viewers_below(self, branch: Branch) -> int:
        """Return how many viewers are fed from here, and from the nodes below as they have told it.

        Nodes that are no neighbours tell nothing.
        """
        children = [stream.sender for stream in branch.children.values()]
        below = (self._adverts.viewers(child.name, branch.content, self._me)
                 for child in children if child.kind is IdentityKind.NODE)  # fmt: skip
        return sum(map(_is_client, children)) + sum(each or 0 for each in below)

    def _has_untold(self, branch: Branch) -> bool:
        """Return whether a node below does not tell who watches there: somebody may."""
        senders = (stream.sender for stream in branch.children.values())
        return any(
            sender.kind is IdentityKind.NODE and not self._adverts.tells(sender.name, branch.content)
            for sender in senders
        )

    def viewers(self, branches: Branches) -> Mapping[str, int]:
        """Return how many viewers the contents have in the whole overlay, of those that are streamed here.

        Where another rendezvous point is the root, it is that one's word, if it is heard.
        """
        return {content: self._viewers(branch) for content, branch in branches.items()}

    def _viewers(self, branch: Branch) -> int:
        root = branch.path[0] if branch.path else self._me
        told = None if root == self._me else self._adverts.viewers(root.name, branch.content)
        return self._viewers_below(branch) if told is None else told

    def _introduce(self, branches: Branches, now: float, *, full: bool) -> list[Action]:
        known = self._introductions.distances
        others = [len(branch.path) - 1 for branch in branches.values() if branch.fed and branch.path]
        others += [STANDBY_DISTANCE] if self.is_standby else []
        distance = self._distance.serve() if self.is_root else self._distance.update(known, now, others)
        is_told = (distance, full) == (self._told_distance, self._is_full)
        if self._is_introduced and (is_told or self._is_leaving):
            return []
        self._is_introduced, self._told_distance, self._is_full = True, distance, full
        return [Introduce(distance, full=full)]

    # How paths are

    def quality(self, branch: BranchData, upstream: UpstreamId | None = None) -> Quality | None:
        """Return how the path by way of an upstream, else of the primary one, is; None: not known."""
        entry = branch.upstreams.get(upstream or branch.primary or 0)
        if entry is None or entry.hop is None or not isinstance(entry.parent, NodeParent):
            return None
        above = self._adverts.quality(entry.parent.name, branch.content)
        return None if above is None else replace(entry.hop, delay_ms=above.delay_ms + entry.hop.delay_ms)

    def offers(self, branch: BranchData) -> Iterable[tuple[Quality, NodeParent]]:
        """Return how the paths by way of others would be."""
        return self._adverts.offers(branch, self._round_trips_ms)

    # What clients are told of them

    def naming(self, actions: Iterable[Action], branches: Branches) -> list[Action]:
        """Add to what clients are told whom else they may ask."""
        return [self._with_further(action, branches) for action in actions]

    def _with_further(self, action: Action, branches: Branches) -> Action:
        match action:
            case Accept(connection, stream) if connection != LOCAL and _is_client(stream.sender):
                return replace(action, further=self._named_for(stream.content))
            case Update(connection, content) if connection != LOCAL and content in branches:
                child = branches[content].children.get(connection)
                if child is not None and _is_client(child.sender):
                    return replace(action, further=self._named_for(content))
        return action

    def _named_for(self, content: str) -> tuple[Endpoint, ...]:
        if content not in self._named:
            self._named[content] = self._choose(content)
        return self._named[content]

    def _choose(self, content: str) -> tuple[Endpoint, ...]:
        return self._introductions.named(self._adverts.streaming(content, self._me))

    def renew(self, branches: Branches, now: float) -> list[Action]:
        """Tell clients whom else they may ask, where that has changed; another order is no change."""
        if now < self._renew_at or self.is_leaf:
            return []
        self._renew_at = now + RENEW_SECONDS
        self._named = {content: named for content, named in self._named.items() if content in branches}
        actions: list[Action] = []
        for content, before in list(self._named.items()):
            named = self._choose(content)
            if set(named) != set(before) and branches[content].fed:
                self._named[content] = named
                actions += branches[content].tell_clients()
        return actions

    def named_to(self, asker: Identity, full: Miss) -> Miss:
        """Add to a refusal, for a client, who of the neighbours is not full: it may know nobody else."""
        if not _is_client(asker):
            return full
        streaming = self._adverts.streaming(full.content, self._me, full=False)
        return replace(full, further=self._introductions.named(streaming, full=False))

    # Those that a client was told of

    def on_port(self, port: Port) -> None:
        """Take in whom a parent names."""
        if self.is_leaf:
            self._acquaintances.on_told(port.further)

    def on_missed(self, answer: Miss) -> None:
        """Take in whom a node names that is full."""
        if self.is_leaf and answer.further:
            self._acquaintances.on_named(answer.further)

    def meet_in_time(self, branch: Branch, now: float) -> list[Action]:
        """Have a client whose own neighbours are no help meet the others before its next flood is due.

        A flood begins a moment after a parent is lost, so that many do not begin at once: until then it
        is connected to those whom it will ask.
        """
        is_asking = any(upstream != branch.primary for upstream in branch.upstreams)
        if not self.is_leaf or is_asking or not (self._acquaintances.met or self._has_nobody_for(branch)):
            return []
        if (search := branch.search) is None or not search.is_narrow:
            return self.meet(now)
        # With many siblings, and in peace: each connects in its turn, and to one, as all that are named are
        # handed the question on, and ask each other. The first one named streams the content, if any does.
        is_its_turn = search.due is not None and search.due <= now
        return self.meet(now, 1) if is_its_turn else []

    def meet(self, now: float, most: int = MAX_MET) -> list[Action]:
        """Ask those whom parents have named, as one's own neighbours give no way; `most` new ones at most."""
        is_news = self._acquaintances.meet(self._round_trips_ms, now, most)
        return [Meet(self._acquaintances.met)] if is_news else []

    def part(self, branches: Branches, now: float) -> list[Action]:
        """Ask those beyond the neighbours no more, when nothing is looked for any more."""
        if not self.is_leaf:
            return [*self._beyond.note_strays(branches), *self._beyond.part(branches, now)]
        if not self._acquaintances.met or any(branch.state in LOOKING for branch in branches.values()):
            return []
        return [Meet(())] if self._acquaintances.part() else []

    # Those that the bootstrapper offers

    @property
    def seeks(self) -> bool:
        """Return whether others are offered to this node where its neighbours have no way."""
        return not self.is_leaf and self._beyond.repairs_by_anyone

    def prepare(self, content: str, now: float) -> list[Action]:
        """Have others offered, should no neighbour have a way to a content."""
        return [] if self.is_leaf else self._beyond.prepare(content, now)

    def seek(self, content: str, now: float) -> list[Action]:
        """Have others offered, as no neighbour has a way to a content."""
        return [] if self.is_leaf else self._beyond.seek(content, now)

    def on_hindered(self, hindered: Hindered, now: float) -> list[Action]:
        """Have others offered, and tell who asks when to come again: when they, or a neighbour, can be asked.

        Where not all neighbours were asked, they are the next.
        """
        answer = hindered.answer
        if answer.reason not in (MissReason.CUT, MissReason.DEADLINE):
            return [Reply(hindered.asker, answer)]
        if starting_ms := self._beyond.starting_ms(now):
            answer = replace(answer, retry_ms=max(answer.retry_ms, starting_ms))
        elif not answer.retry_ms and not hindered.walks and (again_ms := self._beyond.again_ms):
            text = f"{self._me} looks for another way: {answer.text or 'a neighbour says nothing'}"
            answer = replace(answer, reason=MissReason.DEADLINE, text=text, retry_ms=again_ms)
        return [Reply(hindered.asker, answer), *self.seek(answer.content, now)]

    def note_asked(self, actions: Iterable[Action]) -> None:
        """Take in who is asked: of those that were offered others come first next time."""
        self._beyond.note_asked(actions)

    def on_offered(self, offered: Offered, branches: Branches, now: float) -> list[Action]:
        """Take in who is up: to be asked at once, or by a client when its neighbours fail."""
        if self.is_leaf:
            self._acquaintances.on_offered(offered.nodes)
            return []
        return self._beyond.on_offered(offered.nodes, branches, now)

    def on_round_trip(self, measured: RoundTripMeasured, now: float) -> bool:
        """Take in how far somebody is; return whether there is somebody new to ask."""
        self.learn(measured, now)
        return self._beyond.on_round_trip(measured.neighbour, measured.round_trip_ms)

    def strayed(self, branches: Branches, now: float) -> list[Branch]:
        """Return the contents for which a way by the layout's links is to be looked for now."""
        return self._beyond.strayed(branches, now)

    def choose(self, now: float) -> list[Action]:
        """Choose neighbours, where that is this node's to do."""
        return self._beyond.on_time(self._introductions.names, self._distance.told, now)


def _is_client(identity: Identity) -> bool:
    return identity.kind is IdentityKind.CLIENT
