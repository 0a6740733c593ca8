"""The nodes that are not where the file says: those that it does not name, and those that are elsewhere.

A newcomer measures the nodes that it is offered and says which it takes (Links); both ends learn of the
link by their next LAYOUT. When its session ends, it and its links are gone: it says them again when it
comes back (Register), whoever has been restarted meanwhile. A node of the file that calls from another
address, where anybody may, has the file's links: its neighbours reach it there until its session ends.

Pure, and not thread-safe: the caller holds a lock.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mcast.config.layout import Layout, NodeSpec
from mcast.hostport import HostPort, literal_ip

MAX_NEWCOMERS = 1024
"""Nodes that the file does not name."""
MAX_PER_ADDRESS = 256
"""Of them at one address: whoever starts them there leaves room for others."""
MAX_CHOSEN = 64
"""Links to one node that newcomers have chosen: each costs it connections and a part of each flood."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One node that has joined."""

    name: str
    address: HostPort  # the address that it calls from, the port where it listens
    links: tuple[str, ...] = ()


class Newcomers:
    """All that have joined, beside the layout of the file, and its nodes that are elsewhere."""

    def __init__(self, file: Layout) -> None:
        self._file = file
        self._known: dict[str, Newcomer] = {}
        self._elsewhere: dict[str, HostPort] = {}  # nodes of the file: where they are reached
        self.layout = file
        """The file's layout with its nodes where they are, and the newcomers."""

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def is_elsewhere(self, name: str) -> bool:
        """Return whether a node of the file is at another address than the file says."""
        return name in self._elsewhere

    def change_file(self, file: Layout) -> set[str]:
        """Take in another layout: whom it names is a newcomer no more, whom it admits not has no place.

        Return the nodes of which it says anew where they are: they have to register again.
        """
        self._file = file
        before = self._elsewhere
        self._elsewhere = {name: at for name, at in before.items() if _may_be_at(file, name, at)}
        self._known = {
            name: each for name, each in self._known.items()
            if name not in file.nodes and (ip := each.address.ip) and file.open.admits(name, ip)
        }  # fmt: skip
        self._extend()
        return (before.keys() - self._elsewhere.keys()) & file.nodes.keys()

    def lack_of_room(self, node: NodeSpec) -> str | None:
        """Return why a newcomer finds no room; None if it does."""
        others = [each for each in self._known.values() if each.name != node.name]
        if len(others) >= MAX_NEWCOMERS:
            return f"{len(others)} nodes that the file does not name are up already, which is the most"
        at_address = Counter(each.address.host for each in others)[node.address.host]
        if at_address >= MAX_PER_ADDRESS:
            return f"{at_address} nodes that the file does not name are up at {node.address.host} already"
        return None

    def join(self, node: NodeSpec, links: Iterable[str]) -> set[str]:
        """Take a node in, a newcomer with the links that it had; return whose layouts change."""
        if node.name in self._file.nodes:
            by_the_file = self._file.nodes[node.name].address
            return self._locate(node.name, node.address if self._file.open.to_all else by_the_file)
        return self._put(node.name, Newcomer(node.name, node.address), links)

    def choose(self, name: str, links: Iterable[str]) -> set[str]:
        """Take in whom a newcomer has chosen; return whose layouts change."""
        known = self._known.get(name)
        return set() if known is None else self._put(name, known, links)

    def leave(self, name: str) -> set[str]:
        """Forget where a node is, and a newcomer at all; return whose layouts change."""
        if name in self._file.nodes:
            return self._locate(name, self._file.nodes[name].address)
        before = self._neighbours_of(name)
        if self._known.pop(name, None) is None:
            return set()
        self._extend()
        return before

    def full(self) -> frozenset[str]:
        """Return the nodes that as many newcomers have chosen as may."""
        chosen = Counter(name for each in self._known.values() for name in each.links)
        return frozenset(name for name, count in chosen.items() if count >= MAX_CHOSEN)

    def _locate(self, name: str, address: HostPort) -> set[str]:
        """Take in where a node of the file is; return whose layouts change."""
        by_the_file = self._file.nodes[name].address
        if self._elsewhere.get(name, by_the_file) == address:
            return set()
        self._elsewhere[name] = address
        if address == by_the_file:
            del self._elsewhere[name]
        self._extend()
        return {name} | self._neighbours_of(name)

    def _put(self, name: str, newcomer: Newcomer, links: Iterable[str]) -> set[str]:
        before = self._neighbours_of(name)
        # Those that it has are kept when the other end is full, so that no look at the list loses one.
        full = self.full()
        taken = [
            other
            for other in dict.fromkeys(links)
            if other != name and (other in before or other not in full)
        ]
        self._known[name] = Newcomer(name, newcomer.address, tuple(taken[: self._file.policy.max_neighbours]))
        self._extend()
        return {name} | before | self._neighbours_of(name)

    def _neighbours_of(self, name: str) -> set[str]:
        return {link.neighbour for link in self.layout.links.get(name, ())}

    def _extend(self) -> None:
        nodes = {name: NodeSpec(name, each.address) for name, each in self._known.items()}
        links = {name: each.links for name, each in self._known.items()}
        self.layout = self._file.relocated(self._elsewhere).extended(nodes, links)


def _may_be_at(file: Layout, name: str, address: HostPort) -> bool:
    """Return whether a node of a file may be elsewhere, as far as literal addresses tell."""
    if name not in file.nodes or not file.open.to_all:
        return False
    return address.ip not in [literal_ip(host) for host in file.hosts_of(name)]
