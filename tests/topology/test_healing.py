"""Whatever single node fails, no viewer misses a packet: real processes, judged by the bytes."""

import json
import signal
from pathlib import Path
from typing import Any

from tools.demo.processes import wait_until
from topology.conftest import Build
from topology.harness import Client, Topology

DIAMOND = {"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n3"], "n3": []}
"""Two ways to n3, and a link between them."""
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of the content."""


def joined(topology: Topology, *options: str, at: str = "n3") -> tuple[Client, list[str]]:
    """Start a client, wait until it records; return it and the names of the nodes on its path."""
    client = topology.client(at, None, *options)
    client.wait_for_media()
    return client, client.program.wait_for_event("joined").names("path")


def next_of(path: list[str], relay: str) -> str:
    """Return who is fed by a relay: the node that has to find another parent when that fails."""
    return path[path.index(relay) + 1]


def knows_further_neighbours(trace: Path) -> bool:
    """Tell whether a client has been told by its parent whom else it may ask."""
    *whole, _ = trace.read_text().split("\n")
    told = [json.loads(line)["event"] for line in whole[1:]]
    return any(event["port"]["further"] for event in told if event["type"] == "Accepted")


def assert_nothing_missed(topology: Topology, client: Client) -> dict[str, Any]:
    """Let a client record on, and end it: its recording is, byte for byte, a piece of what was sent."""
    client.wait_for_media(client.written + MORE)
    report = client.stop()
    topology.assert_nothing_missing(client)
    return report


def test_a_killed_relay_is_gone_around_and_no_packet_is_missing(build: Build) -> None:
    topology = build(DIAMOND)
    client, path = joined(topology)
    relay = path[1]
    topology.nodes[relay].kill()
    child = next_of(path, relay)
    taken = topology.nodes[child].wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert report["path"][0] == "rp"
    assert report["path"][report["path"].index(child) - 1] == taken.text("parent")
    assert relay not in report["path"]


def test_without_a_bootstrapper_streams_and_repairs_go_on_and_nodes_come_back_by_themselves(
    build: Build,
) -> None:
    topology = build(DIAMOND)
    client, path = joined(topology)
    bootstrapper = topology.bootstrapper
    assert bootstrapper is not None
    bootstrapper.kill()
    for name in topology.links:
        topology.nodes[name].wait_for_event("bootstrapper_lost")
    topology.nodes[path[1]].kill()
    topology.nodes[next_of(path, path[1])].wait_for_event("parent_taken", content="clip")
    again = topology.start_bootstrapper()
    for name in set(topology.links) - {path[1]}:
        again.wait_for_event("node_registered", node=name)
    assert_nothing_missed(topology, client)


def test_a_client_goes_on_at_its_other_neighbour_when_its_own_is_killed(build: Build) -> None:
    topology = build(DIAMOND)
    client, path = joined(topology, "--neighbour", topology.addresses.of("n2"), at="n1")
    topology.nodes[path[-1]].kill()
    client.program.wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert report["parent_changes"] == 1
    assert path[-1] not in report["path"]


def test_a_client_with_one_neighbour_goes_on_at_one_that_its_parent_has_named(build: Build) -> None:
    topology = build(DIAMOND)
    trace = topology.directory / "client.trace"
    client, path = joined(topology, "--trace", str(trace))
    assert path[-1] == "n3"
    wait_until(lambda: knows_further_neighbours(trace), "the neighbours of n3")
    topology.nodes["n3"].kill()
    client.program.wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert report["parent_changes"] == 1
    assert report["path"][-1] in ("n1", "n2")


def test_a_relay_that_is_ended_in_order_costs_no_packet_at_a_tenth_of_a_second(build: Build) -> None:
    topology = build(DIAMOND)
    client, path = joined(topology, "--latency", "100")
    assert topology.nodes[path[1]].stop(signal.SIGTERM) == 0
    topology.nodes[next_of(path, path[1])].wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert path[1] not in report["path"]


def test_a_frozen_relay_is_gone_around_and_no_packet_is_missing(build: Build) -> None:
    topology = build(DIAMOND)
    client, path = joined(topology)
    topology.nodes[path[1]].send(signal.SIGSTOP)
    topology.nodes[next_of(path, path[1])].wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert path[1] not in report["path"]
    topology.nodes[path[1]].send(signal.SIGCONT)


def test_a_client_goes_on_elsewhere_when_its_neighbour_freezes(build: Build) -> None:
    topology = build(DIAMOND)
    trace = topology.directory / "client.trace"
    client, path = joined(topology, "--trace", str(trace))
    assert path[-1] == "n3"
    wait_until(lambda: knows_further_neighbours(trace), "the neighbours of n3")
    topology.nodes["n3"].send(signal.SIGSTOP)
    client.program.wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert report["path"][-1] in ("n1", "n2")
    topology.nodes["n3"].send(signal.SIGCONT)


def two_servers(build: Build) -> tuple[Topology, Client, str]:
    """Watch what one of two servers with the same content sends; return also which one it is."""
    topology = build({"rp": ["n1"], "n1": []}, servers=2)
    for name in topology.servers:
        topology.nodes["rp"].wait_for_event("server_listed", server=topology.addresses.of(name))
    client, _ = joined(topology, at="n1")
    address = topology.nodes["rp"].wait_for_event("serves", content="clip").text("server")
    (active,) = (name for name in topology.servers if topology.addresses.of(name) == address)
    return topology, client, active


def test_another_server_goes_on_where_a_killed_one_has_stopped(build: Build) -> None:
    topology, client, active = two_servers(build)
    topology.servers[active].kill()
    failover = topology.nodes["rp"].wait_for_event("server_failover", content="clip")
    assert failover.text("server") == topology.addresses.of(active) != failover.text("to")
    topology.nodes["rp"].wait_for_event("parent_taken", content="clip")
    assert_nothing_missed(topology, client)


def test_another_server_goes_on_where_one_hangs(build: Build) -> None:
    topology, client, active = two_servers(build)
    topology.servers[active].send(signal.SIGSTOP)
    try:
        topology.nodes["rp"].wait_for_event("parent_taken", content="clip")
        assert_nothing_missed(topology, client)
    finally:
        topology.servers[active].send(signal.SIGCONT)


LIVE = """
[[content]]
name = "live"
source = "testsrc2=size=320x180:rate=25"
format = "lavfi"
"""


def test_a_live_content_goes_on_at_another_server_and_its_viewers_stay(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, servers=2, start=False)
    topology.start_bootstrapper()
    for name in topology.links:
        topology.start_node(name)
    config = topology.directory / "live.toml"
    config.write_text(LIVE)
    for name in topology.server_names:
        topology.start_configured_server(name, config)
        topology.nodes["rp"].wait_for_event("server_listed", server=topology.addresses.of(name))
    wait_until(lambda: topology.finds("n1", "live"), "the live content")
    client = topology.client("n1", "live")
    client.wait_for_media(MORE)
    address = topology.nodes["rp"].wait_for_event("serves", content="live").text("server")
    (active,) = (name for name in topology.servers if topology.addresses.of(name) == address)
    topology.servers[active].kill()
    client.program.wait_for_event("begun_anew", content="live")
    client.wait_for_media(client.written + MORE)
    report = client.stop()
    assert (report["discontinuities"], report["lost_datagrams"], report["continuity_errors"]) == (1, 0, 0)
