"""Around a slow node: which paths are as they should be."""

from tools.demo.event_log import LoggedEvent
from tools.resilience.detours import complaints, paths_of

RING = {"rp": ["n1", "n2"], "n1": ["n3"], "n2": ["n4"], "n3": ["n4", "n5"], "n4": [], "n5": []}


def streams(node: str, *path: str, content: str = "news") -> LoggedEvent:
    return LoggedEvent("node_streams", {"content": content, "node": node, "path": [*path, node]})


def wrong(**paths: str) -> list[str]:
    """Return what is wrong with these paths, where n1 is slow."""
    return [*complaints({name: path.split() for name, path in paths.items()}, RING, "rp", "n1")]


def test_the_last_word_on_each_node_counts() -> None:
    events = [
        streams("n3", "rp", "n1"), streams("n4", "rp", "n2"), streams("n3", "rp", "n2", "n4"),
        streams("n3", "rp", content="films"), LoggedEvent("node_pruned", {"content": "news", "node": "n4"}),
    ]  # fmt: skip
    assert paths_of(events, "news") == {"n3": ["rp", "n2", "n4", "n3"]}


def test_who_could_do_without_the_slow_node_and_does_not_is_named() -> None:
    assert wrong(n3="rp n1 n3", n4="rp n2 n4") == ["n3 is still fed by way of n1: rp > n1 > n3"]
    assert wrong(n3="rp n2 n4 n3", n1="rp n1") == []


def test_who_has_no_other_way_is_as_well_as_can_be() -> None:
    links = {"rp": ["n1"], "n1": ["n2"], "n2": []}
    assert [*complaints({"n2": ["rp", "n1", "n2"]}, links, "rp", "n1")] == []


def test_a_detour_is_named_if_a_viewer_could_feel_it() -> None:
    assert wrong(n4="rp n2 x y n4") == []
    assert wrong(n4="rp n2 x y z n4") == [
        "n4 is fed by a detour: rp > n2 > x > y > z > n4, and 2 hops would do"
    ]
