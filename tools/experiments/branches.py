"""The overlay's tree laid over the links: which link carries how many copies, and how many by unicast."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcast.hostport import parse_address
from tools.experiments.addresses import ScenarioAddresses
from tools.experiments.routes import Routes
from tools.lab.counters import Flow


@dataclass(frozen=True, slots=True)
class Branch:
    """One overlay link of a tree: who sends to whom, and the links that the media takes on its way."""

    content: str
    parent: str
    child: str
    flows: tuple[Flow, ...]


class Branches:
    """Finds the branches of trees in one scenario."""

    def __init__(self, routes: Routes, addresses: ScenarioAddresses) -> None:
        self._routes, self._addresses = routes, addresses

    def tree(self, content: str, server: str, paths: Mapping[str, Sequence[str]]) -> list[Branch]:
        """Return each branch once, from the server down. `paths` lead to clients, from the rendezvous on."""
        pairs: dict[tuple[str, str], None] = {}
        for client, path in paths.items():
            ways = [server, *path, client]
            pairs.update(dict.fromkeys(pairwise(ways)))
        return [Branch(content, parent, child, self._flows(parent, child)) for parent, child in pairs]

    def unicast(self, server: str, clients: Iterable[str]) -> Counter[Flow]:
        """Return how many copies there would be if the server sent to each client by itself."""
        ways = (self._routes.path(server, self._address(client)) for client in clients)
        return Counter(flow for way in ways for flow in way)

    def _flows(self, parent: str, child: str) -> tuple[Flow, ...]:
        """Media goes to the address from which the child has called its parent."""
        asked = self._asked(parent, child)
        return tuple(self._routes.path(parent, self._routes.source(child, asked)))

    def _asked(self, parent: str, child: str) -> str:
        """Return the address at which a child reaches its parent."""
        hosts, layout = self._addresses.hosts, self._addresses.layout
        if parent in hosts:  # a server, asked by the rendezvous
            return hosts[parent].host
        if child in hosts:  # a client
            return hosts[child].host
        usual = str(layout.nodes[parent].address)  # over a link beyond the file
        return parse_address(dict(layout.neighbours_of(child)).get(parent, usual)).host

    def _address(self, client: str) -> str:
        return self._routes.source(client, self._addresses.hosts[client].host)


def copies(branches: Iterable[Branch]) -> Counter[Flow]:
    """Return how many copies each link should carry: one for each branch that crosses it."""
    return Counter(flow for branch in branches for flow in branch.flows)
