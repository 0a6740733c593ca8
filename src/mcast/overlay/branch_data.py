"""What is known of one content at one node.

Decisions are made about it in seeking.py, parents.py and branch.py; most of it is changed in steps.py.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mcast.overlay.actions import (
    LOCAL,
    Action,
    ConnectionId,
    Leave,
    NodeParent,
    Parent,
    Path,
    SearchFailure,
    ServerParent,
    Subscribe,
    UpstreamId,
)
from mcast.overlay.admission import Admission
from mcast.overlay.attempts import Attempts, Renewal
from mcast.overlay.better_paths import Quality, Trial
from mcast.overlay.candidates import SPARE_PATIENCE, Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.events import GIVE_UP_SECONDS, Feed
from mcast.overlay.pairing import WATCHED_SECONDS, Pairing, Wish, inner, shared
from mcast.overlay.search import Search
from mcast.overlay.table import CUT_OFF, FED, PAIRABLE, SEEKING, State
from mcast.overlay.trouble import Trouble
from mcast.shares import UNCOUNTED, Source
from mcast.wire.identity import Identity
from mcast.wire.node import REQUEST_ID_SIZE, MissReason, Start, StopReason, Stream
from mcast.wire.position import Position

SIGN_ANSWERS = 1.5
"""A further parent's first media is due `SPARE_PATIENCE` and this many times its answering time after it has
accepted: the answer took one round trip, or two with a connect; hello and media take one more."""


@dataclass(slots=True)
class UpstreamEntry:
    """What the decisions know of one subscription at a parent."""

    parent: Parent
    accepted: bool = False
    path: Path = ()  # of the parent
    version: int = 0  # of the parent's newest PORT
    feed: Feed = Feed.WAITING
    media_at: float | None = None  # when it has brought media last, if it brings none now
    leaving: bool = False  # it is about to end
    silent: bool = False  # nothing is heard on its control connection
    renews: bool = False  # asked to take the place of a subscription at the same parent that is silent
    hop: Quality | None = None  # delay of the last hop, losses on the whole way; None: not measured yet
    asked_at: float = 0.0
    accepted_at: float = 0.0

    @property
    def media_due(self) -> float:
        """Return when media must have come from a parent that is known to stream the content."""
        return self.accepted_at + SPARE_PATIENCE + SIGN_ANSWERS * (self.accepted_at - self.asked_at)


@dataclass(frozen=True, slots=True)
class Move:
    """The server to which a stream moves from one that still works, and why."""

    server: ServerParent
    why: str


@dataclass(frozen=True, slots=True)
class Word:
    """How it is with a content here, as all children were told it last."""

    path: Path
    cut: bool
    no_way: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Why:
    """The occasion of a transition: what its steps need to know of the event."""

    now: float
    text: str = ""
    stream: Stream | None = None
    connection: ConnectionId = LOCAL
    source: Source = UNCOUNTED  # whose share the child's place is of
    upstream: UpstreamId | None = None
    drained: tuple[ConnectionId, ...] = ()
    refuse: MissReason = MissReason.GONE  # how who waits is refused
    retry_ms: int = 0  # when he is to ask again, as the reason passes by itself
    failure: SearchFailure | None = None  # why the search has ended; for the local child
    end: StopReason = StopReason.CUT  # how children are sent away


Spares: TypeAlias = Callable[["BranchData"], list[Parent]]
"""Who is known to stream the branch's content, and could feed it: the best first."""


