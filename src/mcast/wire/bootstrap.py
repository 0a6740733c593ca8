"""The bootstrap protocol: every node <-> the bootstrapper (docs/protocol.md, "Bootstrap protocol").

A node registers, learns its place in the layout, keeps the connection for new layouts, and reports
how it is. A packet is its flag and TLVs.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from mcast.errors import WireError
from mcast.wire.address import ADDRESS, HOST
from mcast.wire.codec import (
    BOOLEAN,
    EXPLANATION,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    Reader,
    enumerated,
    fixed,
    packed,
)
from mcast.wire.content import CONTENT_NAME
from mcast.wire.fields import FlaggedRecord, Record, Schema, by_flag, many, maybe, one, read_flag
from mcast.wire.health import MAX_REPORTED_EVENTS, CataloguePage, EventReport, ServerHealth, StreamHealth
from mcast.wire.identity import NODE_NAME

INSTANCE_SIZE = 16
MAX_OFFERED = 16
"""Nodes that are offered at a time: more cannot be tried before a viewer's patience ends."""
MAX_LINKS = 256
"""Neighbours of one node."""


class BootstrapFlag(IntEnum):
    REGISTER = 1
    LAYOUT = 2
    REFUSED = 3
    HEALTH = 4
    PROBE = 5
    SEEK = 6
    OFFER = 7
    LINKS = 8


class NodeKind(IntEnum):
    """What a node is. One that is told a kind that only a newer version knows takes itself for OVERLAY."""

    OVERLAY = 0
    RENDEZVOUS = 1


@dataclass(frozen=True, slots=True)
class NamedAddress(Record):
    """A node, and where it is reached: a neighbour over this link, a senior, or one that is offered."""

    name: str
    address: str  # "host:port"

    SCHEMA = Schema(one(1, "name", NODE_NAME), one(2, "address", ADDRESS))


@dataclass(frozen=True, slots=True)
class Policy(Record):
    """What the layout says to every node alike: what it may do to keep its streams whole, and to better them.

    A key that a bootstrapper or a node does not know has its default there.
    """

    repair_anyone: bool = True
    """Where no neighbour has a way, ask the bootstrapper for nodes beyond the file's links."""
    optimise: bool = True
    """Move a running stream to a clearly better path."""
    move_streams: bool = False
    """A rendezvous point moves a running stream to a clearly better server."""
    parents: int = 1
    """Parents that each content has all the time, 1 or 2."""
    max_neighbours: int = 4
    """Links of a node that the file does not name."""
    scoped: bool = False
    """Ask for a content along the way to the rendezvous point first, and flood only if that leads nowhere."""

    SCHEMA = Schema(
        maybe(1, "repair_anyone", BOOLEAN, True),
        maybe(2, "optimise", BOOLEAN, True),
        maybe(3, "move_streams", BOOLEAN, False),
        maybe(4, "parents", U8, 1),
        maybe(5, "max_neighbours", U16, 4),
        maybe(6, "scoped", BOOLEAN, False),
    )


DEFAULT_POLICY = Policy()


class BootstrapPacket(FlaggedRecord):
    """Base of the bootstrap protocol's packets."""

    __slots__ = ()

    FLAG: ClassVar[BootstrapFlag]


@dataclass(frozen=True, slots=True)
class Register(BootstrapPacket):
    """A node says who it is. Without a name it is known by the address that it calls from."""

    FLAG = BootstrapFlag.REGISTER
    SCHEMA = Schema(
        maybe(1, "name", NODE_NAME, ""),
        one(2, "port", U16),
        one(3, "instance", fixed(INSTANCE_SIZE)),
        many(20, "links", NODE_NAME, most=MAX_LINKS),
        maybe(40, "unlisted", BOOLEAN, False),
    )

    name: str  # "" where the address is enough
    port: int  # of the control listener
    instance: bytes  # drawn at random by each process, so that a restart differs from a reconnect
    links: tuple[str, ...] = ()  # that it has chosen, so that a bootstrapper that comes back knows them
    unlisted: bool = False  # it is not to be named to clients


