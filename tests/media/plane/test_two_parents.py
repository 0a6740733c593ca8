"""A child with two real parents: nothing twice, nothing missing, whatever becomes of one of them."""

import threading
from functools import partial

import pytest

from helpers import wait_until
from mcast.media.parent import ParentState
from mcast.media.timing import Timing
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE, is_rtcp
from media.plane.parts import PATIENT, Family, Pusher, Viewer, family
from media.plane.streams import SSRC, number_of, train

COUNT = 1_500


class Gate:
    """A path's behaviour: open, or closed as if the parent were frozen."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __call__(self, _: bytes) -> int:
        return 0 if self.closed.is_set() else 1


def stream_through(*parents: Family, first: int = 0, last: int = COUNT) -> Pusher:
    trains = [train(number, 10, keys=[number]) for number in range(first, last, 10)]
    return Pusher(parents[0].fanout, trains, 1.0, 1000, *(parent.fanout for parent in parents[1:]))


def resume(viewer: Viewer) -> Position:
    return viewer.receiver.wanted


def test_each_number_is_handed_on_once_while_both_bring_all() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        one.wait_live()
        two.wait_live(viewer)
        stream_through(one, two).join()
        one.wait_next(COUNT)
        wait_until(lambda: viewer.receiver.counters().duplicates == COUNT)
        assert sorted(viewer.numbers()) == list(range(COUNT))
        brought = viewer.receiver.parents()
        assert brought[0].new + brought[1].new == COUNT
        assert (brought[0].lost, brought[1].lost) == (0, 0)


def test_one_freezes_and_the_other_goes_on_without_a_gap() -> None:
    gate = Gate()
    with family() as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True, path=gate)
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        two.wait_live(viewer)
        pusher = stream_through(one, two)
        one.wait_next(300)
        gate.closed.set()
        wait_until(lambda: (0, ParentState.SILENT) in viewer.told)
        pusher.join()
        one.wait_next(COUNT)
        wait_until(lambda: viewer.lost == 0)
        assert sorted(viewer.numbers()) == list(range(COUNT))


def test_a_parent_that_is_left_in_the_middle_loses_nothing() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        one.wait_live()
        pusher = stream_through(one, two)
        one.wait_next(300)
        two.adopt(viewer, 1, resume=resume(viewer))
        wait_until(lambda: 1 in viewer.receiver.parents() and viewer.receiver.parents()[1].datagrams)
        viewer.receiver.remove_parent(0)
        wait_until(lambda: one.fanout.children() == ())  # its BYE has come
        pusher.join()
        one.wait_next(COUNT, viewer)
        wait_until(lambda: viewer.lost == 0)
        assert sorted(viewer.numbers()) == list(range(COUNT))
        assert list(viewer.receiver.parents()) == [1]


def test_parents_change_again_and_again_under_way() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        one.wait_live()
        pusher = stream_through(one, two, last=2 * COUNT)
        for upstream in range(1, 9):
            one.wait_next(upstream * 200)
            (two if upstream % 2 else one).adopt(viewer, upstream, resume=resume(viewer))
            wait_until(partial(_brings, viewer, upstream))
            viewer.receiver.remove_parent(upstream - 1)
        pusher.join()
        one.wait_next(2 * COUNT, viewer)
        wait_until(lambda: viewer.lost == 0)
        assert sorted(viewer.numbers()) == list(range(2 * COUNT))


def _brings(viewer: Viewer, upstream: int) -> bool:
    brought = viewer.receiver.parents().get(upstream)
    return brought is not None and brought.datagrams > 0


def test_the_second_resumes_at_the_lowest_number_wanted_and_fills_the_gap() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        for parent in (one, two):
            parent.fanout.push(train(0, 40, keys=[0]))
        one.fanout.push(train(45, 15))
        two.fanout.push(train(40, 40))
        viewer = one.join(resume=Position(SSRC, 0))
        one.wait_next(60)
        assert viewer.receiver.wanted == Position(SSRC, 40)
        two.adopt(viewer, 1, resume=resume(viewer))
        one.wait_next(80)
        wait_until(lambda: viewer.lost == 0)
        assert sorted(viewer.numbers()) == list(range(80))
        assert viewer.receiver.wanted == Position(SSRC, 80)


class Losing:
    """A path's behaviour: it loses some datagrams the first so many times."""

    def __init__(self, *numbers: int, times: int = 1) -> None:
        self._left = dict.fromkeys(numbers, times)

    def __call__(self, packet: bytes) -> int:
        number = -1 if is_rtcp(packet) else number_of(packet[HEADER_SIZE:])
        if self._left.get(number, 0) > 0:
            self._left[number] -= 1
            return 0
        return 1


def test_only_the_parent_that_has_sent_it_is_asked_for_what_its_path_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nacks: list[int] = []
    with family(offload=False, timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True, path=Losing(50, 51))
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        monkeypatch.setattr(two.fanout._rtcp, "_repair", lambda _, missing, __: nacks.extend(missing))
        one.wait_live()
        two.wait_live(viewer)
        two.fanout.push(train(0, 40, keys=[0]))  # it is behind: it has not come to the loss
        for first in (0, 40, 80):
            one.fanout.push(train(first, 40, keys=[0]))
        one.wait_next(120)
        wait_until(lambda: len(viewer.numbers()) == 120)
        assert nacks == []
        assert one.child(viewer).resent >= 2


def test_what_one_does_not_answer_the_other_does() -> None:
    with family(offload=False, timing=PATIENT) as one, family(offload=False, timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True, path=Losing(50, 51, times=10**6))
        two.adopt(viewer, 1, resume=Position(SSRC, 0), path=Losing(50, 51))
        one.wait_live()
        two.wait_live(viewer)
        for first in (0, 40, 80):
            one.fanout.push(train(first, 40, keys=[0]))
            two.fanout.push(train(first, 40, keys=[0]))
        wait_until(lambda: len(viewer.numbers()) == 120)
        assert sorted(viewer.numbers()) == list(range(120))
        assert viewer.receiver.counters().repaired == 2
        assert two.child(viewer).resent >= 2


def test_every_parent_hears_reports_of_its_own() -> None:
    with family(timing=Timing(report=0.05)) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0))
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        one.wait_live()
        two.wait_live(viewer)
        one.fanout.push(train(0, 20, keys=[0]))
        two.fanout.push(train(0, 10, keys=[0]))
        two.fanout.push(train(15, 5))
        wait_until(lambda: one.fanout.drained(19) == {viewer.key})
        wait_until(lambda: two.child(viewer).lost == 5)
        assert one.child(viewer).lost == 0
