"""The watchdog hears of a program only as long as each thread that it cannot do without goes on."""

import threading

from mcast.roles.pulse import Pulse, Task
from mcast.roles.service_manager import ServiceManager


class Manager(ServiceManager):
    """Counts the signs of life."""

    def __init__(self, patience: float | None) -> None:
        super().__init__(patience=patience)
        self.beats = 0

    def alive(self) -> None:
        self.beats += 1


class Thread:
    """Takes what it is to do, and does it when told to."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def call(self, task: Task) -> None:
        self.tasks.append(task)

    def go_on(self) -> None:
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task()


def test_a_sign_of_life_has_been_in_every_thread() -> None:
    manager, first, second = Manager(30), Thread(), Thread()
    Pulse(manager, lambda: 0.0).beat(first.call, second.call)
    assert (manager.beats, len(first.tasks), len(second.tasks)) == (0, 1, 0)
    first.go_on()
    assert (manager.beats, len(second.tasks)) == (0, 1)
    second.go_on()
    assert manager.beats == 1


def test_while_a_thread_hangs_nothing_is_told_and_nothing_piles_up() -> None:
    now, manager, thread = 0.0, Manager(30), Thread()
    pulse = Pulse(manager, lambda: now)
    for _ in range(100):
        now += 10
        pulse.beat(thread.call)
    assert (manager.beats, len(thread.tasks)) == (0, 1)
    thread.go_on()
    now += 10
    pulse.beat(thread.call)
    thread.go_on()
    assert manager.beats == 2  # a thread that was only slow


def test_it_beats_three_times_in_the_time_that_the_manager_waits() -> None:
    now, manager = 0.0, Manager(30)
    pulse = Pulse(manager, lambda: now)
    for tenth in range(600):
        now = tenth / 10
        pulse.beat()
    assert manager.beats == 6


def test_no_thread_is_asked_where_no_manager_wants_to_know() -> None:
    thread = Thread()
    Pulse(Manager(None)).beat(thread.call)
    assert thread.tasks == []


def test_a_thread_that_is_not_there_any_more_ends_the_signs_of_life() -> None:
    manager, gone = Manager(30), threading.Event()
    pulse = Pulse(manager, lambda: 0.0)
    pulse.beat(lambda _: gone.set())
    assert gone.is_set()
    assert manager.beats == 0
