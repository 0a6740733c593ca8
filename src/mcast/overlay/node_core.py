"""All the decisions of one node, put together: discovery, one branch per content, the servers.

Told what happened (an event) and when, it answers with actions. It holds no socket, thread, clock or
randomness of its own, so a test wires a hundred of these in a dict and floods a ring in a
millisecond, and a trace of what happened can be replayed. It is not thread-safe: one thread owns it.

An overlay node, a rendezvous point and a client are the same thing here. The rendezvous point knows
servers; a client is a leaf: nobody asks it, and the one child it has is inside its own process.
"""

import itertools
from collections.abc import Iterable, Mapping

from mcast.overlay import homing
from mcast.overlay.actions import (
    LOCAL,
    Action,
    ConnectionId,
    NodeParent,
    Parent,
    Reply,
    UpstreamId,
)
from mcast.overlay.admission import refusal
from mcast.overlay.answers import answer_of, is_below_excluded
from mcast.overlay.better_paths import BetterWays
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import BranchData
from mcast.overlay.candidates import Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.discovery import Discovery, Outcome, miss
from mcast.overlay.events import (
    Accepted,
    Advertised,
    Answered,
    ConnectionGone,
    Departure,
    DiscReceived,
    Drained,
    Event,
    LayoutChanged,
    Leaving,
    Offered,
    Renewed,
    RoundTripMeasured,
    ServerListed,
    StreamReceived,
    TimePassed,
    Unasked,
    Unwanted,
    UpstreamEvent,
    Wanted,
)
from mcast.overlay.listing import Listings
from mcast.overlay.neighbours import Neighbours
from mcast.overlay.own_searches import OwnSearches
from mcast.overlay.pairing import Wish
from mcast.overlay.room import Room
from mcast.overlay.root import Root
from mcast.overlay.search import Search
from mcast.overlay.servers import Servers
from mcast.overlay.table import State
from mcast.shares import Source
from mcast.wire.identity import Identity
from mcast.wire.node import REQUEST_ID_SIZE, Disc, Found, Miss, MissReason, Stream

LEAVING_TEXT = "it is about to end"


