"""Several rendezvous points: the first dies and returns, and viewers see nothing of it. Real processes."""

import signal

from topology.conftest import Build
from topology.harness import Client, Topology

LINKS = {"rp": ["n1", "n2"], "rp2": ["n2", "n3"], "n1": ["n2", "n3"], "n2": [], "n3": []}
"""The standby is two links away from the first rendezvous point."""
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of the content."""


def joined(topology: Topology, at: str, *options: str) -> Client:
    client = topology.client(at, None, "--latency", "1000", *options)
    client.wait_for_media()
    assert client.program.wait_for_event("joined").names("path")[0] == "rp"
    return client


def end(topology: Topology, *clients: Client) -> list[str]:
    """End clients that have all that was sent, byte for byte; return where their streams come from."""
    for client in clients:
        client.wait_for_media(client.written + MORE)
    roots = [client.stop()["path"][0] for client in clients]
    topology.assert_nothing_missing(*clients)
    return roots


def changes(topology: Topology) -> int:
    """Return how often nodes have gone on from another parent so far."""
    programs = topology.nodes.values()
    return sum(event.name == "parent_taken" for program in programs for event in program.events.read())


def test_when_the_first_rendezvous_point_is_killed_the_standby_goes_on_and_nothing_is_missing(
    build: Build,
) -> None:
    topology = build(LINKS, standbys=["rp2"], servers=2)
    clients = joined(topology, "n1"), joined(topology, "n3")
    topology.nodes["rp"].kill()
    # Where programs start slowly it may have been "never heard" before.
    topology.nodes["rp2"].wait_for_event("rendezvous_taken", before="rp", cause="lost")
    topology.nodes["rp2"].wait_for_event("serves", content="clip")
    for client in clients:
        client.wait_for_media(client.written + MORE)
    seen = len(topology.nodes["rp2"].events)
    topology.start_node("rp")  # it takes new streams again, and nothing moves
    topology.nodes["rp2"].wait_for_event("rendezvous_given_back", after=seen, to="rp")
    before = changes(topology)
    assert end(topology, *clients) == ["rp2", "rp2"]
    assert changes(topology) == before
    assert len({position.ssrc for position in topology.streams("clip")}) <= 1


def test_a_first_rendezvous_point_that_ends_in_order_is_replaced_while_it_still_feeds(build: Build) -> None:
    topology = build(LINKS, standbys=["rp2"], servers=2)
    clients = joined(topology, "n1", "--latency", "100"), joined(topology, "n3", "--latency", "100")
    topology.nodes["rp"].stop(signal.SIGTERM)
    topology.nodes["rp2"].wait_for_event("rendezvous_taken", before="rp", cause="leaving")
    assert end(topology, *clients) == ["rp2", "rp2"]


def test_a_standby_begins_what_nobody_else_can_give_though_it_hears_the_first(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": ["n2"], "n2": ["rp2"], "rp2": []}, standbys=["rp2"])
    client = joined(topology, "n2")
    # Started side by side, the standby may have served for a moment.
    before = len(topology.nodes["rp2"].events)
    topology.nodes["n1"].kill()
    topology.nodes["rp2"].wait_for_event("serves", content="clip")
    late = topology.client("n2", None)
    late.wait_for_media()
    assert late.stop()["path"][0] == "rp2"
    assert end(topology, client) == ["rp2"]
    assert not [
        each for each in topology.nodes["rp2"].events.read()[before:] if each.name == "rendezvous_taken"
    ]


def test_a_first_rendezvous_point_that_hangs_is_replaced_within_a_second(build: Build) -> None:
    topology = build(LINKS, standbys=["rp2"])
    client = joined(topology, "n3")
    topology.nodes["rp"].send(signal.SIGSTOP)
    try:
        topology.nodes["rp2"].wait_for_event("rendezvous_taken", cause="lost")
        topology.nodes["rp2"].wait_for_event("serves", content="clip")
        assert end(topology, client) == ["rp2"]
    finally:
        topology.nodes["rp"].send(signal.SIGCONT)
