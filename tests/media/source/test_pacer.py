"""A pacer's thread: which streamers look when, and how they come and go."""

import threading
from collections.abc import Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.media.source.pacer import Pacer


class Paced:
    """Notes each look, and stops when it is told to."""

    def __init__(self) -> None:
        self.looks: list[float] = []
        self.threads: set[str] = set()
        self.goes_on, self.is_finished = True, threading.Event()

    def look(self, now: float) -> bool:
        self.threads.add(threading.current_thread().name)
        self.looks.append(now)
        return self.goes_on

    def finish(self) -> None:
        self.is_finished.set()


@pytest.fixture
def crash() -> Iterator[Recorder]:
    crash = Recorder()
    yield crash
    assert not crash.calls


@pytest.fixture
def pacer(crash: Recorder) -> Iterator[Pacer]:
    pacer = Pacer("stream-1", 0.01, crash)
    yield pacer
    pacer.stop()


def test_all_look_in_one_thread_on_one_grid(pacer: Pacer) -> None:
    both = [Paced(), Paced()]
    for each in both:
        pacer.carry(each)
    wait_until(lambda: len(both[1].looks) > 10)
    pacer.stop()
    assert both[0].threads == both[1].threads == {"stream-1"}
    later = both[1].looks[2:]
    together = [min(abs(look - other) for other in both[0].looks) for look in later]
    assert sorted(together)[len(together) // 2] < 0.002  # a busy machine may come between them now and then


def test_who_comes_is_looked_at_at_once_though_the_pace_is_slow(crash: Recorder) -> None:
    pacer, first, second = Pacer("stream-1", 3600.0, crash), Paced(), Paced()
    pacer.carry(first)
    wait_until(lambda: first.looks)
    pacer.carry(second)
    wait_until(lambda: second.looks)
    pacer.stop()


def test_one_look_beside_the_grid_leaves_the_grid_as_it_is(pacer: Pacer) -> None:
    paced = Paced()
    pacer.carry(paced)
    wait_until(lambda: len(paced.looks) > 2)
    for _ in range(20):
        pacer.wake()
    count = len(paced.looks)
    wait_until(lambda: len(paced.looks) > count + 5)


def test_who_does_not_go_on_is_finished_and_the_others_are(pacer: Pacer) -> None:
    one, other = Paced(), Paced()
    pacer.carry(one)
    pacer.carry(other)
    one.goes_on = False
    assert one.is_finished.wait(30)
    count = len(other.looks)
    wait_until(lambda: len(other.looks) > count + 2)
    assert len(pacer) == 1
    assert not other.is_finished.is_set()


def test_ending_the_thread_finishes_all(pacer: Pacer) -> None:
    paced = Paced()
    pacer.carry(paced)
    pacer.stop()
    assert paced.is_finished.is_set()


def test_an_unexpected_error_is_a_crash_and_finishes_all(pacer: Pacer, crash: Recorder) -> None:
    paced = Paced()
    pacer.carry(paced)
    paced.looks = None  # type: ignore[assignment]
    crash.wait_for(1)
    assert paced.is_finished.is_set()
    crash.calls.clear()
