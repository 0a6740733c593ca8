"""A tree of the overlay over the links: who carries how many copies, and what unicast would cost."""

from tools.experiments.addresses import load_addresses
from tools.experiments.branches import Branches, copies
from tools.experiments.routes import Routes
from tools.lab.counters import Flow
from tools.lab.topology import Scenario

PATHS = {"c1": ["rp", "n1", "n3"], "c2": ["rp", "n1", "n3"], "c3": ["rp", "n1", "n3", "n4"]}


def branches_of(scenario: Scenario) -> Branches:
    return Branches(Routes(scenario), load_addresses(scenario.name))


def test_each_overlay_link_is_one_branch_however_many_watch_behind_it(big: Scenario) -> None:
    tree = branches_of(big).tree("earth", "s1", PATHS)
    pairs = [(branch.parent, branch.child) for branch in tree]
    assert pairs == [
        ("s1", "rp"), ("rp", "n1"), ("n1", "n3"), ("n3", "c1"), ("n3", "c2"), ("n3", "n4"), ("n4", "c3"),
    ]  # fmt: skip


def test_media_takes_the_cable_between_two_neighbours(big: Scenario) -> None:
    tree = {(b.parent, b.child): b for b in branches_of(big).tree("earth", "s1", PATHS)}
    assert [flow.receiver for flow in tree["n1", "n3"].flows] == ["r4", "n3"]
    assert tree["n3", "n4"].flows == (Flow("n3-n4", "n3", "n4"),)


def test_a_link_to_two_clients_behind_a_router_carries_two_copies(big: Scenario) -> None:
    expected = copies(branches_of(big).tree("earth", "s1", PATHS))
    assert expected[Flow("r2-n3", "n3", "r2")] == 2
    assert expected[Flow("s1-r1", "s1", "r1")] == 1


def test_unicast_sends_to_each_client_from_the_server_on(big: Scenario) -> None:
    unicast = branches_of(big).unicast("s1", ("c1", "c2", "c3", "c4"))
    assert unicast[Flow("s1-r1", "s1", "r1")] == 4
    assert unicast[Flow("n1-n2", "n1", "n2")] == 2
    assert sum(unicast.values()) == 36


def test_a_tree_of_the_small_scenario_leads_from_the_server_to_the_client(simple: Scenario) -> None:
    tree = branches_of(simple).tree("moon", "s2", {"c2": ["rp", "n2"]})
    assert [flow.receiver for flow in tree[0].flows] == ["sw6", "r1", "rp"]
    assert [flow.receiver for flow in tree[-1].flows] == ["sw3", "c2"]
