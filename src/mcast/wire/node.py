"""The node protocol: what clients and nodes say to each other (docs/protocol.md, "Node protocol").

Every packet has the same fixed fields (flag, request id, source, hops, content, port) and its own
TLVs. The connection that carried STREAM *is* the subscription, so no packet names one. The connection
that carried WATCH is for ADVERTs alone. LIST and CONTENTS, like WATCH, name no content.

A MISS still means no, and a STOP the end, when their reason is one that only a newer version knows:
it is read as MissReason.CUT (try again, or ask another) or StopReason.ERROR.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from mcast.errors import WireError
from mcast.wire.codec import (
    BOOLEAN,
    EXPLANATION,
    U8,
    U16,
    U32,
    U64,
    Reader,
    Writer,
    enumerated,
    fixed,
    packed,
)
from mcast.wire.content import CONTENT_NAME, CONTENT_NAME8, ContentInfo
from mcast.wire.endpoint import HOST_ENDPOINT, OPTIONAL_ENDPOINT, Endpoint
from mcast.wire.fields import Record, Schema, by_flag, many, maybe, one, read_flag, some
from mcast.wire.identity import IDENTITY, Identity
from mcast.wire.position import NUMBER, POSITION, Position

REQUEST_ID_SIZE = 16  # a UUID's bytes
TOKEN_SIZE = 16
MAX_PATH = 64
"""Nodes in the path of a PORT that is read. Whoever hands it on adds itself, and it still fits a frame."""
MAX_EXCLUDED = 64
"""Identities in a DISC that is read: each is compared at every node that it passes."""
MAX_FURTHER = 4
"""Addresses in a PORT or a MISS: so many strangers, at most, a node can have a client connect to."""

RequestId = bytes
"""Sixteen bytes that name one request all along its way; compared bytewise."""


class NodeFlag(IntEnum):
    DISC = 1
    FOUND = 2
    MISS = 3
    STREAM = 4
    PORT = 5
    STOP = 6
    WATCH = 7
    ADVERT = 8
    LIST = 9
    CONTENTS = 10


class MissReason(IntEnum):
    """Why the content does not come through the node that was asked."""

    ABSENT = 1  # no server has it: only the rendezvous point says so, and it is final
    DUPLICATE = 2  # this request has been here, by another way round
    DEADLINE = 3  # the time or the hops ran out
    BUSY = 4  # a bound was reached, or waiting could close a ring: try again with a new id
    FULL = 5  # no room for another child
    GONE = 6  # it streamed when it said FOUND, and no longer does
    LOOP = 7  # the asker is on the path from the rendezvous point to here
    CUT = 8  # it is cut off from the source itself


class StopReason(IntEnum):
    """Why a subscription ends."""

    UNSUBSCRIBE = 1  # the child no longer wants it
    END = 2  # the content is over; `last` is the number of its last datagram
    LEAVING = 3  # the parent's process ends
    LEASE = 4  # nothing was heard from the child for too long
    REPLACED = 5  # this subscription or its stream gave way to a new one
    CUT = 6  # the parent has lost its own source for good
    ERROR = 7  # `text` says what


def in_words(reason: IntEnum, text: str) -> str:
    """Return a reason and what explains it, for people; what says the same twice is said once."""
    name = reason.name.lower()
    return name if text in ("", name) else f"{name} {text}"


class Start(IntEnum):
    """Where a child without a position to resume from begins."""

    KEYFRAME = 0  # at the last keyframe in the parent's history: a picture at once
    LIVE = 1  # at the next keyframe that comes: nothing old


SENDER = one(1, "sender", IDENTITY)
REMAINING = one(2, "remaining_ms", U32)
EXCLUDED = many(3, "excluded", IDENTITY, most=MAX_EXCLUDED)
RESUME = maybe(4, "resume", POSITION)
BUFFER = maybe(5, "buffer_bytes", U32, 0)
START = maybe(6, "start", enumerated(Start), Start.KEYFRAME)
TOKEN = one(7, "token", fixed(TOKEN_SIZE))
PATH = some(8, "path", IDENTITY, most=MAX_PATH)
STREAM = one(9, "stream", POSITION)
VERSION = one(10, "version", U32)
CUT = maybe(11, "cut", BOOLEAN, False)
MISS_REASON = one(12, "reason", enumerated(MissReason, MissReason.CUT))
STOP_REASON = one(13, "reason", enumerated(StopReason, StopReason.ERROR))
LAST = maybe(14, "last", NUMBER)
WHY = maybe(15, "text", EXPLANATION, "")
ORIGIN = maybe(16, "origin", IDENTITY)
NO_WAY = maybe(17, "no_way", BOOLEAN, False)
LEAVING = maybe(18, "leaving", BOOLEAN, False)
FURTHER = many(19, "further", HOST_ENDPOINT, most=MAX_FURTHER)
ADVERTISED_PATH = many(20, "path", IDENTITY, most=MAX_PATH)
FED = maybe(21, "fed", BOOLEAN, False)
DISTANCE = maybe(22, "distance", U8)
TAKES_CLIENTS = maybe(23, "takes_clients", BOOLEAN, False)
RETRY = maybe(24, "retry_ms", U32, 0)
SCOPED = maybe(25, "scoped", BOOLEAN, False)
RATE = maybe(26, "bit_rate", U64, 0)
FULL = maybe(27, "full", BOOLEAN, False)
LAST_RESORT = maybe(28, "last_resort", BOOLEAN, False)
EVERY = maybe(32, "every_ms", U16, 0)
DELAY = maybe(40, "delay_ms", U16)
LOST = maybe(41, "lost_permille", U16, 0)
VIEWERS = maybe(42, "viewers", U32, 0)
AFTER = maybe(50, "after", CONTENT_NAME, "")
CONTENTS = many(51, "contents", packed(ContentInfo))
MORE = maybe(52, "more", BOOLEAN, False)
AGE = maybe(53, "age_ms", U32, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePacket(Record):
    """The fixed fields that all packets of the node protocol have."""

    FLAG: ClassVar[NodeFlag]

    request: RequestId
    content: str  # at most 255 bytes of UTF-8, printable
    source: Endpoint | None = None  # information only: who sent it is read from the socket
    hops: int = 0  # nodes that passed it on, at most 255
    port: int = 0  # a UDP port, 0 where none is meant

    def pack(self) -> bytes:
        """Return the frame's body. Raises ValueError if a field does not fit."""
        if len(self.request) != REQUEST_ID_SIZE:
            raise ValueError(f"a request id has {REQUEST_ID_SIZE} bytes, not {len(self.request)}")
        writer = Writer()
        writer.u8(self.FLAG)
        writer.raw(self.request)
        OPTIONAL_ENDPOINT.write(writer, self.source)
        writer.u8(self.hops)
        CONTENT_NAME8.write(writer, self.content)
        writer.u16(self.port)
        self.SCHEMA.write(writer, self)
        return writer.data()


