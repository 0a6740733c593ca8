"""What a node tells the bootstrapper of itself: once a second, and at once when a tree has changed.

A node without streams sends a heartbeat. Otherwise its reports take RATE bytes a second at most, however
many streams and children it has: a report has a bounded size, and the next one waits until the last one has
been paid for. What does not fit goes in further parts (`Health.more`), first the streams that a tree change
concerns, then the others in turn; of a stream with many children each part tells those whose turn it is.

    streams  [a b c d e f]   part 0: a b, more   part 1: c d, more   part 2: e f   part 0: a b ...
                                                 c has changed ---> part 2: c e, more ...
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from mcast import __version__
from mcast.media.delay import as_told
from mcast.media.token_bucket import TokenBucket
from mcast.net.ratelimit import RateLimitedLog
from mcast.overlay.actions import ConnectionId, Parent, Path, ServerParent, UpstreamId
from mcast.overlay.server_choice import Measurement
from mcast.roles.node.catalogue import CatalogueReporter
from mcast.roles.node.content_relay import ChildTimes, ContentRelay
from mcast.roles.node.load import ProcessLoad
from mcast.roles.node.relays import RelayDb
from mcast.wire.bootstrap import Health
from mcast.wire.codec import Writer
from mcast.wire.fields import Record
from mcast.wire.health import EventReport, ParentHealth, ServerHealth, StreamHealth
from mcast.wire.node import Stream

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two reports while nothing changes."""
RATE = 1_400
"""Bytes a second that all reports of a node take at most, one after the other."""
PART_BYTES = 1_200
"""Bytes of streams and events in one report: a second's worth, and some room for what is told of the node."""
EVENT_BYTES = 500
"""Bytes of events in one report: more wait for the next one."""
CATALOGUE_BYTES = 400
"""Bytes of the catalogue in one report, beside streams."""
LEAST_SHARE = 150
"""Bytes that a stream has at least in a report, before its children: less, and it waits for the next one."""
_TLV = 3  # bytes in front of each value
_CHILD = 3 * _TLV + 10  # of a child, beside its identity: kind and length, the round trip, the delay
_U32 = 0xFFFF_FFFF
UNKNOWN = ChildTimes(None, 0)
"""Of a child that has just come."""
_Place: TypeAlias = tuple[Path, bool, int, UpstreamId | None]


class Upstream(Protocol):
    """What the report needs to know of a subscription at a parent."""

    @property
    def parent(self) -> Parent: ...


class Branch(Protocol):
    """What the report needs to know of a content's place in the tree."""

    @property
    def path(self) -> Path:
        """The way from the rendezvous point to this node, both included."""

    @property
    def children(self) -> Mapping[ConnectionId, Stream]:
        """Those who are fed from here, with what they asked for."""

    @property
    def fed(self) -> bool:
        """Whether media reaches this node."""

    @property
    def upstreams(self) -> Mapping[UpstreamId, Upstream]:
        """The parents."""

    @property
    def primary(self) -> UpstreamId | None:
        """Which of them has the path that counts."""

    @property
    def parent_changes(self) -> int:
        """How often another parent has become that one."""

    @property
    def discontinuities(self) -> int:
        """How often another stream of the content has been taken."""


class UntoldEvents(Protocol):
    """What has happened and was not told yet."""

    @property
    def pending(self) -> bool: ...

    def take(self, most_bytes: int) -> tuple[EventReport, ...]:
        """Return the oldest of them, so many bytes at most."""


@dataclass(frozen=True, slots=True)
class Views:
    """Where a report comes from; asked in the decider's thread."""

    branches: Callable[[], Mapping[str, Branch]]  # the contents that this node takes part in
    beyond: Callable[[], tuple[str, ...]]  # the parents that the layout does not link with this node
    servers: Callable[[], Mapping[str, Measurement]]  # as this node measures them, if it does
    catalogue: CatalogueReporter  # of what they have
    events: UntoldEvents
    ready: Callable[[], int | None]  # the connection that would carry a report at once, if there is one