class NodeCore:
    """What one overlay node, rendezvous point or client knows and decides."""

    def __init__(self, me: Identity, chance: Chance, *, rendezvous: bool = False) -> None:
        self.me = me
        self._chance = chance
        self._numbers = itertools.count(1)
        self._discovery = Discovery(me)
        self._root = Root(me, rendezvous=rendezvous)
        self._neighbours = Neighbours(me, chance)
        self._branches: dict[str, Branch] = {}
        self._listings = Listings(
            me, self._root, self._neighbours, lambda: self._neighbours.viewers(self._branches)
        )
        self._searches = OwnSearches(self._branches, self._discovery, self._neighbours, self._root)
        self._wish, self._better = Wish(), BetterWays(chance)
        self._leaving = self._scopes = False
        self._room = Room()
        self._now = 0.0  # of the event that is being handled

    @property
    def rendezvous(self) -> bool:
        """Return whether this node is a rendezvous point, be it a standby."""
        return self._root.is_rendezvous

    @property
    def serves(self) -> bool:
        """Return whether streams begin here: not so at a standby."""
        return self._neighbours.is_root

    @property
    def branches(self) -> Mapping[str, Branch]:
        """Return what this node takes part in, by content. Not to be changed."""
        return self._branches

    @property
    def parents_beyond(self) -> tuple[str, ...]:
        """Return the parents that are no neighbours by the layout."""
        return self._neighbours.parents_beyond

    @property
    def servers(self) -> Servers:
        """Return what is known of the servers."""
        return self._root.servers

    @property
    def is_idle(self) -> bool:
        """Return whether no stream and no search is left.

        Floods handed on for others do not count: their askers see the connection close.
        """
        return not self._branches

    @property
    def due(self) -> float | None:
        """Return when `TimePassed` has to be told next, if the ten times a second are not enough."""
        times = [self._discovery.due, self._root.due, *(branch.due for branch in self._branches.values())]
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in what happened at `now` (monotonic seconds); return what is to be done, in order."""
        self._now = now
        self._room.learn(event, self._branches)
        actions = self._listings.handle(event, now)
        actions += self._searches.resolve(self._decide(event, now), now)
        actions += self._searches.resolve(self._review(now), now)
        actions += self._searches.go_on(now)
        actions = self._root.dated(actions, self._branches.values())
        actions += self._forget_ended(now)
        self._neighbours.note_asked(actions)
        actions += self._neighbours.part(self._branches, now)
        actions = self._room.telling(self._neighbours.naming(actions, self._branches))
        return [*actions, *self._neighbours.news(self._branches, self._room, now)]

    def _decide(self, event: Event, now: float) -> Iterable[Outcome]:
        if isinstance(event, UpstreamEvent):
            return self._on_upstream(event, now)
        match event:
            case TimePassed():
                return self._on_time(now)
            case DiscReceived(connection, disc, source):
                return self._on_disc(disc, connection, source, now)
            case StreamReceived():
                return self._on_stream(event, now)
            case Answered(neighbour, Found() as answer):
                return self._discovery.on_found(neighbour, answer, now)
            case Answered(neighbour, Miss() as answer):
                self._neighbours.on_missed(answer)
                return self._discovery.on_miss(neighbour, answer, now)
            case Unasked(neighbour, request, text):
                return self._discovery.on_unasked(neighbour, request, text, now)
            case ConnectionGone(connection, how):
                return self._on_connection_gone(connection, how, now)
            case Wanted():
                return self._on_wanted(event, now)
            case Unwanted(content):
                return self._on_unwanted(content, now)
            case Renewed(content, connection, former):
                branch = self._branches.get(content)
                return branch.on_renewed(connection, former) if branch else []
            case Drained(content, connections):
                branch = self._branches.get(content)
                return branch.on_drained(connections, now) if branch else []
            case Leaving():
                return self._on_leaving(now)
            case Advertised():
                return self._on_advertised(event, now)
            case RoundTripMeasured(neighbour, ms) if self._neighbours.on_round_trip(event, now):
                self._searches.hurry(now)
                return self._discovery.on_reached(neighbour, ms, now)
            case ServerListed():
                news = self.servers.news_of(event)
                self._learn(event, now)
                self._searches.hurry(now, news)
            case Offered():
                return self._neighbours.on_offered(event, self._branches, now)
            case _:
                self._learn(event, now)
        return []

    # What it comes to know

    def _learn(self, event: Event, now: float) -> None:
        if isinstance(event, LayoutChanged):
            self._wish.parents, self._wish.optimise = event.policy.parents, event.policy.optimise
            self._scopes = event.policy.scoped
        self._neighbours.learn(event, now)
        self._root.learn(event, now)

    def _review(self, now: float) -> list[Outcome]:
        """Do what follows when this node begins to serve, or gives that back."""
        self._neighbours.is_root = self._root.serves(now)
        self._neighbours.is_standby = self._root.is_rendezvous and not self.serves
        if (news := self._root.news(now)) is None:
            return []
        if not self.serves:
            return [*news]
        self._searches.hurry(now)
        return [*news, *self._discovery.on_known(self.servers.has)]

    # Who asks

    def _on_disc(self, disc: Disc, connection: ConnectionId, source: Source, now: float) -> list[Outcome]:
        if self._leaving:
            return [Reply(connection, miss(disc, MissReason.GONE, LEAVING_TEXT))]
        if (full := self._room.refuse(disc, self._branches, now)) is not None:
            return [Reply(connection, self._neighbours.named_to(disc.sender, full))]
        known, second_choice = self._answers(disc, now)
        walks, dead_ends = self._is_scoped(disc), self._discovery.dead_ends
        if walks:
            asked, lacks = self._neighbours.towards(disc, dead_ends, now), False
        else:
            asked = self._neighbours.with_a_way(disc.content)
            lacks = len(asked) < len(self._neighbours.askable)
        return self._discovery.on_disc(
            disc, connection, known, second_choice, asked, now, source, walks=walks, lacks=lacks
        )

    def _is_scoped(self, disc: Disc) -> bool:
        return disc.scoped and self._scopes

    def _answers(self, disc: Disc, now: float) -> tuple[Found | Miss | None, Found | Miss | None]:
        """Return what this node knows by itself (None: it must ask), and what it says if nobody else can."""
        branch = self._branches.get(disc.content)
        known = answer_of(branch, disc) if branch is not None else None
        if isinstance(known, Found) and is_below_excluded(branch, disc):
            return None, known
        known = known or self._root.answer(disc, now)
        asks_on = known is None and branch is None
        return known, self._root.second_choice(disc, now) if asks_on else None

    def _on_stream(self, asked: StreamReceived, now: float) -> list[Action]:
        stream, connection, source = asked.stream, asked.connection, asked.source
        branch = self._branches.get(stream.content)
        if (full := self._room.refuse(stream, self._branches, now)) is not None:
            return [Reply(connection, self._neighbours.named_to(stream.sender, full))]
        if branch is not None:
            if way := self._way_of(stream, now):
                branch.on_other_way(NodeParent(way), stream)
            return branch.on_asked(stream, connection, now, source)
        if self._leaving:  # else it would begin what nobody ends
            return [Reply(connection, refusal(stream, MissReason.GONE, LEAVING_TEXT))]
        if self._root.begins(self._discovery.positive_entry(stream.request, now), now):
            return self._begin_at_server(asked, now)
        if (way := self._way_of(stream, now)) is None:
            return [Reply(connection, refusal(stream, MissReason.GONE))]
        candidates = Candidates([NodeParent(way)])
        return self._branch(stream.content).on_routed(stream, connection, candidates, now, source)

    def _way_of(self, stream: Stream, now: float) -> str | None:
        """Return the neighbour that the child's question has found, if it can be asked still."""
        neighbour = self._discovery.positive_entry(stream.request, now)
        return neighbour if neighbour is not None and neighbour in self._neighbours else None

    def _begin_at_server(self, asked: StreamReceived, now: float) -> list[Action]:
        stream, connection, source = asked.stream, asked.connection, asked.source
        if text := self.servers.preparing(stream.content):
            retry_ms = self.servers.turn_ms(now)
            return [Reply(connection, refusal(stream, MissReason.CUT, text, retry_ms))]
        begun = self._root.begin(stream, now)
        if begun is None:
            return [Reply(connection, refusal(stream, MissReason.GONE, "no server has it now"))]
        why, candidates = begun
        return [*why, *self._branch(stream.content).on_routed(stream, connection, candidates, now, source)]

    def _branch(self, content: str) -> Branch:
        branch = Branch(content, self.me, self._numbers, self._chance, self._spares, self._wish)
        self._branches[content] = branch
        return branch

    def _spares(self, branch: BranchData) -> list[Parent]:
        neighbours = self._neighbours.spares(branch)
        return self._root.spares(branch, neighbours, self._now) if self.rendezvous else neighbours

    def _on_advertised(self, told: Advertised, now: float) -> list[Action]:
        """Ask who has just been fed again, or for the first time: quicker than the next flood."""
        branch, parent = self._branches.get(told.content), NodeParent(told.neighbour)
        wants_second = branch is not None and branch.pairing.due is not None
        was_spare = branch is not None and wants_second and parent in branch.spares()
        if told.fed and not told.full:
            self._discovery.dead_ends.forget(told.content, told.neighbour)
        self._neighbours.learn(told, now)
        if branch is None or parent not in branch.spares():
            return []
        if wants_second and not was_spare:
            branch.pairing.hurry(now)
        return branch.on_spare(parent, now)

    def _on_connection_gone(self, connection: ConnectionId, how: Departure, now: float) -> list[Outcome]:
        outcomes = self._discovery.on_asker_gone(connection)
        for branch in self._branches.values():
            if branch.admission.holds(connection):
                outcomes += branch.on_child_gone(connection, how, now)
        return outcomes

    # The local child

    def _on_wanted(self, wanted: Wanted, now: float) -> list[Action]:
        content, search = wanted.content, Search(self._chance, now, wanted.patience)
        # Its id matters to nobody: each flood and each STREAM gets one of its own.
        stream = Stream(request=bytes(REQUEST_ID_SIZE), content=content, sender=self.me, start=wanted.start)
        branch = self._branches.get(content)
        if branch is not None:
            return branch.on_asked(stream, LOCAL, now)
        return self._branch(content).on_wanted(stream, search, wanted.give_up, now)

    def _on_unwanted(self, content: str, now: float) -> list[Action]:
        branch = self._branches.get(content)
        return branch.on_child_gone(LOCAL, Departure.UNSUBSCRIBED, now) if branch else []

    # Parents

    def _on_upstream(self, event: UpstreamEvent, now: float) -> list[Action]:
        branch = self._of_upstream(event.upstream)
        if branch is None:
            return []  # left meanwhile
        if isinstance(event, Accepted):
            parent = branch.upstreams[event.upstream].parent
            self._neighbours.on_port(event.port)
            self._root.on_accepted(branch.content, parent, event.port.stream, now)
        return branch.on_upstream(event, self._neighbours.quality, now)

    def _of_upstream(self, upstream: UpstreamId) -> Branch | None:
        return next((b for b in self._branches.values() if upstream in b.upstreams), None)

    # As time goes by

    def _on_time(self, now: float) -> list[Outcome]:
        outcomes = self._discovery.on_time(now)
        for branch in list(self._branches.values()):
            self._root.note_mute(branch, now)
            outcomes += branch.on_time(now)
        outcomes += self._root.move(self._branches.values(), now)
        if self._wish.optimise:
            ways = self._better.find(self._branches, self._neighbours.quality, self._neighbours.offers, now)
            for content, better in ways.items():
                outcomes += self._branches[content].on_better(better, now)
        outcomes += self._neighbours.renew(self._branches, now)
        outcomes += self._neighbours.choose(now)
        strayed = self._neighbours.strayed(self._branches, now)
        outcomes += homing.look(self._discovery, strayed, self._neighbours.own, self._chance, now)
        return outcomes

    def _on_leaving(self, now: float) -> list[Outcome]:
        self._leaving = True
        left = [action for branch in self._branches.values() for action in branch.on_leaving(now)]
        return [*self._neighbours.leave(), *left]

    def _forget_ended(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for branch in [b for b in self._branches.values() if b.state is State.ABSENT]:
            del self._branches[branch.content]
            actions += self._searches.cancel(branch.content, now)
        return actions
