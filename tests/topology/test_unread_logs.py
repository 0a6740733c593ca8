"""Nobody reads what the nodes and the server say or write down: everything goes on, and ends."""

import os
import signal
import time

from topology.conftest import Build

SLACK = 1.0
"""Seconds more than a program may take to end, on a busy machine; one that waits for a reader never ends."""


def test_an_overlay_whose_logs_nobody_reads_serves_and_ends(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    pipes: list[int] = []
    for name in ("s1", "rp", "n1"):
        log = topology.directory / f"{name}.log"
        os.mkfifo(log)
        pipes.append(os.open(log, os.O_RDWR | os.O_NONBLOCK))  # so that it can be opened; it is never read
        fill(pipes[-1])
    topology.start_bootstrapper()
    topology.start_server("s1")
    for name in topology.links:
        topology.start_node(name)
    topology.wait_ready()
    clients = [topology.client("n1") for _ in range(3)]
    for client in clients:
        client.wait_for_media(30_000)
    for client in clients:
        client.stop()
    topology.assert_complete(*clients)
    topology.wait_idle()
    for program in (topology.nodes["n1"], topology.nodes["rp"], topology.servers["s1"]):
        assert program.stop(signal.SIGTERM) == 0
    for pipe in pipes:
        os.close(pipe)
    for name in ("s1", "rp", "n1"):
        (topology.directory / f"{name}.log").unlink()
        (topology.directory / f"{name}.log").touch()


def test_a_node_whose_trace_nobody_reads_any_more_takes_viewers_in_and_ends(build: Build) -> None:
    topology = build({"rp": ["n1"], "n1": []}, start=False)
    trace = topology.directory / "trace"
    os.mkfifo(trace)
    reader = os.open(trace, os.O_RDWR | os.O_NONBLOCK)
    topology.start_bootstrapper()
    topology.start_server("s1")
    topology.start_node("rp")
    topology.start_node("n1", "--trace", str(trace))
    topology.wait_ready()
    fill(reader)
    clients = [topology.client("n1") for _ in range(3)]
    for client in clients:
        client.wait_for_media(30_000)
        client.stop()
    topology.assert_complete(*clients)
    asked = time.monotonic()
    assert topology.nodes["n1"].stop(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 1.0 + SLACK
    assert "the end is missing, as nobody reads it" in topology.nodes["n1"].text()
    os.close(reader)


def fill(pipe: int) -> None:
    """Write to a pipe until nothing more goes in."""
    try:
        while True:
            os.write(pipe, bytes(4096))
    except BlockingIOError:
        pass
