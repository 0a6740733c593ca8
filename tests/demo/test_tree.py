"""Trees, read from logs and drawn."""

import io

from tools.demo.tree import TreeView

BOOTSTRAP = """\
08:15:30.125 INFO    [news] rp attached as the root, 1 child (watcher, peer 127.0.0.1:1)
08:15:30.125 INFO    [news] n1 attached below rp, 2 children (watcher)
08:15:30.125 INFO    [news] n3 attached below n1, 1 child (watcher)
08:15:30.125 INFO    [news] n2 attached below rp, 1 child (watcher)
08:15:30.125 INFO    [else] n9 attached below rp, 1 child (watcher)
"""
RENDEZVOUS = "08:15:30.125 INFO    [news] streams from server 127.0.0.1:7000 (follow-news)\n"
CLIENT = "08:15:30.125 INFO    [news] joined by way of rp > n1 > n3 (MainThread, request 12345678)\n"


def view(stream: io.StringIO | None = None) -> TreeView:
    return TreeView(("news", "sport"), "rp", {"127.0.0.1:7000": "s2"}, stream or io.StringIO())


def test_a_tree_is_drawn_from_the_server_to_the_viewers() -> None:
    trees = view()
    trees.read(BOOTSTRAP, RENDEZVOUS, {"c1": (CLIENT, True)})
    rows = [line.rstrip() for line in trees.drawing().splitlines()]
    assert [row[4:30].rstrip() for row in rows] == [
        "news", "s2", "└─ rp", "   ├─ n1", "   │  └─ n3", "   │     └─ c1", "   └─ n2",
    ]  # fmt: skip
    assert rows[1][30:].strip() == "(nobody watches)"


def test_who_has_left_is_not_drawn() -> None:
    trees = view()
    trees.read(BOOTSTRAP + "x [news] n2 pruned (watcher)\n", RENDEZVOUS, {"c1": (CLIENT, False)})
    assert "n2" not in trees.drawing()
    assert "c1" not in trees.drawing()


def test_a_node_that_moved_is_below_its_new_parent() -> None:
    trees = view()
    trees.read(BOOTSTRAP + "x [news] n3 moved: it is below n2 now, it was below n1 (w)\n", RENDEZVOUS, {})
    assert trees.drawing().splitlines()[-1].rstrip() == "          └─ n3"


def test_only_news_are_printed() -> None:
    stream = io.StringIO()
    trees = view(stream)
    assert trees.show(0.0)
    assert not trees.show(1.0)
    trees.read(BOOTSTRAP, RENDEZVOUS, {})
    assert trees.show(2.0)
    assert stream.getvalue().count(" s\n") == 2
    assert "\x1b" not in stream.getvalue()  # it is no terminal