@dataclass(frozen=True, slots=True)
class LayoutMessage(BootstrapPacket):
    """A node's place in the layout; a newer version replaces it."""

    FLAG = BootstrapFlag.LAYOUT
    SCHEMA = Schema(
        one(4, "name", NODE_NAME),
        one(5, "kind", enumerated(NodeKind, NodeKind.OVERLAY)),
        one(6, "address", ADDRESS),
        many(7, "aliases", HOST),
        many(8, "neighbours", packed(NamedAddress)),
        many(9, "servers", ADDRESS),
        many(10, "rendezvous", NODE_NAME),
        maybe(11, "version", U32, 0),
        maybe(15, "policy", packed(Policy), DEFAULT_POLICY),
        maybe(21, "joined", BOOLEAN, False),
        many(32, "seniors", packed(NamedAddress)),
    )

    name: str
    kind: NodeKind
    address: str  # "host:port", where others reach its control listener
    aliases: tuple[str, ...] = ()  # further addresses that this node may call from
    neighbours: tuple[NamedAddress, ...] = ()
    servers: tuple[str, ...] = ()  # "host:port" each; only the rendezvous points get any
    rendezvous: tuple[str, ...] = ()  # names; of those that live the first serves
    version: int = 0
    policy: Policy = DEFAULT_POLICY
    joined: bool = False  # the file does not name this node: it is to choose its neighbours itself
    seniors: tuple[NamedAddress, ...] = ()  # the rendezvous points before this one, and where it reaches them


@dataclass(frozen=True, slots=True)
class Refused(BootstrapPacket):
    """The bootstrapper knows no such node, or another process bears its name."""

    FLAG = BootstrapFlag.REFUSED
    SCHEMA = Schema(one(12, "text", EXPLANATION), maybe(22, "removed", BOOLEAN, False))

    text: str
    removed: bool = False  # the layout has named it until now: it is to leave in order


@dataclass(frozen=True, slots=True)
class Health(BootstrapPacket):
    """How a node is.

    A report that does not fit one message comes in parts, 0 and up: all but the last say that `more` follow.
    A stream that no part of a whole report tells of is not relayed any more.
    """

    FLAG = BootstrapFlag.HEALTH
    SCHEMA = Schema(
        one(13, "uptime_ms", U64),
        many(14, "streams", packed(StreamHealth)),
        many(23, "beyond", NODE_NAME),
        maybe(41, "cpu_permille", U32, 0),
        maybe(42, "memory_kb", U32, 0),
        many(43, "servers", packed(ServerHealth)),
        many(44, "events", packed(EventReport), most=MAX_REPORTED_EVENTS),
        maybe(45, "part", U16, 0),
        maybe(46, "more", BOOLEAN, False),
        maybe(47, "program", TEXT, ""),
        maybe(48, "catalogue", packed(CataloguePage), None),
    )

    uptime_ms: int
    streams: tuple[StreamHealth, ...] = ()
    beyond: tuple[str, ...] = ()  # parents that are no neighbours by the layout
    program: str = ""  # the version that runs there
    cpu_permille: int = 0  # of one core, since the last report
    memory_kb: int = 0  # that it holds in RAM
    servers: tuple[ServerHealth, ...] = ()  # as a rendezvous point measures them
    events: tuple[EventReport, ...] = ()  # since the last report
    part: int = 0
    more: bool = False
    catalogue: CataloguePage | None = None  # of the contents that a rendezvous point's servers have


@dataclass(frozen=True, slots=True)
class Probe(BootstrapPacket):
    """The bootstrapper asks for a sign of life; the answer is a Health, at once."""

    FLAG = BootstrapFlag.PROBE


@dataclass(frozen=True, slots=True)
class Seek(BootstrapPacket):
    """A node asks for nodes that are up, beyond its links: to join, or as its neighbours have no way.

    A client begins with it, and asks where it may join.
    """

    FLAG = BootstrapFlag.SEEK
    SCHEMA = Schema(maybe(24, "content", CONTENT_NAME, ""))

    content: str = ""  # for which it has no way; "": it looks for neighbours


@dataclass(frozen=True, slots=True)
class Offer(BootstrapPacket):
    """Nodes that are up, and where each can be reached: the answer to Seek."""

    FLAG = BootstrapFlag.OFFER
    SCHEMA = Schema(many(25, "nodes", packed(NamedAddress), most=MAX_OFFERED))

    nodes: tuple[NamedAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Links(BootstrapPacket):
    """A node that the file does not name says whom it has chosen as its neighbours: all of them."""

    FLAG = BootstrapFlag.LINKS
    SCHEMA = Schema(many(20, "links", NODE_NAME, most=MAX_LINKS))

    links: tuple[str, ...] = ()


BootstrapMessage = Register | LayoutMessage | Refused | Health | Probe | Seek | Offer | Links

_PACKETS = by_flag(Register, LayoutMessage, Refused, Health, Probe, Seek, Offer, Links)


def unpack(body: bytes) -> BootstrapMessage:
    """Read the body of a bootstrap frame. Raises WireError, and nothing else.

    It is an UnknownMessageError if only a newer version can read the message.
    """
    reader = Reader(body)
    flag = read_flag(reader, BootstrapFlag)
    try:
        packet: BootstrapMessage = _PACKETS[flag].read(reader)
    except WireError as error:
        raise type(error)(f"{flag.name}: {error}") from None
    return packet
