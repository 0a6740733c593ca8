"""The change of hands between pusher and reader: exact, whatever the sockets do."""

import logging
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

import pytest

from helpers import wait_until
from mcast.media.child import KEYFRAME_WAIT_SECONDS, Child, ChildState
from mcast.media.children import SETTLED_SECONDS, Children
from mcast.media.history import History, HistoryBounds
from mcast.media.token_bucket import TokenBucket
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import ReportBlock
from mcast.wire.train import Train
from media.plane.streams import SSRC, numbers_of, push, stream, train

ADDRESS = ip_address("127.0.0.1")
PLENTY = TokenBucket(1e12, 1e12, 0.0)
LOG = RateLimitedLog(logging.getLogger(__name__))


@dataclass
class FlakySender:
    """Stands for a child's socket that is often full in the middle of a train."""

    seed: int
    refuses: float = 0.3
    trains: list[Train] = field(default_factory=list)
    busy: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def send(self, item: Train) -> int:
        assert not self.busy, "two threads send to one child"
        self.busy = True
        count = self.random.randrange(item.count) if self.random.random() < self.refuses else item.count
        if count:
            self.trains.append(item.slice(item.first, item.first + count))
        if self.random.random() < 0.2:
            time.sleep(0)  # let the other thread in
        self.busy = False
        return count

    def send_packet(self, _packet: bytes) -> bool:
        return True


def make_child(
    key: int, sender: FlakySender | None, *, resume: int | None = None, pace: float = 1e9
) -> Child:
    child = Child(
        key=key,
        identity=f"c{key}",
        token=key.to_bytes(16, "big"),
        local_ip=ADDRESS,
        peer_ip=ADDRESS,
        start=Start.KEYFRAME,
        resume=None if resume is None else Position(SSRC, resume),
        lease_until=1e9,
        pace=TokenBucket(pace, pace, 0.0),
    )
    child.sender = cast(TrainSender, sender)
    return child


def make_children(bounds: HistoryBounds | None = None, start: int = 0) -> Children:
    return Children("news", History(start, bounds or HistoryBounds(datagrams=10**6, bytes=10**9)), LOG)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let the threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("seed", range(3))
def test_every_child_gets_every_number_once_and_in_order_although_sockets_fill_at_random(seed: int) -> None:
    count, step = 6_000, 6
    siblings = make_children()
    senders = [FlakySender(seed * 100 + index, refuses=index * 0.1) for index in range(6)]
    children = [make_child(index, sender, resume=0) for index, sender in enumerate(senders)]
    for child in children:
        siblings.add(child)
        siblings.start(child, 0.0)

    def push_all() -> None:
        for first in range(0, count, step):
            push(siblings, train(first, step), 0.0)
            time.sleep(0)

    pusher = threading.Thread(target=push_all)
    pusher.start()
    deadline = time.monotonic() + 60
    while pusher.is_alive() or any(child.cursor < count for child in children):
        assert time.monotonic() < deadline
        siblings.feed(PLENTY, 1.0)
    pusher.join()
    for child, sender in zip(children, senders, strict=True):
        assert numbers_of(sender.trains) == list(range(count))
        assert child.datagrams == count
        assert child.skipped == 0
    assert children[0].stalls == 0  # whose socket never fills


def test_child_changes_hands_each_time_its_socket_fills_and_misses_nothing() -> None:
    siblings = make_children()
    sender = FlakySender(1, refuses=0.5)
    child = make_child(0, sender, resume=0)
    siblings.add(child)
    siblings.start(child, 0.0)
    states: list[ChildState] = []
    for first in range(0, 3_000, 6):
        push(siblings, train(first, 6), 0.0)
        states.append(child.state)
        for _ in range(3):
            siblings.feed(PLENTY, 1.0)
    while child.cursor < 3_000:
        siblings.feed(PLENTY, 1.0)
    assert numbers_of(sender.trains) == list(range(3_000))
    assert child.stalls > 100
    assert {ChildState.LIVE, ChildState.CATCHING_UP} <= set(states)


