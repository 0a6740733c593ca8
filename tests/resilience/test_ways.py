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


def test_all_relays_on_both_ways_are_found() -> None:
    assert relays_above(["c1"], ROOTS, PARENTS.__getitem__) == {"n1", "n2", "n3", "n4", "n5"}


def test_there_are_none_while_a_client_has_one_parent() -> None:
    assert relays_above(["c1"], ROOTS, (PARENTS | {"c1": ["n4"]}).__getitem__) == set()


def test_there_are_none_while_a_relay_in_the_middle_has_one_parent() -> None:
    assert relays_above(["c1"], ROOTS, (PARENTS | {"n5": ["n3"]}).__getitem__) == set()


def test_who_is_fed_by_the_rendezvous_point_needs_no_other_parent() -> None:
    assert relays_above(["c1"], ROOTS, (PARENTS | {"n2": ["rp"]}).__getitem__) == {
        "n1",
        "n2",
        "n3",
        "n4",
        "n5",
    }


def test_who_feeds_others_by_their_second_way_alone_needs_no_other_parent() -> None:
    behind = PARENTS | {"n5": ["n6", "n3"], "n6": ["n7"], "n7": ["n2"]}  # the first parent stands last
    assert relays_above(["c1"], ROOTS, behind.__getitem__) == {"n1", "n2", "n3", "n4", "n5", "n6", "n7"}
    assert relays_above(["c1"], ROOTS, (behind | {"n6": []}).__getitem__) == set()


def test_a_node_of_which_nothing_is_known_yet_is_waited_for() -> None:
    assert relays_above(["c1"], ROOTS, (PARENTS | {"n2": []}).__getitem__) == set()
