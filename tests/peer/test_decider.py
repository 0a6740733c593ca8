"""The thread `decide`, with a core that the test writes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.overlay.actions import Action, Dismiss, Reply
from mcast.overlay.events import ConnectionGone, Departure, DiscReceived, Event, Leaving, TimePassed, Unwanted
from mcast.overlay.transitions import HANDOVER_SECONDS
from mcast.peer import decider as decider_module
from mcast.peer.decider import LEAVE_SECONDS, MAX_AHEAD, Decider
from mcast.wire.node import MissReason
from roles.partners import disc, miss

TICK = 0.005
GOODBYE = Dismiss(0, "goodbye")


def event(number: int) -> Event:
    return ConnectionGone(number, Departure.LOST)


def answer(number: int) -> Action:
    return Dismiss(number, "")


class Core:
    """Dismisses each connection that is gone; what else it does is the test's."""

    def __init__(self, decide: Callable[[Event], Sequence[Action]] = lambda _: ()) -> None:
        self.decide, self.ticks = decide, 0
        self.times: list[float] = []
        self.due: float | None = None
        self.is_idle = True

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        self.times.append(now)
        match event:
            case TimePassed():
                self.ticks += 1
                return ()
            case Leaving():
                return [GOODBYE]
            case ConnectionGone(number):
                return [answer(number)]
        return self.decide(event)


