"""Everything that can happen to a node, as values.

The shell hands each to `NodeCore.handle(event, now)` together with the monotonic time in seconds.
They are frozen, so they can be printed, compared, written to a trace and replayed from it.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from mcast.overlay.actions import ConnectionId, Path, UpstreamId
from mcast.shares import UNCOUNTED, Source
from mcast.wire.bootstrap import DEFAULT_POLICY, NamedAddress, Policy
from mcast.wire.endpoint import Endpoint
from mcast.wire.node import (
    ContentsPage,
    Disc,
    Found,
    ListContents,
    Miss,
    MissReason,
    Port,
    Start,
    StopReason,
    Stream,
)
from mcast.wire.server import ContentInfo

# From those who ask this node


@dataclass(frozen=True, slots=True)
class DiscReceived:
    """A client or a neighbour asks who can give a content."""

    connection: ConnectionId
    disc: Disc
    source: Source = UNCOUNTED  # where it comes from, as `mcast.shares` counts


@dataclass(frozen=True, slots=True)
class StreamReceived:
    """A client or a neighbour wants to be subscribed."""

    connection: ConnectionId
    stream: Stream
    source: Source = UNCOUNTED  # where it comes from, as `mcast.shares` counts


@dataclass(frozen=True, slots=True)
class ListReceived:
    """A client or a neighbour asks which contents there are."""

    connection: ConnectionId
    question: ListContents
    source: Source = UNCOUNTED  # where it comes from, as `mcast.shares` counts


class Departure(Enum):
    """How a connection to this node has ended."""

    UNSUBSCRIBED = auto()  # it said STOP
    LEAVING = auto()  # it said STOP because its process ends: it may be replaced
    LOST = auto()  # closed or reset without a word, or its lease is over


@dataclass(frozen=True, slots=True)
class ConnectionGone:
    """A connection made to this node has ended, and what was asked or taken on it with it."""

    connection: ConnectionId
    how: Departure


@dataclass(frozen=True, slots=True)
class Renewed:
    """A child that has subscribed anew gets everything on its new connection.

    `former` are its older ones: for the same content, by the same name, from the same address.
    """

    content: str
    connection: ConnectionId
    former: tuple[ConnectionId, ...]


@dataclass(frozen=True, slots=True)
class Drained:
    """These children of a content have got everything up to its last number."""

    content: str
    connections: tuple[ConnectionId, ...]


# From the child inside this process

GIVE_UP_SECONDS = 10.0
"""Without media for so long, in spite of all searching, a stream is over."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The local child wants a content; a parent is searched for `patience` seconds.

    When the stream has begun, and nothing comes any more, another parent is searched for `give_up` seconds.
    """

    content: str
    patience: float
    start: Start = Start.KEYFRAME
    give_up: float = GIVE_UP_SECONDS


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The local child wants it no more."""

    content: str


# From neighbours that were asked


@dataclass(frozen=True, slots=True)
class Answered:
    """A neighbour has answered a DISC or a LIST."""

    neighbour: str
    answer: Found | Miss | ContentsPage


@dataclass(frozen=True, slots=True)
class Unasked:
    """A neighbour could not be asked, or its connection ended before it answered."""

    neighbour: str
    request: bytes
    text: str


@dataclass(frozen=True, slots=True)
class RoundTripMeasured:
    """How far away a neighbour is, in milliseconds."""

    neighbour: str
    round_trip_ms: float


# From parents


@dataclass(frozen=True, slots=True)
class Accepted:
    """A parent has answered PORT: the first one, or news later on the same subscription."""

    upstream: UpstreamId
    port: Port


@dataclass(frozen=True, slots=True)
class Refused:
    """A parent has refused, or could not be reached."""

    upstream: UpstreamId
    reason: MissReason
    text: str = ""
    retry_ms: int = 0  # when to ask again, as the reason passes by itself; 0: it may not


@dataclass(frozen=True, slots=True)
class Stopped:
    """A parent that had accepted has said STOP."""

    upstream: UpstreamId
    reason: StopReason
    last: int | None = None  # with END: the number of the content's last datagram
    text: str = ""


@dataclass(frozen=True, slots=True)
class ParentLost:
    """The control connection of a parent that had accepted has ended without STOP."""

    upstream: UpstreamId
    text: str


@dataclass(frozen=True, slots=True)
class ControlSilent:
    """Nothing is heard on the control connection of a parent that had accepted. Its media may come."""

    upstream: UpstreamId


