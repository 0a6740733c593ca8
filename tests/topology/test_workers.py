"""`mcast-node --workers`: contents in processes of their own, one of which may die."""

import os
import signal

import pytest

from helpers import unused_port
from tools.demo.processes import STOP_TIMEOUT, ProgramProcess, wait_until
from topology.conftest import Build
from topology.harness import Client, Links, Topology
from topology.outside import children, exists, udp_ports, udp_sockets

PAIR = {"rp": ["n1"], "n1": []}
DIAMOND = {"rp": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"], "n3": []}
"""Two ways to n3, which have nothing in common."""
MORE = 60_000
"""Bytes that a client must have written after a change: about a second of a content."""
PATIENT = ("--latency", "2000")
"""For viewers of whom nothing depends on how soon a busy machine starts the next worker."""


def with_workers(
    build: Build, links: Links, *contents: str, at: tuple[str, ...], options: tuple[str, ...] = ()
) -> Topology:
    """Start an overlay in which some nodes have two workers."""
    topology: Topology = build(links, contents=contents, start=False)
    topology.start_bootstrapper()
    topology.start_server("s1")
    for name in topology.links:
        topology.start_node(name, *(("--workers", "2") if name in at else ()), *options)
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
    clients = [topology.client("n1", content, *PATIENT) for content in contents]
    for client in clients:
        client.wait_for_media(MORE)
    return clients


def joined(topology: Topology, *options: str) -> tuple[Client, str]:
    """Watch the content at n3 until it flows; return the client, and which node n3 is fed by."""
    client = topology.client("n3", None, *options)
    client.wait_for_media(MORE)
    return client, client.program.wait_for_event("joined").names("path")[1]


def assert_nothing_missed(topology: Topology, client: Client) -> list[str]:
    """Let a client record on, and end it; fail if anything is missing. Return its path at last."""
    client.wait_for_media(client.written + MORE)
    path: list[str] = client.stop()["path"]
    topology.assert_nothing_missing(client)
    return path


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
    low = unused_port(40)
    allowed = range(low, low + 40)
    topology = with_workers(
        build, PAIR, "clip", "other", "short", "still", "tone", "once", at=("rp", "n1"),
        options=("--media-ports", f"{low}-{allowed[-1]}"),
    )  # fmt: skip
    clients = [topology.client("n1", content) for content in (*topology.contents, "clip")]
    for client in clients:
        client.wait_for_media()
    for node in topology.nodes.values():
        carried = [worker_of(node, content) for content in topology.contents]
        assert sorted(carried) == [1, 1, 1, 2, 2, 2], "whoever asks first"
        first = process_of(node, 1)
        wait_until(lambda pid=first: udp_sockets(pid) > 3, "the sockets of its contents")  # type: ignore[misc]
        assert {port for each in (node.pid, *children(node.pid)) for port in udp_ports(each)} <= set(allowed)
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
    topology = with_workers(build, PAIR, "clip", "other", at=(where,))
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
        report = client.stop()
        assert client.content == "clip" or report["parent_changes"] == 0
    topology.assert_nothing_missing(*clients)
    topology.assert_complete(*(client for client in clients if client.content == "other"))


def test_while_no_worker_lives_children_go_on_elsewhere_and_no_worker_outlives_its_node(build: Build) -> None:
    topology = with_workers(build, PAIR, "clip", at=("n1",))
    (client,) = watched(topology, "clip")
    node = topology.nodes["n1"]
    said = len(node.events)
    for worker in (1, 2):
        os.kill(process_of(node, worker), signal.SIGKILL)
    assert node.wait_for_event("cut", after=said, content="clip").text("cause") == "silent"
    assert_nothing_missed(topology, client)
    (another,) = watched(topology, "clip")
    assert assert_nothing_missed(topology, another) == ["rp", "n1"], "by workers that were started again"
    wait_until(lambda: len(children(node.pid)) == 2, "both workers")
    workers = children(node.pid)
    os.kill(node.pid, signal.SIGKILL)  # it alone, unlike node.kill()
    assert node.wait(STOP_TIMEOUT) == -signal.SIGKILL
    wait_until(lambda: not any(map(exists, workers)), "the workers to end")


def test_a_node_whose_worker_freezes_is_gone_around_and_kills_it(build: Build) -> None:
    topology = with_workers(build, DIAMOND, "clip", at=("n1", "n2"))
    client, relay = joined(topology, *PATIENT)
    node = topology.nodes[relay]
    frozen = process_of(node, worker_of(node, "clip"))
    os.kill(frozen, signal.SIGSTOP)
    assert relay not in assert_nothing_missed(topology, client)
    assert node.wait_for_event("worker_lost").text("reason") == "it says nothing any more"
    wait_until(lambda: not exists(frozen), "the worker's end")


def test_a_node_with_workers_hands_its_children_over_before_it_ends(build: Build) -> None:
    topology = with_workers(build, DIAMOND, "clip", at=("n1", "n2"), options=("--gather-ms", "5"))
    client, relay = joined(topology, "--latency", "100")
    assert topology.nodes[relay].stop(signal.SIGTERM) == 0
    assert relay not in assert_nothing_missed(topology, client)


def test_two_parents_go_on_in_another_worker_and_either_is_enough(build: Build) -> None:
    topology = with_workers(build, DIAMOND, "clip", at=("n3",), options=("--parents", "2"))
    client, first = joined(topology, *PATIENT)
    node = topology.nodes["n3"]
    second = node.wait_for_event("second_parent", content="clip").text("parent")
    said = len(node.events)
    os.kill(process_of(node, worker_of(node, "clip")), signal.SIGKILL)
    worker_of(node, "clip", after=said)
    client.wait_for_media(client.written + MORE)
    topology.nodes[first].kill()
    assert assert_nothing_missed(topology, client)[1] == second
