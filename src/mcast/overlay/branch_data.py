"""What is known of one content at one node: the data that branch.py decides about and steps.py changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mcast.overlay.actions import (
    LOCAL,
    ConnectionId,
    NodeParent,
    Parent,
    Path,
    SearchFailure,
    ServerParent,
    UpstreamId,
)
from mcast.overlay.admission import Admission
from mcast.overlay.candidates import Candidates
from mcast.overlay.chance import Chance
from mcast.overlay.events import GIVE_UP_SECONDS, Feed
from mcast.overlay.search import Search
from mcast.overlay.table import State
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, Start, StopReason, Stream
from mcast.wire.position import Position


@dataclass(slots=True)
class UpstreamEntry:
    """What the decisions know of one subscription at a parent."""

    parent: Parent
    accepted: bool = False
    path: Path = ()  # of the parent
    version: int = 0  # of the parent's newest PORT
    feed: Feed = Feed.WAITING
    leaving: bool = False  # it is about to end
    silent: bool = False  # nothing is heard on its control connection
    renews: bool = False  # asked to take the place of a subscription at the same parent that is silent


@dataclass(frozen=True, slots=True)
class Why:
    """The occasion of a transition: what its steps need to know of the event."""

    now: float
    text: str = ""
    stream: Stream | None = None
    connection: ConnectionId = LOCAL
    upstream: UpstreamId | None = None
    drained: tuple[ConnectionId, ...] = ()
    refuse: MissReason = MissReason.GONE  # how who waits is refused
    retry_ms: int = 0  # when he is to ask again, as the reason passes by itself
    failure: SearchFailure | None = None  # the same, for the local child
    end: StopReason = StopReason.CUT  # how children are sent away


Spares: TypeAlias = Callable[["BranchData"], list[Parent]]
"""Who is known to stream the branch's content, and could feed it: the best first."""


class BranchData:
    """One content. Times are monotonic seconds."""

    def __init__(
        self, content: str, me: Identity, numbers: Iterator[UpstreamId], chance: Chance, spares: Spares
    ) -> None:
        """Begin with nothing. `numbers` gives each new upstream of this node its id."""
        self.content, self.me, self.numbers, self.chance, self._spares = content, me, numbers, chance, spares
        self.state = State.ABSENT
        self.admission = Admission(content)
        self.upstreams: dict[UpstreamId, UpstreamEntry] = {}
        self.primary: UpstreamId | None = None
        self.path: Path = ()  # from the rendezvous point to here, by the primary or the last one there was
        self.digest = b""  # of the content's bytes, at the rendezvous point
        self.position: Position | None = None
        self.version = 1  # of our own PORTs
        self.search: Search | None = None
        self.candidates = Candidates(())
        self.failed: dict[Parent, Path] = {}  # who was no help while another parent is looked for, its path
        self.request, self.hops, self.start = b"", 0, Start.KEYFRAME
        self.onward: Position | None = None  # where the first child has left another parent
        self.give_up = GIVE_UP_SECONDS
        self.leave_reason = StopReason.UNSUBSCRIBE
        self.lost_by = ""  # how the last parent was lost
        self.refusals: list[str] = []
        self.asked_last: Parent | None = None
        self.last: int | None = None  # number of the content's last datagram
        self.cut_at: float | None = None
        self.told_no_way = False
        self.deadline: float | None = None  # of the state
        self.renewal_due = self.renewal_wait = self.silent_at = 0.0  # renewal.py
        self.cut_by_word = False  # the parent's PORT said so; its media has not stopped yet

    def __repr__(self) -> str:
        return f"<Branch {self.content} {self.state.name} {self.upstreams} {self.admission}>"

    @property
    def fed(self) -> bool:
        """Return whether media comes to this node."""
        return self.state in (State.FED, State.DOUBTED, State.DOUBLED, State.LINGERING)

    @property
    def is_silent(self) -> bool:
        """Return whether nothing is heard on the control connection of the primary."""
        return self.primary is not None and self.upstreams[self.primary].silent

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
        is_seeking = self.state in (State.DOUBTED, State.REPAIRING)
        times = (
            self.deadline,
            self.candidates.due if self.candidates or is_seeking else None,
            self.search.due if self.search is not None else None,
        )
        return min((time for time in times if time is not None), default=None)

    def spares(self) -> list[Parent]:
        """Return who could feed this node at once, the best first, and who was no help last."""
        return sorted(self._spares(self), key=lambda parent: parent in self.failed)

    def make_primary(self, upstream: UpstreamId) -> None:
        """Let a parent's path count from now on."""
        self.primary = upstream
        parent = self.upstreams[upstream].parent
        self.path = (*self.upstreams[upstream].path, self.me)
        self.digest = parent.digest if isinstance(parent, ServerParent) else b""


def _identities(parents: Iterable[tuple[Parent, Path]]) -> tuple[Identity, ...]:
    known = [(parent, path) for parent, path in parents]
    names = [Identity.node(parent.name) for parent, _ in known if isinstance(parent, NodeParent)]
    return tuple(dict.fromkeys([*names, *(path[-1] for _, path in known if path)]))