class Feed(Enum):
    """How it is with a parent's media; `mcast.media.parent` finds it out."""

    FED = auto()  # media comes
    WAITING = auto()  # it lives, media is to come: nothing comes yet, or null packets while it says so
    CUT = auto()  # the parent says that it is cut off itself, or brings no media though it says it is fed
    NO_WAY = auto()  # the parent says that it is cut off and finds no way
    SUSPECT = auto()  # nothing has come for a short while
    SILENT = auto()  # nothing has come for so long that the parent is sure to have failed
    REFUSED = auto()  # nobody listens at the parent's port any more


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """How it is with a parent's media has changed."""

    upstream: UpstreamId
    feed: Feed
    quiet_ms: int = 0  # FED: how long nothing new had come from anybody; else: no media from this parent


@dataclass(frozen=True, slots=True)
class Outdone:
    """Of two parents of a content, this one has brought no number first for a while."""

    upstream: UpstreamId


@dataclass(frozen=True, slots=True)
class HopMeasured:
    """How it is with what comes from a parent has changed."""

    upstream: UpstreamId
    delay_ms: int  # of the last hop: half a round trip
    lost_permille: int  # of the datagrams, on the whole way from the rendezvous point


@dataclass(frozen=True, slots=True)
class Advertised:
    """A neighbour says how it streams a content: its path, empty if it streams it no more."""

    neighbour: str
    content: str
    path: Path
    fed: bool
    delay_ms: int | None = None  # of a datagram from the rendezvous point to there; None: not known
    lost_permille: int = 0  # of the datagrams are lost on that way, before repair
    viewers: int = 0  # that are fed from there, and from the nodes below
    full: bool = False  # it takes no more children of the content


@dataclass(frozen=True, slots=True)
class Introduced:
    """A neighbour says what it is. Told anew whenever that has changed."""

    neighbour: str
    distance: int | None = None  # links to the nearest rendezvous point; None: it knows of none
    clients_at: Endpoint | None = None  # where it takes clients; None: it is not to be named to any
    leaving: bool = False  # it is about to end: nobody is to be sent there any more
    full: bool = False  # it takes no more children, of whatever content


@dataclass(frozen=True, slots=True)
class AdvertsLost:
    """What a neighbour has advertised is void: nothing is heard of it."""

    neighbour: str


# From servers, at the rendezvous point


@dataclass(frozen=True, slots=True)
class ServerListed:
    """A server has sent its list of contents."""

    server: str
    contents: tuple[ContentInfo, ...]


@dataclass(frozen=True, slots=True)
class ServerMeasured:
    """A server has answered a PING after so many microseconds."""

    server: str
    delay_us: int


@dataclass(frozen=True, slots=True)
class ServerLost:
    """A server does not answer (any more)."""

    server: str
    text: str


# What this node is able to do


@dataclass(frozen=True, slots=True)
class Limited:
    """The operator bounds what this node does for all its children together; 0: without a bound."""

    children: int = 0
    bit_rate: int = 0  # bit/s


@dataclass(frozen=True, slots=True)
class RateMeasured:
    """What a child of a content costs has changed."""

    content: str
    bit_rate: int


@dataclass(frozen=True, slots=True)
class CarrierLoad:
    """How busy a process is that carries contents."""

    contents: tuple[str, ...]
    share: float  # of one core, in the last seconds: its interpreter cannot use more than that
    is_strained: bool = False  # its sockets have dropped what came, again and again


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """How busy the processes are that carry contents, all of them; while nobody says so none is."""

    carriers: tuple[CarrierLoad, ...]


# From the bootstrapper, the clock and the user


@dataclass(frozen=True, slots=True)
class LayoutChanged:
    """This node's place: its neighbours, and at a rendezvous point the servers; and what it may do.

    `rendezvous` names all rendezvous points in their order; empty where that is not known.
    """

    neighbours: tuple[str, ...]
    servers: tuple[str, ...] = ()
    rendezvous: tuple[str, ...] = ()
    policy: Policy = DEFAULT_POLICY
    joined: bool = False  # the layout's file does not name this node, which chooses its neighbours itself


@dataclass(frozen=True, slots=True)
class Offered:
    """The bootstrapper says who is up, and where each can be reached."""

    nodes: tuple[NamedAddress, ...]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Some time has passed; to be told ten times a second."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """This process is about to end."""


UpstreamEvent: TypeAlias = (
    Accepted | Refused | Stopped | ParentLost | ControlSilent | FeedChanged | Outdone | HopMeasured
)
"""What is told of one subscription at a parent."""

Event: TypeAlias = (
    DiscReceived
    | StreamReceived
    | ListReceived
    | ConnectionGone
    | Renewed
    | Drained
    | Wanted
    | Unwanted
    | Answered
    | Unasked
    | RoundTripMeasured
    | UpstreamEvent
    | Advertised
    | Introduced
    | AdvertsLost
    | ServerListed
    | ServerMeasured
    | ServerLost
    | Limited
    | RateMeasured
    | LoadMeasured
    | LayoutChanged
    | Offered
    | TimePassed
    | Leaving
)
