"""Live children share a socket, and a full one hurts nobody for long."""

import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

import pytest

from mcast.media import live_children
from mcast.media.child import Child, ChildState
from mcast.media.children import Children
from mcast.media.history import History
from mcast.media.live_children import ALONE_SECONDS
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import SockAddr
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.train import Train
from media.plane.streams import SSRC, numbers_of, push, train

HERE = ip_address("127.0.0.1")
PLENTY = TokenBucket(1e12, 1e12, 0.0)


@dataclass
class Own:
    """Stands for a child's own socket."""

    trains: list[Train] = field(default_factory=list)
    takes: int | None = None  # datagrams of the next train; None: all
    offload: bool = True
    sock: None = None  # closed when the child has gone: here nobody does
    unsent: int = 0

    def send(self, item: Train) -> int:
        count = item.count if self.takes is None else self.takes
        if count:
            self.trains.append(item.slice(item.first, item.first + count))
        return count


class Together:
    """Stands for the calls that send to many: what has left for which address, and how many are served."""

    def __init__(self) -> None:
        self.sent: dict[SockAddr, list[Train]] = {}
        self.serves: int | None = None
        self.refused = False
        self.asked_for_room: list[int] = []  # after so many were served

    def make(self, _: socket.socket, addresses: Sequence[SockAddr]) -> "Call":
        return Call(self, tuple(addresses))


@dataclass
class Call:
    together: Together
    addresses: tuple[SockAddr, ...]

    @property
    def refused(self) -> bool:
        return self.together.refused

    def send(self, item: Train) -> int:
        served = self.addresses[: self.together.serves]
        for address in served:
            self.together.sent.setdefault(address, []).append(item)
        return len(served)

    def make_room(self, _: Train, served: int) -> None:
        self.together.asked_for_room.append(served)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Together:
    calls = Together()
    monkeypatch.setattr(live_children, "MultiSender", calls.make)
    return calls


@pytest.fixture
def common() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


class Fed:
    """Some live children of one content."""

    def __init__(self, together: Together, common: socket.socket | None, count: int) -> None:
        self._together, self.own = together, [Own() for _ in range(count)]
        self.children = Children("news", History(0), RateLimitedLog(logging.getLogger(__name__)))
        self.all = [self._join(number, common) for number in range(count)]
        self.next, self.now = 0, 0.0

    def _join(self, number: int, common: socket.socket | None) -> Child:
        child = Child(
            key=number, identity=f"c{number}", token=number.to_bytes(16, "big"), local_ip=HERE, peer_ip=HERE,
            start=Start.KEYFRAME, resume=Position(SSRC, 0), lease_until=1e9, pace=TokenBucket(1e9, 1e9, 0.0),
        )  # fmt: skip
        self.children.add(child)
        self.children.equip(child, cast(TrainSender, self.own[number]), common)
        self.children.move(child, self.address(number))
        self.children.start(child, 0.0)
        self.children.feed(PLENTY, 0.0)
        assert child.state is ChildState.LIVE
        return child

    @staticmethod
    def address(number: int) -> SockAddr:
        return ("127.0.0.1", 1_000 + number)

    def push(self, count: int = 10) -> None:
        push(self.children, train(self.next, count), self.now)
        self.next += count

    def numbers(self, number: int) -> list[int]:
        """Return what has left for a child, by whichever socket."""
        shared = self._together.sent.get(self.address(number), [])
        return sorted(numbers_of([*shared, *self.own[number].trains]))


def test_one_call_serves_all_and_none_is_sent_to_by_its_own_socket(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, common, 3)
    fed.push()
    assert [own.trains for own in fed.own] == [[], [], []]
    assert [fed.numbers(number) for number in range(3)] == [list(range(10))] * 3


def test_a_single_child_needs_no_call_for_many(together: Together, common: socket.socket) -> None:
    fed = Fed(together, common, 1)
    fed.push()
    assert not together.sent
    assert fed.numbers(0) == list(range(10))


