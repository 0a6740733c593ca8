"""One train to many addresses with one call."""

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from mcast.net import multisend
from mcast.net.multisend import MAX_MESSAGES, MAX_SEND_BUFFER, MultiSender, is_available
from mcast.net.udp import DATAGRAM_COST, enable_merging, receive
from mcast.wire.train import MAX_TRAIN_DATAGRAMS, Train

pytestmark = pytest.mark.skipif(
    not is_available and "CI" not in os.environ, reason="this system has no sendmmsg"
)

SIZE = 1_328


def train(count: int, *, last: int = SIZE) -> Train:
    data = b"".join(bytes([number]) * SIZE for number in range(count - 1)) + b"\xff" * last
    return Train(7, SIZE, data)


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def sockets(host: str, count: int) -> Iterator[list[socket.socket]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(count)]
        for sock in opened:
            sock.bind((host, 0))
            sock.settimeout(5.0)
        yield opened


def came(sock: socket.socket, size: int) -> bytes:
    """Return what has come, whether the kernel has merged it or not."""
    data = b""
    while len(data) < size:
        data += receive(sock).data
    return data


def test_a_train_comes_whole_to_each_address(host: str) -> None:
    with sockets(host, 4) as (sender, *children):
        for child in children:
            enable_merging(child)
        many = MultiSender(sender, [child.getsockname() for child in children])
        for item in (train(5), train(3, last=500), train(1), train(MAX_TRAIN_DATAGRAMS)):
            assert many.send(item) == len(children)
            assert [came(child, len(item.data)) for child in children] == [item.data] * len(children)


def test_datagrams_keep_their_bounds_where_nothing_is_merged(host: str) -> None:
    with sockets(host, 2) as (sender, child):
        assert MultiSender(sender, [child.getsockname()]).send(train(3, last=200)) == 1
        assert [len(child.recv(2_048)) for _ in range(3)] == [SIZE, SIZE, 200]


def test_more_addresses_than_one_call_takes_are_served_by_several() -> None:
    with sockets("127.0.0.1", 2) as (sender, child):
        many = MultiSender(sender, [child.getsockname()] * (2 * MAX_MESSAGES + 3))
        assert many.send(Train(0, 100, b"x" * 100)) == 2 * MAX_MESSAGES + 3


def test_without_addresses_nothing_is_sent() -> None:
    with sockets("127.0.0.1", 1) as (sender,):
        assert MultiSender(sender, []).send(train(2)) == 0


FORBIDDEN = ("255.255.255.255", 9)
"""Nobody may broadcast who has not asked to."""


def test_who_cannot_be_reached_ends_the_call_and_the_others_are_left_to_the_caller() -> None:
    with sockets("127.0.0.1", 2) as (sender, child):
        good = child.getsockname()
        many = MultiSender(sender, [good, FORBIDDEN, good])
        assert (many.send(train(2)), many.refused) == (1, True)
        assert (MultiSender(sender, [FORBIDDEN, good]).send(train(2)), many.refused) == (0, True)


def test_a_closed_socket_serves_nobody() -> None:
    with sockets("127.0.0.1", 2) as (sender, child):
        many = MultiSender(sender, [child.getsockname()])
        sender.close()
        assert many.send(train(2)) == 0


def test_what_is_longer_than_a_train_may_be_is_left_to_the_caller() -> None:
    with sockets("127.0.0.1", 2) as (sender, child):
        many = MultiSender(sender, [child.getsockname()])
        assert many.send(Train(0, 10, b"x" * 10 * (MAX_TRAIN_DATAGRAMS + 1))) == 0


class Granting:
    """Stands for a system that grants what is asked for, and remembers it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        monkeypatch.setattr(multisend, "request_send_buffer", self._grant)

    def _grant(self, _: socket.socket, size: int) -> int:
        self.asked.append(size)
        return 2 * size


def test_room_is_made_for_two_trains_to_each_and_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Granting(monkeypatch)
    with sockets("127.0.0.1", 2) as (sender, child):
        many = MultiSender(sender, [child.getsockname()] * 60)
        for _ in range(3):
            many.make_room(train(6), served=30)
        assert system.asked == [60 * 6 * DATAGRAM_COST]  # the kernel grants twice as much
        many.make_room(train(12), served=30)
        assert system.asked[1:] == [60 * 12 * DATAGRAM_COST]
        for _ in range(2):  # it is bounded
            many.make_room(Train(0, SIZE, bytes(64 * SIZE)), served=30)
        assert system.asked[2:] == [MAX_SEND_BUFFER // 2]


def test_no_room_is_made_for_what_waits_for_somebody_behind_a_slow_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = Granting(monkeypatch)
    with sockets("127.0.0.1", 2) as (sender, child):
        MultiSender(sender, [child.getsockname()] * 60).make_room(train(6), served=2)
        assert not system.asked


def test_a_socket_that_has_room_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Granting(monkeypatch)
    with sockets("127.0.0.1", 2) as (sender, child):
        MultiSender(sender, [child.getsockname()] * 3).make_room(train(6), served=2)  # others have filled it
        MultiSender(sender, [child.getsockname()] * 3).make_room(train(1), served=3)
        assert not system.asked
