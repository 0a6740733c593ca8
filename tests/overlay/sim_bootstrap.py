"""The bootstrapper of a simulated overlay: what nodes report, whom it offers, who has joined.

Who is offered, and in which order, the real code decides (`mcast.roles.bootstrap.offers`), by what nodes have
reported. A report comes when a node's place in a tree has changed, a tick and a message later. A process that
dies, or begins to end, is gone at once, as its connection is closed; one that is frozen only after `SILENT`
seconds.
"""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from mcast.config.layout import Layout, Link, NodeSpec
from mcast.hostport import HostPort
from mcast.monitoring.registry import Registry
from mcast.overlay.actions import Path
from mcast.overlay.events import Offered
from mcast.roles.bootstrap.bootstrapper import SILENT
from mcast.roles.bootstrap.newcomers import Newcomers
from mcast.roles.bootstrap.offers import Offers
from mcast.wire.bootstrap import Health
from mcast.wire.health import StreamHealth
from mcast.wire.identity import IdentityKind
from mcast.wire.position import Position

if TYPE_CHECKING:
    from overlay.sim_node import SimNode
    from overlay.simulation import Network

REPORT_TICK = 0.1
"""Seconds from one look of a node at what is to be reported to the next."""

Places: TypeAlias = dict[str, tuple[Path, bool]]
"""By content: the path of a node, and whether it is fed."""


class SimBootstrapper:
    """Knows which nodes are up, and what they have reported."""

    def __init__(self, net: "Network", *, offers: bool) -> None:
        """`offers`: whether it tells who is up; else there is none, and who asks hears nothing."""
        self._net, self.offers = net, offers
        self._registry = Registry()
        self._reported: dict[str, Places] = {}
        self._due: dict[str, SimNode] = {}  # who is about to report
        self._free: dict[str, float] = {}  # when the last report of each has come: none overtakes another
        self._newcomers, self._links = Newcomers(Layout({}, {}, ())), 0
        self.joined: set[str] = set()  # nodes that the layout's file does not name

    # What it is told

    def on_step(self, node: "SimNode") -> None:
        """Look whether a node has something to report."""
        if not self.offers or node.is_leaving or node.me.kind is IdentityKind.CLIENT:
            return
        self._note_session(node)
        if _places(node) != self._reported.get(node.name) and self._due.get(node.name) is not node:
            self._due[node.name] = node
            tick = self._net.world.random.uniform(0, REPORT_TICK)
            self._net.at(tick, lambda: node.takes(partial(self._report, node)))

    def _note_session(self, node: "SimNode") -> None:
        known = self._registry.snapshot().get(node.name)
        if known is None or known.instance != node.seed:
            self._registry.join(node.name, node.seed, "", self._net.now)
            self._reported.pop(node.name, None)

    def _report(self, node: "SimNode") -> None:
        world, name = self._net.world, node.name
        del self._due[name]
        self._reported[name] = _places(node)
        streams = tuple(
            StreamHealth(content, branch.path, (), branch.position or Position(0, 0), fed=branch.fed)
            for content, branch in node.core.branches.items()
        )
        self._free[name] = max(self._free.get(name, 0.0), world.now + world.delay())
        world.clock.at(self._free[name], partial(self._hear, node, Health(0, streams)))

    def _hear(self, node: "SimNode", health: Health) -> None:
        if node.alive:
            self._registry.heard(node.name, health, self._net.now)

    # Who asks

    def offer(self, asker: "SimNode", content: str) -> None:
        """Tell a node, a little later, some that are up and connected to a rendezvous point."""
        if self.offers:
            self._net.at(self._net.world.delay(), partial(self._answer, asker, content))

    def _answer(self, asker: "SimNode", content: str) -> None:
        self._look_at_sessions()
        if self._links != len(self._net.graph.links):
            self._links, self._newcomers = len(self._net.graph.links), Newcomers(self._layout())
        usable = Offers().usable(self._newcomers, self._registry.snapshot(), self._net.now)
        ip = self._net.address_of(asker.name).ip
        some = Offered(usable.for_node(asker.name, ip, content))
        self._net.at(self._net.world.delay(), lambda: asker.takes(lambda: asker.handle(some)))

    def _look_at_sessions(self) -> None:
        """End those of the dead and the silent; all others say at least that they are there."""
        now = self._net.now
        for name, status in self._registry.snapshot().items():
            node = self._net.nodes[name]
            status.heard = node.frozen_at if node.frozen else now
            if not node.alive or node.is_leaving or now - status.heard > SILENT:
                self._registry.leave(name)

    def _layout(self) -> Layout:
        net = self._net
        where = {name: net.address_of(name) for name in net.nodes}
        nodes = {name: NodeSpec(name, HostPort(str(at.ip), at.port)) for name, at in where.items()}
        links = {
            name: tuple(Link(other, nodes[other].address) for other in net.graph.around(name))
            for name in nodes
        }
        return Layout(nodes, links, net.rendezvous)

    # Who joins

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


def _places(node: "SimNode") -> Places:
    return {content: (branch.path, branch.fed) for content, branch in node.core.branches.items()}
