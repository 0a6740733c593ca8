"""What a rendezvous point can do beside what every node does: it knows servers, so a tree can begin here.

A node is one if the layout's list says so. Of several the first that lives serves (seniority.py); the others
stand by: they know the servers as well, but begin no stream. What they stream already they keep alive, if
need be from a server: so a standby below a rendezvous point that dies takes its place by itself.

**The last resort.** The first may live and have lost its servers, or every way may lead by a node that has
died. So a search that has led nowhere says so, and then a standby begins what nobody streams any more, and
the first asks on in the place of saying no. Two that serve at once harm nobody.
"""

from collections.abc import Iterable
from dataclasses import replace

from mcast.overlay import anew
from mcast.overlay.actions import Action, Announce, Parent, ServerParent, Subscribe
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import BranchData
from mcast.overlay.candidates import Candidates, of_servers
from mcast.overlay.discovery import miss
from mcast.overlay.events import (
    AdvertsLost,
    Event,
    Feed,
    Introduced,
    LayoutChanged,
    ServerListed,
    ServerLost,
    ServerMeasured,
)
from mcast.overlay.seniority import Seniority
from mcast.overlay.server_moves import Mover
from mcast.overlay.servers import Servers
from mcast.overlay.table import PAIRED
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Stream
from mcast.wire.position import Position


