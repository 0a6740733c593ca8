"""A node that is the only way for many others ends: they are near to each other, and none of them has a way.

rp --- gate --- n1, n2, n3 ...   on one network
 '---- other
"""

from itertools import combinations

import pytest

from mcast.overlay.beyond import MAX_ASKED
from mcast.roles.bootstrap.bootstrapper import SILENT
from mcast.wire.bootstrap import MAX_OFFERED
from overlay.effort import TIMEOUT, seeds
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

NEAR, FAR = 0.001, 0.01
"""Seconds that a message takes between those behind the gate, and to all others."""


def behind_a_gate(count: int, seed: int) -> Network:
    """Return a network in which a viewer watches at each of so many nodes."""
    names = [f"n{number}" for number in range(1, count + 1)]
    links = [("rp", "gate"), ("rp", "other"), *(("gate", name) for name in names)]
    net = Network(links, media=True, records=True, seed=seed, offers=True, steady=True)
    for one, other in combinations([*names, "gate"], 2):
        net.world.link(one, other).media_delay = NEAR
    for name in names:
        net.world.link(name, "rp").media_delay = net.world.link(name, "other").media_delay = FAR
        net.client(name)
    net.run(5)
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    return net


def fail(net: Network, how: str) -> None:
    if how == "ends":
        net.nodes["gate"].stop()
    elif how == "killed":
        net.kill("gate")
    else:
        net.freeze("gate")


@pytest.mark.parametrize("count", [3, MAX_ASKED + 2, MAX_OFFERED + 4])
@pytest.mark.parametrize(("how", "most_gap"), [("ends", 0.1), ("killed", 0.3), ("frozen", 0.5)])
def test_however_a_gate_ends_and_however_many_are_behind_it_none_of_them_misses_anything(
    how: str, most_gap: float, count: int
) -> None:
    for seed in seeds(1):
        net = behind_a_gate(count, seed)
        fail(net, how)
        net.run(2)
        unharmed(net, most_gap)


@pytest.mark.parametrize(("how", "most_gap"), [("ends", 0.1), ("killed", 0.5), ("frozen", 1.0)])
def test_where_they_cannot_reach_a_rendezvous_point_they_soon_ask_somebody_who_can(
    how: str, most_gap: float
) -> None:
    for seed in seeds(1):
        net = behind_a_gate(MAX_OFFERED + 4, seed)
        for viewer in net.viewers:
            (name,) = viewer.neighbours
            net.world.cut(name, "rp")
        fail(net, how)
        net.run(2)
        unharmed(net, most_gap)
        assert {fields["parent"] for _, _, fields in net.said("link_beyond_file")} >= {"other"}


def test_that_the_bootstrapper_finds_out_only_after_seconds_disturbs_nobody_nor_does_the_return() -> None:
    net = behind_a_gate(3, 1)
    fail(net, "frozen")
    net.run(SILENT + 2)
    unharmed(net, 0.5)
    net.thaw("gate")
    net.run(5)
    unharmed(net, 0.5)
    net.settle(5)
    net.check_trees()


def unharmed(net: Network, most_gap: float) -> None:
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    assert max(viewer.longest_gap for viewer in net.viewers) < most_gap
    assert max(net.now - (viewer.media_at or 0.0) for viewer in net.viewers) < 0.1, "it comes still"
