"""A child behind a slow link costs its sibling nothing: real links, real queues."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from mcast.media.child import ChildState
from media.plane.parts import Pusher, family
from media.plane.streams import train
from topology.netns import Networks

CLONE_NEWNET = 0x4000_0000
COUNT = 2_500  # datagrams, 1,000 a second: 10.6 Mbit/s


def inside(namespace: str, action: Callable[[], None]) -> None:
    """Run something in a network namespace: what it opens, and the threads it starts, stay there."""
    failures: list[BaseException] = []

    def body() -> None:
        try:
            enter(namespace)
            action()
        except BaseException as error:  # a failed assertion, too
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    for failure in failures:
        raise failure


def enter(namespace: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    result = libc.setns(descriptor, CLONE_NEWNET)
    os.close(descriptor)
    assert result == 0, os.strerror(ctypes.get_errno())


@pytest.mark.netns
@pytest.mark.parametrize("queue", ["50ms", "20s"])  # the link drops what is too much, or lets it pile up
@pytest.mark.parametrize("shares", [False, True], ids=["two-addresses", "one-address"])
def test_child_behind_a_slow_link_costs_its_sibling_nothing(queue: str, shares: bool) -> None:
    link_ip = {"slow": "10.91.1.1", "fast": "10.91.2.1"}
    child_ip = {"slow": "10.91.1.2", "fast": "10.91.2.2"}
    # At one address of the parent they share its socket: then its queue is full for both.
    parent_ip = dict.fromkeys(link_ip, "10.91.0.1") if shares else link_ip
    with Networks() as networks:
        spaces = {host: f"mt{os.getpid()}-{host}" for host in ("parent", "slow", "fast")}
        for host in spaces:
            networks.add(host)
        for host in ("slow", "fast"):
            device, _ = networks.link("parent", f"{link_ip[host]}/24", host, f"{child_ip[host]}/24")
            networks.ip(host, "route", "add", "default", "via", link_ip[host])
            if host == "slow":
                subprocess.run(
                    [
                        *("tc", "-n", spaces["parent"], "qdisc", "add", "dev", device, "root"),
                        *("tbf", "rate", "2mbit", "burst", "70kb", "latency", queue),
                    ],
                    check=True,
                )
        networks.ip("parent", "address", "add", "10.91.0.1/32", "dev", "lo")
        piles_up = queue == "20s"
        inside(spaces["parent"], lambda: feed_both(spaces, parent_ip, child_ip, piles_up=piles_up))


def feed_both(
    spaces: dict[str, str], parent_ip: dict[str, str], child_ip: dict[str, str], *, piles_up: bool
) -> None:
    with family() as parent:
        parent.fanout.push(train(0, 20, keys=[0]))
        slow, fast = (
            parent.join(
                local=ip_address(parent_ip[host]),
                peer=ip_address(child_ip[host]),
                within=lambda action, host=host: inside(spaces[host], action),  # type: ignore[misc]
            )
            for host in ("slow", "fast")
        )
        parent.wait_live()
        Pusher(parent.fanout, [train(first, 20) for first in range(20, COUNT, 20)]).join()
        parent.wait_next(COUNT, fast)
        assert fast.numbers() == list(range(COUNT))
        assert parent.child(fast).stalls == 0
        was_full = parent.fanout.counters["common_socket_full"] > 0
        assert was_full is (piles_up and parent_ip["slow"] == parent_ip["fast"])
        snapshot = parent.child(slow)
        assert (snapshot.stalls > 0) is piles_up
        assert slow.next < COUNT or slow.lost > COUNT // 2
        if piles_up:  # it lags behind by itself, and by no more than the history bounds
            assert snapshot.state is ChildState.CATCHING_UP
            assert snapshot.cursor < COUNT
