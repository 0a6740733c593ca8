"""Repair: what a lossy path loses comes again, and only that."""

import logging
import random
from typing import cast

import pytest

from helpers import wait_until
from mcast.media.child import Child, ChildState
from mcast.media.children import Children
from mcast.media.history import MAX_SECONDS, History
from mcast.media.repair import MIN_REPAIR_RATE, QUESTIONS, Repair
from mcast.media.token_bucket import TokenBucket
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import Train
from media.plane.parts import LOCAL, PATIENT, Pusher, family
from media.plane.streams import RATE, SIZE, number_of, push, train

COUNT = 3_000


def losing(share: float, seed: int = 1):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)
    return lambda _: int(rng.random() >= share)


def test_all_that_a_lossy_path_loses_is_repaired() -> None:
    trains = [train(number, 10, keys=[0]) for number in range(0, COUNT, 10)]
    with family(offload=False, timing=PATIENT) as parent:
        parent.fanout.push(trains[0])
        viewer = parent.join(path=losing(0.2), repair=True)
        Pusher(parent.fanout, trains[1:]).join()
        wait_until(lambda: len(viewer.trains) and viewer.lost == 0)
        parent.wait_next(COUNT)
        wait_until(lambda: viewer.lost == 0)
        assert sorted(viewer.numbers()) == list(range(COUNT))
        assert viewer.receiver.counters().repaired > COUNT * 0.15


def test_without_repair_every_loss_is_counted_and_reported() -> None:
    trains = [train(number, 10, keys=[0]) for number in range(0, COUNT, 10)]
    with family(offload=False, timing=PATIENT) as parent:
        parent.fanout.push(trains[0])
        viewer = parent.join(path=losing(0.1, seed=2), repair=False)
        Pusher(parent.fanout, trains[1:]).join()
        wait_until(lambda: viewer.receiver.position.next == COUNT)
        got = viewer.numbers()
        counters = viewer.receiver.counters()
        assert counters.lost == COUNT - got[0] - len(got) or counters.lost == COUNT - len(got)
        assert counters.lost > COUNT * 0.05
        wait_until(lambda: parent.child(viewer).lost == counters.lost)
        assert parent.child(viewer).resent == 0


