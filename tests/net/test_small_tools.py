"""Deadlines, rate-limited logs, counters, threads and wakers."""

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import Recorder
from mcast.net.backoff import Backoff
from mcast.net.deadline import Deadline
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.threads import CrashBox, OnCrash, OwnedThread, stop_together
from mcast.net.waker import Waker, wait_readable


def start_thread(name: str, target: Callable[[], None], on_crash: OnCrash) -> OwnedThread:
    thread = OwnedThread(name, target, on_crash)
    thread.start()
    return thread


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_deadline_counts_down_and_then_raises() -> None:
    clock = Clock()
    deadline = Deadline(2.0, clock)
    clock.now += 1.5
    assert (deadline.remaining(), deadline.timeout(), deadline.expired) == (0.5, 0.5, False)
    clock.now += 0.5
    assert (deadline.timeout(), deadline.expired) == (0.0, True)
    with pytest.raises(TimeoutError):
        deadline.remaining()


def test_a_deadline_of_none_never_comes() -> None:
    never = Deadline(None)
    assert (never.remaining(), never.timeout(), never.expired) == (None, None, False)


def test_the_sooner_of_two_deadlines_counts() -> None:
    clock = Clock()
    late = Deadline(5.0, clock)
    assert late.sooner(None) is late
    assert late.sooner(9.0) is late
    assert late.sooner(1.0).timeout() == 1.0
    assert Deadline(None, clock).sooner(3.0).timeout() == 3.0


def test_a_repeated_event_is_counted_always_and_logged_once_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    log = RateLimitedLog(logging.getLogger("test"), clock=clock)
    for number in range(38):
        log.warning("stranger", "a datagram from %s", number)
    log.info("other", "another kind is not held back")
    clock.now += 1.0
    log.warning("stranger", "a datagram from %s", 99)
    assert caplog.messages == [
        "a datagram from 0",
        "another kind is not held back",
        "a datagram from 99 … and 37 more",
    ]
    assert log.counters.snapshot() == {"stranger": 39, "other": 1}


def test_what_was_kept_back_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = RateLimitedLog(logging.getLogger("test"), clock=Clock())
    for _ in range(3):
        log.info("stranger", "a stranger")
    log.flush()
    log.flush()
    assert caplog.messages == ["a stranger", "stranger: 2 more were not logged"]


def test_counters_lose_nothing_between_threads() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(2000):
            counters.add("x")

    threads = [start_thread(f"count-{number}", count, Recorder()) for number in range(4)]
    assert all(thread.join() for thread in threads)
    assert counters["x"] == 8000


def test_a_crash_of_a_thread_is_kept_logged_and_ends_the_program(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    box = CrashBox(stop)

    def stumble() -> None:
        raise KeyError("bug")

    thread = start_thread("stumbler", stumble, box)
    assert stop.wait(5)
    assert thread.join()
    assert isinstance(box.error, KeyError)
    assert caplog.records[0].exc_info is not None


def test_the_first_crash_is_the_one_that_counts() -> None:
    box = CrashBox(threading.Event())
    first = KeyError("first")
    box(first)
    box(ValueError("second"))
    assert box.error is first


def test_the_kernel_knows_the_beginning_of_a_threads_name() -> None:
    told = Recorder()

    def tell() -> None:
        told(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text())

    thread = start_thread("feedback-of-cafés", tell, Recorder())
    assert told.wait_for() == ["feedback-of-caf\n"]
    thread.join()


def test_joining_is_harmless_before_the_start_and_from_within() -> None:
    results = Recorder()
    thread = OwnedThread("self", lambda: results(thread.join()), Recorder())
    assert thread.join()
    thread.start()
    assert results.wait_for() == [True]
    assert thread.join()
    assert not thread.alive


def test_a_thread_that_does_not_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    end = threading.Event()

    def wait() -> None:
        end.wait()

    thread = start_thread("stubborn", wait, Recorder())
    assert not thread.join(0.01)
    end.set()
    assert thread.join()
    assert "the thread stubborn has not ended" in caplog.text


def test_owners_that_are_stopped_together_are_all_asked_before_one_is_waited_for() -> None:
    done = Recorder()

    class Owner:
        def __init__(self, name: str) -> None:
            self._name = name

        def ask_to_stop(self) -> None:
            done("asked", self._name)

        def stop(self) -> None:
            done("stopped", self._name)

    stop_together(Owner(name) for name in ("a", "b"))
    assert done.calls == [("asked", "a"), ("asked", "b"), ("stopped", "a"), ("stopped", "b")]


def test_a_waker_wakes_as_often_as_it_is_told_and_is_quiet_in_between() -> None:
    waker = Waker()
    assert wait_readable([waker.fileno()], Deadline(0)) == []
    for _ in range(100_000):
        waker.wake()
    assert wait_readable([waker.fileno()], Deadline(5)) == [waker.fileno()]
    while waker.drain():
        pass
    assert wait_readable([waker.fileno()], Deadline(0)) == []
    waker.close()
    waker.wake()


def test_pauses_double_up_to_a_bound_are_jittered_and_begin_again() -> None:
    backoff = Backoff(0.25, 5.0, random.Random(1))
    for most in (0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        assert most / 2 <= backoff.next() <= most
    backoff.reset()
    assert backoff.next() <= 0.25
