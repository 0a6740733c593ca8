"""Whatever single node fails, no viewer misses a packet: real processes, judged by the bytes."""

import signal
from typing import Any

import pytest

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
    taken = topology.nodes["n3"].wait_for_event("parent_taken", content="clip")
    report = assert_nothing_missed(topology, client)
    assert report["path"] == ["rp", taken.text("parent"), "n3"]
    assert relay not in report["path"]