def test_who_has_no_common_socket_or_cannot_take_trains_is_sent_to_alone(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, None, 2)
    fed.push()
    assert not together.sent
    other = Fed(together, common, 3)
    other.own[0].offload = False
    other.push()
    assert set(together.sent) == {other.address(1), other.address(2)}
    assert other.numbers(0) == list(range(10))


def test_when_the_common_socket_is_full_the_rest_is_sent_at_once_and_the_next_train_by_the_common_one_again(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, common, 3)
    together.serves = 1
    fed.push()
    together.serves = None
    fed.push()
    assert [len(together.sent.get(fed.address(number), [])) for number in range(3)] == [2, 1, 1]
    assert [fed.numbers(number) for number in range(3)] == [list(range(20))] * 3
    assert [child.stalls for child in fed.all] == [0, 0, 0]
    assert together.asked_for_room == [1]


def test_who_alone_cannot_be_sent_to_is_the_only_one_to_be_sent_to_alone(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, common, 3)
    together.serves, together.refused = 1, True
    fed.push()
    together.serves = None
    fed.push()
    assert [len(together.sent.get(fed.address(number), [])) for number in range(3)] == [2, 0, 1]
    fed.now = ALONE_SECONDS + 0.1
    fed.push()
    assert [len(together.sent.get(fed.address(number), [])) for number in range(3)] == [3, 1, 2]
    assert [fed.numbers(number) for number in range(3)] == [list(range(30))] * 3
    assert not together.asked_for_room


def test_who_fills_his_own_socket_falls_behind_alone_and_comes_back_with_everything(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, common, 3)
    together.serves = 0
    fed.own[1].takes = 4
    fed.push()
    assert [child.state for child in fed.all] == [ChildState.LIVE, ChildState.CATCHING_UP, ChildState.LIVE]
    assert (fed.all[1].cursor, fed.all[1].datagrams, fed.all[1].bytes) == (4, 4, 4 * 1_328)
    fed.push()
    together.serves, fed.own[1].takes = None, None
    fed.children.feed(PLENTY, 0.1)
    assert fed.all[1].state is ChildState.LIVE
    fed.push()
    assert [fed.numbers(number) for number in range(3)] == [list(range(30))] * 3


def test_who_has_filled_his_own_socket_shares_none_before_his_own_queue_is_empty(
    together: Together, common: socket.socket
) -> None:
    fed = Fed(together, common, 3)
    together.serves, fed.own[1].takes = 0, 4
    fed.push()
    together.serves, fed.own[1].takes = None, None
    fed.children.feed(PLENTY, 0.1)
    fed.own[1].unsent = 1
    for seconds in (0.2, ALONE_SECONDS + 0.1, 2 * ALONE_SECONDS):
        fed.now = seconds
        fed.push()
    assert fed.address(1) not in together.sent
    fed.own[1].unsent = 0
    fed.now += ALONE_SECONDS  # it is looked at each time that this is over
    fed.push()
    assert len(together.sent[fed.address(1)]) == 1
    assert [fed.numbers(number) for number in range(3)] == [list(range(50))] * 3
    assert [child.stalls for child in fed.all] == [0, 1, 0]


def test_each_counts_what_was_sent_to_him_whenever_he_came(together: Together, common: socket.socket) -> None:
    fed = Fed(together, common, 2)
    fed.push()
    fed.own.append(Own())
    late = fed._join(2, common)
    fed.push(5)
    assert [child.datagrams for child in (*fed.all, late)] == [15, 15, 15]
    assert {child.cursor for child in (*fed.all, late)} == {15}
    fed.children.remove(late.key)
    fed.push(5)
    assert [child.datagrams for child in (*fed.all, late)] == [20, 20, 15]
    assert late.cursor == 15


def test_who_has_moved_is_sent_to_where_he_is(together: Together, common: socket.socket) -> None:
    fed = Fed(together, common, 2)
    fed.push()
    fed.children.move(fed.all[0], ("127.0.0.1", 9))
    fed.push()
    assert numbers_of(together.sent["127.0.0.1", 9]) == list(range(10, 20))
