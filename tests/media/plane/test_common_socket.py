"""One call sends to more children than a socket's buffer holds, over a device that takes packets one by one.

On the loopback alone nothing waits in a socket that has sent it, so here its queue is a shaper's.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address

import pytest

from helpers import wait_until
from mcast.media.child import Child
from mcast.media.children import Children
from mcast.media.history import History
from mcast.media.token_bucket import TokenBucket
from mcast.net import buffer_limits, multisend
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender, count_unsent, enable_merging, open_udp, receive, share_port
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.train import Train
from media.plane.streams import SSRC, datagram, push, train
from topology.netns import Networks

HERE = ip_address("127.0.0.1")
PLENTY = TokenBucket(1e12, 1e12, 0.0)
TRAINS, LENGTH = 12, 6  # 10 ms of 5 Mbit/s each


class CountedSender(TrainSender):
    """A child's own socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.sends = 0

    def send(self, item: Train) -> int:
        self.sends += 1
        return super().send(item)


class Crowd:
    """Live children with real sockets, who share one."""

    def __init__(self, stack: ExitStack, count: int) -> None:
        self.log = RateLimitedLog(logging.getLogger(__name__))
        self.children = Children("news", History(0), self.log)
        self.common = stack.enter_context(open_udp(HERE))
        share_port(self.common)
        self.sinks = [stack.enter_context(open_udp(HERE)) for _ in range(count)]
        self.own: list[CountedSender] = []
        for number, sink in enumerate(self.sinks):
            enable_merging(sink)
            own = stack.enter_context(open_udp(HERE, self.common.getsockname()[1], shared=True))
            own.connect(sink.getsockname())
            self.own.append(CountedSender(own))
            self._join(number)

    def _join(self, number: int) -> None:
        child = Child(
            key=number, identity=f"c{number}", token=number.to_bytes(16, "big"), local_ip=HERE, peer_ip=HERE,
            start=Start.KEYFRAME, resume=Position(SSRC, 0), lease_until=1e9, pace=TokenBucket(1e9, 1e9, 0.0),
        )  # fmt: skip
        self.children.add(child)
        self.children.equip(child, self.own[number], self.common)
        self.children.move(child, self.sinks[number].getsockname())
        self.children.start(child, 0.0)
        self.children.feed(PLENTY, 0.0)

    def push(self, item: Train) -> None:
        """Push a train, and wait until the device has taken it for all."""
        push(self.children, item, item.first / 1000)
        sockets = (self.common, *(own.sock for own in self.own))
        wait_until(lambda: not any(count_unsent(sock) for sock in sockets), "nothing waits any more")

    def received(self, sink: socket.socket, size: int) -> bytes:
        """Return what has come."""
        sink.settimeout(10)
        data = b""
        while len(data) < size:
            data += receive(sink).data
        return data


@pytest.fixture
def limits_are_told_anew() -> Iterator[None]:
    buffer_limits._warn.cache_clear()
    yield
    buffer_limits._warn.cache_clear()


def grant_as_by_default(sock: socket.socket, size: int) -> int:
    """Do as a kernel whose limit nobody has raised does for who may not administer the network."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, min(size, 212_992))
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def on_a_card(test: Callable[[ExitStack], None]) -> None:
    """Run a test where the loopback is as slow as a network card of 50 Mbit/s.

    No faster: a machine that stops the sender for some milliseconds must not find the queue sent meanwhile.
    """
    with Networks() as networks, ExitStack() as stack:
        networks.add("relay")
        networks.slow_down("relay", "lo", "50mbit", burst="70kb", queue="1s")
        networks.within("relay", partial(test, stack))


@pytest.mark.netns
def test_the_common_socket_gets_room_for_a_train_to_each_of_sixty_children() -> None:
    def test(stack: ExitStack) -> None:
        crowd = Crowd(stack, 60)
        trains = [train(first, LENGTH) for first in range(0, TRAINS * LENGTH, LENGTH)]
        for item in trains:
            crowd.push(item)
        assert crowd.log.counters["common_socket_full"] == 1, "of the first train some left by their own"
        assert sum(own.sends for own in crowd.own) < len(crowd.own)
        assert not any(child.stalls for child in crowd.children.children())
        whole = b"".join(item.data for item in trains)
        assert all(crowd.received(sink, len(whole)) == whole for sink in crowd.sinks)

    on_a_card(test)


def test_a_train_of_more_datagrams_than_one_send_carries_goes_to_all_together() -> None:
    """A network card merges up to 64 that are small; on the loopback as many as one send has carried."""
    with ExitStack() as stack:
        crowd, count, packets = Crowd(stack, 3), 64, 4
        for first in range(0, 2 * count, count):
            small = [datagram(first + number, packets=packets) for number in range(count)]
            crowd.push(Train(first, len(small[0]), b"".join(small)))
            assert all(crowd.received(sink, count * len(small[0])) == b"".join(small) for sink in crowd.sinks)
        assert [own.sends for own in crowd.own] == [0, 0, 0]
        assert not crowd.log.counters["common_socket_full"]
        assert {child.cursor for child in crowd.children.children()} == {2 * count}


@pytest.mark.netns
@pytest.mark.usefixtures("limits_are_told_anew")
def test_where_the_system_grants_less_it_takes_what_it_can_of_each_train_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def test(stack: ExitStack) -> None:
        crowd = Crowd(stack, 120)
        trains = [train(first, LENGTH) for first in range(0, TRAINS * LENGTH, LENGTH)]
        for item in trains:
            crowd.push(item)
        assert crowd.log.counters["common_socket_full"] == TRAINS
        assert [own.sends for own in crowd.own[:20]] == [0] * 20
        assert not any(child.stalls for child in crowd.children.children())
        whole = b"".join(item.data for item in trains)
        assert all(crowd.received(sink, len(whole)) == whole for sink in crowd.sinks)

    monkeypatch.setattr(multisend, "request_send_buffer", grant_as_by_default)
    on_a_card(test)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "sysctl -w net.core.wmem_max=" in told[0]
