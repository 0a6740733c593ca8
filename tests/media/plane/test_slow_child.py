"""A child behind a slow link costs its sibling nothing: real links, real queues."""

from functools import partial
from ipaddress import ip_address

import pytest

from mcast.media.child import ChildState
from media.plane.parts import Pusher, family
from media.plane.streams import train
from topology.netns import Networks

COUNT = 2_500  # datagrams, 1,000 a second: 10.6 Mbit/s


@pytest.mark.netns
@pytest.mark.parametrize("queue", ["50ms", "20s"])  # the link drops what is too much, or lets it pile up
@pytest.mark.parametrize("shares", [False, True], ids=["two-addresses", "one-address"])
def test_child_behind_a_slow_link_costs_its_sibling_nothing(queue: str, shares: bool) -> None:
    link_ip = {"slow": "10.91.1.1", "fast": "10.91.2.1"}
    child_ip = {"slow": "10.91.1.2", "fast": "10.91.2.2"}
    # At one address of the parent they share its socket: then its queue is full for both.
    parent_ip = dict.fromkeys(link_ip, "10.91.0.1") if shares else link_ip
    with Networks() as networks:
        for host in ("parent", "slow", "fast"):
            networks.add(host)
        for host in ("slow", "fast"):
            device, _ = networks.link("parent", f"{link_ip[host]}/24", host, f"{child_ip[host]}/24")
            networks.ip(host, "route", "add", "default", "via", link_ip[host])
            if host == "slow":
                networks.slow_down("parent", device, "2mbit", burst="70kb", queue=queue)
        networks.ip("parent", "address", "add", "10.91.0.1/32", "dev", "lo")
        piles_up = queue == "20s"
        networks.within("parent", lambda: feed_both(networks, parent_ip, child_ip, piles_up=piles_up))


def feed_both(
    networks: Networks, parent_ip: dict[str, str], child_ip: dict[str, str], *, piles_up: bool
) -> None:
    with family() as parent:
        parent.fanout.push(train(0, 20, keys=[0]))
        slow, fast = (
            parent.join(
                local=ip_address(parent_ip[host]),
                peer=ip_address(child_ip[host]),
                within=partial(networks.within, host),
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
