"""What the overlay's decisions tell the shell to do.

A decision is asked *what happened, and when*; it answers with a list of these, to be done in
order. They name connections by the number that the shell gave them (`ConnectionId`), neighbours by
their name and streams by their content, so the same decisions run over sockets and in a
simulation.
"""

from dataclasses import dataclass

from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, Stop, StopReason, Stream
from mcast.wire.position import Position

ConnectionId = int
"""A connection that was made *to* this node, numbered by the shell."""

UpstreamId = int
"""One subscription of this node at a parent. A content has two while the parent changes."""

Path = tuple[Identity, ...]
"""The nodes from the rendezvous point to a node, both included."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this answer; the connection stays open for the next request."""

    link: ConnectionId
    message: Found | Miss


@dataclass(frozen=True, slots=True)
class Ask:
    """Hand a DISC on to a neighbour; its answer comes back by `on_found` or `on_miss`."""

    neighbour: str
    disc: Disc


@dataclass(frozen=True, slots=True)
class CancelAsks:
    """Close the connections on which these neighbours are still asked under this request."""

    request: bytes
    neighbours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """Subscribe to the content: at a neighbour, or (via None, the RP's case) at a server."""

    content: str
    request: bytes
    via: str | None
    hops: int


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Begin to receive from the upstream that has just answered, and be ready for children."""

    content: str
    position: Position


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the child in and answer its STREAM with PORT."""

    link: ConnectionId
    stream: Stream
    path: Path
    version: int


@dataclass(frozen=True, slots=True)
class Update:
    """Tell this child, by another PORT, what has changed above."""

    link: ConnectionId
    content: str
    path: Path
    version: int
    cut: bool


@dataclass(frozen=True, slots=True)
class End:
    """Send the child a STOP and close its connection."""

    link: ConnectionId
    stop: Stop


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Send no more media to this child: it has left."""

    link: ConnectionId
    content: str


@dataclass(frozen=True, slots=True)
class CloseUpstream:
    """Leave the upstream (STOP, then close), whether it has answered already or not, and
    delete the relay if there is one."""

    content: str
    reason: StopReason


Action = Reply | Ask | CancelAsks | Follow | OpenRelay | Accept | Update | End | Dismiss | CloseUpstream
