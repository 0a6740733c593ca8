"""All the decisions of one node, put together: discovery, one branch per content, the servers.

Told what happened (an event) and when, it answers with actions. It holds no socket, thread, clock or
randomness of its own, so a test wires a hundred of these in a dict and floods a ring in a
millisecond, and a trace of what happened can be replayed. It is not thread-safe: one thread owns it.

An overlay node, a rendezvous point and a client are the same thing here. The rendezvous point knows
servers; a client is a leaf: nobody asks it, and the one child it has is inside its own process.
"""

import itertools
from collections.abc import Iterable, Mapping

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
from mcast.overlay.branch import SEEKING, Branch
from mcast.overlay.branch_data import BranchData
from mcast.overlay.candidates import Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.discovery import (
    OWN_FLOOD_SECONDS,
    Discovery,
    Outcome,
    OwnAnswer,
    OwnSearch,
    found,
    miss,
)
from mcast.overlay.events import (
    Accepted,
    Advertised,
    Answered,
    ConnectionGone,
    ControlSilent,
    Departure,
    DiscReceived,
    Drained,
    Event,
    FeedChanged,
    LayoutChanged,
    Leaving,
    Outdone,
    ParentLost,
    Refused,
    Renewed,
    ServerListed,
    ServerLost,
    ServerMeasured,
    Stopped,
    StreamReceived,
    TimePassed,
    Unasked,
    Unwanted,
    UpstreamEvent,
    Wanted,
)
from mcast.overlay.neighbours import Neighbours
from mcast.overlay.rendezvous import Servers
from mcast.overlay.search import Search
from mcast.overlay.table import State
from mcast.shares import Source
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_EXCLUDED, REQUEST_ID_SIZE, Disc, Found, Miss, MissReason, StopReason, Stream

MAX_CONTENTS = 256
"""Contents that one node relays at a time. Beyond: MISS(full)."""
LEAVING_TEXT = "it is about to end"


