"""Better ways: when a well-fed node moves to another parent, and when it does not."""

from itertools import pairwise
from random import Random

import pytest

from mcast.overlay.actions import NodeParent
from mcast.overlay.better_paths import HOLD_SECONDS, Better, BetterWays, Quality, Told
from mcast.overlay.branch import Branch
from mcast.overlay.events import (
    Advertised,
    Feed,
    HopMeasured,
    LayoutChanged,
    Outdone,
    RoundTripMeasured,
    TimePassed,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.table import State
from mcast.wire.bootstrap import Policy
from overlay.branches import SPARE, asks, events, fed, left, spare_port, told
from overlay.cores import fed_node
from overlay.effort import TIMEOUT, seeds
from overlay.messages import N2, RP
from overlay.sim_life import graph
from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network
from overlay.test_resilience import parent, watching
from tools.resilience.cases import MESH
from tools.resilience.detours import complaints

pytestmark = pytest.mark.timeout(TIMEOUT)

SQUARE = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]
FAR, NEAR, LOSSY = Quality(90.0), Quality(11.0), Quality(11.0, 100)
BETTER = Better(SPARE, FAR, NEAR)
TICK = TimePassed()


class Content:
    may_move = True


def found(ways: BetterWays, now: float, present: Quality, *offers: tuple[Quality, str]) -> list[str]:
    """Return to whom the content should move."""
    named = [(quality, NodeParent(name)) for quality, name in offers]
    better = ways.find({"news": Content()}, lambda _: present, lambda _: named, now)
    return [way.parent.name for way in better.values()]


def trying(branch: Branch) -> Branch:
    """Return a branch that has been fed by both its parent and a better one for a while."""
    branch.on_better(BETTER, 10.0)
    branch.on_port(2, spare_port(), 10.1)
    branch.on_feed(2, Feed.FED, 10.2)
    return branch


# What is clearly better


@pytest.mark.parametrize(
    ("offered", "present", "is_better"),
    [
        (NEAR, FAR, True),
        (NEAR, LOSSY, True),
        (Quality(85.0), FAR, False),  # not by a quarter
        (Quality(2.0), Quality(11.0), False),  # nothing that a viewer feels
        (LOSSY, FAR, False),
        (FAR, FAR, False),
    ],
)
def test_a_way_is_clearly_better_by_a_quarter_and_by_what_a_viewer_feels(
    offered: Quality, present: Quality, is_better: bool
) -> None:
    assert offered.is_clearly_better_than(present) == is_better


def test_a_way_must_have_been_better_for_some_seconds_without_a_break() -> None:
    ways = BetterWays(Random(1))
    for second in range(int(HOLD_SECONDS)):
        assert found(ways, second, FAR, (NEAR, "n2")) == []
    assert found(ways, HOLD_SECONDS, FAR, (NEAR, "n2")) == ["n2"]
    ways = BetterWays(Random(1))
    for second in range(20):
        now_and_then = NEAR if second % 4 else FAR
        assert found(ways, second, FAR, (now_and_then, "n2")) == []


def test_the_best_of_several_is_taken_and_then_nothing_for_half_a_minute() -> None:
    ways = BetterWays(Random(1))
    offers = ((Quality(30.0), "n2"), (NEAR, "n3"))
    moves = [second for second in range(120) if found(ways, second, FAR, *offers) == ["n3"]]
    assert moves[0] == HOLD_SECONDS
    assert len(moves) > 2
    assert all(later - earlier >= 30 for earlier, later in pairwise(moves))


def test_neighbours_are_told_a_change_and_not_each_measurement() -> None:
    told_now = Told().renewed(Quality(40.4, 3))
    assert told_now == Told(40, 0), "three of a thousand are no news"
    assert told_now.renewed(Quality(44.0, 5)) == told_now
    assert told_now.renewed(Quality(52.0, 9)) == Told(52, 9)
    assert told_now.renewed(None) == Told()


# The try


def test_the_parent_of_a_better_way_is_taken_in_addition_and_nobody_is_told() -> None:
    branch = fed(SPARE)
    actions = branch.on_better(BETTER, 10.0)
    assert (asks(actions), told(actions), branch.state) == (["n3"], [], State.PAIRING)


def test_what_proves_better_becomes_the_path_at_once_and_the_former_parent_is_left_later() -> None:
    branch = trying(fed(SPARE))
    actions = branch.on_outdone(1, 12.2, lambda _, upstream: NEAR if upstream == 2 else FAR)
    assert events(actions) == ["better_way", "parent_taken"]
    assert (left(actions), told(actions), branch.state) == ([], [(False, False, False)], State.DOUBLED)
    assert branch.primary == 2
    actions = branch.on_outdone(2, 14.2, lambda *_: None)
    assert (left(actions), branch.primary, branch.state) == ([1], 2, State.FED)


