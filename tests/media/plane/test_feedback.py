"""The one thread that hears all children: calls, clocks, sockets, and how it ends."""

import socket
import threading
import time
from functools import partial
from ipaddress import ip_address

import pytest

from helpers import Recorder, wait_until
from mcast.media.feedback import FeedbackReader
from mcast.net.threads import CrashBox
from mcast.net.udp import open_udp

LOCAL = ip_address("127.0.0.1")


class Clock:
    """A client that is called every 10 ms, or as it says."""

    catching_up = 0

    def __init__(self, pause: float = 0.01) -> None:
        self.calls, self.threads, self._pause = 0, set[str](), pause

    def tick(self, now: float) -> float:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        return now + self._pause


def test_a_client_is_called_when_it_wants_to_be_until_it_is_detached() -> None:
    crash = CrashBox(threading.Event())
    with FeedbackReader(crash) as reader:
        clock = Clock()
        reader.call(lambda: reader.attach(clock))
        wait_until(lambda: clock.calls >= 3)
        reader.call(lambda: reader.detach(clock), wait=True)
        calls = clock.calls
        reader.call(lambda: None, wait=True)
        assert (clock.calls, clock.threads) == (calls, {"feedback"})
    assert crash.error is None


def test_who_is_not_due_is_called_only_when_the_thread_is_woken() -> None:
    with FeedbackReader(Recorder()) as reader:
        quick, slow = Clock(), Clock(3600.0)
        for clock in (quick, slow):
            reader.call(partial(reader.attach, clock), wait=True)
        wait_until(lambda: quick.calls >= 3 and slow.calls >= 1)
        quick_calls, slow_calls = quick.calls, slow.calls
        wait_until(lambda: quick.calls >= quick_calls + 5)
        assert slow.calls == slow_calls
        reader.wake()
        wait_until(lambda: slow.calls > slow_calls)


def test_what_waits_at_a_socket_is_handed_over_until_it_is_closed() -> None:
    heard = Recorder()
    with FeedbackReader(Recorder()) as reader, open_udp(LOCAL) as sock, open_udp(LOCAL) as sender:

        def read(ready: socket.socket) -> None:
            heard(ready.recv(100))

        reader.call(lambda: reader.register(sock, read))
        sender.sendto(b"hello", sock.getsockname())
        assert heard.wait_for(1) == [b"hello"]
        reader.call(lambda: reader.close(sock), wait=True)
        assert sock.fileno() == -1


def test_a_call_that_is_waited_for_has_happened_even_when_nobody_runs() -> None:
    reader, done = FeedbackReader(Recorder()), Recorder()
    reader.call(lambda: done("before the start"), wait=True)
    assert done.calls == ["before the start"]
    reader.start()
    reader.call(lambda: done(threading.current_thread().name), wait=True)
    assert done.calls[-1] == "feedback"
    reader.stop()
    reader.stop()


def test_sockets_that_are_left_are_closed_at_the_end() -> None:
    reader = FeedbackReader(Recorder())
    reader.start()
    sock = open_udp(LOCAL)
    reader.call(lambda: reader.register(sock, lambda _: None), wait=True)
    assert "1 sockets" in repr(reader)
    reader.stop()
    assert sock.fileno() == -1


def test_a_crash_of_a_client_is_handed_to_the_owner() -> None:
    class Broken:
        catching_up = 0

        def tick(self, _now: float) -> float:
            raise ZeroDivisionError

    crash = CrashBox(threading.Event())
    with FeedbackReader(crash) as reader:
        reader.call(lambda: reader.attach(Broken()))
        wait_until(lambda: isinstance(crash.error, ZeroDivisionError))


def test_who_joins_one_content_does_not_wait_for_a_crowd_at_another() -> None:
    class Content:
        def __init__(self, name: str, catching_up: int) -> None:
            self.name, self.catching_up = name, catching_up

        def tick(self, now: float) -> float:
            order.append(self.name)
            return now + 0.005

    order = list[str]()
    with FeedbackReader(Recorder()) as reader:
        for content in (Content("crowd", 1_000), Content("other crowd", 900), Content("one", 1)):
            reader.call(partial(reader.attach, content))
        wait_until(lambda: len(order) > 40)
        reader.call(order.clear, wait=True)
        wait_until(lambda: len(order) > 40)
    rounds = [tuple(order[start : start + 3]) for start in range(0, 39, 3)]
    assert set(rounds) == {("one", "crowd", "other crowd"), ("one", "other crowd", "crowd")}, "by turns"


def test_all_children_together_begin_with_a_burst() -> None:
    reader = FeedbackReader(Recorder(), catch_up_bit_rate=80_000_000)
    assert reader.total.left(time.monotonic()) == 80_000_000 / 8 * 0.05
    reader.stop()


def test_what_many_report_is_read_by_and_by_and_calls_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcast.media.feedback.CROWD", 5)
    heard = Recorder()
    with FeedbackReader(Recorder()) as reader, open_udp(LOCAL) as sock, open_udp(LOCAL) as sender:
        clock = Clock()
        reader.call(lambda: reader.register(sock, lambda ready: heard(ready.recv(100))))
        reader.call(lambda: reader.attach(clock), wait=True)
        sent = 0
        while not reader.rests:
            sender.sendto(b"%d" % sent, sock.getsockname())
            sent += 1
            assert heard.wait_for(sent)[-1] == b"%d" % (sent - 1)
            assert sent < 100_000
        calls = clock.calls
        wait_until(lambda: clock.calls > calls)
        reader.call(lambda: None, wait=True)
        reader.hurry(time.monotonic())
        assert not reader.rests
        sender.sendto(b"the last one", sock.getsockname())
        heard.wait_for(sent + 1)
