import socket
import threading
from collections.abc import Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.errors import WireError
from mcast.net import connection as connection_module
from mcast.net.calm import Calm
from mcast.net.connection import Connection, PeerGone
from mcast.net.ratelimit import Counters
from mcast.net.watcher import Watcher
from mcast.wire.frame import Message
from peers import HELLO, drop_all_that_comes, frame, read_to_end, reset, tcp_pair, text_of, unknown_frame

Pair = tuple[Connection, socket.socket]


@pytest.fixture
def crashes() -> Recorder:
    return Recorder()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def watcher(crashes: Recorder, counters: Counters) -> Iterator[Watcher]:
    with Watcher(crashes, counters=counters) as running:
        yield running


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tcp_pair() as both:
        yield both


class Ear(Recorder):
    """Remembers the texts that a watched connection brought, and its end."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = Recorder()

    def hear(self, message: Message) -> None:
        self(text_of(message))


def test_messages_arrive_in_order_and_then_the_end(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    peer.sendall(frame("one") + frame("two")[:-1])
    ear.wait_for(1)
    peer.sendall(frame("two")[-1:] + frame("three"))
    peer.close()
    assert ear.gone.wait_for() == [f"{connection.peer} closed the connection"]
    assert ear.calls == ["one", "two", "three"]
    assert (connection.closed, len(watcher)) == (True, 0)


def test_a_message_that_was_received_before_watching_is_not_forgotten(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("for the handler") + frame("for the watcher"))
    assert text_of(connection.receive(5)) == "for the handler"
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    assert ear.wait_for() == ["for the watcher"]


def test_a_reset_is_told_with_its_reason(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    reset(peer)
    assert "reset" in str(ear.gone.wait_for()[0])


def test_closing_by_anybody_is_told_once(watcher: Watcher, pair: Pair) -> None:
    connection, _peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    connection.close()
    assert "is closed" in str(ear.gone.wait_for()[0])
    assert connection.fileno() == -1
    assert len(ear.gone) == 1


def test_garbage_costs_its_own_connection_only(watcher: Watcher, counters: Counters) -> None:
    with tcp_pair() as (good, good_peer), tcp_pair() as (bad, bad_peer):
        good_ear, bad_ear = Ear(), Ear()
        watcher.watch(good, good_ear.hear, good_ear.gone)
        watcher.watch(bad, bad_ear.hear, bad_ear.gone)
        bad_peer.sendall(frame("one") + b"HTTP/1.1 400 Bad Request\r\n")
        assert "an HTTP service is there" in str(bad_ear.gone.wait_for()[0])
        assert bad_ear.calls == ["one"]
        assert read_to_end(bad_peer) == b""
        good_peer.sendall(frame("still here"))
        assert good_ear.wait_for() == ["still here"]
        assert counters["bad_frames"] == 1


def test_a_message_of_a_newer_version_costs_nothing_but_itself(
    watcher: Watcher, counters: Counters, pair: Pair
) -> None:
    connection, peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    peer.sendall(frame("one") + unknown_frame() + unknown_frame(protocol=9) + frame("two"))
    assert ear.wait_for(2) == ["one", "two"]
    assert (connection.unknown_messages, counters["bad_frames"], len(ear.gone)) == (2, 0, 0)


def test_a_frame_that_never_ends_is_cut_off_and_quiet_peers_are_not(
    watcher: Watcher, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "FRAME_TIMEOUT", 0.1)
    with tcp_pair() as (quiet, quiet_peer), tcp_pair() as (slow, slow_peer):
        quiet_ear, slow_ear = Ear(), Ear()
        watcher.watch(quiet, quiet_ear.hear, quiet_ear.gone)
        watcher.watch(slow, slow_ear.hear, slow_ear.gone)
        slow_peer.sendall(frame("never")[:-1])
        assert "not complete" in str(slow_ear.gone.wait_for()[0])
        quiet_peer.sendall(frame("here"))
        assert quiet_ear.wait_for() == ["here"]
        assert counters["bad_frames"] == 1


def test_a_callback_may_refuse_a_message_that_has_no_business_here(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    gone = Recorder()

    def refuse(message: Message) -> None:
        raise WireError(f"no {type(message).__name__} here")

    watcher.watch(connection, refuse, gone)
    peer.sendall(frame("x"))
    assert gone.wait_for() == ["no Refused here"]


def test_an_unexpected_exception_of_a_callback_is_a_crash(
    watcher: Watcher, pair: Pair, crashes: Recorder
) -> None:
    connection, peer = pair

    def stumble(_message: Message) -> None:
        raise KeyError("bug")

    watcher.watch(connection, stumble, Recorder())
    peer.sendall(frame("x"))
    assert isinstance(crashes.wait_for()[0], KeyError)


def test_unwatch_gives_the_connection_back_with_all_that_was_not_told(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    ear = Ear()

    def hear_one(message: Message) -> None:
        assert watcher.unwatch(connection)
        ear.hear(message)

    watcher.watch(connection, hear_one, ear.gone)
    peer.sendall(frame("one") + frame("two"))
    ear.wait_for(1)
    assert text_of(connection.receive(5)) == "two"
    assert (len(ear), len(ear.gone)) == (1, 0)


def test_no_callback_runs_after_unwatch(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    inside, go_on, ended = threading.Event(), threading.Event(), []

    def slow(_message: Message) -> None:
        inside.set()
        go_on.wait(10)
        ended.append(True)

    watcher.watch(connection, slow, Recorder())
    peer.sendall(frame("x"))
    assert inside.wait(10)
    threading.Timer(0.05, go_on.set).start()
    assert watcher.unwatch(connection)
    assert ended == [True]


def test_unwatching_what_is_gone_says_so(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    peer.close()
    ear.gone.wait_for()
    assert not watcher.unwatch(connection)


def test_a_closed_connection_cannot_be_watched_nor_one_twice(watcher: Watcher, pair: Pair) -> None:
    connection, _peer = pair
    watcher.watch(connection, Recorder(), Recorder())
    with pytest.raises(ValueError, match="watched already"):
        watcher.watch(connection, Recorder(), Recorder())
    assert watcher.unwatch(connection)
    connection.close()
    with pytest.raises(PeerGone):
        watcher.watch(connection, Recorder(), Recorder())


def test_stopping_closes_what_is_watched_without_a_word(crashes: Recorder) -> None:
    gone = Recorder()
    with tcp_pair() as (connection, peer):
        with Watcher(crashes) as watcher:
            watcher.watch(connection, Recorder(), gone)
            connection.send(HELLO)
        assert read_to_end(peer) == frame("hello")
        assert connection.closed
    assert len(gone) == 0


def test_what_is_called_is_done_by_the_watching_thread_and_else_at_its_end(crashes: Recorder) -> None:
    names = Recorder()
    with Watcher(crashes) as watcher:
        watcher.call(lambda: names(threading.current_thread().name))
        assert names.wait_for() == ["watcher"]
    unstarted = Watcher(crashes)
    unstarted.call(lambda: names("nobody waits for ever"))
    unstarted.stop()
    assert names.calls == ["watcher", "nobody waits for ever"]


def test_a_thousand_connections_that_come_and_go_while_it_watches(watcher: Watcher) -> None:
    ear = Ear()
    for _ in range(1000):
        with tcp_pair() as (connection, peer):
            watcher.watch(connection, ear.hear, ear.gone)
            peer.sendall(frame("x"))
    wait_until(lambda: len(watcher) == 0, "all to be gone")
    assert len(ear.gone) == 1000


# What is told to many

LARGE = 10 * 2**20  # more than the buffers of a connection hold


def test_a_pushed_frame_arrives_whole_however_late_its_reader_reads(watcher: Watcher, pair: Pair) -> None:
    connection, peer = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    for letter in (b"a", b"b", b"c"):
        assert watcher.push(connection, letter * LARGE, 60)
        wait_until(lambda: watcher._unsent, "the buffers are full")
    peer.sendall(frame("heard all the same"))
    assert ear.wait_for() == ["heard all the same"]
    got = bytearray()
    while len(got) < 2 * LARGE:
        got += peer.recv(2**20)
    assert got == b"a" * LARGE + b"c" * LARGE  # the newest, behind what had begun


def test_who_takes_nothing_loses_its_connection_and_delays_nobody(watcher: Watcher) -> None:
    with tcp_pair() as (deaf, _), tcp_pair() as (good, good_peer):
        deaf_ear, good_ear = Ear(), Ear()
        watcher.watch(deaf, deaf_ear.hear, deaf_ear.gone)
        watcher.watch(good, good_ear.hear, good_ear.gone)
        watcher.push(deaf, b"x" * LARGE, 0.1)
        wait_until(lambda: watcher._unsent, "the buffers are full")
        watcher.push(good, frame("news"), 0.1)
        with Connection(good_peer.dup()) as reader:
            assert text_of(reader.receive(5)) == "news"
            assert deaf_ear.gone.wait_for() == [f"{deaf.peer} takes no data"]
            assert (deaf.closed, good.closed, watcher._unsent) == (True, False, set())


def test_the_hurried_do_not_wait_for_a_frame_that_its_reader_does_not_take(
    watcher: Watcher, pair: Pair
) -> None:
    connection, _ = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    watcher.push(connection, b"x" * LARGE, 60)
    wait_until(lambda: watcher._unsent, "the buffers are full")
    with pytest.raises(PeerGone, match="takes no data"):
        connection.send(HELLO, timeout=0)
    ear.gone.wait_for()
    with pytest.raises(PeerGone, match="is closed"):  # and not only after the time
        connection.send(HELLO, timeout=None)


def test_a_connection_that_is_given_back_amid_a_frame_is_closed(watcher: Watcher, pair: Pair) -> None:
    connection, _ = pair
    ear = Ear()
    watcher.watch(connection, ear.hear, ear.gone)
    watcher.push(connection, b"x" * LARGE, 60)
    wait_until(lambda: watcher._unsent, "the buffers are full")
    assert watcher.unwatch(connection)
    assert (connection.closed, ear.gone.calls) == (True, [])
    assert not watcher.push(connection, frame("too late"), 60)


# Connections whose silence ends nothing

QUICK = Calm(idle=1, interval=1, silence=1.5)


def test_silence_of_a_calm_connection_is_told_once_and_ends_nothing(crashes: Recorder, pair: Pair) -> None:
    connection, peer = pair
    ear, silent = Ear(), Recorder()
    with Watcher(crashes, calm=QUICK) as watcher:
        watcher.watch(connection, ear.hear, ear.gone)
        watcher.tolerate_silence(connection, lambda: silent("silent"))
        drop_all_that_comes(connection.sock)
        assert silent.wait_for() == ["silent"]
        wait_until(lambda: not watcher._calm_ones, "nobody is looked at any more")
        assert (silent.calls, ear.gone.calls, connection.closed, len(watcher)) == (["silent"], [], False, 1)
        peer.settimeout(0.01)
        with pytest.raises(TimeoutError):  # nor was the peer told anything: no RST
            peer.recv(1)


def test_an_idle_peer_that_lives_is_not_silent(crashes: Recorder, pair: Pair) -> None:
    connection, _ = pair
    ear, silent, looks = Ear(), Recorder(), Recorder()
    with Watcher(crashes, calm=QUICK) as watcher:
        watcher.watch(connection, ear.hear, ear.gone)
        watcher.tolerate_silence(connection, lambda: silent("silent"))
        look = watcher._look_for_silence
        watcher._look_for_silence = lambda: (look(), looks("look"))  # type: ignore[method-assign,assignment,func-returns-value]
        looks.wait_for(3)  # of one second each: longer than QUICK's silence
    assert silent.calls == []


def test_a_calm_connection_ends_at_once_by_the_peers_word(watcher: Watcher) -> None:
    for end in (socket.socket.close, reset):
        with tcp_pair() as (connection, peer):
            ear, silent = Ear(), Recorder()
            watcher.watch(connection, ear.hear, ear.gone)
            watcher.tolerate_silence(connection, lambda silent=silent: silent("silent"))  # type: ignore[misc]
            end(peer)
            ear.gone.wait_for()
            assert (silent.calls, connection.fell_silent) == ([], False)


def test_to_tolerate_the_silence_of_a_connection_that_is_gone_is_harmless(
    watcher: Watcher, pair: Pair
) -> None:
    connection, _ = pair
    connection.close()
    watcher.tolerate_silence(connection, lambda: None)
    assert len(watcher) == 0
