"""What the overlay's decisions tell the shell to do.

A decision is told *what happened, and when* (events.py); it answers with a list of these, to be
done in order. They name connections and upstreams by number, neighbours by their name and streams by
their content, so the same decisions run over sockets and in a simulation.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from mcast.wire.bootstrap import NamedAddress
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.node import (
    ContentsPage,
    Disc,
    Found,
    ListContents,
    Miss,
    MissReason,
    Start,
    Stop,
    StopReason,
    Stream,
)
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState

ConnectionId: TypeAlias = int
"""A connection that was made *to* this node, numbered by the shell from 1 on."""

LOCAL: ConnectionId = 0
"""The child inside this process: a client's own output takes the stream as any child does."""

UpstreamId: TypeAlias = int
"""One subscription at one parent, numbered by the core. One content may have two at a time."""

Path: TypeAlias = tuple[Identity, ...]
"""The nodes from the rendezvous point to a node, both included."""


@dataclass(frozen=True, slots=True)
class NodeParent:
    """A neighbour that is, or may become, the parent of a content."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ServerParent:
    """A server that is, or may become, the parent of a content at the rendezvous point."""

    address: str
    digest: bytes = b""  # of the content's bytes there; empty for a live input
    goes_on: bool = field(default=True, compare=False)  # False: it has another stream of the content alone

    def __str__(self) -> str:
        return f"server {self.address}"


Parent: TypeAlias = NodeParent | ServerParent


# To those who have asked


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this answer; the connection stays open for the next request."""

    connection: ConnectionId
    message: Found | Miss | ContentsPage


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the child in and answer its STREAM with PORT. LOCAL: the stream has begun."""

    connection: ConnectionId
    stream: Stream
    path: Path
    version: int
    further: tuple[Endpoint, ...] = ()  # to a client: whom else it may ask when this node fails


@dataclass(frozen=True, slots=True)
class Update:
    """Tell this child, by another PORT, what has changed above."""

    connection: ConnectionId
    content: str
    path: Path
    version: int
    cut: bool
    no_way: bool = False  # and this node finds none: the child is to look for itself
    leaving: bool = False  # this node is about to end: the child is to look for another parent
    further: tuple[Endpoint, ...] = ()  # to a client: whom else it may ask when this node fails


@dataclass(frozen=True, slots=True)
class End:
    """Send the child a STOP and close its connection. LOCAL: the stream is over."""

    connection: ConnectionId
    stop: Stop


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Send no more media to this child: it has left."""

    connection: ConnectionId
    content: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the local child that no parent was found, and why."""

    content: str
    failure: "SearchFailure"


@dataclass(frozen=True, slots=True)
class Await:
    """Tell the local child why it still waits, while the search goes on: "preparing 43 %"."""

    content: str
    text: str


@dataclass(frozen=True, slots=True)
class SearchFailure:
    """Why a search ended without a parent."""

    reason: MissReason
    text: str
    tries: int
    unreachable: bool = False  # no neighbour could even be asked
    passes: bool = False  # the reason passes by itself, only not within the patience: it is being prepared


# To neighbours


@dataclass(frozen=True, slots=True)
class Ask:
    """Hand a DISC on to a neighbour; what comes of it is an `Answered` or an `Unasked`."""

    neighbour: str
    disc: Disc


@dataclass(frozen=True, slots=True)
class AskList:
    """Hand a LIST on to a neighbour; what comes of it is an `Answered` or an `Unasked`."""

    neighbour: str
    question: ListContents


@dataclass(frozen=True, slots=True)
class CancelAsks:
    """Close the connections on which these neighbours are still asked under this request."""

    request: bytes
    neighbours: tuple[str, ...]


# Upstreams and relays


@dataclass(frozen=True, slots=True)
class Due:
    """When a number of a stream was due, in monotonic seconds: so the whole stream is dated."""

    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask a parent for the content: `Accepted` or `Refused` tells what it answers."""

    upstream: UpstreamId
    content: str
    request: bytes
    parent: Parent
    hops: int
    start: Start = Start.KEYFRAME
    resume: bool = False  # from the lowest number that this node still wants
    onward: Position | None = None  # from here: the first child has left another parent there
    due: Due | None = None  # of a server that goes on with a stream: it keeps its clock


@dataclass(frozen=True, slots=True)
class Receive:
    """Begin to receive from an upstream that has accepted; open the content's relay if it has none."""

    upstream: UpstreamId
    content: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Say STOP to a parent, whether it has answered already or not, and hear no more of it.

    Never waits. The content's relay stays open: another upstream may feed it.
    """

    upstream: UpstreamId
    content: str
    reason: StopReason


@dataclass(frozen=True, slots=True)
class CloseRelay:
    """Stop to receive and to send this content. Never waits."""

    content: str


@dataclass(frozen=True, slots=True)
class BeginAnew:
    """Stop to receive and to send this content: another stream of it begins here, by the next `Receive`.

    The child inside this process stays. Never waits.
    """

    content: str
    stream: Position


@dataclass(frozen=True, slots=True)
class Supply:
    """Tell the content's children, in the SRs, how this node itself is fed."""

    content: str
    state: FeedState
    no_way: bool = False


@dataclass(frozen=True, slots=True)
class Advertise:
    """Tell all neighbours how this node streams a content; an empty path: it does no more."""

    content: str
    path: Path
    fed: bool
    delay_ms: int | None = None  # of a datagram from the rendezvous point to here; None: not known
    lost_permille: int = 0  # of the datagrams are lost on that way, before repair
    viewers: int = 0  # that are fed from here, and from the nodes below
    full: bool = False  # no more children of it are taken in, though others may be


@dataclass(frozen=True, slots=True)
class Introduce:
    """Tell all neighbours how many links the nearest rendezvous point is away; None: there is no way."""

    distance: int | None
    leaving: bool = False  # this node is about to end
    full: bool = False  # no more children are taken in, of whatever content


@dataclass(frozen=True, slots=True)
class Meet:
    """Let these be asked, too, under their addresses as names, and none of those who were met before.

    Each is dialled when it is asked, at most once in 5 s. Never waits.
    """

    neighbours: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class AwaitDrain:
    """Report, by `Drained`, each child that has got everything up to the number `last`."""

    content: str
    last: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Connect to these, too, and measure how far they are; and let none of those before be asked any more.

    Each is dialled at most once in 5 s. Never waits.
    """

    nodes: tuple[NamedAddress, ...]


# To the bootstrapper: said to nobody where there is none


@dataclass(frozen=True, slots=True)
class Seek:
    """Have nodes offered that are up: `Offered`. Without a content: to choose neighbours among them."""

    content: str = ""


@dataclass(frozen=True, slots=True)
class TakeLinks:
    """Say whom this node, which the layout's file does not name, has chosen as its neighbours."""

    neighbours: tuple[str, ...]


# To people


@dataclass(frozen=True, slots=True)
class Announce:
    """Log a decision as one of the events of `mcast.eventlog`."""

    event: str
    text: str
    fields: tuple[tuple[str, object], ...]


Action: TypeAlias = (
    Reply
    | Accept
    | Update
    | End
    | Dismiss
    | Fail
    | Await
    | Ask
    | AskList
    | CancelAsks
    | Subscribe
    | Receive
    | Leave
    | CloseRelay
    | BeginAnew
    | Supply
    | Advertise
    | Introduce
    | Meet
    | Reach
    | Seek
    | TakeLinks
    | AwaitDrain
    | Announce
)
