"""What a node and its workers say to each other: orders one way, facts the other (docs/architecture.md).

    node    BEGIN, then OPEN, ADD_PARENT, TAKE_IN, ... CLOSE   ->  worker     a socket may come with it
    node  <-  STANDS every 100 ms, FIGURES once a second;           worker
              FEED_CHANGED, OUTDONE, DRAINED, CHILD_GONE, NO_SOCKET, CAUGHT_UP, LINE

Each is one message of a socketpair that keeps messages whole (SOCK_SEQPACKET). A relay has a number of its
own for as long as it lives, so that late facts of one are not taken for another's. Everything is spelled out,
value by value: what a message cannot hold cannot cross. Times are monotonic seconds, which all processes of
a machine share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from mcast.errors import WireError
from mcast.media.child import ChildLost
from mcast.overlay.actions import ConnectionId, UpstreamId
from mcast.overlay.events import Feed
from mcast.roles.node.content_relay import Newcomer
from mcast.roles.node.workers.values import (
    FEED,
    IP,
    LOG_RECORD,
    LOST,
    ChildFigures,
    ParentFigures,
    RelayId,
    Stand,
    rows,
)
from mcast.wire.codec import BOOLEAN, TEXT, U16, U32, U64, Codec, Reader, enumerated, fixed
from mcast.wire.content import CONTENT_NAME
from mcast.wire.fields import FlaggedRecord, Record, Schema, by_flag, many, maybe, one, read_flag
from mcast.wire.node import TOKEN_SIZE, Start
from mcast.wire.position import NUMBER, POSITION, Position
from mcast.wire.rtcp import FeedState


class Flag(IntEnum):
    """Which order or fact a message is."""

    BEGIN = 1
    OPEN = 2
    ADD_PARENT = 3
    REMOVE_PARENT = 4
    TAKE_IN = 5
    DISMISS = 6
    TELL_STATE = 7
    AWAIT_DRAIN = 8
    CLOSE = 9
    STANDS = 33
    FIGURES = 34
    FEED_CHANGED = 35
    OUTDONE = 36
    DRAINED = 37
    CHILD_GONE = 38
    CAUGHT_UP = 39
    LINE = 40
    NO_SOCKET = 41


# Orders

TOKEN = fixed(TOKEN_SIZE)


@dataclass(frozen=True, slots=True)
class Begin(FlaggedRecord):
    """The first order of a worker: how it carries contents."""

    cname: str
    forward_threads: int
    gather_us: int
    max_bit_rate: int
    log_level: int  # the least that is told

    FLAG = Flag.BEGIN
    SCHEMA = Schema(
        one(1, "cname", TEXT), one(2, "forward_threads", U16), one(3, "gather_us", U32),
        one(4, "max_bit_rate", U64), one(5, "log_level", U16),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Open(FlaggedRecord):
    """Open a relay at a position; `start` is the first number that counts, where it is known."""

    relay: RelayId
    content: str
    position: Position
    start: int | None = None

    FLAG = Flag.OPEN
    SCHEMA = Schema(
        one(1, "relay", U32), one(2, "content", CONTENT_NAME), one(3, "position", POSITION),
        maybe(4, "start", NUMBER),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AddParent(FlaggedRecord):
    """Receive from one more parent, by the socket that comes with this."""

    relay: RelayId
    upstream: UpstreamId
    token: bytes
    position: Position
    start: int | None = None
    answer_us: int = 0  # for which its yes has taken

    FLAG = Flag.ADD_PARENT
    SCHEMA = Schema(
        one(1, "relay", U32), one(2, "upstream", U64), one(3, "token", TOKEN), one(4, "position", POSITION),
        maybe(5, "start", NUMBER), maybe(6, "answer_us", U64, 0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoveParent(FlaggedRecord):
    """Receive from this parent no more."""

    relay: RelayId
    upstream: UpstreamId

    FLAG = Flag.REMOVE_PARENT
    SCHEMA = Schema(one(1, "relay", U32), one(2, "upstream", U64))


@dataclass(frozen=True, slots=True)
class _Child(Record):
    """A newcomer, as it travels."""

    SCHEMA = Schema(
        one(1, "key", U64), one(2, "identity", TEXT), one(3, "local_ip", IP), one(4, "peer_ip", IP),
        one(5, "token", TOKEN), maybe(6, "resume", POSITION),
        maybe(7, "start", enumerated(Start), Start.KEYFRAME),
        maybe(8, "buffer_bytes", U64, 0), maybe(9, "heard_from", U16, 0),
    )  # fmt: skip


NEWCOMER: Codec[Newcomer] = Codec(
    lambda writer, newcomer: _Child.SCHEMA.write(writer, newcomer),
    lambda reader: Newcomer(**_Child.SCHEMA.read(reader)),
)


@dataclass(frozen=True, slots=True)
class TakeIn(FlaggedRecord):
    """Expect a child's hello; the first at a local address comes with the common socket there."""

    relay: RelayId
    newcomer: Newcomer

    FLAG = Flag.TAKE_IN
    SCHEMA = Schema(one(1, "relay", U32), one(2, "newcomer", NEWCOMER))


@dataclass(frozen=True, slots=True)
class Dismiss(FlaggedRecord):
    """Send no more to a child."""

    relay: RelayId
    child: ConnectionId

    FLAG = Flag.DISMISS
    SCHEMA = Schema(one(1, "relay", U32), one(2, "child", U64))


