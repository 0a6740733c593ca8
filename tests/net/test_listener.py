import contextlib
import gc
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.errors import ConfigError
from mcast.net.connection import Connection, connect
from mcast.net.listener import Handler, Listener
from peers import HELLO, frame, read_to_end, reset, text_of, unknown_frame


def echo(connection: Connection) -> None:
    connection.send(connection.receive(10))


@pytest.fixture
def crashes() -> Recorder:
    return Recorder()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(crashes: Recorder) -> Iterator[Listen]:
    """Start a listener on 127.0.0.1; it is stopped at the end."""
    started: list[Listener] = []

    def start(handle: Handler, address: str = "127.0.0.1:0", max_handlers: int = 512) -> Listener:
        listener = Listener(address, handle, crashes, max_handlers=max_handlers)
        listener.start()
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop()
    assert crashes.calls == []


def dial(listener: Listener) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", listener.port))
    sock.settimeout(10)
    return sock


def test_each_connection_is_handled_and_closed_when_the_handler_returns(listen: Listen) -> None:
    listener = listen(echo)
    with dial(listener) as one, dial(listener) as two:
        two.sendall(frame("two"))
        assert read_to_end(two) == frame("two")
        one.sendall(frame("one"))
        assert read_to_end(one) == frame("one")
    wait_until(lambda: listener.counters["connections"] == 2 and listener.handlers == 0)


def test_a_handler_that_never_waits_gets_no_thread(
    crashes: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    threads: list[str] = []

    def keep(connection: Connection) -> None:
        threads.append(threading.current_thread().name)
        if len(threads) == 2:
            raise RuntimeError("a fault in it")
        connection.send(HELLO, timeout=0)

    with Listener("127.0.0.1:0", keep, crashes, name="brief", waits=False) as listener:
        answers = []
        for _ in range(3):
            with dial(listener) as peer:
                answers.append(read_to_end(peer))
        assert answers == [frame("hello"), b"", frame("hello")], "it costs that one connection only"
        assert (listener.counters["connections"], listener.counters["crashed_handlers"]) == (3, 1)
    assert set(threads) == {"brief-accept"}
    assert "a fault in it" in caplog.text
    assert crashes.calls == []


def test_a_detached_connection_outlives_its_handler(listen: Listen) -> None:
    kept: list[Connection] = []

    def keep(connection: Connection) -> None:
        connection.detach()
        kept.append(connection)

    listener = listen(keep)
    with dial(listener) as peer:
        wait_until(lambda: kept and listener.handlers == 0)
        listener.stop()
        kept[0].send(HELLO)
        kept[0].close()
        assert read_to_end(peer) == frame("hello")


def test_a_port_in_use_is_a_configuration_error_that_names_it(listen: Listen, crashes: Recorder) -> None:
    port = listen(echo).port
    with pytest.raises(ConfigError, match=f"port {port} is in use"):
        Listener(f"127.0.0.1:{port}", echo, crashes)


def test_a_port_can_be_used_again_at_once(listen: Listen) -> None:
    first = listen(echo)
    with connect(first.address, 5) as connection:
        connection.send(HELLO)
        connection.receive(5)
    first.stop()
    listen(echo, str(first.address))


def test_an_address_of_another_machine_is_a_configuration_error(crashes: Recorder) -> None:
    with pytest.raises(ConfigError, match=r"no address '192\.0\.2\.1'"):
        Listener("192.0.2.1:0", echo, crashes)


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_every_address_means_ipv4_and_ipv6(listen: Listen, address: str) -> None:
    seen: list[str] = []
    listener = listen(lambda connection: seen.append(str(connection.peer.ip)), address)
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, listener.port)) as peer:
            peer.settimeout(10)
            read_to_end(peer)
    assert seen == ["127.0.0.1", "::1"]


def test_a_name_listens_on_all_its_addresses(listen: Listen) -> None:
    listener = listen(echo, "localhost:0")
    with connect(f"localhost:{listener.port}", 5) as connection:
        connection.send(HELLO)
        assert text_of(connection.receive(5)) == "hello"