class NodeCore:
    """What one overlay node, rendezvous point or client knows and decides."""

    def __init__(self, me: Identity, chance: Chance, *, rendezvous: bool = False) -> None:
        self.me, self.rendezvous = me, rendezvous
        self._chance = chance
        self._numbers = itertools.count(1)
        self._discovery = Discovery(me)
        self._servers = Servers()
        self._neighbours = Neighbours(me, rendezvous=rendezvous)
        self._branches: dict[str, Branch] = {}
        self._leaving = False

    @property
    def branches(self) -> Mapping[str, Branch]:
        """Return what this node takes part in, by content. Not to be changed."""
        return self._branches

    @property
    def servers(self) -> Servers:
        """Return what is known of the servers. Not to be changed."""
        return self._servers

    @property
    def is_idle(self) -> bool:
        """Return whether no stream and no search is left. A flood for others is none of a node that leaves:
        its neighbours see the connection close."""
        return not self._branches

    @property
    def due(self) -> float | None:
        """Return when `TimePassed` has to be told next, if the ten times a second are not enough."""
        times = [self._discovery.due, *(branch.due for branch in self._branches.values())]
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in what happened at `now` (monotonic seconds); return what is to be done, in order."""
        actions = list(self._resolve(self._decide(event, now), now))
        actions += self._continue_searches(now)
        actions += self._forget_ended(now)
        actions += self._neighbours.part(self._branches)
        return [
            *self._neighbours.naming(actions, self._branches),
            *self._neighbours.news(self._branches),
        ]

    def _decide(self, event: Event, now: float) -> Iterable[Outcome]:
        match event:
            case TimePassed():
                return self._on_time(now)
            case DiscReceived(connection, disc, source):
                return self._on_disc(disc, connection, source, now)
            case StreamReceived(connection, stream):
                return self._on_stream(stream, connection, now)
            case Answered(neighbour, Found() as answer):
                return self._discovery.on_found(neighbour, answer, now)
            case Answered(neighbour, Miss() as answer):
                return self._discovery.on_miss(neighbour, answer)
            case Unasked(neighbour, request, text):
                return self._discovery.on_unasked(neighbour, request, text)
            case ConnectionGone(connection, how):
                return self._on_connection_gone(connection, how, now)
            case Wanted():
                return self._on_wanted(event, now)
            case Unwanted(content):
                return self._on_unwanted(content, now)
            case _ if isinstance(event, UpstreamEvent):
                return self._on_upstream(event, now)
            case Renewed(content, connection, former):
                branch = self._branches.get(content)
                return branch.on_renewed(connection, former) if branch else []
            case Drained(content, connections):
                branch = self._branches.get(content)
                return branch.on_drained(connections, now) if branch else []
            case Leaving():
                return self._on_leaving(now)
            case Advertised(neighbour, content):
                self._neighbours.learn(event)
                return self._on_spare(neighbour, content, now)
            case _:
                self._learn(event, now)
                return []

    # What it comes to know

    def _learn(self, event: Event, now: float) -> None:
        match event:
            case LayoutChanged(_, servers):
                self._neighbours.learn(event)
                self._servers.on_layout(servers if self.rendezvous else (), now)
            case ServerListed(server, contents):
                self._servers.on_listed(server, contents)
            case ServerMeasured(server, delay_us):
                self._servers.on_measured(server, delay_us)
            case ServerLost(server):
                self._servers.on_lost(server, now)
            case _:
                self._neighbours.learn(event)

    # Who asks

    def _on_disc(self, disc: Disc, connection: ConnectionId, source: Source, now: float) -> list[Outcome]:
        if self._leaving:
            return [Reply(connection, miss(disc, MissReason.GONE, LEAVING_TEXT))]
        known = self._answer(disc, now)
        below = isinstance(known, Found) and self._is_below_excluded(disc)
        fallback = known if isinstance(known, Found) and below else None
        return self._discovery.on_disc(
            disc, connection, None if below else known, fallback, self._neighbours.askable, now, source
        )

    def _answer(self, disc: Disc, now: float) -> Found | Miss | None:
        """Return what this node knows by itself; None if it must ask."""
        branch = self._branches.get(disc.content)
        if branch is not None and (answer := self._answer_of(branch, disc)) is not None:
            return answer
        return self._servers.answer(disc, self.me, now) if self.rendezvous else None

    def _answer_of(self, branch: Branch, disc: Disc) -> Found | Miss | None:
        match branch.state:
            # What others could offer would not help: a STREAM that comes through here is refused.
            case State.CUT | State.REPAIRING:
                return miss(disc, MissReason.CUT)
            case State.DOUBTED:
                return miss(disc, MissReason.BUSY, "its parent is suspected")
            case State.FED | State.DOUBLED | State.LINGERING:
                if disc.asker in branch.path:
                    return miss(disc, MissReason.LOOP)
                return found(disc, self.me)
            case State.ENDING | State.HANDOVER:
                return miss(disc, MissReason.GONE, "the content is ending")
        return None

    def _is_below_excluded(self, disc: Disc) -> bool:
        branch = self._branches.get(disc.content)
        return branch is not None and not set(disc.excluded).isdisjoint(branch.path)

    def _on_stream(self, stream: Stream, connection: ConnectionId, now: float) -> list[Action]:
        branch = self._branches.get(stream.content)
        if branch is not None:
            return branch.on_asked(stream, connection, now)
        if self._leaving:  # else it would begin what nobody ends
            return [Reply(connection, refusal(stream, MissReason.GONE, LEAVING_TEXT))]
        if len(self._branches) >= MAX_CONTENTS:
            full = refusal(stream, MissReason.FULL, f"{MAX_CONTENTS} contents")
            return [Reply(connection, full)]
        if self.rendezvous:
            return self._begin_at_server(stream, connection, now)
        neighbour = self._discovery.positive_entry(stream.request, now)
        if neighbour is None or neighbour not in self._neighbours:
            return [Reply(connection, refusal(stream, MissReason.GONE))]
        parent = Candidates([NodeParent(neighbour)])
        return self._branch(stream.content).on_routed(stream, connection, parent, now)

    def _begin_at_server(self, stream: Stream, connection: ConnectionId, now: float) -> list[Action]:
        if text := self._servers.preparing(stream.content):
            retry_ms = self._servers.turn_ms(now)
            return [Reply(connection, refusal(stream, MissReason.CUT, text, retry_ms))]
        ranking = self._servers.ranking(stream.content)
        if not ranking:
            return [Reply(connection, refusal(stream, MissReason.GONE, "no server has it now"))]
        why = self._servers.explain(stream.content, ranking)
        branch = self._branch(stream.content)
        return [*why, *branch.on_routed(stream, connection, Candidates(ranking), now)]

    def _branch(self, content: str) -> Branch:
        branch = Branch(content, self.me, self._numbers, self._chance, self._spares)
        self._branches[content] = branch
        return branch

    def _spares(self, branch: BranchData) -> list[Parent]:
        if not self.rendezvous:
            return self._neighbours.spares(branch)
        return [*self._servers.spares(branch)]

    def _on_spare(self, neighbour: str, content: str, now: float) -> list[Action]:
        """Ask who has just been fed again, or for the first time: quicker than the next flood."""
        branch, parent = self._branches.get(content), NodeParent(neighbour)
        if branch is None or self.rendezvous or parent not in branch.spares():
            return []
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

    def _continue_searches(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for branch in list(self._branches.values()):
            while (request := _begun(branch, now)) is not None:
                actions += self._look_around(branch, request, now)
        return actions

    def _look_around(self, branch: Branch, request: bytes, now: float) -> Iterable[Action]:
        """Find whom to ask: by a flood, or at the rendezvous point among its servers."""
        if not self.rendezvous:
            excluded, askable = self._whom_to_ask(branch)
            seconds = branch.search.flood_seconds if branch.search is not None else OWN_FLOOD_SECONDS
            flood = self._discovery.search(branch.content, request, excluded, askable, now, seconds)
            return self._resolve(flood, now)
        if servers := branch.spares():
            return branch.on_found(Candidates(servers), now)
        return branch.on_not_found(MissReason.CUT, "no other server has it", now)

    def _whom_to_ask(self, branch: Branch) -> tuple[tuple[Identity, ...], Mapping[str, float]]:
        """Return whom a flood should not lead to, and who of the neighbours may be asked."""
        names = {Identity.node(name): name for name in self._neighbours.askable}
        is_first = branch.search is None or not branch.search.has_failed
        if not is_first and not set(names) - {*branch.excluded, *branch.helpless, *branch.below}:
            # Nobody else is left. Not so at first: a client has further neighbours that it has not met yet.
            branch.failed.clear()
        askable = {
            name: self._neighbours.askable[name] for who, name in names.items() if who not in branch.below
        }
        return (*branch.excluded, *branch.helpless)[:MAX_EXCLUDED], askable

    def _resolve(self, outcomes: Iterable[Outcome], now: float) -> Iterable[Action]:
        """Hand the answers to this node's own floods to their searches."""
        for outcome in outcomes:
            if isinstance(outcome, OwnAnswer):
                yield from self._on_own_answer(outcome, now)
            else:
                yield outcome

    def _on_own_answer(self, own: OwnAnswer, now: float) -> list[Action]:
        branch = self._branches.get(own.search.content)
        if branch is None or branch.search is None or not _searches(branch):
            return []
        answer = own.answer
        if isinstance(answer, Miss):
            missed = branch.on_not_found(
                answer.reason, answer.text, now, unreachable=own.unreachable, retry_ms=answer.retry_ms
            )
            return [*missed, *self._ask_others(branch, now)]
        neighbour = self._discovery.positive_entry(answer.request, now)
        assert neighbour is not None, "FOUND has just made the entry"
        return branch.on_found(Candidates([NodeParent(neighbour)]), now)

    def _ask_others(self, branch: Branch, now: float) -> list[Action]:
        """Have a client search on at once among those whom its parents have named."""
        met = self._neighbours.meet(now) if branch.state in SEEKING else []
        if met and branch.search is not None:
            branch.search.hurry(now)
        return met

    # Parents

    def _on_upstream(self, event: UpstreamEvent, now: float) -> list[Action]:
        branch = self._of_upstream(event.upstream)
        if branch is None:
            return []  # left meanwhile
        match event:
            case Accepted(upstream, port):
                self._neighbours.on_port(port)
                return branch.on_port(upstream, port, now)
            case Refused(upstream, reason, text, retry_ms):
                return branch.on_refused(upstream, reason, text, now, retry_ms=retry_ms)
            case Stopped(upstream, StopReason.END, int() as last, text):
                return branch.on_over(upstream, last, text, now)
            case Stopped(upstream, stop, _, text):
                return branch.on_lost(upstream, stop, text, now)
            case ParentLost(upstream, text):
                return branch.on_lost(upstream, StopReason.CUT, text, now)
            case ControlSilent(upstream):
                return branch.on_control_silent(upstream, now)
            case FeedChanged(upstream, feed):
                return branch.on_feed(upstream, feed, now)
            case Outdone(upstream):
                return branch.on_outdone(upstream, now)

    def _of_upstream(self, upstream: UpstreamId) -> Branch | None:
        return next((b for b in self._branches.values() if upstream in b.upstreams), None)

    # As time goes by

    def _on_time(self, now: float) -> list[Outcome]:
        outcomes = self._discovery.on_time(now)
        for branch in list(self._branches.values()):
            outcomes += branch.on_time(now)
        outcomes += self._neighbours.renew(self._branches, now)
        return outcomes

    def _on_leaving(self, now: float) -> list[Outcome]:
        self._leaving = True
        return [action for branch in self._branches.values() for action in branch.on_leaving(now)]

    def _forget_ended(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for branch in [b for b in self._branches.values() if b.state is State.ABSENT]:
            del self._branches[branch.content]
            # Its search is over with it; what is still asked would be answered to nobody.
            actions += self._resolve(self._discovery.on_asker_gone(OwnSearch(branch.content)), now)
        return actions


def _begun(branch: Branch, now: float) -> bytes | None:
    """Return the id of the flood that a branch is to begin now; None if it is to begin none."""
    return branch.search.begin(now) if branch.search is not None and _searches(branch) else None


def _searches(branch: Branch) -> bool:
    return branch.state is State.SEARCHING or branch.state in SEEKING
