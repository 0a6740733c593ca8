"""The worker processes of a node: who carries what, and what happens when one of them dies."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Recorder, wait_until
from mcast.errors import ConfigError, StreamEndedError
from mcast.eventlog import note
from mcast.media.child import ChildLost
from mcast.media.incoming import ReceiverCounters
from mcast.net.ports import MediaPorts
from mcast.overlay.events import Drained, Feed, FeedChanged, Outdone
from mcast.roles.node.content_relay import CarrierUse, ChildTimes, Listeners, Newcomer
from mcast.roles.node.own_process import MediaSettings
from mcast.roles.node.workers import messages, process
from mcast.roles.node.workers.log_records import RecordTeller, say
from mcast.roles.node.workers.pipe import pair
from mcast.roles.node.workers.pool import Burden, WorkerPool, least
from mcast.roles.node.workers.process import Ears, WorkerProcess
from mcast.roles.node.workers.remote_relay import RemoteRelay
from mcast.roles.node.workers.values import ChildFigures, Stand
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from media.plane.parts import LOCAL

HERE = Position(0x12345678, 1000)
TOKEN = bytes(range(16))


def test_the_next_content_goes_to_who_carries_the_fewest_then_to_who_has_least_to_do() -> None:
    assert least([]) is None
    assert least([("a", Burden(2, 0.0)), ("b", Burden(1, 9.0))]) == "b"
    assert least([("a", Burden(1, 9.0)), ("b", Burden(1, 3.0))]) == "b"
    assert least([("a", Burden(5, 9.0)), ("b", Burden(0, 0.0, is_at_work=False))]) == "a"


@given(st.integers(1, 32), st.integers(0, 300))
def test_contents_are_spread_evenly_over_any_number_of_workers(workers: int, contents: int) -> None:
    carried = dict.fromkeys(range(workers), 0)
    for _ in range(contents):
        chosen = least((each, Burden(count, 0.0)) for each, count in carried.items())
        assert chosen is not None
        carried[chosen] += 1
    assert max(carried.values()) - min(carried.values()) <= 1


class FakeWorker:
    """Notes what it is ordered to do, and with which sockets."""

    def __init__(self) -> None:
        self.orders: list[messages.Order] = []
        self.shared: list[int] = []  # the ports of sockets that came with orders

    def order(self, order: messages.Order, *sockets: socket.socket) -> None:
        self.orders.append(order)
        for each in sockets:
            self.shared.append(each.getsockname()[1])
            each.close()


def carried_by(relay: RemoteRelay) -> FakeWorker:
    worker = FakeWorker()
    relay.be_carried_by(cast(WorkerProcess, worker))
    return worker


@pytest.fixture
def relay(unheard: Recorder) -> Iterator[RemoteRelay]:
    relay = RemoteRelay(5, "news", HERE, 998, MediaPorts(), unheard)
    yield relay
    relay.close()


@pytest.fixture
def unheard() -> Recorder:
    """Parents that came while nobody carried the content."""
    return Recorder()


def media_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def newcomer(key: int, resume: Position | None = None) -> Newcomer:
    return Newcomer(key, f"viewer {key}", LOCAL, LOCAL, TOKEN, resume)


def test_a_worker_is_told_what_is_asked_for_and_ports_are_known_at_once(relay: RemoteRelay) -> None:
    worker = carried_by(relay)
    sock = media_socket()
    relay.add_parent(1, sock, TOKEN, HERE, 998, 0.25)
    port = relay.take_in(newcomer(11))
    assert relay.take_in(newcomer(12)) == port
    relay.set_state(FeedState.FED)
    relay.dismiss(11)
    relay.dismiss(99)  # nobody
    relay.remove_parent(1)
    relay.await_drain(2000)
    assert worker.orders == [
        messages.Open(5, "news", HERE, 998), messages.AddParent(5, 1, TOKEN, HERE, 998, 250_000),
        messages.TakeIn(5, newcomer(11)), messages.TakeIn(5, newcomer(12)),
        messages.TellState(5, FeedState.FED), messages.Dismiss(5, 11), messages.RemoveParent(5, 1),
        messages.AwaitDrain(5, 2000),
    ]  # fmt: skip
    assert worker.shared[1:] == [port], "the second child comes by the same common socket"
    assert sock.fileno() < 0, "what is left is the worker's to close"


NOTHING = (0,) * 9
TOLD = Stand(5, Position(HERE.ssrc, 1500), 1400, 77.5, 0.0125, ReceiverCounters(*NOTHING, 0.0, 0, 0))


def test_another_worker_goes_on_where_the_dead_one_was_with_the_same_sockets(relay: RemoteRelay) -> None:
    first = carried_by(relay)
    relay.add_parent(1, media_socket(), TOKEN, HERE, 998)
    relay.take_in(newcomer(11))
    relay.take_in(newcomer(12, Position(HERE.ssrc, 900)))
    relay.set_state(FeedState.FED)
    relay.on_stand(TOLD)
    relay.on_figures(messages.Figures(5, (), (ChildFigures(11, 4444, ChildTimes(1.5, -7000)),)))
    relay.leave_worker()
    assert relay.worker is None
    second = carried_by(relay)
    onward = Position(HERE.ssrc, 1400)
    assert second.orders == [
        messages.Open(5, "news", onward, 1400), messages.TellState(5, FeedState.FED),
        messages.AddParent(5, 1, TOKEN, onward, 1400),
        messages.TakeIn(5, Newcomer(11, "viewer 11", LOCAL, LOCAL, TOKEN, onward, heard_from=4444)),
        messages.TakeIn(5, Newcomer(12, "viewer 12", LOCAL, LOCAL, TOKEN, onward)),
    ]  # fmt: skip
    assert second.shared == first.shared


def test_where_nothing_has_come_yet_another_worker_begins_as_the_first(relay: RemoteRelay) -> None:
    first = carried_by(relay)
    relay.add_parent(1, media_socket(), TOKEN, HERE, 998)
    relay.take_in(newcomer(11, Position(HERE.ssrc, 990)))
    relay.leave_worker()
    assert carried_by(relay).orders == first.orders


def test_what_is_asked_for_while_nobody_carries_it_is_told_to_who_does_later(
    relay: RemoteRelay, unheard: Recorder
) -> None:
    port = relay.take_in(newcomer(11))
    relay.add_parent(7, media_socket(), TOKEN, HERE, 998)
    assert unheard.calls == [7], "so the decisions need not wait until it has been silent for long"
    relay.await_drain(1200)
    worker = carried_by(relay)
    assert worker.orders[1:] == [
        messages.AddParent(5, 7, TOKEN, HERE, 998), messages.TakeIn(5, newcomer(11)),
        messages.AwaitDrain(5, 1200),
    ]  # fmt: skip
    assert worker.shared[1:] == [port]
    relay.add_parent(8, media_socket(), TOKEN, HERE, 998)
    assert unheard.calls == [7]


def test_a_content_is_handed_over_whole_or_not_at_all(
    relay: RemoteRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.add_parent(1, media_socket(), TOKEN, HERE, 998)
    relay.take_in(newcomer(11))
    dup, copies = socket.socket.dup, list[socket.socket]()

    def one_at_most(sock: socket.socket) -> socket.socket:
        if copies:
            raise OSError(24, "Too many open files")
        copies.append(dup(sock))
        return copies[0]

    worker = FakeWorker()
    with monkeypatch.context() as broken:
        broken.setattr(socket.socket, "dup", one_at_most)
        with pytest.raises(OSError, match="Too many"):
            relay.be_carried_by(cast(WorkerProcess, worker))
    assert worker.orders == []
    assert relay.worker is None
    assert [copy.fileno() for copy in copies] == [-1], "it is closed"
    assert len(carried_by(relay).orders) == 3


def test_figures_are_those_told_last_and_counters_go_on_in_another_worker(relay: RemoteRelay) -> None:
    assert (relay.position, relay.wanted.next, relay.due(1)) == (HERE, 998, None)
    assert (relay.delay(), relay.child_times()) == (None, {})
    counted = ReceiverCounters(10, 13_280, 1, 0, 0, 0, 0, 0, 1500, 20.0, 0, 0, dropped=3)
    relay.on_stand(Stand(5, TOLD.position, 1400, 77.5, 0.0125, counted))
    due = relay.due(1450)
    assert due is not None
    assert (relay.position, relay.wanted.next) == (TOLD.position, 1400)
    assert (due.number, due.at) == (1400, 77.5)
    relay.on_figures(messages.Figures(5, (), (ChildFigures(11, 4444, ChildTimes(1.5, -7000)),)))
    assert (relay.delay(), relay.child_times()) == (0.0125, {11: ChildTimes(1.5, -7000)})
    relay.leave_worker()
    assert relay.counters().datagrams == 10
    relay.on_stand(Stand(5, TOLD.position, 1500, 78.0, None, counted))
    assert (relay.counters().datagrams, relay.counters().longest_gap_ms) == (20, 20.0)
    assert relay.counters().dropped == 6, "so what a worker's sockets have no room for reaches the room meter"
    assert relay.delay() is None, "the new one does not know it yet"


def test_a_closed_relay_takes_nobody_in_and_gives_no_orders(relay: RemoteRelay) -> None:
    worker = carried_by(relay)
    relay.ask_to_stop()
    relay.ask_to_stop()
    sock = media_socket()
    relay.add_parent(1, sock, TOKEN, HERE, None)
    assert sock.fileno() < 0
    with pytest.raises(StreamEndedError):
        relay.take_in(newcomer(1))
    assert worker.orders[1:] == [messages.Close(5)]


def test_a_socket_that_cannot_be_shared_refuses_the_child(
    relay: RemoteRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = carried_by(relay)

    def no_descriptors(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(socket.socket, "dup", no_descriptors)
        with pytest.raises(ConfigError, match="no socket can be shared with a worker"):
            relay.take_in(newcomer(1))
    assert worker.shared == []
    port = relay.take_in(newcomer(2))
    assert worker.shared == [port], "the next one has it with him"


# Its log


def test_what_a_worker_logs_is_said_by_the_node_with_its_event_and_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[messages.Line] = []
    source = logging.getLogger("mcast.in_a_worker")
    source.propagate = False
    source.addHandler(RecordTeller(lambda record: told.append(messages.Line(record))))
    try:
        note(source, "cut", "[%s] cut: %s", "news", "silent", content="news", cause="silent",
             level=logging.WARNING)  # fmt: skip
        try:
            raise KeyError(b"\xff")
        except KeyError:
            source.exception("broken")
    finally:
        source.handlers.clear()
        source.propagate = True
    for line in told:
        arrived = messages.unpack_fact(line.pack())
        assert isinstance(arrived, messages.Line)
        say(arrived.record, 2)
    cut, broken = caplog.records
    assert (cut.getMessage(), cut.levelname) == ("[news] cut: silent", "WARNING")
    assert cut.__dict__["event"] == "cut"
    assert cut.__dict__["fields"] == {"content": "news", "cause": "silent"}
    assert str(cut.threadName).startswith("worker-2 ")
    assert "Traceback" in broken.getMessage()
    say({"name": "mcast.in_a_worker", "level": logging.DEBUG, "message": "not wanted"}, 2)
    assert len(caplog.records) == 2


def test_a_line_that_is_too_long_for_a_message_arrives_shortened() -> None:
    told: list[messages.Line] = []
    teller = RecordTeller(lambda record: told.append(messages.Line(record)))
    record = logging.makeLogRecord({"name": "mcast", "msg": "\U0001f4fa" * 30_000, "event": "cut"})
    teller.emit(record)
    arrived = messages.unpack_fact(told[0].pack())
    assert isinstance(arrived, messages.Line)
    assert arrived.record["message"] == "\U0001f4fa" * 2_000
    assert arrived.record["about"] == {}


# Processes


class Heard:
    """What is heard of workers."""

    def __init__(self) -> None:
        self.up, self.down, self.facts = Recorder(), Recorder(), Recorder()

    @property
    def ears(self) -> Ears:
        return Ears(self.up, lambda _, fact: self.facts(fact), self._on_down)

    def _on_down(self, worker: WorkerProcess) -> int:
        self.down(worker)
        return 3

    def lines(self) -> list[str]:
        return [str(fact.record["message"]) for fact in self.facts.calls if isinstance(fact, messages.Line)]


StartWorker: TypeAlias = Callable[[], tuple[WorkerProcess, Heard]]
BEGIN = messages.Begin("n1", 1, 0, 0, logging.INFO)


@pytest.fixture
def start(crash: Recorder) -> Iterator[StartWorker]:
    started: list[WorkerProcess] = []

    def start() -> tuple[WorkerProcess, Heard]:
        heard = Heard()
        worker = WorkerProcess(1, BEGIN, heard.ears, crash)
        started.append(worker)
        worker.start()
        return worker, heard

    yield start
    for worker in started:
        worker.stop()
    assert not crash.calls


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    events = [each.__dict__ for each in caplog.records if getattr(each, "event", "") == "worker_lost"]
    return [str(each["fields"]["reason"]) for each in events]


def test_a_worker_that_crashes_says_why_and_is_started_again(
    start: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker, heard = start()
    wait_until(lambda: worker.is_at_work, "the worker")
    worker.order(messages.Close(99))  # there is none: our bug, not to be lived with
    assert heard.down.wait_for(1) == [worker]
    wait_until(lambda: len(heard.up) == 2, "the next one")
    assert reasons(caplog) == ["status 1"]
    assert any("unexpected KeyError" in line for line in heard.lines())
    assert worker.cpu_seconds > 0


def test_a_worker_that_hangs_is_killed_and_started_again(
    start: StartWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    worker, heard = start()
    wait_until(lambda: worker.is_at_work, "the worker")
    (pid,) = (each.__dict__["fields"]["pid"] for each in caplog.records if hasattr(each, "event"))
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(process, "SILENT_SECONDS", 0.3)
    heard.down.wait_for(1)
    wait_until(lambda: reasons(caplog) == ["it says nothing any more"])


def test_a_worker_that_cannot_be_started_is_tried_again(
    start: StartWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nowhere/python")
        worker, heard = start()
        wait_until(lambda: reasons(caplog), "the first try")
        assert not worker.is_up
    wait_until(lambda: len(heard.up) == 1, "the next try")
    assert "cannot be started" in reasons(caplog)[0]


def test_modules_where_the_node_was_started_are_not_for_its_workers(
    start: StartWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    worker, heard = start()
    wait_until(lambda: worker.is_at_work, "the worker")
    assert not heard.down.calls


def test_how_a_worker_carries_contents_is_its_first_order_whoever_else_gives_one(
    crash: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = WorkerProcess(1, BEGIN, Heard().ears, crash)
    was_up: list[bool] = []
    monkeypatch.setattr(worker._orders, "post", lambda _: was_up.append(worker.is_up))
    ours, theirs = pair()
    with theirs:
        worker._begin_to_order(ours)
    assert (was_up, worker.is_up) == ([False], True)
    ours.close()


def test_a_worker_tells_of_its_process_and_ends_with_the_last_word_of_its_node(start: StartWorker) -> None:
    worker, heard = start()
    wait_until(lambda: worker.is_at_work, "the worker")
    assert worker.memory_kb > 1000
    assert 0.0 <= worker.share < 1.0
    worker.stop()
    assert not worker.is_up
    assert not heard.down.calls
    worker.order(messages.Close(1))  # harmless


def test_a_pool_hands_on_what_its_workers_tell(crash: Recorder) -> None:
    posted, lost, caught_up = Recorder(), Recorder(), Recorder()
    pool = WorkerPool(3, MediaSettings("n1", MediaPorts(), 2), Listeners(posted, lost, caught_up, crash))
    facts: Sequence[messages.Fact] = (
        messages.FeedChanged(1, Feed.CUT, 170), messages.Outdone(2), messages.Drained("news", (3, 4)),
        messages.ChildGone(5, ChildLost.BYE), messages.CaughtUp(6), messages.Stands(0, 0, (TOLD,)),
        messages.Figures(99, (), ()),
    )  # fmt: skip
    for fact in facts:
        pool._on_fact(pool._workers[0], fact)  # of relays that have ended: nothing
    assert posted.calls == [FeedChanged(1, Feed.CUT, 170), Outdone(2), Drained("news", (3, 4))]
    assert (lost.calls, caught_up.calls) == ([(5, ChildLost.BYE)], [6])
    assert pool.uses() == (CarrierUse(0.0, frozenset()),) * 3, "as many at each look, whoever is up"
    assert pool.others_load() == (0.0, 0)
    assert pool.vital_threads == ()
