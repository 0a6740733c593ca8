"""Links on which an answer takes half a second and more: what fails on them heals as well, only later."""

import pytest

from overlay.sim_world import Link, World
from overlay.simulation import Network

LINKS = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]
NEAR = 0.002
"""Seconds one way on all links but the two that lead to n3."""
ROUND_TRIPS = 5
"""The question, the request, the hello with what it leads to, and the connect where nobody streams yet."""


@pytest.mark.parametrize("one_way", [0.3, 0.55, 0.7])
@pytest.mark.parametrize("spare_streams", [True, False])
def test_a_node_far_away_finds_another_parent_and_misses_nothing(
    one_way: float, spare_streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = World.link

    def link(world: World, one: str, other: str) -> Link:
        found = known(world, one, other)
        found.media_delay = one_way if {one, other} in ({"n1", "n3"}, {"n2", "n3"}) else NEAR
        return found

    monkeypatch.setattr(World, "link", link)  # from the first connection on, which measures them
    net = Network(LINKS, media=True, seed=3, steady=True, records=True)
    viewer = net.client("n3")
    if spare_streams:
        net.client("n2")
    for other in ("n1", "n2", "rp"):
        net.world.cut(viewer.node.name, other)
    net.run(12)
    branch = net.branch("n3")
    assert branch is not None
    viewer.longest_gap = 0.0
    net.kill(str(branch.path[-2]))
    net.run(12)
    assert (viewer.state, viewer.lost()) == ("watching", 0)
    assert viewer.longest_gap < ROUND_TRIPS * 2 * one_way
