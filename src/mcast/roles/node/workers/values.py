"""The values that cross between a node and its workers: as text, or as rows of a fixed size."""

import json
import math
import operator
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

from mcast.errors import WireError
from mcast.hostport import IPAddress
from mcast.media.child import ChildLost
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.overlay.actions import ConnectionId, UpstreamId
from mcast.overlay.events import Feed
from mcast.roles.node.content_relay import ChildTimes
from mcast.wire.codec import Codec, Reader
from mcast.wire.position import Position

RelayId: TypeAlias = int
"""Which relay, by the number that the node has given it; never used twice."""

T = TypeVar("T")


def _as_text(write: Callable[[T], str], read: Callable[[str], T]) -> Codec[T]:
    """Return the codec of a value that a text stands for."""

    def read_it(reader: Reader) -> T:
        try:
            return read(reader.text(reader.remaining))
        except (ValueError, LookupError) as error:
            raise WireError(str(error)) from None

    return Codec(lambda writer, value: writer.raw(write(value).encode()), read_it)


def _record_of(text: str) -> Mapping[str, object]:
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("a log record is an object")
    return record


IP: Codec[IPAddress] = _as_text(str, ip_address)  # with the scope of a link-local one: it is the same host
LOG_RECORD: Codec[Mapping[str, object]] = _as_text(json.dumps, _record_of)
FEED: Codec[Feed] = _as_text(lambda feed: feed.name, Feed.__getitem__)
LOST: Codec[ChildLost] = _as_text(lambda lost: lost.name, ChildLost.__getitem__)


class _Row(Protocol):
    """A value of a fixed size, of which many fill a field: hundreds of them, ten times a second."""

    LAYOUT: ClassVar[struct.Struct]

    def row(self) -> tuple[object, ...]: ...

    @classmethod
    def of(cls, *row: Any) -> Self: ...


R = TypeVar("R", bound=_Row)


def rows(kind: type[R]) -> Codec[tuple[R, ...]]:
    layout = kind.LAYOUT

    def read(reader: Reader) -> tuple[R, ...]:
        data = reader.rest()
        if len(data) % layout.size:
            raise WireError(f"{len(data)} bytes are no rows of {layout.size}")
        try:
            return tuple(kind.of(*row) for row in layout.iter_unpack(data))
        except (ValueError, LookupError) as error:
            raise WireError(str(error)) from None

    return Codec(lambda writer, rows: writer.raw(b"".join(layout.pack(*each.row()) for each in rows)), read)


def _told(value: float | None) -> float:
    return math.nan if value is None else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


_counters = operator.attrgetter(*(each.name for each in fields(ReceiverCounters)))


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a relay has come."""

    relay: RelayId
    position: Position
    wanted: int  # the lowest number that is still wanted
    due_at: float | None  # when that was due
    delay: float | None  # seconds from the server to here
    counters: ReceiverCounters

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!IIQQdd9qd3q")  # the counters behind, in their order

    def row(self) -> tuple[object, ...]:
        position = self.position
        head = (self.relay, position.ssrc, position.next, self.wanted)
        return (*head, _told(self.due_at), _told(self.delay), *_counters(self.counters))

    @classmethod
    def of(cls, *row: Any) -> Self:
        relay, ssrc, following, wanted, due_at, delay, *counters = row
        position = Position(ssrc, following)
        return cls(relay, position, wanted, _known(due_at), _known(delay), ReceiverCounters(*counters))


@dataclass(frozen=True, slots=True)
class ParentFigures:
    """What a parent of a relay has brought."""

    upstream: UpstreamId
    counters: ParentCounters

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!QB5qdd")

    def row(self) -> tuple[object, ...]:
        told = self.counters
        state = 0 if told.state is None else told.state.value
        numbers = (told.datagrams, told.new, told.lost, told.skipped, told.next)
        return (self.upstream, state, *numbers, told.jitter_ms, _told(told.round_trip_ms))

    @classmethod
    def of(cls, *row: Any) -> Self:
        upstream, state, *numbers, jitter_ms, trip = row
        known = Feed(state) if state else None
        return cls(upstream, ParentCounters(*(known, *numbers, jitter_ms, _known(trip))))


@dataclass(frozen=True, slots=True)
class ChildFigures:
    """A child of a relay."""

    key: ConnectionId
    port: int  # from which it says hello; 0: it has not yet
    times: ChildTimes

    # 15 bytes, so that 4,096 of them fit into a field. Of the key 40 bits: with a hundred children that come
    # every second they last for 300 years.
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!BIHfi")

    def row(self) -> tuple[object, ...]:
        times = self.times
        return (*divmod(self.key, 1 << 32), self.port, _told(times.round_trip_ms), times.delay_us)

    @classmethod
    def of(cls, *row: Any) -> Self:
        high, low, port, trip, delay_us = row
        return cls(high << 32 | low, port, ChildTimes(_known(trip), delay_us))