def test_lost_tail_is_noticed_by_the_parents_word_and_repaired() -> None:
    dropped: list[int] = []

    def drop_once(packet: bytes) -> int:
        if (
            packet[1] & 127 == 33
            and (number := number_of(packet[HEADER_SIZE:])) >= 15
            and number not in dropped
        ):
            dropped.append(number)
            return 0
        return 1

    with family(offload=False, timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join(path=drop_once, repair=True)
        parent.wait_live()
        parent.fanout.push(train(10, 10))
        parent.wait_next(20)
        assert viewer.numbers() == list(range(20))
        assert dropped == list(range(15, 20))


def test_a_path_that_repeats_everything_costs_nothing_downstream() -> None:
    with family(offload=False, timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join(path=lambda _: 3, repair=True)
        parent.wait_live()
        parent.fanout.push(train(10, 30))
        parent.wait_next(40)
        wait_until(lambda: viewer.receiver.counters().duplicates == 80)
        assert viewer.numbers() == list(range(40))
        assert parent.child(viewer).resent == 0


# The answers, one by one


class Answers:
    """A parent of live children, which ask at times that are handed in."""

    def __init__(self, count: int = 2_000) -> None:
        self.children = Children("news", History(0), RateLimitedLog(logging.getLogger(__name__)))
        self.total = TokenBucket(1e9, 1e9, 0.0)
        self.reached: list[int] = []  # what was asked for above
        self.repair = Repair(self.children, self.total, self.reached.append)
        self.lookups: list[int] = []
        self._read, self.children.read = self.children.read, self._count_read  # type: ignore[method-assign]
        for first in range(0, count, 40):
            push(self.children, train(first, 40), 0.0)

    def _count_read(self, number: int) -> memoryview | None:
        self.lookups.append(number)
        return self._read(number)

    def child(self, key: int = 1, *, cursor: int = 2_000, resume: Position | None = None) -> "Asker":
        child = Child(
            key=key, identity=f"c{key}", token=key.to_bytes(16, "big"), local_ip=LOCAL, peer_ip=LOCAL,
            start=Start.KEYFRAME, resume=resume, lease_until=1e9, pace=TokenBucket(1, 1, 0.0),
        )  # fmt: skip
        child.cursor = cursor
        child.state = ChildState.LIVE
        child.round_trip.note(0.04)
        return Asker(self.repair, child)


class Asker:
    """A child, and what it is sent."""

    def __init__(self, repair: Repair, child: Child) -> None:
        self._repair, self.state, self.got = repair, child, list[int]()
        self.late: list[tuple[int, int]] = []
        child.sender = cast(TrainSender, self)

    def be_live(self, children: Children) -> None:
        """Be one of those that are sent what comes."""
        children.add(self.state)
        with children.lock:
            children.live.add(self.state)

    def send(self, train: Train) -> int:
        self.late.append((train.first, train.count))
        return train.count

    def send_packet(self, packet: memoryview) -> bool:
        self.got.append(number_of(packet[HEADER_SIZE:]))
        return True

    def ask(self, *numbers: int, now: float) -> list[int]:
        """Ask for numbers; return what comes."""
        self.got.clear()
        self._repair.answer(self.state, [number & 0xFFFF for number in numbers], now)
        return list(self.got)


def test_a_number_is_sent_again_once_a_round_trip_and_twice_when_that_was_lost() -> None:
    child = Answers().child()
    assert child.ask(7, 9, now=1.0) == [7, 9]
    assert child.ask(7, 9, now=1.02) == []
    assert child.ask(9, now=1.05) == [9, 9]
    assert child.ask(9, now=1.07) == []
    assert (child.state.resent, child.state.unrepaired) == (4, 0)


def test_what_was_passed_on_late_is_not_sent_again_to_who_asked_meanwhile() -> None:
    answers = Answers(0)
    push(answers.children, train(0, 10), 0.0)
    push(answers.children, train(12, 10), 0.0)
    child = answers.child(cursor=22)
    assert child.ask(10, now=1.0) == []
    push(answers.children, train(10, 2), 1.01)
    assert child.ask(10, 11, now=1.03) == []
    assert child.ask(10, 11, now=1.06) == [10, 10, 11, 11]


def test_what_is_held_from_before_a_child_has_begun_is_sent_too_for_one_below_it_may_lack_that() -> None:
    child = Answers().child()
    child.state.floor = 1_000
    assert child.ask(999, 1_000, 2_000, now=1.0) == [999, 1_000]


BEGAN = 5_000
"""Where a relay has begun, for one child's sake."""


def begun() -> Answers:
    answers = Answers(0)
    push(answers.children, train(BEGAN, 40), 0.0)
    return answers


def test_what_a_relay_has_never_asked_for_is_asked_for_above_once_whoever_lacks_it() -> None:
    answers = begun()
    for key in range(1, 21):
        child = answers.child(key, cursor=BEGAN + 40)
        child.state.floor = BEGAN
        for repeat in range(3):
            assert not child.ask(BEGAN - 9, BEGAN - 7, now=1.0 + key + repeat / 50)
        assert child.state.floor == BEGAN - 9, "it gets that when it comes"
    assert answers.reached == [BEGAN - 9]


def test_what_is_still_older_is_asked_for_too_but_no_child_hurries_its_parent() -> None:
    answers = begun()
    one, other = (answers.child(key, cursor=BEGAN + 40) for key in (1, 2))
    for number in range(1, 30):
        one.ask(BEGAN - number, now=1.0 + number / 64)
    assert answers.reached == [BEGAN - number for number in (1, 8, 15, 22, 29)], "each tenth of a second"
    other.ask(BEGAN - 100, now=1.46)
    assert answers.reached[-1] == BEGAN - 100


def test_what_no_history_holds_any_more_is_asked_for_nowhere() -> None:
    answers = begun()
    child = answers.child(cursor=BEGAN + 40)
    assert child.ask(BEGAN + 40 - round(MAX_SECONDS * max(RATE, MIN_REPAIR_RATE)) - 1, now=1.0) == []
    assert answers.reached == []


def test_what_comes_from_above_goes_to_who_has_asked_for_it_and_to_nobody_else() -> None:
    answers = begun()
    asker, content = (answers.child(key, cursor=BEGAN + 40) for key in (1, 2))
    for child in (asker, content):
        child.state.floor = BEGAN
        child.be_live(answers.children)
    asker.ask(BEGAN - 2, now=1.0)
    push(answers.children, train(BEGAN - 2, 2), 1.02)
    assert (asker.late, content.late) == ([(BEGAN - 2, 2)], [])
    assert content.ask(BEGAN - 1, now=1.03) == [BEGAN - 1], "to this one it was not sent a moment ago"
    assert asker.ask(BEGAN - 1, now=1.03) == []


def test_many_children_that_miss_the_same_cost_one_lookup_each() -> None:
    answers = Answers()
    for key in range(1, 21):
        child = answers.child(key)
        for repeat in range(3):
            child.ask(5, now=1.0 + repeat / 1000)
    assert answers.lookups == [5] * 20


def test_the_budget_of_a_child_is_the_streams_own_rate_and_nobody_elses() -> None:
    answers = Answers()
    greedy, other = answers.child(1), answers.child(2)
    assert RATE > MIN_REPAIR_RATE
    sent = 0
    for step in range(200):
        first = step * 7 % 1_900
        sent += len(greedy.ask(*range(first, first + 100), now=1.0 + step / 100))
    assert RATE < sent <= 3.1 * RATE  # two seconds, and one that was saved up
    assert greedy.state.unrepaired > 0
    assert other.ask(5, now=3.0) == [5]


def test_repairs_come_before_catching_up_and_are_paid_by_it() -> None:
    answers = Answers()
    child = answers.child()
    answers.total.take(2e9)  # all that those may have who catch up
    before = answers.total.left(0.1)
    assert child.ask(5, now=0.1) == [5]
    assert answers.total.left(0.1) == before - SIZE


@pytest.mark.parametrize("held", [True, False])
def test_a_flood_of_questions_is_not_looked_up_without_end(held: bool) -> None:
    answers = Answers(2_000 if held else 40)
    child = answers.child()
    for _ in range(100):
        child.ask(*range(1_000), now=1.0)
    assert len(answers.lookups) <= QUESTIONS * max(RATE, MIN_REPAIR_RATE)
    assert child.state.unrepaired > 0
