import threading

from helpers import Recorder
from mcast.net.worker import Worker


def test_tasks_are_done_in_their_order_by_one_thread_and_all_before_the_end() -> None:
    done, crash = Recorder(), Recorder()
    worker = Worker("errands", crash)
    worker.post(lambda: done(0))
    worker.start()
    for number in range(1, 5):
        worker.post(lambda number=number: done(number, threading.current_thread().name))  # type: ignore[misc]
    worker.stop()
    assert done.calls == [0, *((number, "errands") for number in range(1, 5))]
    assert crash.calls == []


def test_a_task_that_crashes_is_told() -> None:
    told = Recorder()
    worker = Worker("errands", told)
    worker.start()
    worker.post(lambda: [][0])
    worker.stop()
    assert isinstance(told.calls[0], IndexError)


def test_stop_without_start_is_harmless() -> None:
    crash = Recorder()
    Worker("errands", crash).stop()
    assert crash.calls == []
