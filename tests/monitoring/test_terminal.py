"""The overlay as lines of text."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from mcast.monitoring import documents
from mcast.monitoring.terminal import Screen
from monitoring.overlays import SCRIPT, MadeUp, Told, layout_of, stream, viewer


def told(overlay: MadeUp) -> Told:
    document: Told = json.loads(json.dumps(documents.overlay(overlay.view())))
    return document


def test_trees_are_drawn_from_the_rendezvous_point_down(overlay: MadeUp) -> None:
    lines = Screen(told(overlay)).lines("news")
    assert lines[:6] == [
        "4 nodes up · 2 servers · 2 contents streaming · 3 viewers",
        "",
        "news   0.00 Mbit/s, 2 viewers, from 10.0.0.1:7000",
        "  rp        0.00 Mbit/s  1.00 ms  0.0 % lost",
        "  └─ n1     0.00 Mbit/s  2.00 ms  0.0 % lost",
        "     └─ n2  0.00 Mbit/s  3.00 ms  0.0 % lost  2 viewers",
    ]
    assert not any(line.startswith(SCRIPT) for line in lines)


def test_delays_by_clocks_stand_behind_where_somebody_tells_them(overlay: MadeUp) -> None:
    viewers = (viewer(1), viewer(2))
    there = stream("news", ("rp", "n1", "n2"), viewers, delay_us=3_500, delays_us=(4_000, 4_250))
    overlay.report("n2", there)
    lines = Screen(told(overlay)).lines("news")
    assert lines[4:6] == [
        "  └─ n1     0.00 Mbit/s  2.00 ms  0.0 % lost",
        "     └─ n2  0.00 Mbit/s  3.00 ms  0.0 % lost  2 viewers  3.50 ms by clocks, 4.25 ms to its viewers",
    ]


def test_contents_that_nobody_watches_are_named_in_short_lines(overlay: MadeUp) -> None:
    assert "NOBODY WATCHES" not in Screen(told(overlay)).lines()
    overlay.list_contents("news", *(f"film {number}" for number in range(100, 130)))
    lines = Screen(told(overlay)).lines()
    at = lines.index("NOBODY WATCHES")
    assert lines[at + 1].startswith("  film 100, film 101, ")
    assert [len(line) <= 102 for line in lines[at + 1 : at + 4]] == [True] * 3
    assert "NOBODY WATCHES" not in Screen(told(overlay)).lines("news")


def test_servers_and_nodes_stand_in_columns(overlay: MadeUp) -> None:
    overlay.leave("n3")
    text = "\n".join(Screen(told(overlay)).lines())
    assert "10.0.0.1:7000  0.40 ms  0.50 ms  0.10 ms     340  news" in text
    assert re.search(r"^  n3 +overlay +down$", text, re.MULTILINE)
    assert "  rp    rendezvous  3.5 %   31 MB" in text
    assert "3 nodes up, 1 down" in text


def test_a_node_that_is_cut_off_says_so(overlay: MadeUp) -> None:
    overlay.report("n1", stream("news", ("rp", "n1"), fed=False))
    assert any("n1" in line and "CUT OFF" in line for line in Screen(told(overlay)).lines())


def test_the_newest_event_comes_first_and_only_those_of_the_content(overlay: MadeUp) -> None:
    events: list[Told] = [
        {"time": "2026-01-01T10:20:30.400Z", "node": "n1", "text": "first", "content": "news"},
        {"time": "2026-01-01T10:20:31.400Z", "node": None, "text": "second", "content": None},
        {"time": "2026-01-01T10:20:32.400Z", "node": "n2", "text": "third", "content": "other"},
    ]
    lines = Screen(told(overlay), events).lines("news")
    assert lines[lines.index("EVENTS") + 1 :] == ["  10:20:31  bootstrap: second", "  10:20:30  n1: first"]


def test_reports_that_make_a_ring_for_a_moment_are_no_endless_drawing() -> None:
    overlay = MadeUp(layout_of({"rp": ["a", "b"], "a": ["b"], "b": []}))
    overlay.report("a", stream("news", ("rp", "b", "a")))
    overlay.report("b", stream("news", ("rp", "a", "b")))
    assert len(Screen(told(overlay)).lines()) < 30


NAMES = [
    "nodes", "contents", "servers", "streams", "name", "content", "path", "parents", "up", "fed", "primary",
    "bit_rate", "serves", "viewers",
]  # fmt: skip
leaves = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=3)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["nodes", "contents", "servers"]), values))
def test_whatever_another_version_tells_is_shown_somehow(document: dict[str, object]) -> None:
    assert Screen(document).lines()[0].endswith(("viewers", "viewer"))
