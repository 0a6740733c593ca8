"""The watchdog of simulated overlays: a check that cannot fail proves nothing."""

import pytest

from mcast.overlay.actions import NodeParent
from mcast.overlay.branch_data import UpstreamEntry
from overlay.sim_graph import Graph
from overlay.sim_watchdog import CHANGE_SECONDS, FED_SECONDS, LOOP_SECONDS, PROOF_SECONDS, Watchdog
from overlay.simulation import Network

LINE = [("rp", "n1"), ("n1", "n2")]


def watched(*, offers: bool = False) -> tuple[Network, Watchdog]:
    """Return a line of nodes, at whose end a client watches."""
    net = Network(LINE, media=True, offers=offers)
    net.client("n2")
    net.run(2)
    return net, Watchdog(net)


def take(net: Network, name: str, parent: str) -> None:
    """Let a node have another primary parent, without a word to anybody."""
    branch = net.branch(name)
    assert branch is not None
    branch.upstreams[99], branch.primary = UpstreamEntry(NodeParent(parent), accepted=True), 99
    for watcher in net.watchers:
        watcher(net.nodes[name])


def test_all_is_well_where_all_is_well() -> None:
    net, dog = watched()
    net.run(2)
    assert (dog.loops_seen, dog.longest_loop, dog.copies_per_taker) == (0, 0.0, 1.0)


def test_a_loop_that_lasts_is_found() -> None:
    net, dog = watched()
    take(net, "n1", "n2")
    assert dog.loops_seen == 1
    with pytest.raises(AssertionError, match="a loop since"):
        net.run(LOOP_SECONDS + 0.2)


def test_a_loop_that_is_there_between_two_looks_is_counted_and_no_failure() -> None:
    net, dog = watched()
    before = net.nodes["n1"].core.branches["news"].primary
    take(net, "n1", "n2")
    branch = net.nodes["n1"].core.branches["news"]
    branch.primary = before
    del branch.upstreams[99]
    net.run(1)
    assert dog.loops_seen == 1
    assert dog.longest_loop < 0.1


def test_two_parents_for_longer_than_a_change_are_found() -> None:
    net, _ = watched()
    net.nodes["n2"].core.branches["news"].upstreams[99] = UpstreamEntry(NodeParent("n1"), accepted=True)
    with pytest.raises(AssertionError, match="n2 has two parents"):
        net.run(CHANGE_SECONDS + PROOF_SECONDS + 1)


def test_a_client_that_has_a_way_beyond_the_links_alone_and_is_not_fed_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, _ = watched(offers=True)
    monkeypatch.setattr(net.bootstrapper, "offer", lambda _asker, _content: None)
    net.kill("n1")
    with pytest.raises(AssertionError, match="has a way, and nothing since"):
        net.run(FED_SECONDS + 1)


def test_a_client_that_has_a_way_and_is_not_fed_is_found() -> None:
    net, _ = watched()
    net.viewers[0].node.relays["news"].fanout.viewer = None
    with pytest.raises(AssertionError, match="has a way, and nothing since"):
        net.run(FED_SECONDS + 0.5)


def test_who_had_no_way_for_a_while_is_remembered() -> None:
    net, dog = watched()
    net.run(1)
    at = net.now
    net.kill("n1")
    net.run(1)
    net.start("n1")
    net.run(3)
    assert not dog.had_way("n2", at)
    assert dog.had_way("n2", at - 0.9, at - 0.5)
    assert dog.had_way("n2", at + 2)
    assert not dog.had_way(net.viewers[0].node.name, at)


def test_a_graph_tells_who_is_around_and_who_is_reached() -> None:
    graph = Graph([*LINE, ("n3", "n2"), ("n9", "n8")])
    assert graph.links == [("n1", "rp"), ("n1", "n2"), ("n2", "n3"), ("n8", "n9")]
    assert (graph.around("n2"), graph.around("nobody")) == (["n1", "n3"], [])
    assert graph.reached({"rp"}, lambda _, other: other != "n3") == {"rp", "n1", "n2"}
