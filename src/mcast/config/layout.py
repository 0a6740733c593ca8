"""The layout: which nodes there are, who is linked to whom, and where each is reached.

A host has several addresses, so where a node is reached may depend on who asks: each end of a link
has its own address for the other end. Links are symmetric; an end that gives no address reaches the
other node at its usual one. Of the rendezvous points the first one that lives serves; the others stand by.

A node is identified by its name. One that calls without its name is identified by the address it calls
from: its own, its aliases, and those at which others reach it over some link. Several nodes on one
host (a demonstration on localhost) are then told apart by the ports they listen on.

`layout_file` reads and checks; a `Layout` that exists is whole and consistent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mcast.config.opening import CLOSED, Opening
from mcast.hostport import HostPort, IPAddress, literal_ip
from mcast.wire.bootstrap import DEFAULT_POLICY, LayoutMessage, NamedAddress, NodeKind, Policy


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node as the file describes it."""

    name: str
    address: HostPort  # where others reach its control listener
    aliases: tuple[str, ...] = ()  # further hosts it may call from
    servers: tuple[HostPort, ...] = ()  # of a rendezvous point only


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link: whom it leads to, and where that one is reached over it."""

    neighbour: str
    address: HostPort


@dataclass(frozen=True)
class Layout:
    """The whole overlay. Everything is in the order of the file."""

    nodes: Mapping[str, NodeSpec]
    links: Mapping[str, tuple[Link, ...]]  # by the node they lead away from
    rendezvous: tuple[str, ...]
    open: Opening = CLOSED
    policy: Policy = DEFAULT_POLICY
    joined: frozenset[str] = frozenset()  # the nodes that the file does not name

    def find_by_name(self, name: str) -> NodeSpec | None:
        """Return a node, None if there is none of this name."""
        return self.nodes.get(name)

    def find_by_address(
        self, ip: IPAddress, port: int = 0, resolve: Callable[[str], Iterable[IPAddress]] | None = None
    ) -> tuple[NodeSpec, ...]:
        """Return the nodes that may call from an address and listen on a port (0: unknown).

        More than one means that the address alone does not tell. `resolve` turns host names into
        addresses; it is asked only if no literal address fits.
        """
        names = self._names_by_ip.get(ip, ())
        if not names and resolve is not None:
            names = self._resolved(ip, resolve)
        found = tuple(self.nodes[name] for name in names)
        listening = tuple(node for node in found if node.address.port == port)
        return listening if len(found) > 1 and len(listening) == 1 else found

    def hosts_of(self, name: str) -> tuple[str, ...]:
        """Return all hosts of a node: its own, its aliases, and those at which neighbours reach it."""
        return self._hosts[name]

    def neighbours_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the names of a node's neighbours and where it reaches them (`host:port`)."""
        return tuple((link.neighbour, str(link.address)) for link in self.links[name])

    def servers_of(self, name: str) -> tuple[HostPort, ...]:
        """Return a rendezvous point's servers: its own list, or the first one's. Other nodes have none."""
        if name not in self.rendezvous:
            return ()
        return self.nodes[name].servers or self.nodes[self.rendezvous[0]].servers

    def kind_of(self, name: str) -> NodeKind:
        """Return whether a node is a rendezvous point, the first one or a standby, or an overlay node."""
        return NodeKind.RENDEZVOUS if name in self.rendezvous else NodeKind.OVERLAY

    def seniors_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the rendezvous points before this one in the list, and where it reaches them."""
        if name not in self.rendezvous:
            return ()
        around = dict(self.neighbours_of(name))
        before = self.rendezvous[: self.rendezvous.index(name)]
        return tuple((each, around.get(each) or str(self.nodes[each].address)) for each in before)

    def message(self, name: str, version: int) -> LayoutMessage:
        """Return the message that tells a node its place."""
        return LayoutMessage(
            name=name,
            kind=self.kind_of(name),
            address=str(self.nodes[name].address),
            aliases=self.hosts_of(name)[1:],
            neighbours=tuple(NamedAddress(other, address) for other, address in self.neighbours_of(name)),
            servers=tuple(str(server) for server in self.servers_of(name)),
            rendezvous=self.rendezvous,
            version=version,
            policy=self.policy,
            seniors=tuple(NamedAddress(other, address) for other, address in self.seniors_of(name)),
            joined=name in self.joined,
        )

    def extended(self, nodes: Mapping[str, NodeSpec], links: Mapping[str, Iterable[str]]) -> "Layout":
        """Return this layout with nodes that the file does not name, and the links that they have chosen.

        A link to a node that does not exist is left out.
        """
        everybody = {**nodes, **self.nodes}
        pairs = [(n, other) for n, others in links.items() for other in others if n != other in everybody]
        added: dict[str, list[Link]] = {name: [] for name in nodes}
        for one, other in (*pairs, *((other, name) for name, other in pairs)):
            added.setdefault(one, []).append(Link(other, everybody[other].address))
        changed = {name: _first_of_each((*self.links.get(name, ()), *more)) for name, more in added.items()}
        return replace(
            self, nodes={**self.nodes, **nodes}, links={**self.links, **changed}, joined=frozenset(nodes)
        )

    def relocated(self, addresses: Mapping[str, HostPort]) -> "Layout":
        """Return this layout with some of its nodes elsewhere: all their neighbours reach them there."""
        if not addresses:
            return self
        nodes = {name: replace(node, address=addresses.get(name, node.address))
                 for name, node in self.nodes.items()}  # fmt: skip
        links = {
            name: tuple(Link(each.neighbour, addresses.get(each.neighbour, each.address)) for each in around)
            for name, around in self.links.items()
        }
        return replace(self, nodes=nodes, links=links)

    @cached_property
    def _hosts(self) -> dict[str, tuple[str, ...]]:
        hosts = {name: [node.address.host, *node.aliases] for name, node in self.nodes.items()}
        for links in self.links.values():
            for link in links:
                hosts[link.neighbour].append(link.address.host)
        return {name: tuple(dict.fromkeys(found)) for name, found in hosts.items()}

    @cached_property
    def _names_by_ip(self) -> dict[IPAddress, list[str]]:
        names: dict[IPAddress, list[str]] = {}
        for name, hosts in self._hosts.items():
            for host in hosts:
                if (ip := literal_ip(host)) is not None:
                    names.setdefault(ip, []).append(name)
        return names

    def _resolved(self, ip: IPAddress, resolve: Callable[[str], Iterable[IPAddress]]) -> list[str]:
        return [
            name
            for name, hosts in self._hosts.items()
            if any(literal_ip(host) is None and ip in resolve(host) for host in hosts)
        ]


def _first_of_each(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return the first link to each neighbour: the file's word counts before a newcomer's."""
    first: dict[str, Link] = {}
    for link in links:
        first.setdefault(link.neighbour, link)
    return tuple(first.values())
