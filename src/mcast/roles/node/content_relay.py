"""What the decisions ask of one content at this node, whichever process carries it.

    decisions --calls with plain values--> ContentRelay --facts: posted events, figures--> decisions

`Relay` answers in this process; `RemoteRelay` hands the calls to a worker process, and answers out of what
that one has told last (workers/messages.py). So this list of methods is also the list of what has to cross
between the processes: sockets and plain values, and nothing that waits for an answer.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from mcast.hostport import IPAddress
from mcast.media.child import OnCaughtUp, OnLost
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.net.threads import OnCrash
from mcast.overlay.actions import ConnectionId, Due, UpstreamId
from mcast.peer.decider import Post
from mcast.roles.pulse import Call
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A child that is to be taken in: what the media plane needs to know of it."""

    key: ConnectionId
    identity: str
    local_ip: IPAddress  # where it has reached this node
    peer_ip: IPAddress  # nothing is sent anywhere else
    token: bytes
    resume: Position | None = None
    start: Start = Start.KEYFRAME
    buffer_bytes: int = 0
    heard_from: int = 0  # the port from which it has already said hello, to this node's former worker


@dataclass(frozen=True, slots=True)
class ChildTimes:
    """How long media takes to a child, as far as it is known."""

    round_trip_ms: float | None  # there and back, measured; None: not yet
    delay_us: int  # from the server to it, as it reports; 0: not known


@dataclass(frozen=True, slots=True)
class CarrierUse:
    """What a process that carries contents has taken so far."""

    seconds: float  # of processor time, of all its threads: they share one interpreter
    contents: frozenset[str] | None  # that it carries; None: all that there are


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears what becomes of relays. Called by any thread; nothing of it waits."""

    post: Post  # what becomes of parents, and who has everything
    on_child_lost: OnLost
    on_child_caught_up: OnCaughtUp
    on_crash: OnCrash


class ContentRelay(ABC):
    """Receives one content from its parents, and sends it to its children.

    All methods are for the decider's thread, but for `wanted` and `due`, which any thread may ask, and for
    `close`, which waits.
    """

    def __init__(self, content: str) -> None:
        self.content = content
        self.state, self.no_way = FeedState.WAITING, False  # as the children are told

    # What has come

    @property
    @abstractmethod
    def position(self) -> Position:
        """Return the stream, and the number of the next datagram."""

    @property
    @abstractmethod
    def wanted(self) -> Position:
        """Return the stream, and the lowest number that is still wanted."""

    @abstractmethod
    def due(self, number: int) -> Due | None:
        """Return when a number was due, this one or one near it; None before anything has come."""

    @abstractmethod
    def counters(self) -> ReceiverCounters:
        """Return what has come so far."""

    @abstractmethod
    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        """Return what each parent has brought."""

    @abstractmethod
    def delay(self) -> float | None:
        """Return the seconds from the server to here, by its clock and ours; None if not known."""

    @abstractmethod
    def child_times(self) -> Mapping[ConnectionId, ChildTimes]:
        """Return how long media takes to each child."""

    # Parents

    @abstractmethod
    def add_parent(
        self, upstream: UpstreamId, sock: socket.socket, token: bytes, position: Position, start: int | None,
        answer: float = 0.0,
    ) -> None:  # fmt: skip
        """Receive from one more parent, which was asked to go on from `start` and took `answer` seconds.

        The socket is connected to it, and the relay's from now on.
        """

    @abstractmethod
    def remove_parent(self, upstream: UpstreamId) -> None:
        """Receive from this parent no more; harmless if there is none."""

    # Children

    @abstractmethod
    def take_in(self, newcomer: Newcomer) -> int:
        """Expect a child's hello; return the UDP port for it. Raises McastError if that cannot be."""

    @abstractmethod
    def dismiss(self, child: ConnectionId) -> None:
        """Send no more to a child; harmless if there is none."""

    def set_state(self, state: FeedState, *, no_way: bool = False) -> None:
        """Tell the children, in the SRs, how this node itself is fed."""
        self.state, self.no_way = state, no_way
        self.tell_state(state, no_way)

    @abstractmethod
    def tell_state(self, state: FeedState, no_way: bool) -> None:
        """Put it into the SRs."""

    # Its end

    @abstractmethod
    def await_drain(self, last: int) -> None:
        """Look from now on which children have got everything up to the number `last`."""

    @abstractmethod
    def newly_drained(self) -> tuple[ConnectionId, ...]:
        """Return the children that have got everything and were not returned before."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Begin to end, without waiting: so many relays end side by side."""

    @abstractmethod
    def close(self) -> None:
        """Say BYE above, send nothing more below, and wait until nothing is received any more."""


class RelayHost(ABC):
    """Who carries relays: this process, or several others."""

    @abstractmethod
    def start(self) -> None:
        """Begin to carry."""

    @abstractmethod
    def open(self, content: str, position: Position, start: int | None) -> ContentRelay:
        """Open a relay at a position; `start` is the first number that counts, where it is known.

        Raises OSError, McastError.
        """

    @abstractmethod
    def uses(self) -> tuple[CarrierUse, ...]:
        """Return what each process that carries relays has taken so far, in an order that stays."""

    @abstractmethod
    def others_load(self) -> tuple[float, int]:
        """Return what processes beside this one have taken: processor seconds so far, and kB of memory."""

    @property
    @abstractmethod
    def vital_threads(self) -> tuple[Call, ...]:
        """Return the threads of this process that the relays cannot do without."""

    @abstractmethod
    def stop(self) -> None:
        """End, and wait for that. The relays have been closed before."""