class HealthReporter:
    """Reports from time to time. For the decider's thread."""

    def __init__(
        self, views: Views, relays: RelayDb, send: Callable[[Health], None], load: ProcessLoad | None = None
    ) -> None:
        """`send` must not wait; it is called while a connection is `ready`, so no report is overtaken.

        `load` knows what this node takes of its host.
        """
        self._views, self._relays, self._send = views, relays, send
        self._load, self._log = load or ProcessLoad(), RateLimitedLog(logger)
        self._began, self._next = time.monotonic(), 0.0
        self._connection: int | None = None  # that has carried the last report
        self._paid = TokenBucket(RATE, RATE, 0.0)
        self._told: dict[str, _Place] = {}  # what was told last of a stream's place in the tree
        self._turns: list[str] = []  # the streams that this whole report has not told yet
        self._part = 0
        self._first_child: dict[str, int] = {}  # whose turn it is, by content

    def on_tree_change(self) -> None:
        """Report at the next tick."""
        self._next = 0.0

    def on_tick(self, now: float) -> None:
        """Report if it is time to, and if the last report has been paid for."""
        is_time = now >= self._next or self._views.events.pending
        if not is_time or self._paid.left(now) <= 0 or (connection := self._views.ready()) is None:
            return
        if connection != self._connection:  # to a bootstrapper that may know nothing
            self._connection, self._part = connection, 0
            self._views.catalogue.begin_anew()
        self._next = now + INTERVAL
        try:
            report = self._report(now)
            size = len(report.pack())
        except ValueError as error:  # something in it came from a peer: it costs this report, not the node
            self._log.warning("unsendable", "a report to the bootstrapper cannot be sent: %s", error)
            self._part, self._turns = 0, []  # the next one begins anew: no part of a whole may lack
            return
        self._paid.take(size)
        self._send(report)

    def _report(self, now: float) -> Health:
        events = self._views.events.take(EVENT_BYTES)
        room = PART_BYTES - sum(_size(each) for each in events)
        page = self._views.catalogue.page(CATALOGUE_BYTES if self._views.branches() else room, now)
        streams = self._next_streams(room - (0 if page is None else _size(page)))
        part, more = self._part, bool(self._turns)
        self._part = part + 1 if more else 0
        cpu_permille, memory_kb = self._load.look(now)
        return Health(
            round((now - self._began) * 1000), tuple(streams), self._views.beyond(), program=__version__,
            cpu_permille=cpu_permille, memory_kb=memory_kb, servers=tuple(self._servers()), events=events,
            part=part, more=more, catalogue=page,
        )  # fmt: skip

    def _servers(self) -> Iterator[ServerHealth]:
        for address, measured in self._views.servers().items():
            figures = (measured.delay_us, measured.latency_us, measured.jitter_us, round(measured.metric))
            yield ServerHealth(address, *(min(figure, _U32) for figure in figures))

    def _next_streams(self, room: int) -> list[StreamHealth]:
        """Return the streams that are told now; those of this whole report that are left are in `_turns`."""
        present = self._present()
        places = {content: _place(branch) for content, (branch, _) in present.items()}
        changed = [content for content, place in places.items() if place != self._told.get(content)]
        changed.sort(key=lambda content: content not in self._told)  # a crowd of new ones can wait
        self._told = {content: place for content, place in self._told.items() if content in places}
        left = self._turns if self._part else present
        turns = list(dict.fromkeys([*changed, *(each for each in left if each in present)]))
        share = max(LEAST_SHARE, room // max(len(turns), 1))
        told: list[StreamHealth] = []
        while turns and (not told or room >= LEAST_SHARE):
            content = turns.pop(0)
            stream, size = self._stream(content, *present[content], min(share, room))
            told.append(stream)
            room -= size
            self._told[content] = places[content]
        self._turns = turns
        return told

    def _present(self) -> dict[str, tuple[Branch, ContentRelay]]:
        """Return the streams that there are."""
        found = {each: (branch, self._relays.get(each)) for each, branch in self._views.branches().items()}
        present = {each: (branch, relay) for each, (branch, relay) in found.items() if relay is not None}
        self._first_child = {each: turn for each, turn in self._first_child.items() if each in present}
        return present

    def _stream(
        self, content: str, branch: Branch, relay: ContentRelay, room: int
    ) -> tuple[StreamHealth, int]:
        """Describe a stream, with as many of its children as there is room for, those whose turn it is.

        Also return how many bytes that takes.
        """
        counters = relay.counters()
        bare = StreamHealth(
            content, branch.path, (), relay.position, counters.lost, branch.fed, len(branch.children),
            parents=tuple(_parents(branch, relay)), datagrams=counters.datagrams, octets=counters.bytes,
            repaired=counters.repaired, delay_us=as_told(relay.delay()), nacks=counters.nack_sent,
            longest_gap_ms=min(round(counters.longest_gap_ms), _U32),
            parent_changes=branch.parent_changes, discontinuities=branch.discontinuities,
        )  # fmt: skip
        size = _size(bare)
        told = self._children(content, branch, room - size)
        known = relay.child_times() if told else {}
        times = [known.get(connection, UNKNOWN) for connection, _ in told]
        whole = replace(
            bare,
            children=tuple(stream.sender for _, stream in told),
            round_trips_us=tuple(_microseconds(each.round_trip_ms) for each in times),
            delays_us=tuple(each.delay_us for each in times),
        )
        return whole, size + sum(_child_size(stream) for _, stream in told)

    def _children(self, content: str, branch: Branch, room: int) -> list[tuple[ConnectionId, Stream]]:
        everybody = list(branch.children.items())
        begin = self._first_child.get(content, 0) % max(len(everybody), 1)
        told: list[tuple[ConnectionId, Stream]] = []
        for connection, stream in everybody[begin:] + everybody[:begin]:
            room -= _child_size(stream)
            if room < 0 and told:
                break
            told.append((connection, stream))
        self._first_child[content] = begin + len(told)
        return told


def _parents(branch: Branch, relay: ContentRelay) -> Iterator[ParentHealth]:
    for upstream, counters in relay.parents().items():
        if (entry := branch.upstreams.get(upstream)) is None:
            continue
        parent = entry.parent
        is_server = isinstance(parent, ServerParent)
        name = parent.address if isinstance(parent, ServerParent) else parent.name
        yield ParentHealth(
            name, is_server, upstream == branch.primary, _microseconds(counters.round_trip_ms), counters.new
        )


def _place(branch: Branch) -> _Place:
    """Return what makes a change of the tree when it is not as before."""
    return (branch.path, branch.fed, len(branch.children), branch.primary)


def _microseconds(milliseconds: float | None) -> int:
    """Return a round trip as it is told: 0 stands for one that is not known."""
    return 0 if milliseconds is None else min(max(1, round(milliseconds * 1000)), _U32)


def _child_size(stream: Stream) -> int:
    """Return how many bytes a child takes in a report."""
    return _CHILD + len(stream.sender.value)


def _size(record: Record) -> int:
    """Return how many bytes a record takes in a report."""
    writer = Writer()
    record.write(writer)
    return _TLV + len(writer.data())
