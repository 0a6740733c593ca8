"""Trees, read from events and drawn."""

import io

from tools.demo.event_log import JsonValue, LoggedEvent
from tools.demo.tree import TreeView


def event(name: str, content: str = "news", **fields: JsonValue) -> LoggedEvent:
    return LoggedEvent(name, {"content": content, **fields})


def streams(*path: str, content: str = "news") -> LoggedEvent:
    return event("node_streams", content, node=path[-1], path=[*path], children=["x"], fed=True)


BOOTSTRAP = [
    event("node_registered", node="rp"),
    streams("rp"),
    streams("rp", "n1"),
    streams("rp", "n1", "n3"),
    streams("rp", "n2"),
    streams("rp", "n9", content="else"),
]
RENDEZVOUS = [event("serves", server="127.0.0.1:7000")]
CLIENT = [event("joined", path=["rp", "n1", "n3"], request="12345678")]


def view(stream: io.StringIO | None = None) -> TreeView:
    return TreeView(("news", "sport"), "rp", {"127.0.0.1:7000": "s2"}, stream or io.StringIO())


def test_a_tree_is_drawn_from_the_server_to_the_viewers() -> None:
    trees = view()
    trees.read(BOOTSTRAP, RENDEZVOUS, {"c1": CLIENT})
    rows = [line.rstrip() for line in trees.drawing().splitlines()]
    assert [row[4:30].rstrip() for row in rows] == [
        "news", "s2", "└─ rp", "   ├─ n1", "   │  └─ n3", "   │     └─ c1", "   └─ n2",
    ]  # fmt: skip
    assert rows[1][30:].strip() == "(nobody watches)"


def test_who_has_left_is_not_drawn() -> None:
    trees = view()
    trees.read([*BOOTSTRAP, event("node_pruned", node="n2")], RENDEZVOUS, {})
    assert "n2" not in trees.drawing()
    assert "c1" not in trees.drawing()


def test_a_node_that_moved_is_below_its_new_parent() -> None:
    trees = view()
    trees.read([*BOOTSTRAP, streams("rp", "n2", "n3")], RENDEZVOUS, {})
    assert trees.drawing().splitlines()[-1].rstrip() == "          └─ n3"


def test_a_tree_is_printed_anew_only_when_it_has_changed() -> None:
    stream = io.StringIO()
    trees = view(stream)
    assert trees.show(0.0)
    assert not trees.show(1.0)
    trees.read(BOOTSTRAP, RENDEZVOUS, {})
    assert trees.show(2.0)
    assert stream.getvalue().count(" s\n") == 2
    assert "\x1b" not in stream.getvalue()  # it is no terminal