def _read_fixed(reader: Reader) -> dict[str, Any]:
    return {
        "request": reader.raw(REQUEST_ID_SIZE),
        "source": OPTIONAL_ENDPOINT.read(reader),
        "hops": reader.u8(),
        "content": CONTENT_NAME8.read(reader),
        "port": reader.u16(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc(NodePacket):
    """Ask: who can give me this content?"""

    FLAG = NodeFlag.DISC
    SCHEMA = Schema(SENDER, REMAINING, EXCLUDED, ORIGIN, SCOPED, LAST_RESORT)

    sender: Identity
    remaining_ms: int
    excluded: tuple[Identity, ...] = ()  # whom not to ask: they seem dead
    origin: Identity | None = None  # who wants the content; None: the sender itself
    scoped: bool = False  # to be handed on only to who streams it, or else towards the rendezvous point
    last_resort: bool = False  # another has led nowhere: a standby may answer, too

    @property
    def asker(self) -> Identity:
        """Return who wants the content: the origin, or the sender if it asks for itself."""
        return self.origin or self.sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(NodePacket):
    """Answer DISC: I can. The sender is the one that streams it, or the rendezvous point."""

    FLAG = NodeFlag.FOUND
    SCHEMA = Schema(SENDER, RATE)

    sender: Identity
    bit_rate: int = 0  # of the content, bit/s: so it can be counted before it streams; 0: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss(NodePacket):
    """Answer DISC or STREAM: not through me."""

    FLAG = NodeFlag.MISS
    SCHEMA = Schema(MISS_REASON, WHY, RETRY, FURTHER)

    reason: MissReason
    text: str = ""
    retry_ms: int = 0
    """When to ask again, as the reason passes by itself (the content is being prepared); 0: it may not.

    Not a reason of its own, on which older versions close the connection."""
    further: tuple[Endpoint, ...] = ()  # with FULL: neighbours of the sender that take clients, for a client


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(NodePacket):
    """Subscribe me. The port is my UDP port, a hint: hellos may come from another (NAT)."""

    FLAG = NodeFlag.STREAM
    SCHEMA = Schema(SENDER, RESUME, BUFFER, START)

    sender: Identity
    resume: Position | None = None
    buffer_bytes: int = 0  # of my receive buffer, the bound of the first burst; 0: unknown
    start: Start = Start.KEYFRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(NodePacket):
    """Accept a subscription, or change it: the newer version replaces.

    The port is the UDP port that the media comes from.
    """

    FLAG = NodeFlag.PORT
    SCHEMA = Schema(TOKEN, PATH, STREAM, VERSION, CUT, NO_WAY, LEAVING, FURTHER)

    token: bytes
    path: tuple[Identity, ...]  # from the rendezvous point to the sender, both included
    stream: Position
    version: int
    cut: bool = False  # the sender is cut off at present
    no_way: bool = False  # and finds no way: the child is to look for itself
    leaving: bool = False  # the sender is about to end: the child is to look for another parent
    further: tuple[Endpoint, ...] = ()  # neighbours of the sender that take clients, for a client alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(NodePacket):
    """End a subscription, the child's way or the parent's."""

    FLAG = NodeFlag.STOP
    SCHEMA = Schema(STOP_REASON, LAST, WHY)

    reason: StopReason
    last: int | None = None  # the number of the last datagram
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(NodePacket):
    """Tell me, on this connection, what you stream from now on. Names no content."""

    FLAG = NodeFlag.WATCH
    SCHEMA = Schema(SENDER, EVERY)

    sender: Identity
    every_ms: int = 0  # say something so often, though nothing changes; 0: as often as to anybody
    request: RequestId = bytes(REQUEST_ID_SIZE)  # nobody answers under it
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert(NodePacket):
    """How the sender streams a content; or, without a content's name, what the sender is."""

    FLAG = NodeFlag.ADVERT
    SCHEMA = Schema(ADVERTISED_PATH, FED, DISTANCE, TAKES_CLIENTS, DELAY, LOST, LEAVING, VIEWERS, FULL)

    request: RequestId = bytes(REQUEST_ID_SIZE)
    content: str = ""
    path: tuple[Identity, ...] = ()  # from the rendezvous point to the sender; empty: it streams it no more
    fed: bool = False
    distance: int | None = None  # links to the nearest rendezvous point; None: it knows of none
    takes_clients: bool = False  # it may be named to clients
    delay_ms: int | None = None  # of a datagram from the rendezvous point to the sender; None: not known
    lost_permille: int = 0  # of the datagrams are lost on that way, before repair
    leaving: bool = False  # it is about to end
    viewers: int = 0  # that are fed from the sender, and from the nodes below it
    full: bool = False  # it takes no more children of the content; without a name, of any


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContents(NodePacket):
    """Ask: which contents are there, behind this name? Answered by CONTENTS, or by MISS."""

    FLAG = NodeFlag.LIST
    SCHEMA = Schema(SENDER, REMAINING, AFTER)

    sender: Identity
    remaining_ms: int
    after: str = ""  # the last name of the page before; empty: from the beginning
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentsPage(NodePacket):
    """Answer LIST: some contents, by name; without digests and running streams."""

    FLAG = NodeFlag.CONTENTS
    SCHEMA = Schema(CONTENTS, MORE, AGE, WHY)

    contents: tuple[ContentInfo, ...] = ()
    more: bool = False  # there are others behind the last one
    age_ms: int = 0  # how long ago the rendezvous point has said so
    text: str = ""  # why some may be missing
    content: str = ""


NodeMessage = Disc | Found | Miss | Stream | Port | Stop | Watch | Advert | ListContents | ContentsPage

_PACKETS = by_flag(Disc, Found, Miss, Stream, Port, Stop, Watch, Advert, ListContents, ContentsPage)


def unpack(body: bytes) -> NodeMessage:
    """Read the body of a node frame. Raises WireError, and nothing else.

    It is an UnknownMessageError if only a newer version can read the message.
    """
    reader = Reader(body)
    flag = read_flag(reader, NodeFlag)
    try:
        fields = _read_fixed(reader) | _PACKETS[flag].SCHEMA.read(reader)
    except WireError as error:
        raise type(error)(f"{flag.name}: {error}") from None
    packet: NodeMessage = _PACKETS[flag](**fields)
    return packet