def test_more_connections_than_handlers_are_refused_and_counted(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen(echo, max_handlers=3)
    with dial(listener) as one, dial(listener) as two, dial(listener) as three:
        wait_until(lambda: listener.handlers == 3)
        for _ in range(50):
            with dial(listener) as refused:
                assert read_to_end(refused) == b""
        assert listener.counters["refused"] == 50
        lines = [record for record in caplog.records if "all 3 handlers are busy" in record.message]
        assert 1 <= len(lines) < 10
        for peer in (one, two, three):
            peer.sendall(frame("served"))
            assert read_to_end(peer) == frame("served")
    wait_until(lambda: listener.handlers == 0)
    with dial(listener) as again:
        again.sendall(frame("again"))
        assert read_to_end(again) == frame("again")


def test_peers_that_misbehave_cost_their_own_connection_only(listen: Listen) -> None:
    def impatient(connection: Connection) -> None:
        connection.send(connection.receive(0.2))

    listener = listen(impatient)
    with dial(listener) as garbage, dial(listener) as silent, dial(listener) as half, dial(listener) as good:
        reset(dial(listener))
        garbage.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        half.sendall(frame("half")[:-1])
        half.shutdown(socket.SHUT_WR)
        good.sendall(frame("good"))
        assert read_to_end(good) == frame("good")
        assert [read_to_end(peer) for peer in (garbage, silent, half)] == [b"", b"", b""]
    counters = listener.counters
    wait_until(lambda: counters["gone"] + counters["gone_before_start"] == 2, "the gone to be counted")
    wait_until(lambda: (counters["bad_frames"], counters["silent_peers"]) == (1, 1), "the others, too")


def test_a_handler_goes_on_behind_a_message_of_a_newer_version(listen: Listen) -> None:
    listener = listen(echo)
    with dial(listener) as peer:
        peer.sendall(unknown_frame() + frame("known"))
        assert read_to_end(peer) == frame("known")
    assert (listener.counters["unknown_messages"], listener.counters["bad_frames"]) == (1, 0)


def test_an_unknown_version_of_the_frame_is_counted_and_closes_the_connection(listen: Listen) -> None:
    listener = listen(echo)
    with dial(listener) as peer:
        peer.sendall(b"MC\x02" + frame("known")[3:])
        assert read_to_end(peer) == b""
    wait_until(lambda: listener.counters["bad_frames"] == 1)


def test_a_crash_of_a_handler_is_logged_and_ends_one_connection(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(connection: Connection) -> None:
        if text_of(connection.receive(10)) == "trip":
            raise KeyError("bug")
        connection.send(HELLO)

    listener = listen(stumble)
    with dial(listener) as unlucky:
        unlucky.sendall(frame("trip"))
        assert read_to_end(unlucky) == b""
    wait_until(lambda: listener.counters["crashed_handlers"] == 1)
    assert any(record.exc_info for record in caplog.records)
    with dial(listener) as lucky:
        lucky.sendall(frame("walk"))
        assert read_to_end(lucky) == frame("hello")


def test_stopping_wakes_handlers_and_refuses_newcomers(listen: Listen) -> None:
    listener = listen(echo)
    with dial(listener) as peer:
        wait_until(lambda: listener.handlers == 1)
        listener.stop()
        assert read_to_end(peer) == b""
        assert listener.handlers == 0
        with pytest.raises(ConnectionRefusedError):
            dial(listener)
    listener.stop()


def test_stopping_what_was_never_started_gives_the_port_back(crashes: Recorder) -> None:
    listener = Listener("127.0.0.1:0", echo, crashes)
    listener.stop()
    Listener(listener.address, echo, crashes).stop()


def test_without_descriptors_it_waits_for_some(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    listener = listen(echo)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as peer:
        peer.settimeout(10)
        gc.collect()  # what earlier tests have left open is closed now, and not when all is taken
        with contextlib.ExitStack() as taken:
            limit = os.dup(peer.fileno()) + 20
            taken.callback(os.close, limit - 20)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.suppress(OSError):
                while True:
                    taken.callback(os.close, os.dup(peer.fileno()))
            peer.connect(("127.0.0.1", listener.port))
            wait_until(lambda: "cannot accept connections" in caplog.text)
        peer.sendall(frame("late"))
        assert read_to_end(peer) == frame("late")


def test_two_hundred_connections_at_once_are_all_served(listen: Listen) -> None:
    listener = listen(echo)
    answers = Recorder()

    def talk() -> None:
        with connect(listener.address, 10) as connection:
            connection.send(HELLO)
            answers(text_of(connection.receive(10)))

    threads = [threading.Thread(target=talk) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.calls == ["hello"] * 200
