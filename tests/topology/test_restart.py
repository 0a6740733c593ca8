"""A planned restart of a relay with many children costs nobody a packet, however little they wait for it."""

import contextlib
import signal
import threading
from dataclasses import dataclass, field

from mcast.client import Subscription
from tools.demo.check import Sent, origin_problems
from tools.demo.processes import wait_until
from topology.conftest import Build
from topology.harness import Topology

TWO_WAYS = {"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n3"], "n3": []}
CLIENTS = 19
LATENCY_MS = 100
MORE = 60_000
"""Bytes that each has written after a change: about a second of the content."""


@dataclass
class Viewer:
    """A client of one neighbour, inside this process, and all that it has got."""

    subscription: Subscription
    data: bytearray = field(default_factory=bytearray)

    def watch(self) -> None:
        for chunk in self.subscription:
            self.data += chunk

    def problems(self, sent: Sent) -> list[str]:
        figures = self.subscription.statistics()
        assert figures.first_number is not None
        wrong = [f"{figures.lost_datagrams} lost"] if figures.lost_datagrams else []
        return wrong + origin_problems(bytes(self.data), sent, figures.first_number)


def watch_on(viewers: list[Viewer]) -> None:
    """Wait until everybody has got some more."""
    for viewer in viewers:
        size = len(viewer.data) + MORE
        wait_until(lambda v=viewer, s=size: len(v.data) >= s, f"more for {viewer.subscription}", 60)  # type: ignore[misc]


def test_a_relay_with_twenty_children_is_restarted_and_no_packet_is_missing(build: Build) -> None:
    """Nineteen clients that know no other neighbour, and a node that feeds one."""
    topology = build(TWO_WAYS)
    with contextlib.ExitStack() as stack:
        at = ["n1"] * CLIENTS + ["n3"]
        viewers = [Viewer(stack.enter_context(subscription(topology, name))) for name in at]
        threads = [threading.Thread(target=viewer.watch) for viewer in viewers]
        for thread in threads:
            thread.start()
        watch_on(viewers)
        assert topology.nodes["n1"].stop(signal.SIGTERM) == 0
        topology.start_node("n1")
        watch_on(viewers)
        assert all(viewer.subscription.statistics().parent_changes for viewer in viewers[:CLIENTS])
    for thread in threads:
        thread.join()
    sent = topology.stock.sent("clip")
    assert [problem for viewer in viewers for problem in viewer.problems(sent)] == []


def subscription(topology: Topology, at: str) -> Subscription:
    return Subscription(
        neighbours=[topology.addresses.of(at)], content="clip", latency_ms=LATENCY_MS, give_up=30
    )
