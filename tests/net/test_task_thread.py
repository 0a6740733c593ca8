import threading

from helpers import Recorder
from mcast.net.task_thread import TaskThread


def test_tasks_are_done_in_their_order_by_one_thread_and_all_before_the_end() -> None:
    done, crash = Recorder(), Recorder()
    errands = TaskThread("errands", crash)
    errands.post(lambda: done(0))
    errands.start()
    for number in range(1, 5):
        errands.post(lambda number=number: done(number, threading.current_thread().name))  # type: ignore[misc]
    errands.stop()
    assert done.calls == [0, *((number, "errands") for number in range(1, 5))]
    assert crash.calls == []


def test_a_task_that_crashes_is_told() -> None:
    told = Recorder()
    errands = TaskThread("errands", told)
    errands.start()
    errands.post(lambda: [][0])
    errands.stop()
    assert isinstance(told.calls[0], IndexError)


def test_stop_without_start_is_harmless() -> None:
    crash = Recorder()
    TaskThread("errands", crash).stop()
    assert crash.calls == []
