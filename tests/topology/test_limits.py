"""`mcast-node --max-children`: who is refused finds another branch, though he knows the full node alone."""

from tools.demo.processes import wait_until
from topology.conftest import Build
from topology.harness import Links, Topology

TWO_BRANCHES: Links = {"rp": ["n1", "n2"], "n1": ["n2"], "n2": []}
ENOUGH = 30_000
"""Bytes: half a second of a content."""


def with_one_place_at_n1(build: Build) -> Topology:
    topology: Topology = build(TWO_BRANCHES, start=False)
    topology.start_bootstrapper()
    topology.start_server("s1")
    topology.start_node("n1", "--max-children", "1")
    for name in ("rp", "n2"):
        topology.start_node(name)
    topology.wait_ready()
    return topology


def test_the_second_viewer_of_a_node_with_one_place_is_fed_by_another_branch(build: Build) -> None:
    topology = with_one_place_at_n1(build)
    first = topology.client("n1", "clip")
    first.wait_for_media()
    second = topology.client("n1", "clip", "--wait", "30")
    second.wait_for_media(ENOUGH)
    assert first.program.wait_for_event("joined").names("path")[-1] == "n1"
    assert "n1" not in second.program.wait_for_event("joined").names("path")
    first.wait_for_media(ENOUGH)
    for client in (first, second):
        client.stop()
    topology.assert_complete(first, second)


def test_who_is_refused_where_nobody_has_room_is_told_why(build: Build) -> None:
    topology: Topology = build({"rp": []}, start=False)
    topology.start_bootstrapper()
    topology.start_server("s1")
    topology.start_node("rp", "--max-children", "1")
    topology.wait_ready()
    first = topology.client("rp", "clip")
    first.wait_for_media()
    second = topology.client("rp", "clip")
    wait_until(lambda: second.program.status is not None, "the end of who is refused")
    assert second.program.status == 4
    assert "(full 1 children, the most that it takes)" in second.program.text()
    first.stop()
