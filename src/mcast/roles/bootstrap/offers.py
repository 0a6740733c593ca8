"""Whom a node is offered that asks for others beyond its links: to join, or as its neighbours have no way;
and whom a client is offered.

Only nodes that are up, that the asker can be expected to reach, and that a chain of nodes that are up
connects to a rendezvous point: where a whole part of the overlay is cut off, nobody is sent in a circle.
First come those that stream the content that is looked for, then the rendezvous points, then those whose
addresses are alike. For a client, who has no other way to find who is near, likeness comes first. How far
each one is, and whether it can be reached, the asker finds by connecting.

Last come those that may be as helpless as who asks. When a node dies silently, all below it still say that
they stream; most of them are the asker's own siblings, and the nearest. So a way is doubted that leads by the
asker's parent, or by a node that is gone, that says nothing or that is not fed itself.

Pure.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from mcast.config.layout import Layout, NodeSpec
from mcast.hostport import IPAddress, literal_ip
from mcast.monitoring.registry import NodeStatus
from mcast.roles.bootstrap.newcomers import Newcomers
from mcast.wire.bootstrap import MAX_OFFERED, NamedAddress
from mcast.wire.identity import Identity

QUIET_SECONDS = 3.0
"""Without a report from a node, which sends one every 1 to 2 s: it may be dead. That is sure much later."""


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

    def usable(self, newcomers: Newcomers, up: Mapping[str, NodeStatus], now: float) -> "Usable":
        """Return who can be offered at this moment (monotonic seconds)."""
        if self._connected is None:
            self._connected = connected(newcomers.layout, up)
        return Usable(newcomers.layout, up, self._connected, newcomers.full(), now - QUIET_SECONDS)


@dataclass(frozen=True, slots=True)
class Usable:
    """Those who can be offered."""

    layout: Layout
    up: Mapping[str, NodeStatus]
    connected: Set[str]
    full: Set[str]  # they have no room for another neighbour
    heard_since: float = -math.inf  # when who is well has said something

    def for_node(self, asker: str, ip: IPAddress, content: str) -> tuple[NamedAddress, ...]:
        """Return whom a node is offered that calls from `ip`, the best first."""
        own = {asker, *(link.neighbour for link in self.layout.links.get(asker, ()))}
        parent = self._parent(asker, content)
        ranked: list[tuple[bool, bool, bool, int, str]] = []
        for name, status, node in self._reached(self.connected - self.full - own, ip):
            streams = _streams(status, content)
            if streams is False or _is_below(status, content, asker):
                continue
            is_doubted = self._is_quiet(status) or self._leads_by_failed(status, content, parent)
            is_rendezvous = name in self.layout.rendezvous
            likeness = _alike(node.address.ip, ip)
            ranked.append((is_doubted, streams is None, not is_rendezvous, -likeness, name))
        return self._named(name for *_, name in sorted(ranked))

    def for_client(self, ip: IPAddress, content: str, unlisted: Set[str]) -> tuple[NamedAddress, ...]:
        """Return whom a client is offered that calls from `ip`, those with the most like addresses first."""
        ranked = [
            (self._is_quiet(each), -_alike(node.address.ip, ip), _streams(each, content) is not True, name)
            for name, each, node in self._reached(self.connected - unlisted, ip)
        ]
        return self._named(name for *_, name in sorted(ranked))

    def _parent(self, asker: str, content: str) -> Identity | None:
        """Return by whom the asker was fed, if that is not where all ways begin."""
        status = self.up.get(asker)
        path = () if status is None else _path(status, content)
        return path[-2] if len(path) > 2 else None

    def _leads_by_failed(self, status: NodeStatus, content: str, parent: Identity | None) -> bool:
        """Return whether one of those by whom a node is fed is the asker's parent, or does not seem well."""
        above = _path(status, content)[:-1]
        return any(each == parent or self._has_failed(each.name, content) for each in above)

    def _has_failed(self, name: str, content: str) -> bool:
        status = self.up.get(name)
        return status is None or self._is_quiet(status) or _streams(status, content) is False

    def _is_quiet(self, status: NodeStatus) -> bool:
        return status.heard < self.heard_since

    def _reached(self, names: Iterable[str], ip: IPAddress) -> Iterator[tuple[str, NodeStatus, NodeSpec]]:
        for name in names:
            status, node = self.up.get(name), self.layout.nodes.get(name)
            if status is not None and node is not None and _means_the_same(node.address.host, ip):
                yield name, status, node

    def _named(self, names: Iterable[str]) -> tuple[NamedAddress, ...]:
        best = itertools.islice(names, MAX_OFFERED)
        return tuple(NamedAddress(name, str(self.layout.nodes[name].address)) for name in best)


def _streams(status: NodeStatus, content: str) -> bool | None:
    """Return whether a node is fed with a content; None if it does not stream it."""
    stream = status.streams.get(content)
    return None if stream is None else stream.fed


def _path(status: NodeStatus, content: str) -> tuple[Identity, ...]:
    """Return by whom a content comes to a node, itself the last; nobody if it does not stream it."""
    stream = status.streams.get(content)
    return () if stream is None else stream.path


def _is_below(status: NodeStatus, content: str, asker: str) -> bool:
    return Identity.node(asker) in _path(status, content)


def _means_the_same(host: str, ip: IPAddress) -> bool:
    """Return whether an address may mean one host to all: a loopback one does on one host only."""
    other = literal_ip(host)
    return other is None or not other.is_loopback or ip.is_loopback


def _alike(one: IPAddress | None, other: IPAddress) -> int:
    """Return how many leading bits two addresses share."""
    if one is None or one.version != other.version:
        return 0
    return one.max_prefixlen - (int(one) ^ int(other)).bit_length()
