"""Rings of parents, by what nodes tell the bootstrapper."""

import pytest

from tools.demo.event_log import LoggedEvent
from tools.resilience.loops import LASTING, Told, lasting_rings, paths_told, torn_paths


def streams(at: float, *path: str) -> Told:
    return at, LoggedEvent("node_streams", {"node": path[-1], "path": [*path]})


def said(at: float, event: str, **fields: str) -> Told:
    return at, LoggedEvent(event, {**fields})


TREE = [
    streams(1.0, "rp"),
    streams(1.1, "rp", "a"),
    streams(1.2, "rp", "a", "b"),
    streams(1.3, "rp", "a", "b", "c"),
]


def test_a_tree_has_no_rings_and_no_torn_paths() -> None:
    assert lasting_rings(TREE, end=99.0) == []
    assert torn_paths(paths_told(TREE)) == []


@pytest.mark.parametrize("seconds", [LASTING - 0.1, LASTING + 0.1])
def test_a_ring_that_lasts_is_found_though_no_path_holds_a_node_twice(seconds: float) -> None:
    told = [*TREE, streams(2.0, "rp", "c", "a"), streams(2.0 + seconds, "rp", "a")]
    found = lasting_rings(told, end=99.0)
    assert found == ([f"a > c > b > a: a ring for {seconds:.1f} s"] if seconds > LASTING else [])


def test_a_ring_that_is_there_in_the_end_has_lasted_until_then() -> None:
    assert lasting_rings([*TREE, streams(2.0, "rp", "b", "a")], end=9.0) == ["a > b > a: a ring for 7.0 s"]


def test_a_ring_through_a_node_that_has_died_is_none() -> None:
    told = [*TREE, said(2.0, "node_lost", node="b"), streams(2.1, "rp", "c", "a")]
    assert lasting_rings(told, end=99.0) == []


def test_a_bootstrapper_that_was_started_again_knows_nothing_until_it_is_told() -> None:
    told = [*TREE, said(2.0, "layout_read", file="layout.json"), streams(2.1, "rp", "c", "a")]
    assert lasting_rings(told, end=99.0) == []
    assert paths_told(told) == {"a": ("rp", "c", "a")}


def test_a_node_whose_path_is_not_its_parents_is_told() -> None:
    assert torn_paths(paths_told([*TREE, streams(2.0, "rp", "b")])) == [
        "c is fed by rp > a > b > c, but b by rp > b"
    ]
    assert torn_paths(paths_told([*TREE, said(2.0, "node_pruned", node="a")])) == [
        "b is fed by rp > a > b, but a by nobody"
    ]