class Trace:
    """Remembers what is written, and by whom."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, Event, Sequence[Action]]] = []
        self.threads: set[str] = set()
        self.closed = False

    def write(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        assert not self.closed
        self.steps.append((now, event, actions))
        self.threads.add(threading.current_thread().name)

    def close(self) -> None:
        self.closed = True


def test_events_are_decided_in_their_order_and_their_actions_done_in_theirs(crash: Recorder) -> None:
    performed, threads = Recorder(), set()

    def perform(action: Action) -> None:
        threads.add(threading.current_thread().name)
        performed(action)

    core = Core(lambda _: [answer(3), answer(4)])
    decider = Decider(core, perform, crash, on_tick=Recorder())
    decider.post(event(1))  # before the start, too
    decider.start()
    assert decider.offer(event(2))
    decider.post(Unwanted("news"))
    decider.stop()
    assert performed.calls == [answer(1), answer(2), answer(3), answer(4), GOODBYE]
    assert threads == {"decide"}
    assert core.times == sorted(core.times)


def test_time_goes_by_without_events_and_with_too_many_of_them(crash: Recorder) -> None:
    ticks = Recorder()

    def again(asked: Event) -> Sequence[Action]:
        if len(ticks) < 6:
            decider.post(asked)
        return ()

    core = Core(again)
    decider = Decider(core, Recorder(), crash, on_tick=ticks, tick=0.01)
    decider.start()
    ticks.wait_for(3)
    decider.post(Unwanted("news"))
    ticks.wait_for(6)
    decider.stop()
    assert core.ticks >= 6


def test_what_has_come_in_time_is_decided_before_the_time_is_told(crash: Recorder) -> None:
    """As on a machine that has no time for the process: each look is late when it ends."""
    core, looks = Core(), Recorder()

    def late(_: float) -> None:
        threading.Event().wait(2 * TICK)

    decider = Decider(core, lambda _: looks(core.ticks), crash, on_tick=late, tick=TICK)
    for number in range(3):
        decider.post(event(number))
    decider.start()
    assert looks.wait_for(3)[:3] == [0, 0, 0]
    wait_until(lambda: core.ticks > 0)
    decider.post(event(3))
    assert looks.wait_for(4)[3] != 0
    decider.stop()


def test_however_much_comes_in_what_is_due_gets_its_turn(crash: Recorder) -> None:
    core, performed = Core(), Recorder()
    decider = Decider(core, lambda _: performed(core.ticks), crash, on_tick=Recorder(), tick=PATIENCE)
    for number in range(MAX_AHEAD + 1):
        decider.post(event(number))
    decider.start()
    assert performed.wait_for(MAX_AHEAD + 1) == [0] * MAX_AHEAD + [1]
    decider.stop()


class SoonDue(Core):
    """Has something due shortly after the first tick, whenever that is."""

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        actions = super().handle(event, now)
        if self.ticks == 1 and self.due is None:
            self.due = now + 0.02
        return actions


def test_the_time_is_told_when_something_is_due_and_not_only_at_the_ticks(crash: Recorder) -> None:
    core = SoonDue()
    decider = Decider(core, Recorder(), crash, on_tick=Recorder(), tick=2 * PATIENCE)
    decider.start()
    wait_until(lambda: core.ticks > 1)  # the first tick is at the start
    decider.stop()
    assert core.due is not None
    assert core.times[1] >= core.due


def test_what_stays_due_though_the_time_was_told_waits_for_the_tick(crash: Recorder) -> None:
    core, performed = Core(), Recorder()
    core.due = time.monotonic()
    decider = Decider(core, performed, crash, on_tick=Recorder(), tick=PATIENCE)
    decider.start()
    for number in range(20):
        decider.post(event(number))
    performed.wait_for(20)
    decider.stop()
    assert core.ticks <= 2


def test_who_leaves_goes_on_deciding_until_nothing_is_left(crash: Recorder) -> None:
    core, performed = Core(), Recorder()
    core.is_idle = False

    def perform(action: Action) -> None:
        performed(action)
        if action == GOODBYE:
            decider.post(event(1))  # the last child has gone elsewhere
        else:
            core.is_idle = True

    decider = Decider(core, perform, crash, on_tick=Recorder(), leave=PATIENCE)
    decider.start()
    decider.stop()
    assert performed.calls == [GOODBYE, answer(1)]


def test_who_leaves_is_waited_for_no_longer_than_it_may_take(crash: Recorder) -> None:
    core, performed = Core(), Recorder()
    core.is_idle = False
    decider = Decider(core, performed, crash, on_tick=Recorder(), tick=0.01, leave=0.05)
    decider.start()
    decider.stop()
    assert performed.calls == [GOODBYE]
    assert core.ticks > 1  # time went by meanwhile


def test_a_peers_message_is_refused_when_too_many_wait_and_our_own_are_not(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider_module, "MAX_PENDING", 2)
    performed, busy, go_on = Recorder(), threading.Event(), threading.Event()

    def hold_up(_: Event) -> Sequence[Action]:
        busy.set()
        go_on.wait(10)
        return ()

    decider = Decider(Core(hold_up), performed, crash, on_tick=Recorder())
    decider.start()
    decider.post(Unwanted("news"))
    assert busy.wait(10)
    assert [decider.offer(event(number)) for number in (1, 2, 3)] == [True, True, False]
    decider.post(event(4))
    go_on.set()
    decider.stop()
    assert performed.calls == [answer(1), answer(2), answer(4), GOODBYE]


def test_nothing_is_decided_behind_the_goodbye(crash: Recorder) -> None:
    performed = Recorder()

    def perform(action: Action) -> None:
        performed(action)
        decider.post(event(9))  # a STREAM that comes in at this very moment

    decider = Decider(Core(), perform, crash, on_tick=Recorder())
    decider.start()
    decider.stop()
    assert performed.calls == [GOODBYE]


def test_a_crash_is_told_and_stop_returns_all_the_same() -> None:
    def perform(_action: Action) -> None:
        raise ValueError("a bug")

    told, trace = Recorder(), Trace()
    decider = Decider(Core(), perform, told, on_tick=Recorder(), trace=trace)
    decider.start()
    decider.post(event(1))
    told.wait_for()
    decider.post(event(2))
    decider.stop()
    assert [str(error) for error in told.calls] == ["a bug"]
    assert trace.closed
    assert trace.steps[-1][1] == event(1)  # what it crashed over is in the trace


def test_stop_without_start_decides_nothing(crash: Recorder) -> None:
    core, perform = Core(), Recorder()
    Decider(core, perform, crash, on_tick=Recorder()).stop()
    assert (core.times, perform.calls) == ([], [])


def test_the_farewell_is_longer_than_a_hand_over_and_leaves_a_fifth_of_a_second_for_the_rest() -> None:
    assert HANDOVER_SECONDS < LEAVE_SECONDS <= 0.8


def test_every_decision_is_traced_by_its_own_thread_up_to_the_last(crash: Recorder) -> None:
    core, trace = Core(), Trace()
    decider = Decider(core, Recorder(), crash, on_tick=Recorder(), trace=trace, tick=0.01)
    decider.start()
    decider.post(event(1))
    wait_until(lambda: len(trace.steps) > 2)
    decider.stop()
    assert trace.closed
    assert trace.threads == {"decide"}
    assert [now for now, _, _ in trace.steps] == core.times
    told = [(each, list(actions)) for _, each, actions in trace.steps if each != TimePassed()]
    assert told == [(event(1), [answer(1)]), (Leaving(), [GOODBYE])]


def test_at_debug_level_each_event_and_action_is_a_short_line(
    crash: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mcast.peer.decider")
    asked = disc("news", request=bytes(range(16)))
    core = Core(lambda _: [Reply(5, miss(asked, MissReason.ABSENT))])
    decider = Decider(core, Recorder(), crash, on_tick=Recorder(), tick=0.01)
    decider.start()
    decider.post(DiscReceived(5, asked))
    wait_until(lambda: core.ticks > 2)
    decider.stop()
    assert caplog.messages == [
        "< DiscReceived(connection=5, disc=Disc(request=00010203, content='news', "
        "sender=client-76696577, remaining_ms=4000))",
        "> Reply(connection=5, message=Miss(request=00010203, content='news', reason=absent))",
        "< Leaving()",
        "> Dismiss(connection=0, content='goodbye')",
    ]
