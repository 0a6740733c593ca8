import threading
from collections.abc import Iterable

import pytest

from helpers import Recorder, wait_until
from mcast.overlay.actions import Action, Dismiss
from mcast.overlay.node_core import NodeCore
from mcast.roles.node import decider as decider_module
from mcast.roles.node.decider import Decider, Event
from roles.partners import N1

GOODBYE = Dismiss(0, "goodbye")


class Core(NodeCore):
    """One that remembers how often it was told the time, and says goodbye."""

    def __init__(self) -> None:
        super().__init__(N1)
        self.ticks = 0

    def on_time(self, now: float) -> list[Action]:
        self.ticks += 1
        return super().on_time(now)

    def on_shutdown(self) -> list[Action]:
        return [GOODBYE]


def says(*numbers: int) -> Event:
    return lambda _core, _now: [Dismiss(number, "") for number in numbers]


def test_events_are_decided_in_their_order_and_their_actions_done_in_theirs(crash: Recorder) -> None:
    performed, threads = Recorder(), set()

    def perform(action: Action) -> None:
        threads.add(threading.current_thread().name)
        performed(action)

    decider = Decider(Core(), perform, Recorder(), crash)
    decider.post(says(1, 2))  # before the start, too
    decider.start()
    assert decider.offer(says(3))
    decider.stop()
    assert performed.calls == [Dismiss(1, ""), Dismiss(2, ""), Dismiss(3, ""), GOODBYE]
    assert threads == {"decide"}


def test_time_goes_by_without_events_and_with_too_many_of_them(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "TICK", 0.01)
    core, ticks = Core(), Recorder()
    decider = Decider(core, Recorder(), ticks, crash)

    def again(_core: NodeCore, _now: float) -> Iterable[Action]:
        if len(ticks) < 6:
            decider.post(again)
        return ()

    decider.start()
    ticks.wait_for(3)
    decider.post(again)
    ticks.wait_for(6)
    decider.stop()
    assert core.ticks >= 6


def test_a_peers_message_is_refused_when_too_many_wait_and_our_own_are_not(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "MAX_PENDING", 2)
    performed, busy, go_on = Recorder(), threading.Event(), threading.Event()

    def hold_up(_core: NodeCore, _now: float) -> Iterable[Action]:
        busy.set()
        go_on.wait(10)
        return ()

    decider = Decider(Core(), performed, Recorder(), crash)
    decider.start()
    decider.post(hold_up)
    assert busy.wait(10)
    assert [decider.offer(says(number)) for number in (1, 2, 3)] == [True, True, False]
    decider.post(says(4))
    go_on.set()
    decider.stop()
    assert performed.calls == [Dismiss(1, ""), Dismiss(2, ""), Dismiss(4, ""), GOODBYE]


def test_nothing_is_decided_behind_the_goodbye(crash: Recorder) -> None:
    performed = Recorder()
    decider: Decider

    def perform(action: Action) -> None:
        performed(action)
        decider.post(says(9))  # a STREAM that comes in at this very moment

    decider = Decider(Core(), perform, Recorder(), crash)
    decider.start()
    decider.stop()
    assert performed.calls == [GOODBYE]


def test_a_crash_is_told_and_stop_returns_all_the_same() -> None:
    def perform(_action: Action) -> None:
        raise ValueError("a bug")

    told = Recorder()
    decider = Decider(Core(), perform, Recorder(), told)
    decider.start()
    decider.post(says(1))
    told.wait_for()
    decider.post(says(2))
    decider.stop()
    assert [str(error) for error in told.calls] == ["a bug"]


def test_stop_without_start_is_harmless(crash: Recorder) -> None:
    Decider(Core(), Recorder(), Recorder(), crash).stop()
    wait_until(lambda: all(thread.name != "decide" for thread in threading.enumerate()))