@pytest.mark.parametrize("measured", [FAR, LOSSY, None])
def test_what_does_not_prove_better_is_left_again(measured: Quality | None) -> None:
    branch = trying(fed(SPARE))
    actions = branch.on_outdone(1, 12.2, lambda _, upstream: measured if upstream == 2 else FAR)
    assert (left(actions), told(actions), branch.primary) == ([2], [], 1)


def test_a_path_that_leads_in_a_ring_costs_nothing_as_the_former_parent_is_still_there() -> None:
    branch = trying(fed(SPARE))
    branch.on_outdone(1, 12.2, lambda _, upstream: NEAR if upstream == 2 else FAR)
    actions = branch.on_port(2, spare_port(RP, N2, branch.me, version=2), 12.3)
    assert (left(actions), branch.state, branch.primary) == ([2], State.FED, 1)


def offered_core(**policy: bool) -> NodeCore:
    """Return n1, fed by rp over 90 ms, to which n2 offers a way of 11 ms."""
    core = fed_node()
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(**policy)), 0.4)
    core.handle(RoundTripMeasured("n2", 2.0), 0.4)
    core.branches["news"].on_feed(1, Feed.FED, 0.5)
    core.handle(Advertised("rp", "news", (RP,), fed=True), 0.5)
    core.handle(Advertised("n2", "news", (RP, N2), fed=True, delay_ms=10), 0.5)
    core.handle(HopMeasured(1, 90, 0), 0.5)
    return core


def test_a_node_finds_a_better_way_in_what_its_neighbours_advertise() -> None:
    core = offered_core()
    tried = [action for tick in range(80) for action in core.handle(TICK, 1.0 + tick / 10)]
    assert asks(tried) == ["n2"]
    (upstream,) = set(core.branches["news"].upstreams) - {1}
    core.branches["news"].on_port(upstream, spare_port(RP, N2), 9.1)
    core.branches["news"].on_feed(upstream, Feed.FED, 9.2)
    core.handle(HopMeasured(upstream, 1, 0), 10.0)
    core.handle(Outdone(1), 11.3)
    assert core.branches["news"].path == (RP, N2, core.me)


def test_optimise_false_leaves_each_stream_where_it_is() -> None:
    core = offered_core(optimise=False)
    assert asks(action for tick in range(200) for action in core.handle(TICK, 1.0 + tick / 10)) == []


# Whole overlays


@pytest.mark.parametrize("seed", seeds(2))
def test_a_node_leaves_a_link_that_has_become_slow_and_stays_where_it_went(seed: int) -> None:
    net = watching(SQUARE, "n1", "n2", "n3", seed=seed, optimise=True)
    first = parent(net, "n3")
    net.world.link(first, "n3").media_delay = 0.1
    net.run(20)
    assert parent(net, "n3") != first
    net.run(60)
    assert len(net.said("better_way")) == 1
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    assert max(viewer.longest_gap for viewer in net.viewers) < 0.2
    net.settle(5)
    net.check_trees()


@pytest.mark.parametrize("seed", seeds(2))
def test_a_whole_subtree_goes_around_a_slow_relay_one_level_after_the_other(seed: int) -> None:
    links = [(one, other) for one, others in MESH.items() for other in others]
    net = watching(links, *list(MESH)[1:], seed=seed, optimise=True, most_delay=0.012)
    slow = next(parent(net, name) for name in MESH if name != "rp" and parent(net, name) != "rp")
    for name in net.graph.around(slow):
        net.world.link(slow, name).media_delay += 0.06
    net.run(25)
    paths = {name: [each.name for each in net.nodes[name].core.branches["news"].path] for name in MESH}
    assert [*complaints(paths, MESH, "rp", slow)] == []
    assert sum(viewer.lost() for viewer in net.viewers) == 0


def test_a_node_leaves_a_link_that_loses_much() -> None:
    net = watching(SQUARE, "n1", "n2", "n3", optimise=True)
    first = parent(net, "n3")
    net.world.link(first, "n3").media_loss = 0.1
    net.run(20)
    assert parent(net, "n3") != first


@pytest.mark.parametrize("seed", seeds(1))
def test_nobody_flaps_and_nothing_loops_when_all_links_change(seed: int) -> None:
    random = Random(seed)
    net = Network(graph(random, 16), media=True, seed=seed, optimise=True, most_delay=0.06)
    for _ in range(8):
        net.client(random.choice(sorted(net.nodes)), after=random.uniform(0, 1))
    net.run(4)
    Watchdog(net)
    for one, other in net.graph.links:
        net.world.link(one, other).media_delay = random.uniform(0.001, 0.06)
    net.run(40)
    settled = len(net.said("better_way"))
    net.run(40)
    assert settled > 0, "there was something to gain"
    assert len(net.said("better_way")) - settled <= settled, "and then less and less"
    assert sum(viewer.lost(net.repaired_by) for viewer in net.viewers) == 0
    net.settle(15)
    net.check_trees()
