"""Nodes that have enough to do, in whole overlays: what is measured and decided is real, the load is not."""

from collections.abc import Iterator

import pytest

from mcast.media.incoming import NOTHING_YET, ReceiverCounters
from mcast.overlay.events import Limited
from mcast.roles.node.content_relay import CarrierUse
from mcast.roles.node.room_meter import INTERVAL, RoomMeter
from mcast.wire.node import MissReason
from overlay.sim_node import SimNode
from overlay.simulation import Network, Viewer

COST = 0.008
"""Of a core, for each child: a hundred use what a node gives."""
LINKS = [("rp", "a"), ("rp", "b"), ("rp", "c"), ("a", "b"), ("b", "c")]


class Machine:
    """What one simulated node runs on: each child costs it so much."""

    def __init__(self, node: SimNode) -> None:
        self._node, self._used = node, 0.0
        self.meter = RoomMeter(self, self, node.handle)
        self.most = 0.0  # of a core

    @property
    def children(self) -> int:
        return sum(len(branch.children) for branch in self._node.core.branches.values())

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        return ((content, NOTHING_YET) for content in self._node.core.branches)

    def uses(self) -> tuple[CarrierUse, ...]:
        return (CarrierUse(self._used, None),)

    def look(self) -> None:
        wanted = self.children * COST
        self.most = max(self.most, wanted)
        self._used += min(wanted, 1.0) * INTERVAL
        self.meter.on_tick(self._node.world.now)
        self._node.world.clock.after(INTERVAL, self.look)


def watching(net: Network) -> list[Viewer]:
    return [viewer for viewer in net.viewers if viewer.state == "watching"]


def machines_of(net: Network) -> dict[str, Machine]:
    machines = {name: Machine(node) for name, node in net.nodes.items()}
    for machine in machines.values():
        machine.look()
    return machines


@pytest.mark.parametrize("a_second", [10, 20])
def test_a_node_that_all_viewers_know_takes_as_many_as_it_can_feed_and_the_others_find_another(
    a_second: int,
) -> None:
    net = Network(LINKS, seed=1, adverts=True, steady=True)
    net.run(2.0)
    machines = machines_of(net)
    for number in range(200):
        net.client("a", after=number / a_second)
    net.run(200 / a_second + 20)
    assert len(watching(net)) == 200
    assert max(machine.most for machine in machines.values()) <= 1.0
    assert machines["a"].children >= 80, "it gives what it has"
    net.check_trees()


def test_with_one_child_each_the_second_viewer_of_a_node_is_fed_by_another_branch() -> None:
    net = Network(LINKS, seed=1, adverts=True, steady=True)
    net.run(2.0)
    net.nodes["a"].handle(Limited(children=1))
    for _ in range(3):
        net.client("a")
        net.settle()
    paths = [[str(each) for each in viewer.path[:-1]] for viewer in net.viewers]
    assert paths[0][-1] == "a"
    assert all("a" not in path for path in paths[1:])
    net.check_trees()


def busy_line(patience: float) -> tuple[Network, list[Viewer], Viewer]:
    """Return a node that has as many viewers as it can feed, one that knows it alone, and no other node."""
    net = Network([("rp", "a")], seed=1, adverts=True, steady=True)
    net.run(2.0)
    net.nodes["rp"].handle(Limited(children=1))
    machines_of(net)
    crowd = [net.client("a") for _ in range(110)]
    net.run(5.0)
    assert len(watching(net)) == 110
    late = net.client("a", patience=patience)
    net.run(3.0)
    assert late.state == "waiting"
    return net, crowd, late


def test_who_knows_only_a_busy_node_waits_until_it_has_room() -> None:
    net, crowd, late = busy_line(patience=30.0)
    for viewer in crowd[:50]:
        viewer.leave()
    net.run(5.0)
    assert late.state == "watching"


def test_he_waits_no_longer_than_he_likes_and_is_told_what_for() -> None:
    net, _, late = busy_line(patience=4.0)
    net.run(4.0)
    assert late.state == "failed"
    assert late.failure is not None
    assert (late.failure.reason, late.failure.passes) == (MissReason.FULL, True)
    assert "processor is busy" in late.failure.text
