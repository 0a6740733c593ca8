"""What each thread of a process uses, by the name that its owner gave it."""

import os
import queue
import threading
import time

from bench.relays.profile import Profiler, ThreadUse, line, middle
from mcast.net.threads import OwnedThread
from tools.demo.processes import wait_until


def use(cpu_ms: float, switches: float) -> ThreadUse:
    return ThreadUse(cpu_ms=cpu_ms, switches=switches)


def crash(error: BaseException) -> None:
    raise error


def test_a_thread_is_told_by_its_name_with_what_it_computed_and_how_often_it_was_woken_up() -> None:
    asked, answered = queue.SimpleQueue[int](), queue.SimpleQueue[int]()

    def work() -> None:
        while size := asked.get():
            time.sleep(0.001)  # whoever sleeps is woken up; who waits for a queue may find it filled already
            answered.put(sum(range(size)))

    thread = OwnedThread("a-rather-long-name", work, crash)
    thread.start()
    try:
        profiler = Profiler([os.getpid()])
        for _ in range(20):
            asked.put(100_000)
            answered.get()
        found = profiler.taken()
    finally:
        asked.put(0)
        thread.join()
    mine = found["a-rather-long-n"]  # as much as the kernel keeps
    assert mine["cpu_ms"] > 0.0
    assert mine["switches"] > 0.0
    assert "main" in found


def test_a_thread_that_has_ended_meanwhile_is_not_told() -> None:
    done = threading.Event()
    thread = OwnedThread("short-lived", lambda: assert_set(done), crash)
    thread.start()
    profiler = Profiler([os.getpid()])
    wait_until(lambda: "short-lived" in profiler.taken(), "the thread, as long as it lives")
    done.set()
    thread.join()
    # Python's thread has ended a moment before the kernel's.
    wait_until(lambda: "short-lived" not in profiler.taken(), "the kernel to forget the thread")


def assert_set(done: threading.Event) -> None:
    assert done.wait(10.0)


def test_medians_are_told_who_uses_most_first_and_who_does_nothing_is_left_out() -> None:
    windows = [
        {"forward": use(80, 800), "main": use(0.01, 1)},
        {"forward": use(90, 810), "feedback": use(20, 41)},
        {"forward": use(70, 790), "feedback": use(30, 40)},
    ]
    assert list(middle(windows)) == ["forward", "feedback"]
    assert line(middle(windows)) == "forward 80.0, 800; feedback 20.0, 40"
