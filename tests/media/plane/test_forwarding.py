"""The short way: what it hands on, and what it leaves to the long one without having taken anything in."""

import socket
from collections.abc import Callable
from typing import Never, cast

import pytest

from mcast.media.forwarding import STEADY_GAP, Came, ShortWay
from mcast.media.incoming import FLOWING, IncomingStream
from mcast.media.reports import Speaker
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import NULL_DATAGRAM, Train
from media.plane.streams import SIZE, SSRC, datagram, train

SOCKET = cast(socket.socket, None)


class Relay:
    """A stream from one parent, which has begun."""

    def __init__(self) -> None:
        self.now, self.came = 1.0, (b"", 0)
        self.pushed: list[tuple[Train, int, float]] = []
        self.stream = IncomingStream(Position(SSRC, 0), start=0)
        self.parent = self.stream.add(0, Speaker(5, "me", b"t" * 16), Position(SSRC, 0), self.now, 0)
        for first in range(0, 20, 10):  # they are too far apart to be nothing but the next ones
            self.now += STEADY_GAP
            self.stream.receive(self.parent, train(first, 10).data, SIZE, self.now)
        self.way = ShortWay(
            self.stream,
            lambda _: self.came,
            lambda *pushed: self.pushed.append(pushed),
            clock=lambda: self.now,
        )

    def receive(self, data: bytes, size: int = SIZE, *, after: float = 0.01) -> Came | None:
        self.now += after
        self.came = data, size
        return self.way.forward(SOCKET)


def test_the_next_trains_are_handed_on_with_their_length_and_the_time_at_which_they_came() -> None:
    relay = Relay()
    for first, count in ((20, 6), (26, 1), (27, 49)):
        assert relay.receive(train(first, count).data) is None
        assert relay.pushed[-1] == (train(first, count), count, relay.now)
    relay.stream.settle()
    assert relay.stream.counters().datagrams == relay.parent.received == 76


def test_a_stream_flows_as_long_as_trains_come_from_its_only_parent() -> None:
    relay = Relay()
    assert relay.receive(datagram(20)) is None
    assert relay.stream.flows(relay.now + FLOWING / 2)
    assert not relay.stream.flows(relay.now + FLOWING)
    relay.stream.add(1, Speaker(6, "me", b"u" * 16), Position(SSRC, 20), relay.now, 20)
    assert not relay.stream.flows(relay.now)


NULL = datagram(20)[:HEADER_SIZE] + NULL_PACKET


@pytest.mark.parametrize(
    ("data", "size", "after"),
    [
        (b"", 0, 0.01),
        (b"garbage", 7, 0.01),
        (datagram(20, ssrc=SSRC + 1), SIZE, 0.01),
        (datagram(21), SIZE, 0.01),
        (datagram(19), SIZE, 0.01),
        (datagram(20) + datagram(22), SIZE, 0.01),
        (NULL, NULL_DATAGRAM, 0.01),
        (datagram(20), SIZE, STEADY_GAP + 0.01),
    ],
    ids=["nothing", "garbage", "foreign", "a gap", "again", "a hole", "a null packet", "after silence"],
)
def test_what_is_not_just_the_next_train_is_returned_as_it_came(data: bytes, size: int, after: float) -> None:
    relay = Relay()
    before = relay.stream.counters()
    assert relay.receive(data, size, after=after) == (data, size, relay.now)
    assert not relay.pushed
    assert relay.stream.counters() == before


def failing(error: OSError) -> Callable[..., Never]:
    def fail(*_: object) -> Never:
        raise error

    return fail


def test_an_error_of_the_socket_is_told_and_one_of_who_takes_the_train_is_his_own() -> None:
    relay = Relay()
    for error, came in ((BlockingIOError(), None), (ConnectionRefusedError(), (None, 0, relay.now))):
        way = ShortWay(relay.stream, failing(error), failing(error), clock=lambda: relay.now)
        assert way.forward(SOCKET) == came
    full = failing(OSError("the disk is full"))
    way = ShortWay(relay.stream, lambda _: (datagram(20), SIZE), full, clock=lambda: relay.now)
    with pytest.raises(OSError, match="disk"):
        way.forward(SOCKET)


def test_as_long_as_there_are_two_parents_or_something_lacks_nothing_takes_the_short_way() -> None:
    relay = Relay()
    relay.stream.add(1, Speaker(6, "me", b"u" * 16), Position(SSRC, 20), relay.now, 20)
    assert relay.receive(datagram(20)) is not None
    relay.stream.remove(1)
    relay.stream.receive(relay.parent, datagram(21), SIZE, relay.now)
    assert relay.receive(datagram(22)) is not None
    relay.stream.receive(relay.parent, datagram(20), SIZE, relay.now)  # what lacked
    relay.stream.receive(relay.parent, datagram(22), SIZE, relay.now)
    assert relay.receive(datagram(23)) is None
    assert [item.first for item, _, _ in relay.pushed] == [23]