def test_late_trains_reach_each_child_once_wherever_it_is() -> None:
    rng = random.Random(7)
    siblings = make_children()
    senders = [FlakySender(index, refuses=0.0) for index in range(4)]
    children = [make_child(i, s, resume=0, pace=1e9 if i < 2 else 300) for i, s in enumerate(senders)]
    for child in children:
        siblings.add(child)
        siblings.start(child, 0.0)
    pending: list[Train] = []
    for first in range(0, 3_000, 5):
        if rng.random() < 0.2 and first:
            pending.append(train(first, 5))
        else:
            push(siblings, train(first, 5), 0.0)
        if pending and rng.random() < 0.3:
            push(siblings, pending.pop(rng.randrange(len(pending))), 0.0)
        siblings.feed(PLENTY, first / 1000)
    for item in pending:
        push(siblings, item, 0.0)
    for now in range(20):
        siblings.feed(PLENTY, 10.0 + now)
    for sender in senders:
        assert sorted(numbers_of(sender.trains)) == list(range(3_000))


def test_what_comes_late_in_the_last_moment_of_catching_up_is_not_forgotten() -> None:
    siblings = make_children()

    class Interrupted(FlakySender):
        def send(self, item: Train) -> int:
            if item.next == 30:  # the pusher's turn comes between this send and the change to live
                push(siblings, train(10, 10), 0.0)
            return super().send(item)

    sender = Interrupted(0, refuses=0.0)
    child = make_child(0, sender, resume=0)
    siblings.add(child)
    push(siblings, train(0, 10), 0.0)
    push(siblings, train(20, 10), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    siblings.feed(PLENTY, 0.0)
    assert sorted(numbers_of(sender.trains)) == list(range(30))
    assert child.state is ChildState.LIVE


def test_child_catches_up_with_a_fast_stream_although_it_is_fed_seldom() -> None:
    siblings = make_children()
    sender = FlakySender(0, refuses=0.0)
    child = make_child(0, sender, resume=0, pace=64)
    siblings.add(child)
    rate = 10_000  # datagrams a second: 100 Mbit/s
    fast = [_at_rate(item, rate) for item in stream(0, 4 * rate)]
    held = [item for item in fast if item.first < rate]
    for item in held:
        push(siblings, item, 0.0)
    siblings.start(child, 0.0)
    for turn in range(100):  # a second, fed every 10 ms
        for item in fast:
            if rate * (1 + turn / 100) <= item.first < rate * (1 + (turn + 1) / 100):
                push(siblings, item, turn / 100)
        siblings.feed(PLENTY, turn / 100)
    assert child.state is ChildState.LIVE
    assert child.skipped == 0


def _at_rate(item: Train, rate: int) -> Train:
    data = bytearray(item.data)
    for index in range(item.count):
        ticks = (item.first + index) * 90_000 // rate
        data[index * item.size + 4 : index * item.size + 8] = ticks.to_bytes(4, "big")
    return Train(item.first, item.size, bytes(data))


def test_slow_child_skips_to_the_newest_keyframe_when_the_history_has_lost_its_place() -> None:
    siblings = make_children(HistoryBounds(datagrams=200))
    sender = FlakySender(0, refuses=0.0)
    child = make_child(0, sender, resume=0, pace=10)
    siblings.add(child)
    push(siblings, train(0, 20), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    assert numbers_of(sender.trains) == list(range(10))
    for item in stream(20, 980, keys=range(0, 1000, 50)):
        push(siblings, item, 0.0)
    siblings.feed(PLENTY, 1.0)
    went_on = numbers_of(sender.trains)[10:]
    assert went_on == list(range(950, 950 + len(went_on)))
    assert child.skipped == 940


def test_child_that_was_live_and_lags_for_seconds_skips_although_the_history_still_holds_its_place() -> None:
    siblings = make_children()
    sender = FlakySender(0, refuses=0.0)
    child = make_child(0, sender, resume=0)
    siblings.add(child)
    push(siblings, train(0, 10), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    assert child.state is ChildState.LIVE
    sender.refuses = 1.0
    sender.random.randrange = lambda *_: 0  # type: ignore[method-assign]
    for item in stream(10, 7_000, keys=[6_500]):
        push(siblings, item, 0.0)
    assert (child.state, child.cursor, child.stalls) == (ChildState.CATCHING_UP, 10, 1)
    sender.refuses = 0.0
    siblings.feed(PLENTY, 1.0)
    assert numbers_of(sender.trains)[10] == 6_500


def test_child_without_any_keyframe_begins_at_the_head_after_a_while() -> None:
    siblings = make_children()
    sender = FlakySender(0, refuses=0.0)
    child = make_child(0, sender)
    siblings.add(child)
    push(siblings, train(0, 10), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 1.0)
    assert sender.trains == []
    assert child.waits_for_keyframe
    siblings.feed(PLENTY, KEYFRAME_WAIT_SECONDS)
    assert child.state is ChildState.LIVE
    push(siblings, train(10, 5), 0.0)
    assert numbers_of(sender.trains) == list(range(10, 15))


def test_total_budget_is_shared_by_all_children_that_catch_up() -> None:
    siblings = make_children()
    senders = [FlakySender(index, refuses=0.0) for index in range(4)]
    for index, sender in enumerate(senders):
        child = make_child(index, sender, resume=0, pace=49)
        siblings.add(child)
        for item in stream(0, 2000) if not index else []:
            push(siblings, item, 0.0)
        siblings.start(child, 0.0)
    total = TokenBucket(49 * 1328.0, 1.0, 0.0)  # one train a second
    for now in range(1, 41):
        siblings.feed(total, float(now))
    sent = [sum(item.count for item in sender.trains) for sender in senders]
    assert 1_000 < sum(sent) <= 41 * 49
    assert max(sent) - min(sent) <= 2 * 49


def test_what_a_full_socket_refuses_again_and_again_is_lost_once() -> None:
    """Else a few children that are stuck would look like a link that is full, for all who catch up."""
    siblings = make_children()
    sender = FlakySender(0, refuses=0.0)
    child = make_child(0, sender, resume=0)
    siblings.add(child)
    push(siblings, train(0, 49), 0.0)
    siblings.start(child, 0.0)
    sender.refuses, sender.random.randrange = 1.0, lambda *_: 0  # type: ignore[method-assign]
    total = Losses()
    for turn in range(100):
        siblings.feed(total, turn * 0.01)
    assert total.lost == 49 * train(0, 1).size
    push(siblings, train(49, 10), 1.0)
    sender.refuses = 0.0
    siblings.feed(total, 1.0)
    assert total.lost == 49 * train(0, 1).size
    assert child.state is ChildState.LIVE


class Losses(TokenBucket):
    """An allowance without end, which counts what did not leave."""

    def __init__(self) -> None:
        super().__init__(1e12, 1e12, 0.0)
        self.lost = 0.0

    def note_loss(self, units: float) -> None:
        self.lost += units


def test_socket_of_a_dismissed_child_is_closed_only_after_the_push_that_may_know_it() -> None:
    siblings = make_children()
    reached, go_on = threading.Event(), threading.Event()

    class Slow(FlakySender):
        def send(self, item: Train) -> int:
            reached.set()
            assert go_on.wait(10)
            return super().send(item)

    slow = Slow(0, refuses=0.0)
    slow.sock = object()  # type: ignore[attr-defined]
    child = make_child(0, slow, resume=0)
    siblings.add(child)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    closed: list[object] = []
    pusher = threading.Thread(target=push, args=(siblings, train(0, 5), 0.0))
    pusher.start()
    assert reached.wait(10)
    assert siblings.remove(0) is child
    assert not siblings.release(closed.append)
    assert closed == []
    go_on.set()
    pusher.join()
    wait_until(lambda: siblings.release(closed.append))
    assert len(closed) == 1


# Who has everything


def reported(highest: int, lost: int = 0) -> ReportBlock:
    return ReportBlock(SSRC, 0, lost, highest & 0xFFFF_FFFF, 0)


def test_child_has_everything_when_it_was_sent_and_its_report_says_so() -> None:
    siblings = make_children()
    child = make_child(0, FlakySender(0, refuses=0.0), resume=0)
    siblings.add(child)
    push(siblings, train(0, 10), 0.0)
    assert siblings.drained(9, 0.0) == frozenset()  # it has never said hello
    siblings.start(child, 0.0)
    assert siblings.drained(9, 0.0) == frozenset()  # nor been sent anything
    siblings.feed(PLENTY, 0.0)
    assert siblings.drained(9, 0.0) == frozenset()  # nor said that it has come
    child.report = reported(0)
    assert siblings.drained(9, 0.0) == frozenset()
    child.report = reported(8)
    assert siblings.drained(9, 0.0) == frozenset()
    child.report = reported(9)
    assert siblings.drained(9, 0.0) == {0}
    assert siblings.drained(10, 0.0) == frozenset()
    child.sender = None  # which has a socket to close
    siblings.remove(0)
    assert siblings.drained(9, 0.0) == frozenset()


def test_child_that_still_asks_for_what_it_lost_has_not_everything_until_it_gives_up() -> None:
    siblings = make_children()
    child = make_child(0, FlakySender(0, refuses=0.0), resume=0)
    siblings.add(child)
    push(siblings, train(0, 10), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    child.report, child.asked_at = reported(9, lost=2), 5.0
    assert siblings.drained(9, 5.0 + SETTLED_SECONDS / 2) == frozenset()
    assert siblings.drained(9, 5.0 + SETTLED_SECONDS) == {0}
    child.report = reported(9)
    assert siblings.drained(9, 5.0) == {0}


@pytest.mark.parametrize("last", [2**32 - 1, 2**32, 2**33 + 5])
def test_report_of_32_bits_is_understood_of_numbers_of_64(last: int) -> None:
    siblings = make_children(start=last - 9)
    child = make_child(0, FlakySender(0, refuses=0.0), resume=last - 9)
    siblings.add(child)
    push(siblings, train(last - 9, 10), 0.0)
    siblings.start(child, 0.0)
    siblings.feed(PLENTY, 0.0)
    child.report = reported(last - 1)
    assert siblings.drained(last, 0.0) == frozenset()
    child.report = reported(last)
    assert siblings.drained(last, 0.0) == {0}


def test_child_to_which_nothing_is_owed_has_everything() -> None:
    siblings = make_children()
    ahead = make_child(0, FlakySender(0, refuses=0.0), resume=10)
    waiting = make_child(1, FlakySender(0, refuses=0.0))
    for child in (ahead, waiting):
        siblings.add(child)
        siblings.start(child, 0.0)
    push(siblings, train(0, 5), 0.0)
    siblings.feed(PLENTY, 0.0)
    assert siblings.drained(9, 0.0) == {0}  # the other may get a keyframe yet
    push(siblings, train(5, 5), 0.0)
    assert siblings.drained(9, 0.0) == {0, 1}
    push(siblings, train(10, 5, keys=[10]), 0.0)
    assert siblings.drained(14, 0.0) == frozenset()


def test_only_the_very_child_is_taken_out_and_not_the_one_that_replaced_it() -> None:
    siblings = make_children()
    old, new = make_child(0, None), make_child(0, None)
    new.token = b"n" * 16
    siblings.add(old)
    assert siblings.add(new) is old
    assert not siblings.remove_exactly(old)
    assert siblings.by_token(old.token) is None
    assert siblings.was_token(old.token)
    assert siblings.remove_exactly(new)
    assert len(siblings) == 0


def test_who_has_nothing_yet_comes_before_those_that_have_begun() -> None:
    siblings = make_children()
    senders = [FlakySender(index, refuses=0.0) for index in range(6)]
    children = [make_child(index, sender, resume=0, pace=49) for index, sender in enumerate(senders)]
    for item in stream(0, 2000):
        push(siblings, item, 0.0)
    total = TokenBucket(2 * 49 * 1328.0, 1.0, 0.0)  # two trains a second, the first of them on credit
    for child in children[:3]:
        siblings.add(child)
        siblings.start(child, 0.0)
    for now in range(1, 11):
        siblings.feed(total, float(now))
    for child in children[3:]:
        siblings.add(child)
        siblings.start(child, 10.0)
    for now in range(11, 14):
        siblings.feed(total, float(now))
    assert all(sender.trains for sender in senders)