class Root:
    """The servers, and whether this node serves. Times are monotonic seconds."""

    def __init__(self, me: Identity, *, rendezvous: bool) -> None:
        self.is_rendezvous = rendezvous
        """Whether the layout's list names this node."""
        self.servers = Servers()
        self._mover, self._moves = Mover(self.servers), False
        self._me, self._seniority = me, Seniority()
        self._is_alone = True

    def learn(self, event: Event, now: float) -> None:
        """Take in what concerns servers, or other rendezvous points."""
        match event:
            case LayoutChanged(_, servers, names):
                self._moves = event.policy.move_streams
                if names:
                    self.is_rendezvous = self._me.name in names
                    self._is_alone = names == (self._me.name,)
                self._seniority.on_layout(names, self._me.name, now)
                if self.servers.on_layout(servers if self.is_rendezvous else (), now):
                    self._mover.on_layout()
            case ServerListed(server, contents):
                self.servers.on_listed(server, contents, now)
            case ServerMeasured(server, delay_us):
                self.servers.on_measured(server, delay_us)
            case ServerLost(server):
                self.servers.on_lost(server, now)
            case Introduced(name, leaving=True):
                self._seniority.on_lost(name, "leaving")
            case Introduced(name):
                self._seniority.on_heard(name)
            case AdvertsLost(name):
                self._seniority.on_lost(name, "lost")

    # Who serves

    @property
    def due(self) -> float | None:
        """Return when `news` is to be asked, though nothing has happened."""
        return self._seniority.due if self.is_rendezvous else None

    def serves(self, now: float) -> bool:
        """Return whether streams begin here now."""
        return self.is_rendezvous and not self._seniority.is_standby(now)

    def news(self, now: float) -> list[Announce] | None:
        """Return what there is to be said if who serves has changed; None if it has not."""
        return self._seniority.news(now) if self.is_rendezvous else None

    # What is said to who asks for a content that is not streamed here

    def answer(self, disc: Disc, now: float) -> Found | Miss | None:
        """Return what this node says by itself; None if others are asked first."""
        if not self.serves(now):
            return None
        answer = self._answer(disc, now)
        is_mute = isinstance(answer, Found) and self.servers.is_mute(disc.content)
        if self._is_alone or (isinstance(answer, Found) and not is_mute):
            return answer
        if disc.last_resort and not (isinstance(answer, Miss) and answer.retry_ms):
            return None
        return miss(disc, MissReason.CUT, "its server says nothing") if is_mute else answer

    def second_choice(self, disc: Disc, now: float) -> Found | Miss | None:
        """Return what it says if nobody whom it asks can give the content: a standby never says no."""
        if not self.is_rendezvous or not disc.last_resort:
            return None
        answer = self._answer(disc, now)
        return answer if isinstance(answer, Found) or self.serves(now) else None

    def _answer(self, disc: Disc, now: float) -> Found | Miss:
        answer = self.servers.answer(disc, self._me, now)
        if self._is_alone or not isinstance(answer, Miss) or answer.reason is not MissReason.ABSENT:
            return answer
        # Another rendezvous point may reach a server that this one does not.
        unreached = self.servers.unreached()
        return miss(disc, MissReason.CUT, unreached) if unreached else answer

    # Which server

    def begins(self, giver: str | None, now: float) -> bool:
        """Return whether a stream begins here; `giver` is who has said FOUND under its request, if known."""
        return self.serves(now) if giver is None else self.is_rendezvous and giver == self._me.name

    def begin(self, stream: Stream, now: float) -> tuple[list[Announce], Candidates] | None:
        """Return which servers are to be asked for a child's stream, and why; None if none has it."""
        onward = stream.resume
        if onward is None:
            ranking = self.servers.ranking(stream.content)
        else:
            ranking = self.servers.ranking_onward(stream.content, onward.ssrc, now)
        if not ranking:
            return None
        return self.servers.explain(stream.content, ranking), of_servers(ranking)

    def spares(self, branch: BranchData, neighbours: list[Parent], now: float) -> list[Parent]:
        """Return who can go on with a stream, the best first; of the neighbours it is known.

        A standby stays in the tree where it knows another way. All are below an only rendezvous point.
        A second parent, of which there is no need, is a neighbour.
        """
        if branch.state in PAIRED:
            return neighbours
        servers = self.servers.spares(branch, now)
        if self._is_alone:
            return [*servers]
        return [*servers, *neighbours] if self.serves(now) else [*neighbours, *servers]

    def others(self, branch: BranchData, now: float) -> list[ServerParent]:
        """Return the servers that can begin another stream, if it is time for that (anew.py)."""
        others = self.servers.others(branch, now) if self.is_rendezvous else []
        return [parent for parent in others if anew.may_begin(branch, parent, now)]

    def move(self, branches: Iterable[Branch], now: float) -> list[Action]:
        """Move streams from servers that are named no more, and to clearly better ones if that is wished."""
        return self._mover.on_time(branches, now, for_better=self._moves)

    def asks_neighbours(self) -> bool:
        """Return whether a flood for this node itself may find something."""
        return not self.is_rendezvous or not self._is_alone

    def on_accepted(self, content: str, parent: Parent, position: Position, now: float) -> None:
        """Take in which stream a parent sends."""
        if isinstance(parent, ServerParent):
            self.servers.on_accepted(content, parent, position, now)

    def note_mute(self, branch: BranchData, now: float) -> None:
        """Keep in mind that the server which feeds a branch, or was asked last, says nothing, if so."""
        entry = None if branch.primary is None else branch.upstreams[branch.primary]
        if entry is not None and isinstance(entry.parent, ServerParent) and entry.feed is Feed.SILENT:
            self.servers.on_mute(entry.parent.address)
        asked = branch.asked_last
        if not isinstance(asked, ServerParent) or not branch.candidates.is_mute(now):
            return
        if any(entry.parent == asked and not entry.accepted for entry in branch.upstreams.values()):
            self.servers.on_mute(asked.address)

    def dated(self, actions: Iterable[Action], branches: Iterable[BranchData]) -> list[Action]:
        """Add to what servers are asked when the stream that is to go on there was due."""
        positions = {b.content: b.position or b.onward for b in branches}
        return [self._dated(action, positions) for action in actions]

    def _dated(self, action: Action, positions: dict[str, Position | None]) -> Action:
        match action:
            case Subscribe(content=content, parent=ServerParent(goes_on=True)):
                if (position := positions.get(content)) is not None:
                    return replace(action, due=self.servers.due(content, position.ssrc))
        return action