@dataclass(frozen=True, slots=True)
class TellState(FlaggedRecord):
    """Tell the children how this node itself is fed."""

    relay: RelayId
    state: FeedState
    no_way: bool = False

    FLAG = Flag.TELL_STATE
    SCHEMA = Schema(
        one(1, "relay", U32), one(2, "state", enumerated(FeedState)), maybe(3, "no_way", BOOLEAN, False)
    )


@dataclass(frozen=True, slots=True)
class AwaitDrain(FlaggedRecord):
    """Look from now on which children have got everything up to the number `last`."""

    relay: RelayId
    last: int

    FLAG = Flag.AWAIT_DRAIN
    SCHEMA = Schema(one(1, "relay", U32), one(2, "last", NUMBER))


@dataclass(frozen=True, slots=True)
class Close(FlaggedRecord):
    """End a relay."""

    relay: RelayId

    FLAG = Flag.CLOSE
    SCHEMA = Schema(one(1, "relay", U32))


# Facts; the node posts those that have the name of an event as that event


@dataclass(frozen=True, slots=True)
class Stands(FlaggedRecord):
    """How far relays have come, and what the process has taken: every 100 ms, and before news of a parent."""

    cpu_us: int  # processor time so far
    memory_kb: int
    stands: tuple[Stand, ...]

    FLAG = Flag.STANDS
    SCHEMA = Schema(
        one(1, "cpu_us", U64), one(2, "memory_kb", U32), one(4, "stands", rows(Stand)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures(FlaggedRecord):
    """What the parents of a relay have brought, and who its children are. Once a second."""

    relay: RelayId
    parents: tuple[ParentFigures, ...]
    children: tuple[ChildFigures, ...]

    FLAG = Flag.FIGURES
    SCHEMA = Schema(
        one(1, "relay", U32), one(2, "parents", rows(ParentFigures)), one(3, "children", rows(ChildFigures))
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedChanged(FlaggedRecord):
    """How it is with a parent's media has changed."""

    upstream: UpstreamId
    feed: Feed
    quiet_ms: int = 0

    FLAG = Flag.FEED_CHANGED
    SCHEMA = Schema(
        one(1, "upstream", U64),
        one(2, "feed", FEED),
        maybe(3, "quiet_ms", U64, 0),
    )


@dataclass(frozen=True, slots=True)
class Outdone(FlaggedRecord):
    """Of two parents of a content, this one has brought no number first for a while."""

    upstream: UpstreamId

    FLAG = Flag.OUTDONE
    SCHEMA = Schema(one(1, "upstream", U64))


@dataclass(frozen=True, slots=True)
class Drained(FlaggedRecord):
    """These children of a content have got everything up to its last number."""

    content: str
    children: tuple[ConnectionId, ...]

    FLAG = Flag.DRAINED
    SCHEMA = Schema(one(1, "content", CONTENT_NAME), many(2, "children", U64))


@dataclass(frozen=True, slots=True)
class ChildGone(FlaggedRecord):
    """Media goes to this child no more: its lease is over, or it said BYE."""

    child: ConnectionId
    how: ChildLost

    FLAG = Flag.CHILD_GONE
    SCHEMA = Schema(one(1, "child", U64), one(2, "how", LOST))


@dataclass(frozen=True, slots=True)
class NoSocket(FlaggedRecord):
    """This child, which came with the common socket of its address, cannot be taken in without it."""

    relay: RelayId
    child: ConnectionId

    FLAG = Flag.NO_SOCKET
    SCHEMA = Schema(one(1, "relay", U32), one(2, "child", U64))


@dataclass(frozen=True, slots=True)
class CaughtUp(FlaggedRecord):
    """A child that came to resume gets the stream as it comes."""

    child: ConnectionId

    FLAG = Flag.CAUGHT_UP
    SCHEMA = Schema(one(1, "child", U64))


@dataclass(frozen=True, slots=True)
class Line(FlaggedRecord):
    """A record of the worker's log, which the node says in its own."""

    record: Mapping[str, object]

    FLAG = Flag.LINE
    SCHEMA = Schema(one(1, "record", LOG_RECORD))


Order: TypeAlias = Begin | Open | AddParent | RemoveParent | TakeIn | Dismiss | TellState | AwaitDrain | Close
Fact: TypeAlias = Stands | Figures | FeedChanged | Outdone | Drained | ChildGone | NoSocket | CaughtUp | Line
_ORDERS = by_flag(Begin, Open, AddParent, RemoveParent, TakeIn, Dismiss, TellState, AwaitDrain, Close)
_FACTS = by_flag(Stands, Figures, FeedChanged, Outdone, Drained, ChildGone, NoSocket, CaughtUp, Line)


def unpack_order(data: bytes) -> Order:
    """Read what a node has said. Raises WireError."""
    order: Order = _unpack(data, _ORDERS)
    return order


def unpack_fact(data: bytes) -> Fact:
    """Read what a worker has said. Raises WireError."""
    fact: Fact = _unpack(data, _FACTS)
    return fact


def _unpack(data: bytes, classes: Mapping[IntEnum, type[Any]]) -> Any:
    reader = Reader(data)
    flag = read_flag(reader, Flag)
    if flag not in classes:
        raise WireError(f"{flag.name} is for the other end")
    return classes[flag](**classes[flag].SCHEMA.read(reader))