class BranchData:
    """One content. Times are monotonic seconds."""

    def __init__(
        self, content: str, me: Identity, numbers: Iterator[UpstreamId], chance: Chance, spares: Spares,
        wish: Wish | None = None,
    ) -> None:  # fmt: skip
        """Begin with nothing. `numbers` gives each new upstream of this node its id."""
        self.content, self.me, self.numbers, self.chance, self._spares = content, me, numbers, chance, spares
        self.state = State.ABSENT
        self.deadline: float | None = None  # of the state
        self.leave_reason = StopReason.UNSUBSCRIBE
        # Parents, and what they send
        self.upstreams: dict[UpstreamId, UpstreamEntry] = {}
        self.primary: UpstreamId | None = None
        self.path: Path = ()  # from the rendezvous point to here, by the primary or the last one there was
        self.position: Position | None = None
        self.has_been_fed = False  # media of this stream has come
        self.replaced = False  # the parent has begun another stream
        self.last: int | None = None  # number of the content's last datagram
        self.served_by: ServerParent | None = None  # the server that it has come from last
        self.parent_changes = self.discontinuities = 0  # so far, for who watches the node
        # Children, and what they are told
        self.admission = Admission(content)
        self.version = 1  # of our own PORTs
        self.last_word: Word | None = None  # None: not all children have been told the same
        self.watched_at = -math.inf  # when somebody was last known to watch below
        # What the first child has asked for, and parents are asked for its sake
        self.request, self.hops, self.start = b"", 0, Start.KEYFRAME
        self.onward: Position | None = None  # where it has left another parent
        self.give_up = GIVE_UP_SECONDS
        # Whom to ask
        self.search: Search | None = None
        self.candidates = Candidates(())
        self.asked_last: Parent | None = None
        self.refusals: list[str] = []
        self.failed: dict[Parent, Path] = {}  # who was no help while another parent is looked for, its path
        # Another parent, though nothing is wrong with the present one
        self.wish = wish or Wish()
        self.pairing = Pairing(chance, self.wish)
        self.trial = Trial()
        self.going_home = False  # to a neighbour (homing.py)
        self.move: Move | None = None  # to another server, under way (server_moves.py)
        # Another parent, or the same one anew, as something is wrong
        self.trouble = Trouble()
        self.renewal, self.knocking = Renewal(), Attempts()
        self.hurried = False  # to take another stream, as this one is given up

    def __repr__(self) -> str:
        return f"<Branch {self.content} {self.state.name} {self.upstreams} {self.admission}>"

    @property
    def fed(self) -> bool:
        """Return whether media comes to this node."""
        return self.state in FED

    @property
    def others(self) -> list[UpstreamId]:
        """Return the parents beside the primary that have accepted."""
        return [
            upstream
            for upstream, entry in self.upstreams.items()
            if entry.accepted and upstream != self.primary
        ]

    @property
    def is_silent(self) -> bool:
        """Return whether nothing is heard on the control connection of the primary."""
        return self.primary is not None and self.upstreams[self.primary].silent

    @property
    def is_sent_away(self) -> bool:
        """Return whether the parent is about to end, and feeds this node until it has found another one."""
        return (
            self.state is State.DOUBTED and self.primary is not None and self.upstreams[self.primary].leaving
        )

    @property
    def is_moving(self) -> bool:
        """Return whether another server is asked, though nothing is wrong with what the present one sends."""
        return self.state is State.DOUBTED and self.move is not None

    @property
    def children(self) -> Mapping[ConnectionId, Stream]:
        """Return who is fed from here."""
        return self.admission.children

    @property
    def excluded(self) -> tuple[Identity, ...]:
        """Return whom a search should not lead to: the parents that there are.

        A client knows them by their addresses; how others call them is at the end of their paths.
        """
        return _identities((entry.parent, entry.path) for entry in self.upstreams.values())

    @property
    def helpless(self) -> tuple[Identity, ...]:
        """Return who was no help in this repair: asked again when nobody else is left."""
        return _identities(self.failed.items())

    @property
    def below(self) -> frozenset[Identity]:
        """Return the nodes that are fed from here: none of them is to feed this one."""
        return frozenset(stream.sender for stream in self.children.values())

    @property
    def due(self) -> float | None:
        """Return when `on_time` has something to do, as far as it is known."""
        is_seeking = self.state in SEEKING
        pairs = self.pairing.due if self.state in PAIRABLE else None
        times = (
            self.deadline,
            pairs,
            self.candidates.due if self.candidates or is_seeking else None,
            self.search.due if self.search is not None else None,
            *(self.upstreams[mute].media_due for mute in self.mutes),
        )
        return min((time for time in times if time is not None), default=None)

    @property
    def mutes(self) -> list[UpstreamId]:
        """Return who has accepted while another parent is looked for, brings nothing, and can be replaced.

        Half of a viewer's buffer is to be left for the next one. Where nobody else is known to stream the
        content such a parent is waited for until it is sure to be silent.
        """
        if self.state not in SEEKING or self.going_home:
            return []
        mutes = [other for other in self.others if self.upstreams[other].feed is Feed.WAITING]
        asked = {*self.failed, *(entry.parent for entry in self.upstreams.values())}
        return mutes if mutes and any(spare not in asked for spare in self.spares()) else []

    @property
    def word(self) -> Word:
        """Return how it is, as children are to know it."""
        leaves = self.state is State.HANDOVER or (self.trouble.sends_on and self.state is State.DOUBTED)
        return Word(self.path, self.state in CUT_OFF, self.trouble.told_no_way, leaves)

    def spares(self) -> list[Parent]:
        """Return who could feed this node at once, the best first, and who was no help last."""
        if self.move is not None and self.state is State.DOUBTED:
            server = self.move.server
            return [] if any(entry.parent == server for entry in self.upstreams.values()) else [server]
        return sorted(self._spares(self), key=lambda parent: parent in self.failed)

    @property
    def is_well(self) -> bool:
        """Return whether a node, and no server, brings media, and can be talked to."""
        entry = None if self.primary is None else self.upstreams[self.primary]
        if entry is None or entry.silent:
            return False
        return isinstance(entry.parent, NodeParent) and entry.feed is Feed.FED

    @property
    def may_move(self) -> bool:
        """Return whether it may move to a better path: one parent is wanted, and it is well."""
        return self.wish.optimise and self.wish.parents == 1 and self.state is State.FED and self.is_well

    def may_pair(self, now: float) -> bool:
        """Return whether to ask for a second parent: somebody watches, and the primary, a node, brings media.

        In the place of another one only if its path has something in common with the primary's, and somebody
        is known whose path has not.
        """
        if not self.is_well or not self.is_watched(now):
            return False
        return not self.others or (self.overlap > 0 and bool(self.spares()))

    def is_watched(self, now: float) -> bool:
        """Return whether somebody watches here, or below by the tree: else one parent is enough.

        Two nodes that are each other's second parent would otherwise stream for each other for ever.
        """
        return LOCAL in self.children or now < self.watched_at + WATCHED_SECONDS

    @property
    def overlap(self) -> int:
        """Return how many nodes the paths of both parents have in common, but for the rendezvous point."""
        return sum(shared(self.upstreams[other].path, self.path) for other in self.others)

    @property
    def avoided(self) -> tuple[Identity, ...]:
        """Return which nodes a second parent's path should do without."""
        return tuple(node for node in inner(self.path) if node != self.me) if self.pairing.is_strict else ()

    def end_search(self) -> None:
        """Look for no parent any more; who was no help is known still."""
        self.candidates, self.search, self.refusals = Candidates(()), None, []

    def ask_anew(self, parent: Parent, now: float) -> Subscribe:
        """Ask a parent once more, on a new connection, for what it sends already; it goes on, if it can."""
        upstream, request = next(self.numbers), self.chance.randbytes(REQUEST_ID_SIZE)
        self.upstreams[upstream] = UpstreamEntry(parent, renews=True, asked_at=now)
        return Subscribe(upstream, self.content, request, parent, self.hops, self.start, resume=True)

    def leave(
        self, upstreams: Iterable[UpstreamId], reason: StopReason = StopReason.UNSUBSCRIBE
    ) -> list[Action]:
        """Leave parents, whether they have answered or not."""
        left = [*upstreams]
        for upstream in left:
            del self.upstreams[upstream]
        return [Leave(upstream, self.content, reason) for upstream in left]

    def leave_unanswered(self) -> list[Action]:
        """Leave who was asked anew and has not answered."""
        entries = self.upstreams.items()
        return self.leave([each for each, entry in entries if entry.renews and not entry.accepted])

    def note_admission(self) -> None:
        """Take in that children have just been told the path, which the others may not know yet."""
        if self.last_word is not None and self.last_word.path != self.path:
            self.last_word = None

    def make_primary(self, upstream: UpstreamId) -> None:
        """Let a parent's path count from now on."""
        if upstream != self.primary:
            self.trouble.cut_by_word = False  # that was another one's word
        self.primary = upstream
        self.path = (*self.upstreams[upstream].path, self.me)


def _identities(parents: Iterable[tuple[Parent, Path]]) -> tuple[Identity, ...]:
    known = [(parent, path) for parent, path in parents]
    names = [Identity.node(parent.name) for parent, _ in known if isinstance(parent, NodeParent)]
    return tuple(dict.fromkeys([*names, *(path[-1] for _, path in known if path)]))
