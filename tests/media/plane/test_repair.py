"""Repair: what a lossy path loses comes again, and only that."""

import random

from helpers import wait_until
from mcast.wire.rtp import HEADER_SIZE
from media.plane.parts import PATIENT, Pusher, family
from media.plane.streams import number_of, train

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
