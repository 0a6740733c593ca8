"""Whom a node is offered that asks for others beyond its links: to join, or as its neighbours have no way.

Only nodes that are up, that the asker can be expected to reach, and that a chain of nodes that are up
connects to a rendezvous point: where a whole part of the overlay is cut off, nobody is sent in a circle.
First come those that stream the content that is looked for, then the rendezvous points, then those whose
addresses are alike. How far each one is, and whether it can be reached, the asker finds by connecting.

Pure.
"""

from collections.abc import Iterable, Mapping, Set

from mcast.config.layout import Layout
from mcast.hostport import IPAddress, literal_ip
from mcast.roles.bootstrap.registry import NodeStatus
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


def offers(
    asker: str, ip: IPAddress, content: str, layout: Layout, up: Mapping[str, NodeStatus],
    usable: Set[str],
) -> tuple[Neighbour, ...]:  # fmt: skip
    """Return whom a node is offered that calls from `ip`, the best first.

    `usable` are those who are `connected`, and have room for another neighbour.
    """
    own = {asker, *(link.neighbour for link in layout.links.get(asker, ()))}
    ranked: list[tuple[bool, bool, int, str]] = []
    for name in usable - own:
        status, node = up.get(name), layout.nodes.get(name)
        if status is None or node is None or not _means_the_same(node.address.host, ip):
            continue
        streams = _streams(status, content)
        if streams is False or _is_below(status, content, asker):
            continue
        ranked.append((streams is None, name not in layout.rendezvous, -_alike(node.address.ip, ip), name))
    best = [name for *_, name in sorted(ranked)[:MAX_CANDIDATES]]
    return tuple(Neighbour(name, str(layout.nodes[name].address)) for name in best)


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
