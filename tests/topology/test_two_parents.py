"""Two parents all the time: what fails on one of the two paths costs no packet, at a tenth of a second."""

import pytest

from tools.demo.processes import ProgramProcess
from topology.conftest import Build
from topology.harness import Client, Topology

SQUARE = {"rp": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"], "n3": []}
"""Two ways to n3, which have nothing in common."""
MORE = 60_000
"""Bytes that a client must have written after a failure: about a second of the content."""


def doubled(topology: Topology, *nodes: str) -> None:
    """Start a topology in which these nodes want two parents."""
    topology.start_bootstrapper()
    topology.start_server("s1")
    for name in topology.links:
        topology.start_node(name, *(("--parents", "2") if name in nodes else ()))
    topology.wait_ready()


def doubled_by_the_layout(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a topology in which all nodes want two parents."""
    monkeypatch.setattr(Topology, "keys", {"parents": 2})
    topology.start()


def joined(topology: Topology, at: str, *options: str) -> tuple[Client, str]:
    """Start a client that waits a tenth of a second for a packet; return it and whom it is fed by."""
    client = topology.client(at, None, "--latency", "100", *options)
    client.wait_for_media()
    return client, client.program.wait_for_event("joined").names("path")[1]


def second_of(program: ProgramProcess) -> str:
    """Return who is its second parent, by a path that has no node but the first in common with the other."""
    return program.wait_for_event("second_parent", content="clip", shared=0).text("parent")


def assert_nothing_missed(topology: Topology, client: Client) -> None:
    client.wait_for_media(client.written + MORE)
    client.stop()
    topology.assert_nothing_missing(client)


@pytest.mark.parametrize(
    ("which", "wished_by"),
    [("the first parent", "the node"), ("the second parent", "the node"), ("the first parent", "the layout")],
)
def test_a_relay_that_is_killed_on_either_path_costs_no_packet(
    build: Build, which: str, wished_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = build(SQUARE, start=False)
    if wished_by == "the layout":
        doubled_by_the_layout(topology, monkeypatch)
    else:
        doubled(topology, "n3")
    client, first = joined(topology, "n3")
    second = second_of(topology.nodes["n3"])
    assert {first, second} == {"n1", "n2"}
    client.wait_for_media(client.written + MORE)
    topology.nodes[first if which == "the first parent" else second].kill()
    assert_nothing_missed(topology, client)


def test_a_client_with_two_parents_loses_nothing_with_one_of_them(build: Build) -> None:
    topology = build(SQUARE)
    client, first = joined(topology, "n1", "--neighbour", topology.addresses.of("n2"), "--parents", "2")
    second = second_of(client.program)
    assert second == topology.addresses.of("n2" if first == "n1" else "n1")
    client.wait_for_media(client.written + MORE)
    topology.nodes[first].kill()
    assert_nothing_missed(topology, client)
