"""What a node's report to the bootstrapper is made of: streams, servers, events (docs/protocol.md, "HEALTH").

Counters count from when the stream began at this node, so that a rate is what two reports differ by.
"""

from dataclasses import dataclass

from mcast.wire.codec import BOOLEAN, EXPLANATION, I32, TEXT, U16, U32, U64, enumerated, fixed, packed
from mcast.wire.content import CONTENT_NAME, Readiness
from mcast.wire.fields import Record, Schema, many, maybe, one
from mcast.wire.identity import IDENTITY, Identity
from mcast.wire.position import POSITION, Position

MAX_REPORTED_EVENTS = 16
"""Events in one report."""
MAX_EVENT_FIELDS = 16
"""Fields of one of them."""
DIGEST_START_SIZE = 8
"""Bytes of a digest that are told of a content: enough to tell whether two are the same."""


@dataclass(frozen=True, slots=True)
class ParentHealth(Record):
    """One of a stream's parents: a node or, at a rendezvous point, a server."""

    name: str  # a server's is its address
    is_server: bool = False
    is_primary: bool = False  # its path counts
    round_trip_us: int = 0  # 0: not measured yet
    new: int = 0  # datagrams that no other parent had brought before

    SCHEMA = Schema(
        one(1, "name", TEXT),
        maybe(2, "is_server", BOOLEAN, False),
        maybe(3, "is_primary", BOOLEAN, False),
        maybe(4, "round_trip_us", U32, 0),
        maybe(5, "new", U64, 0),
    )


@dataclass(frozen=True, slots=True)
class StreamHealth(Record):
    """How one content fares at a node.

    Of many children one report tells some, the next one others; `child_count` is how many there are.
    """

    content: str
    path: tuple[Identity, ...]  # from the rendezvous point to this node
    children: tuple[Identity, ...]
    position: Position
    lost: int = 0  # datagrams that never came
    fed: bool = True
    child_count: int = 0  # 0: as many as are told
    round_trips_us: tuple[int, ...] = ()  # to these children, in their order; 0: not measured yet
    parents: tuple[ParentHealth, ...] = ()
    datagrams: int = 0  # that have come, each number once
    octets: int = 0  # in these
    repaired: int = 0  # of these, sent again on demand
    # From the server, by its clock and the receiver's own, which may differ: less than 0. 0: not known.
    delay_us: int = 0  # to this node
    delays_us: tuple[int, ...] = ()  # to these children, in their order
    nacks: int = 0  # that the parents were asked in for what was missing
    longest_gap_ms: int = 0  # between two new datagrams
    # Since the node takes part in the content, whatever stream of it:
    parent_changes: int = 0
    discontinuities: int = 0  # how often another stream was taken, as one could not go on

    SCHEMA = Schema(
        one(1, "content", CONTENT_NAME),
        many(2, "path", IDENTITY),
        many(3, "children", IDENTITY),
        one(4, "position", POSITION),
        maybe(5, "lost", U64, 0),
        maybe(6, "fed", BOOLEAN, True),
        maybe(7, "child_count", U32, 0),
        many(8, "round_trips_us", U32),
        many(9, "parents", packed(ParentHealth)),
        maybe(10, "datagrams", U64, 0),
        maybe(11, "octets", U64, 0),
        maybe(12, "repaired", U64, 0),
        maybe(13, "delay_us", I32, 0),
        many(14, "delays_us", I32),
        maybe(15, "nacks", U64, 0),
        maybe(16, "longest_gap_ms", U32, 0),
        maybe(17, "parent_changes", U32, 0),
        maybe(18, "discontinuities", U32, 0),
    )


@dataclass(frozen=True, slots=True)
class ServerHealth(Record):
    """A server as a rendezvous point measures it, in microseconds."""

    address: str
    delay_us: int
    latency_us: int
    jitter_us: int
    metric: int  # what servers are chosen by: less is better

    SCHEMA = Schema(
        one(1, "address", TEXT),
        one(2, "delay_us", U32),
        one(3, "latency_us", U32),
        one(4, "jitter_us", U32),
        one(5, "metric", U32),
    )


@dataclass(frozen=True, slots=True)
class ContentHealth(Record):
    """A content that servers have, whether it is streamed or not. 0 stands for an unknown number."""

    name: str
    format: str = ""  # for people: codecs, container
    duration_ms: int = 0
    bit_rate: int = 0
    width: int = 0
    height: int = 0
    loop: bool = False
    digest: bytes = b""  # the first bytes of it; none while preparing and for live inputs
    readiness: Readiness = Readiness.READY
    servers: tuple[str, ...] = ()  # the addresses of those that have it, the best first

    SCHEMA = Schema(
        one(1, "name", CONTENT_NAME),
        maybe(2, "format", TEXT, ""),
        maybe(3, "duration_ms", U64, 0),
        maybe(4, "bit_rate", U64, 0),
        maybe(5, "width", U16, 0),
        maybe(6, "height", U16, 0),
        maybe(7, "loop", BOOLEAN, False),
        maybe(8, "digest", fixed(0, DIGEST_START_SIZE), b""),
        maybe(9, "readiness", enumerated(Readiness, Readiness.READY), Readiness.READY),
        many(10, "servers", TEXT),
    )


@dataclass(frozen=True, slots=True)
class CataloguePage(Record):
    """Contents in the order of their names: all that are behind one name, up to the last of the page."""

    after: str = ""
    contents: tuple[ContentHealth, ...] = ()
    more: bool = False  # there are others behind the last one

    SCHEMA = Schema(
        maybe(1, "after", TEXT, ""),
        many(2, "contents", packed(ContentHealth)),
        maybe(3, "more", BOOLEAN, False),
    )


@dataclass(frozen=True, slots=True)
class EventField(Record):
    """One field of an event: a text or, if there is one, a number."""

    name: str
    text: str = ""
    number: int | None = None

    SCHEMA = Schema(one(1, "name", TEXT), maybe(2, "text", TEXT, ""), maybe(3, "number", U64))


@dataclass(frozen=True, slots=True)
class EventReport(Record):
    """An event of a node's log, as it has happened."""

    name: str  # as docs/operations.md lists them
    text: str  # the sentence for people
    age_ms: int = 0  # when the report was made
    content: str = ""
    fields: tuple[EventField, ...] = ()

    SCHEMA = Schema(
        one(1, "name", TEXT),
        one(2, "text", EXPLANATION),
        maybe(3, "age_ms", U64, 0),
        maybe(4, "content", TEXT, ""),
        many(5, "fields", packed(EventField), most=MAX_EVENT_FIELDS),
    )
