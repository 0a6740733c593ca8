"""What the bootstrapper is in the simulation: who is up, as it tells those that ask, and who has joined."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mcast.overlay.events import Offered
from mcast.wire.bootstrap import MAX_CANDIDATES, Neighbour

if TYPE_CHECKING:
    from overlay.sim_node import SimNode
    from overlay.simulation import Network


class SimBootstrapper:
    """Knows which nodes are up."""

    def __init__(self, net: "Network", *, offers: bool) -> None:
        """`offers`: whether it tells who is up; else there is none, and who asks hears nothing."""
        self._net, self._offers = net, offers
        self.joined: set[str] = set()  # nodes that the layout's file does not name

    def offer(self, asker: "SimNode") -> None:
        """Tell a node, a little later, some that are up and connected to the rendezvous point."""
        if not self._offers:
            return
        world = self._net.world
        nodes = [Neighbour(name, name) for name in self._connected() if name != asker.name]
        some = Offered(tuple(world.random.sample(nodes, min(MAX_CANDIDATES, len(nodes)))))
        self._net.at(world.delay(), lambda: asker.takes(lambda: asker.handle(some)))

    def join(self, name: str) -> "SimNode":
        """Start a node that the layout's file does not name."""
        self.joined.add(name)
        node = self._net.begin(name)
        self._net.tell_layout(name)
        return node

    def link(self, node: "SimNode", names: Iterable[str]) -> None:
        """Link a node that has joined with those that it has chosen."""
        for name in names:
            self._net.graph.add(node.name, name)
        for each in (node.name, *names):
            self._net.tell_layout(each)

    def _connected(self) -> list[str]:
        net = self._net
        there = {name for name, node in net.nodes.items() if node.alive and not node.frozen}
        reached = net.graph.reached(there.intersection(net.rendezvous), lambda _, other: other in there)
        return sorted(reached)
