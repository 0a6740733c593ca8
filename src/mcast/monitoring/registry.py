"""What the bootstrapper knows of its nodes: which ones are up, and how they are.

A report may come in parts, and tell of a stream some of its children (`mcast.wire.health`). What the parts
say is put together here: a stream that no part of a whole report names is over, and of the children those
are there that were told last, as many as there are. Pure: times are handed in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mcast.monitoring.rates import RateMeter, Rates
from mcast.wire.bootstrap import Health
from mcast.wire.health import CataloguePage, ContentHealth, StreamHealth
from mcast.wire.identity import Identity

MAX_STREAMS = 1_024
"""Streams of one node that are remembered, whatever it says: four times what it may relay."""
MAX_CONTENTS = 8_192
"""The same for the contents of its servers."""
MAX_CHILDREN = 16_384
"""The same for its children, of all streams together; how many there are is known beyond that."""


@dataclass(slots=True)
class NodeStatus:
    """One node that is up."""

    name: str
    instance: bytes  # of its process
    peer: str  # where it calls from
    since: float
    heard: float  # when it last gave a sign of life
    streams: dict[str, StreamHealth] = field(default_factory=dict)
    catalogue: dict[str, ContentHealth] = field(default_factory=dict)  # of a rendezvous point's servers
    uptime_ms: int = 0
    health: Health = field(default_factory=lambda: Health(0))  # the last part of a report, as it came
    _meters: dict[str, RateMeter] = field(default_factory=dict)
    _told: set[str] | None = None  # the streams of this whole report so far; None: a part is missing
    _part: int = 0  # that comes next

    def rates(self, content: str) -> Rates:
        """Return how a stream comes."""
        meter = self._meters.get(content)
        return Rates() if meter is None else meter.rates

    def take(self, health: Health, now: float) -> None:
        """Take in a report, or a part of one."""
        streams = {stream.content: self._merged(stream) for stream in health.streams}
        self.heard, self.uptime_ms, self.health = now, health.uptime_ms, health
        if health.part == 0:
            self._told = set()
        elif health.part != self._part:
            self._told = None
        self._part = health.part + 1
        kept = {content: each for content, each in self.streams.items() if content not in streams}
        if self._told is not None:
            self._told = (self._told & kept.keys()) | streams.keys()
            if not health.more:
                kept = {content: each for content, each in kept.items() if content in self._told}
        self.streams = dict([*kept.items(), *streams.items()][-MAX_STREAMS:])
        if health.catalogue is not None:
            self._take_page(health.catalogue)
        self._measure(health.uptime_ms, self.streams.keys() & streams.keys())

    def _take_page(self, page: CataloguePage) -> None:
        """Take in a page of the catalogue: of what lies in its range, nothing else is there any more."""
        last = page.contents[-1].name if page.contents and page.more else None
        kept = {
            name: each
            for name, each in self.catalogue.items()
            if name <= page.after or (last is not None and name > last)
        }
        kept |= {each.name: each for each in page.contents}
        self.catalogue = {name: kept[name] for name in sorted(kept)[:MAX_CONTENTS]}

    def _merged(self, stream: StreamHealth) -> StreamHealth:
        """Add the children that were told before, as far as they may be there still."""
        count = max(stream.child_count, len(stream.children))
        others = sum(len(each.children) for each in self.streams.values() if each.content != stream.content)
        told = {child.identity: child for child in children_of(stream)}
        before = self.streams.get(stream.content)
        if before is not None and len(told) < count:
            told |= {child.identity: child for child in children_of(before) if child.identity not in told}
        first = list(told.values())[: max(0, min(count, MAX_CHILDREN - others))]
        return replace(
            stream,
            children=tuple(child.identity for child in first),
            round_trips_us=tuple(child.round_trip_us for child in first),
            delays_us=tuple(child.delay_us for child in first),
            child_count=count,
        )

    def _measure(self, uptime_ms: int, contents: Iterable[str]) -> None:
        self._meters = {each: meter for each, meter in self._meters.items() if each in self.streams}
        for content in contents:
            stream = self.streams[content]
            if (meter := self._meters.get(content)) is None:
                self._meters[content] = RateMeter(stream, uptime_ms)
            else:
                meter.look(stream, uptime_ms)


class ToldChild(NamedTuple):
    """A child, as its parent has told of it; 0: not known."""

    identity: Identity
    round_trip_us: int  # to its parent
    delay_us: int  # from the server, by its clock and the child's


def children_of(stream: StreamHealth) -> Iterator[ToldChild]:
    """Yield a stream's children, as far as they are told."""
    trips, delays = stream.round_trips_us, stream.delays_us
    for place, child in enumerate(stream.children):
        trip = trips[place] if place < len(trips) else 0
        yield ToldChild(child, trip, delays[place] if place < len(delays) else 0)


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed about one content at one node: a sentence, and how it is now."""

    content: str
    text: str
    now: StreamHealth | None  # None: the node streams it no more


class Registry:
    """The table of the nodes that are up. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeStatus] = {}

    def join(self, name: str, instance: bytes, peer: str, now: float) -> NodeStatus | None:
        """Add a node; return what was known of it if it was up already."""
        before = self._nodes.get(name)
        self._nodes[name] = NodeStatus(name, instance, peer, now, now)
        if before is not None and before.instance == instance:
            # The same process on a new connection: its streams have not changed.
            self._nodes[name].streams, self._nodes[name].catalogue = before.streams, before.catalogue
        return before

    def leave(self, name: str) -> NodeStatus | None:
        """Remove a node; return what was known of it."""
        return self._nodes.pop(name, None)

    def heard(self, name: str, health: Health, now: float) -> list[Change]:
        """Take in a report; return what has changed, one for each content."""
        status = self._nodes.get(name)
        if status is None:
            return []
        before = status.streams
        status.take(health, now)
        return list(_changes(name, before, status.streams))

    def silent(self, now: float, longest: float) -> list[NodeStatus]:
        """Return the nodes that have said nothing for more than `longest` seconds."""
        return [status for status in self._nodes.values() if now - status.heard > longest]

    def snapshot(self) -> dict[str, NodeStatus]:
        """Return a copy of the table; its entries still change."""
        return dict(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)


