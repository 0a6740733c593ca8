"""A child with two real parents: nothing twice, nothing missing, whatever becomes of one of them."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from helpers import PATIENCE, wait_until
from mcast.media.timing import Timing
from mcast.overlay.events import Feed
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE, is_rtcp
from media.plane.parts import PATIENT, Family, Viewer, family
from media.plane.streams import SSRC, number_of, train


class Gate:
    """A path's behaviour: open, or closed as if the parent were frozen."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __call__(self, _: bytes) -> int:
        return 0 if self.closed.is_set() else 1


class Stream:
    """Pushes ten datagrams every 10 ms through all the parents, until it is told to end."""

    def __init__(self, *parents: Family) -> None:
        self._parents, self._ending, self._next = parents, threading.Event(), 0
        self._thread = threading.Thread(target=self._run, name="pusher")
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(0.01):
            item = train(self._next, 10, keys=[self._next])
            for parent in self._parents:
                parent.fanout.push(item)
            self._next = item.next

    def end(self) -> int:
        """Push nothing more; return how many datagrams there were."""
        self._ending.set()
        self._thread.join(PATIENCE)
        return self._next


@contextlib.contextmanager
def streaming(*parents: Family) -> Iterator[Stream]:
    """Stream for the length of a block."""
    stream = Stream(*parents)
    try:
        yield stream
    finally:
        stream.end()


def check_complete(viewer: Viewer, count: int) -> None:
    """Wait until a viewer has got everything, and check that it got nothing twice."""
    wait_until(lambda: viewer.next == count, f"number {count}")
    wait_until(lambda: viewer.lost == 0, "what is missing")
    assert sorted(viewer.numbers()) == list(range(count))


def resume(viewer: Viewer) -> Position:
    return viewer.receiver.wanted


def test_each_number_is_handed_on_once_while_both_bring_all() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        one.wait_live()
        two.wait_live(viewer)
        with streaming(one, two) as stream:
            one.wait_next(500)
            count = stream.end()
        check_complete(viewer, count)
        wait_until(lambda: viewer.receiver.counters().duplicates == count)
        brought = viewer.receiver.parents()
        assert brought[0].new + brought[1].new == count
        assert (brought[0].lost, brought[1].lost) == (0, 0)


def test_the_parent_that_brings_nothing_first_is_named_and_can_be_left() -> None:
    timing = replace(PATIENT, outdone=0.3)
    with family(timing=timing) as one, family(timing=timing) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        one.wait_live()
        with streaming(one) as stream:
            one.wait_next(100)
            two.fanout.push(train(0, 40, keys=[0]))
            two.adopt(viewer, 1, resume=Position(SSRC, 0))  # it brings what is old, and no more than that
            wait_until(lambda: _brings(viewer, 1))
            wait_until(lambda: viewer.outdone)
            assert set(viewer.outdone) == {1}
            viewer.receiver.remove_parent(1)
            count = stream.end()
        check_complete(viewer, count)


def test_one_freezes_and_the_other_goes_on_without_a_gap() -> None:
    gate = Gate()
    with family(timing=replace(PATIENT, silence=0.3)) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True, path=gate)
        two.adopt(viewer, 1, resume=Position(SSRC, 0))
        two.wait_live(viewer)
        with streaming(one, two) as stream:
            one.wait_next(100)
            gate.closed.set()
            wait_until(lambda: (0, Feed.SILENT) in viewer.told)
            count = stream.end()
        check_complete(viewer, count)


def test_a_parent_that_is_left_in_the_middle_loses_nothing() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        one.wait_live()
        with streaming(one, two) as stream:
            one.wait_next(100)
            two.adopt(viewer, 1, resume=resume(viewer))
            wait_until(lambda: _brings(viewer, 1))
            viewer.receiver.remove_parent(0)
            wait_until(lambda: one.fanout.children() == ())  # its BYE has come
            count = stream.end()
        check_complete(viewer, count)
        assert list(viewer.receiver.parents()) == [1]


def test_parents_change_again_and_again_under_way() -> None:
    with family(timing=PATIENT) as one, family(timing=PATIENT) as two:
        viewer = one.join(resume=Position(SSRC, 0), repair=True)
        one.wait_live()
        with streaming(one, two) as stream:
            for upstream in range(1, 9):
                one.wait_next(upstream * 100)
                (two if upstream % 2 else one).adopt(viewer, upstream, resume=resume(viewer))
                wait_until(partial(_brings, viewer, upstream))
                viewer.receiver.remove_parent(upstream - 1)
            count = stream.end()
        check_complete(viewer, count)


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
        monkeypatch.setattr(two.fanout._rtcp._repair, "answer", lambda _, missing, __: nacks.extend(missing))
        one.wait_live()
        two.wait_live(viewer)
        two.fanout.push(train(0, 40, keys=[0]))  # it is behind: it has not come to the loss
        for first in (0, 40, 80):
            one.fanout.push(train(first, 40, keys=[0]))
        one.wait_next(120)
        wait_until(lambda: len(viewer.numbers()) == 120)
        assert nacks == []
        wait_until(lambda: one.child(viewer).resent >= 2)  # it is counted when it has left


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
        wait_until(lambda: two.child(viewer).resent >= 2)


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
