"""The kernel need not ask whether a peer that is heard of still has its address: each question may be lost.

ARP, RFC 826.
"""

import json
import socket
import subprocess
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from helpers import Recorder, wait_until
from mcast.media.receiver import Receiver
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.udp import open_udp
from media.plane.parts import PATIENT, Family, family
from media.plane.streams import train
from topology.netns import Networks

PARENT, SILENT = ip_address("10.92.1.1"), ip_address("10.92.1.9")  # both of the parent's host
CHILD, STRANGER = ip_address("10.92.1.2"), ip_address("10.92.1.10")  # both of the child's


class Link:
    """Two hosts that know each other's addresses, soon doubt them, and get no answer from then on."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        networks.add("parent")
        networks.add("child")
        ends = networks.link("parent", f"{PARENT}/24", "child", f"{CHILD}/24")
        self._devices = dict(zip(("parent", "child"), ends, strict=True))
        for host, other in (("parent", SILENT), ("child", STRANGER)):
            device = self._devices[host]
            networks.ip(host, "address", "add", f"{other}/24", "dev", device)
            for name, value in (  # by default 30 s, 5 s, and 1 s three times
                ("base_reachable_time_ms", 1000), ("delay_first_probe_time", 3), ("retrans_time_ms", 100),
            ):  # fmt: skip
                self._set(host, f"neigh/{device}/{name}", value)

    def answer_no_more(self) -> None:
        """Let neither host tell the other any address, as if all questions were lost."""
        for host, device in self._devices.items():
            self._set(host, f"conf/{device}/arp_ignore", 8)

    def state(self, host: str, address: object) -> str:
        """Return what a host's kernel thinks of a neighbour (ip-neighbour(8))."""
        command = self._networks.inside(host, "ip", "-json", "neighbour", "show", "to", str(address))
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout or "[]")
        return " ".join(told[0]["state"]) if told else "NONE"

    def _set(self, host: str, name: str, value: int) -> None:
        def write() -> None:
            Path("/proc/sys/net/ipv4", name).write_text(f"{value}\n")

        self._networks.within(host, write)


def greet_a_silent_parent(stack: ExitStack, networks: Networks, parent: Family) -> None:
    """Let a child say hello to a parent that never says anything."""
    sock = stack.enter_context(open_udp(SILENT))
    receiver = Receiver(
        "news", parent.fanout.position, "me", Recorder(), Recorder(), parent.crash, timing=PATIENT
    )

    def connect() -> None:
        own, _ = open_media_socket(CHILD, MediaPorts())
        connect_media_socket(own, SILENT, sock.getsockname()[1])
        receiver.add_parent(0, own, b"t" * 16, parent.fanout.position)

    networks.within("child", connect)
    receiver.start()
    stack.callback(receiver.stop)


def ask(stranger: socket.socket) -> None:
    """Say something, as any program does that does not know whether it is heard."""
    with suppress(OSError):  # as long as the host is reached it refuses
        stranger.send(b"?")


@pytest.mark.netns
def test_a_stream_does_not_wait_for_answers_about_addresses_that_its_datagrams_have_given() -> None:
    with Networks() as networks:
        networks.within("parent", partial(stream_on, networks, Link(networks)))


def stream_on(networks: Networks, link: Link) -> None:
    with ExitStack() as stack:
        parent = stack.enter_context(family(timing=PATIENT))
        within = partial(networks.within, "child")
        child = parent.join(local=PARENT, peer=CHILD, within=within, repair=True)
        greet_a_silent_parent(stack, networks, parent)
        stranger = stack.enter_context(open_udp(PARENT))
        stranger.connect((str(STRANGER), 9))
        ask(stranger)
        parent.fanout.push(train(0, 20, keys=[0]))
        parent.wait_next(20, child)
        for host, address in (("parent", STRANGER), ("child", SILENT)):
            wait_until(lambda: link.state(host, address) in ("REACHABLE", "STALE", "DELAY"), "it is known")  # noqa: B023
        link.answer_no_more()

        # Whoever is not heard of is asked for, and lost: the kernel has had time enough to lose us, too.
        numbers = iter(range(20, 1_000_000))

        def goes_on(host: str, address: object) -> bool:
            parent.fanout.push(train(next(numbers), 1))
            ask(stranger)
            return link.state(host, address) in ("FAILED", "INCOMPLETE")

        wait_until(lambda: goes_on("parent", STRANGER), "the stranger's address is lost")
        wait_until(lambda: goes_on("child", SILENT), "the silent parent's address is lost")
        wait_until(lambda: link.state("parent", CHILD) == "REACHABLE", "the child's is known")
        wait_until(lambda: link.state("child", PARENT) == "REACHABLE", "the parent's is known")
        last = next(numbers)
        parent.fanout.push(train(last, 1))
        parent.wait_next(last + 1, child)
        assert child.lost == 0
