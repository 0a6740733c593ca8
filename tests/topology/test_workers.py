"""`mcast-node --workers`: contents in processes of their own, one of which may die."""

import os
import signal

import pytest

from tools.demo.processes import ProgramProcess, wait_until
from topology.conftest import Build
from topology.harness import Client, Topology
from topology.outside import children, exists, udp_sockets

PAIR = {"rp": ["n1"], "n1": []}
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of a content."""


def with_workers(build: Build, *contents: str) -> Topology:
    """Start a rendezvous point and a node behind it, both with two workers."""
    topology = build(PAIR, contents=contents, start=False)
    topology.start_bootstrapper()
    topology.start_server("s1")
    for name in topology.links:
        topology.start_node(name, "--workers", "2")
    topology.wait_ready()
    return topology


def worker_of(node: ProgramProcess, content: str, after: int = 0) -> int:
    """Return which worker a content was given to, behind the first so many events."""
    return node.wait_for_event("content_carried", after=after, content=content).number("worker")


def process_of(node: ProgramProcess, worker: int, after: int = 0) -> int:
    """Return the process that a worker is."""
    return node.wait_for_event("worker_started", after=after, worker=worker).number("pid")


def watched(topology: Topology, *contents: str) -> list[Client]:
    """Watch contents at n1 until all of them flow."""
    clients = [topology.client("n1", content) for content in contents]
    for client in clients:
        client.wait_for_media(MORE)
    return clients


def assert_ends_with_its_workers(*nodes: ProgramProcess) -> None:
    """End nodes by a signal that their workers get, too; fail if that is not in order, or leaves some."""
    for node in nodes:
        workers = children(node.pid)
        assert len(workers) == 2
        for each in workers:
            os.kill(each, signal.SIGTERM)
        assert node.stop(signal.SIGTERM) == 0
        assert not any(map(exists, workers))
        lost = [event for event in node.events.read() if event.name == "worker_lost"]
        assert not lost, "a worker leaves signals to its node"
        assert "Traceback" not in node.text()


def test_six_contents_are_spread_over_two_workers_and_every_byte_arrives(build: Build) -> None:
    topology = with_workers(build, "clip", "other", "short", "still", "tone", "once")
    clients = [topology.client("n1", content) for content in (*topology.contents, "clip")]
    for client in clients:
        client.wait_for_media()
    for node in topology.nodes.values():
        carried = [worker_of(node, content) for content in topology.contents]
        assert sorted(carried) == [1, 1, 1, 2, 2, 2], "whoever asks first"
        assert udp_sockets(process_of(node, 1)) > 3, "each has the sockets of its contents"
    for client in clients:
        if client.content == "once":
            client.finish()
        else:
            client.wait_for_media(20_000)
            client.stop()
    topology.assert_complete(*clients)
    assert_ends_with_its_workers(*topology.nodes.values())


@pytest.mark.parametrize("where", ["n1", "rp"])
def test_a_killed_worker_costs_no_packet_and_the_other_one_s_contents_notice_nothing(
    build: Build, where: str
) -> None:
    topology = with_workers(build, "clip", "other")
    clients = watched(topology, "clip", "other", "clip")
    node = topology.nodes[where]
    dying, said = worker_of(node, "clip"), len(node.events)
    assert worker_of(node, "other") != dying
    os.kill(process_of(node, dying), signal.SIGKILL)
    lost = node.wait_for_event("worker_lost", after=said)
    assert (lost.number("worker"), lost.text("reason"), lost.number("contents")) == (dying, "SIGKILL", 1)
    assert worker_of(node, "clip", after=said) != dying
    process_of(node, dying, after=said)  # it is started again
    for client in clients:
        client.wait_for_media(client.written + MORE)
        assert client.stop()["parent_changes"] == 0
    topology.assert_nothing_missing(*clients)
    topology.assert_complete(*(client for client in clients if client.content == "other"))


def test_contents_wait_while_no_worker_lives_and_no_worker_outlives_its_node(build: Build) -> None:
    topology = with_workers(build, "clip")
    (client,) = watched(topology, "clip")
    node = topology.nodes["n1"]
    said = len(node.events)
    for worker in (1, 2):
        os.kill(process_of(node, worker), signal.SIGKILL)
    again = [process_of(node, worker, after=said) for worker in (1, 2)]
    client.wait_for_media(client.written + MORE)
    client.stop()
    topology.assert_nothing_missing(client)
    node.kill()
    wait_until(lambda: not any(map(exists, again)), "the workers to end")
