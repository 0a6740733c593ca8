"""Who is fed by whom, where each has two parents."""

from tools.resilience.ways import relays_above

ROOTS = ("rp",)
PARENTS = {
    "c1": ["n4", "n5"],
    "n4": ["n1", "n2"],
    "n5": ["n3", "n2"],
    "n1": ["rp"],
    "n2": ["rp", "n1"],
    "n3": ["rp"],
}
ALL = {"n1", "n2", "n3", "n4", "n5"}


def relays(**others: list[str]) -> set[str]:
    """Return the relays above c1, where some have other parents."""
    return relays_above(["c1"], ROOTS, (PARENTS | others).__getitem__)


def test_all_relays_on_both_ways_are_found() -> None:
    assert relays() == ALL


def test_there_are_none_while_a_client_has_one_parent() -> None:
    assert relays(c1=["n4"]) == set()


def test_there_are_none_while_a_relay_is_the_only_way() -> None:
    assert relays(n4=["n1"], n5=["n1"]) == set()
    assert relays(n4=["n2"], n5=["n2"], n2=["n1"]) == set()


def test_who_is_fed_by_the_rendezvous_point_needs_no_other_parent() -> None:
    assert relays(n2=["rp"]) == ALL


def test_a_relay_that_both_paths_name_is_no_only_way_where_one_of_the_parents_is_fed_around_it() -> None:
    assert relays(n4=["n5", "n1"], n5=["n1", "n3"]) == {"n1", "n3", "n4", "n5"}, "n5's path leads by n3"
    assert relays(n4=["n5", "n1"], n5=["n1"]) == set()


def test_two_that_are_each_others_second_parent_are_fed_by_their_first_ones() -> None:
    assert relays(n4=["n5", "n1"], n5=["n4", "n3"]) == {"n1", "n3", "n4", "n5"}
    assert relays(n4=["n5"], n5=["n4", "n3"]) == set()


def test_a_node_of_which_nothing_is_known_yet_feeds_nobody() -> None:
    assert relays(n1=[]) == ALL, "n4 is fed by n2"
    assert relays(n1=[], n2=[]) == set()
