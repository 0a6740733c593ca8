"""The nodes that the file does not name: who has joined, where each is reached, whom it has chosen.

A newcomer measures the nodes that it is offered and says which it takes (Links); both ends learn of the
link by their next LAYOUT. When its session ends, it and its links are gone: it says them again when it
comes back (Register), whoever has been restarted meanwhile.

Pure, and not thread-safe: the caller holds a lock.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mcast.config.layout import Layout, NodeSpec
from mcast.hostport import HostPort

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
    """All that have joined, beside the layout of the file."""

    def __init__(self, file: Layout) -> None:
        self._file = file
        self._known: dict[str, Newcomer] = {}
        self.layout = file
        """The file's layout and the newcomers."""

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def change_file(self, file: Layout) -> None:
        """Take in another layout: whom it names is a newcomer no more, whom it admits not has no place."""
        self._file = file
        self._known = {
            name: each for name, each in self._known.items()
            if name not in file.nodes and (ip := each.address.ip) and file.open.admits(name, ip)
        }  # fmt: skip
        self._extend()

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
        """Take a newcomer in, with the links that it had; return whose layouts change."""
        return self._put(node.name, Newcomer(node.name, node.address), links)

    def choose(self, name: str, links: Iterable[str]) -> set[str]:
        """Take in whom a newcomer has chosen; return whose layouts change."""
        known = self._known.get(name)
        return set() if known is None else self._put(name, known, links)

    def leave(self, name: str) -> set[str]:
        """Forget a newcomer; return whose layouts change."""
        before = self._neighbours_of(name)
        if self._known.pop(name, None) is None:
            return set()
        self._extend()
        return before

    def full(self) -> frozenset[str]:
        """Return the nodes that as many newcomers have chosen as may."""
        chosen = Counter(name for each in self._known.values() for name in each.links)
        return frozenset(name for name, count in chosen.items() if count >= MAX_CHOSEN)

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
        self.layout = self._file.extended(nodes, {name: each.links for name, each in self._known.items()})
