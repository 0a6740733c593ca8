"""Whom a node is offered that asks for others beyond its links: to join, or as its neighbours have no way;
and whom a client is offered.

Only nodes that are up, that the asker can be expected to reach, and that a chain of nodes that are up
connects to a rendezvous point: where a whole part of the overlay is cut off, nobody is sent in a circle.
First come those that stream the content that is looked for, then the rendezvous points, then those whose
addresses are alike. For a client, who has no other way to find who is near, likeness comes first. How far
each one is, and whether it can be reached, the asker finds by connecting.

Pure.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from mcast.config.layout import Layout, NodeSpec
from mcast.hostport import IPAddress, literal_ip
from mcast.monitoring.registry import NodeStatus
from mcast.roles.bootstrap.newcomers import Newcomers
from mcast.wire.bootstrap import MAX_CANDIDATES, Neighbour
from mcast.wire.identity import Identity


def connected(layout: Layout, up: Iterable[str]) -> frozenset[str]:
    """Return who of the nodes that are up is connected to a rendezvous point by links between such nodes."""
    there = frozenset(up)
    reached = {name for name in layout.rendezvous if name in there}
    frontier = list(reached)
    while frontier:
        beyond = [link.neighbour for link in layout.links.get(frontier.pop(), ())]
        new = [name for name in beyond if name in there and name not in reached]
        reached.update(new)
        frontier.extend(new)
    return frozenset(reached)


class Offers:
    """Remembers who is connected, as long as nobody comes or goes. Not thread-safe."""

    def __init__(self) -> None:
        self._connected: frozenset[str] | None = None

    def changed(self) -> None:
        """Take in that who is up, or linked to whom, has changed."""
        self._connected = None

    def usable(self, newcomers: Newcomers, up: Mapping[str, NodeStatus]) -> "Usable":
        """Return who can be offered at this moment."""
        if self._connected is None:
            self._connected = connected(newcomers.layout, up)
        return Usable(newcomers.layout, up, self._connected, newcomers.full())


@dataclass(frozen=True, slots=True)
class Usable:
    """Those who can be offered."""

    layout: Layout
    up: Mapping[str, NodeStatus]
    connected: Set[str]
    full: Set[str]  # they have no room for another neighbour

    def for_node(self, asker: str, ip: IPAddress, content: str) -> tuple[Neighbour, ...]:
        """Return whom a node is offered that calls from `ip`, the best first."""
        own = {asker, *(link.neighbour for link in self.layout.links.get(asker, ()))}
        ranked: list[tuple[bool, bool, int, str]] = []
        for name, status, node in self._reached(self.connected - self.full - own, ip):
            streams = _streams(status, content)
            if streams is False or _is_below(status, content, asker):
                continue
            is_rendezvous = name in self.layout.rendezvous
            ranked.append((streams is None, not is_rendezvous, -_alike(node.address.ip, ip), name))
        return self._named(name for *_, name in sorted(ranked))

    def for_client(self, ip: IPAddress, content: str, unlisted: Set[str]) -> tuple[Neighbour, ...]:
        """Return whom a client is offered that calls from `ip`, those with the most like addresses first."""
        ranked = [
            (-_alike(node.address.ip, ip), _streams(status, content) is not True, name)
            for name, status, node in self._reached(self.connected - unlisted, ip)
        ]
        return self._named(name for *_, name in sorted(ranked))

    def _reached(self, names: Iterable[str], ip: IPAddress) -> Iterator[tuple[str, NodeStatus, NodeSpec]]:
        for name in names:
            status, node = self.up.get(name), self.layout.nodes.get(name)
            if status is not None and node is not None and _means_the_same(node.address.host, ip):
                yield name, status, node

    def _named(self, names: Iterable[str]) -> tuple[Neighbour, ...]:
        best = itertools.islice(names, MAX_CANDIDATES)
        return tuple(Neighbour(name, str(self.layout.nodes[name].address)) for name in best)


def _streams(status: NodeStatus, content: str) -> bool | None:
    """Return whether a node is fed with a content; None if it does not stream it."""
    stream = status.streams.get(content)
    return None if stream is None else stream.fed


def _is_below(status: NodeStatus, content: str, asker: str) -> bool:
    stream = status.streams.get(content)
    return stream is not None and Identity.node(asker) in stream.path


def _means_the_same(host: str, ip: IPAddress) -> bool:
    """Return whether an address may mean one host to all: a loopback one does on one host only."""
    other = literal_ip(host)
    return other is None or not other.is_loopback or ip.is_loopback


def _alike(one: IPAddress | None, other: IPAddress) -> int:
    """Return how many leading bits two addresses share."""
    if one is None or one.version != other.version:
        return 0
    return one.max_prefixlen - (int(one) ^ int(other)).bit_length()