def _changes(name: str, before: dict[str, StreamHealth], after: dict[str, StreamHealth]) -> Iterator[Change]:
    for content, stream in after.items():
        old = before.get(content)
        parts = [_attached(stream)] if old is None else list(_differences(old, stream))
        if parts:
            yield Change(content, f"{name} {'; it '.join(parts)}", stream)
    for content in before:
        if content not in after:
            yield Change(content, f"{name} pruned", None)


def _attached(stream: StreamHealth) -> str:
    return f"attached{_below(stream)}, {_children(stream)}"


def _differences(old: StreamHealth, new: StreamHealth) -> Iterator[str]:
    """Yield the differences that an operator would ask about; numbers that have moved on are none."""
    if _below(old) != _below(new):
        yield f"moved: it is{_below(new)} now, it was{_below(old)}"
    elif old.path != new.path:  # who hears of moves only would take the former path for the present one
        yield f"is on another path now, {' > '.join(map(str, new.path))}"
    if old.fed != new.fed:
        yield "is fed again" if new.fed else "is cut off"
    if old.child_count != new.child_count:
        yield f"has {_children(new)} now, it had {old.child_count}"


def _below(stream: StreamHealth) -> str:
    """Return the parent in words: the last but one of the path, which ends with the node itself."""
    return f" below {stream.path[-2]}" if len(stream.path) > 1 else " as the root"


def _children(stream: StreamHealth) -> str:
    count = stream.child_count
    return f"{count} child" if count == 1 else f"{count} children"
