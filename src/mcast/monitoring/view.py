"""The overlay at one moment, and what follows from it: delays from the server to a viewer, who serves what.

There are two delays, and a player's buffer comes on top of either:

    by round trips  half of each round trip on the way from the server, added up: nobody's clock is compared
                    with another's. A way whose two directions differ, and what relays hold, is not in it
    by clocks       as whoever receives it has measured it, by the server's clock and its own. It is right as
                    far as both clocks are; where they say what cannot be, there is none

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mcast.config.layout import Layout
from mcast.media.delay import UNCERTAIN
from mcast.monitoring.registry import NodeStatus, ToldChild, children_of
from mcast.wire.health import ContentHealth, ParentHealth, ServerHealth, StreamHealth
from mcast.wire.identity import IdentityKind

Delay = float | None
"""Milliseconds; None: not known. By round trips: a hop on the way has not been measured."""
MOST_HELD_MS = 2_000.0
"""What media may take beyond all round trips: repairs on the way (1.5 s), gathering, hosts that are busy."""


@dataclass(frozen=True)
class View:
    """The layout, and the nodes that are up."""

    layout: Layout
    nodes: Mapping[str, NodeStatus]
    now: float = 0.0  # monotonic seconds

    def streams(self) -> Iterator[tuple[str, StreamHealth]]:
        """Yield each node that streams, with each of its streams."""
        for name, status in self.nodes.items():
            for stream in status.streams.values():
                yield name, stream

    @cached_property
    def serving(self) -> NodeStatus | None:
        """Return the first rendezvous point that is up: where streams begin."""
        return next((self.nodes[name] for name in self.layout.rendezvous if name in self.nodes), None)

    def catalogue(self) -> Mapping[str, ContentHealth]:
        """Return the contents that servers have, as the rendezvous point that serves has told."""
        return self.serving.catalogue if self.serving else {}

    def silence(self, status: NodeStatus) -> float:
        """Return for how many seconds a node has said nothing."""
        return max(0.0, self.now - status.heard)

    def servers(self) -> dict[str, ServerHealth | None]:
        """Return the servers of the layout, as they are measured by the rendezvous point that serves."""
        known = {str(each) for name in self.layout.rendezvous for each in self.layout.servers_of(name)}
        measured = {each.address: each for each in self.serving.health.servers} if self.serving else {}
        return {address: measured.get(address) for address in sorted(known | measured.keys())}

    def served(self) -> dict[str, list[str]]:
        """Return which contents each server feeds now, by its address."""
        served: dict[str, list[str]] = {}
        for _, stream in self.streams():
            for parent in stream.parents:
                if parent.is_server and stream.content not in (names := served.setdefault(parent.name, [])):
                    names.append(stream.content)
        return served

    # The way of one stream

    def delay_ms(self, name: str, content: str) -> Delay:
        """Return how long a datagram takes from the server to a node."""
        return self._delay(name, content, frozenset())

    def _delay(self, name: str, content: str, seen: frozenset[str]) -> Delay:
        known = self._delays.get((name, content))
        if known is not None:
            return known
        status = self.nodes.get(name)
        stream = None if status is None else status.streams.get(content)
        parent = None if stream is None else primary_of(stream)
        if parent is None or not parent.round_trip_us or name in seen:  # reports may disagree for a moment
            return None
        hop = parent.round_trip_us / 2000
        above = 0.0 if parent.is_server else self._delay(parent.name, content, seen | {name})
        if above is None:
            return None
        self._delays[name, content] = above + hop
        return above + hop

    def delay_to_ms(self, child: ToldChild, name: str, content: str) -> Delay:
        """Return how long a datagram takes from the server to a child of a node."""
        above = self.delay_ms(name, content)
        return None if above is None or not child.round_trip_us else above + child.round_trip_us / 2000

    def clock_delay_ms(self, name: str, stream: StreamHealth) -> Delay:
        """Return the same by clocks, as the node has measured it."""
        return _plausible(stream.delay_us, self.delay_ms(name, stream.content))

    def clock_delay_to_ms(self, child: ToldChild, name: str, content: str) -> Delay:
        """Return the delay by clocks to a child of a node, as the child has measured it."""
        return _plausible(child.delay_us, self.delay_to_ms(child, name, content))

    def latest_viewer_ms(self, name: str, stream: StreamHealth) -> Delay:
        """Return the longest delay by clocks of those viewers of a node that tell theirs."""
        viewers = (child for child in children_of(stream) if child.identity.kind is IdentityKind.CLIENT)
        delays = (self.clock_delay_to_ms(child, name, stream.content) for child in viewers)
        return max((delay for delay in delays if delay is not None), default=None)

    @cached_property
    def _delays(self) -> dict[tuple[str, str], float]:
        return {}


def _plausible(delay_us: int, by_trips: Delay) -> Delay:
    """Return a delay by clocks, unless it shows that the two clocks differ; 0 stands for none."""
    if not delay_us or delay_us < -UNCERTAIN * 1e6:
        return None
    delay = max(0, delay_us) / 1000
    return delay if by_trips is None or delay <= 2 * by_trips + MOST_HELD_MS else None


def primary_of(stream: StreamHealth) -> ParentHealth | None:
    """Return the parent whose path counts; the only one, if none says so."""
    primary = next((parent for parent in stream.parents if parent.is_primary), None)
    return primary or (stream.parents[0] if len(stream.parents) == 1 else None)


def viewers_of(stream: StreamHealth) -> int:
    """Return how many clients a node feeds with a stream."""
    nodes = sum(child.kind is IdentityKind.NODE for child in stream.children)
    return max(0, stream.child_count - nodes)
