import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers import PATIENCE, wait_until
from mcast.errors import UnreachableError, WireError
from mcast.net import connection as connection_module
from mcast.net.connection import Connection, PeerGone, connect, say
from mcast.net.deadline import Deadline
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.tcp import dial
from mcast.wire.bootstrap import Refused
from mcast.wire.codec import Writer
from mcast.wire.frame import MAX_BODY
from peers import HELLO, frame, read_to_end, reset, tcp_pair, text_of, unknown_frame


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    with tcp_pair() as both:
        yield both


@pytest.fixture
def short_frame_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "FRAME_TIMEOUT", 0.2)


Pair = tuple[Connection, socket.socket]


class Discontinuity(Refused):
    """A message with a number that no check has caught before."""

    def __init__(self) -> None:
        super().__init__("")

    def pack(self) -> bytes:
        writer = Writer()
        writer.u64(2**64)
        return writer.data()


def test_a_message_goes_out_as_one_frame(pair: Pair) -> None:
    connection, peer = pair
    connection.send(HELLO)
    assert peer.recv(1000) == frame("hello")


def test_what_cannot_be_encoded_costs_this_connection_and_is_counted() -> None:
    log = RateLimitedLog(logging.getLogger("unsendable"))
    with tcp_pair(log) as (connection, peer):
        with pytest.raises(PeerGone, match=r"Discontinuity cannot be sent: .* does not fit"):
            connection.send(Discontinuity())
        say(connection, HELLO)  # harmless
        assert read_to_end(peer) == b""
    assert log.counters["unsendable"] == 1


def test_messages_come_in_however_they_are_cut(pair: Pair) -> None:
    connection, peer = pair
    for byte in frame("one") + frame("two"):
        peer.sendall(bytes([byte]))
    assert [text_of(connection.receive(5)), text_of(connection.receive(5))] == ["one", "two"]


def test_both_ends_know_their_addresses(pair: Pair) -> None:
    connection, peer = pair
    assert str(connection.peer) == f"127.0.0.1:{peer.getsockname()[1]}"
    assert str(connection.local) == f"127.0.0.1:{peer.getpeername()[1]}"


def test_the_callers_deadline_is_a_timeout_and_loses_nothing(pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("late")[:5])
    with pytest.raises(TimeoutError):
        connection.receive(0.01)
    peer.sendall(frame("late")[5:])
    assert text_of(connection.receive(5)) == "late"


def test_what_came_before_the_end_is_given_before_the_end_is_told(pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("last words"))
    peer.close()
    assert text_of(connection.receive(5)) == "last words"
    with pytest.raises(PeerGone, match=r"closed the connection$"):
        connection.receive(5)


def test_an_end_within_a_frame_is_told(pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("truncated")[:-1])
    peer.close()
    with pytest.raises(PeerGone, match="in the middle of a frame"):
        connection.receive(5)


def test_a_reset_is_an_end_with_its_reason(pair: Pair) -> None:
    connection, peer = pair
    reset(peer)
    with pytest.raises(PeerGone, match="reset"):
        connection.receive(5)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n", "not an mcast frame"),
        (b"MC\x09\x03\x00\x00\x00\x00", "version 9"),
        (b"MC\x01\x03" + (MAX_BODY + 1).to_bytes(4, "big"), "the most is"),
        (b"MC\x01\x03\x00\x00\x00\x01\x03", "text is missing"),
    ],
    ids=["garbage", "unknown version", "oversized", "field missing"],
)
def test_bytes_that_break_the_protocol_are_a_wire_error(pair: Pair, data: bytes, complaint: str) -> None:
    connection, peer = pair
    peer.sendall(data)
    with pytest.raises(WireError, match=complaint):
        connection.receive(5)


def test_messages_of_a_newer_version_are_skipped_and_counted(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    connection, peer = pair
    for data in (unknown_frame(), unknown_frame(protocol=77, body=b"x" * 3000), frame("known")):
        peer.sendall(data)
    assert text_of(connection.receive(5)) == "known"
    assert connection.unknown_messages == 2
    peer.sendall(unknown_frame() + frame("polled") + unknown_frame())
    wait_until(lambda: text_of(next(connection.poll_messages(), HELLO)) == "polled")
    wait_until(lambda: list(connection.poll_messages()) == [] and connection.unknown_messages == 4)
    assert not connection.closed


def test_what_a_newer_version_says_is_logged_once_a_second_whatever_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log = RateLimitedLog(logging.getLogger("test"), clock=lambda: 1.0)
    for _ in range(3):
        with tcp_pair(log) as (connection, peer):
            peer.sendall(unknown_frame() + frame("known"))
            connection.receive(5)
    assert log.counters["unknown_messages"] == 3
    assert len(caplog.messages) == 1
    assert "unknown BootstrapFlag 238" in caplog.messages[0]


def test_a_peer_that_sends_only_what_is_unknown_does_not_prolong_the_deadline(pair: Pair) -> None:
    connection, peer = pair
    over = threading.Event()

    def babble() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                peer.sendall(unknown_frame() * 100)

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            connection.receive(0.1)
    finally:
        over.set()
        peer.shutdown(socket.SHUT_RDWR)  # who sends more than is read would wait
        thread.join()


@pytest.mark.usefixtures("short_frame_timeout")
def test_a_frame_that_drips_in_is_cut_off_by_the_time_of_its_first_byte(pair: Pair) -> None:
    connection, peer = pair
    dripping = threading.Event()

    def drip() -> None:
        for byte in frame("x" * 10_000):
            if dripping.wait(0.01):
                return
            try:
                peer.sendall(bytes([byte]))
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(WireError, match="not complete"):
            connection.receive(30)
        assert time.monotonic() - started < 5
    finally:
        dripping.set()
        thread.join()


@pytest.mark.usefixtures("short_frame_timeout")
def test_a_quiet_peer_between_frames_breaks_nothing(pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("one"))
    assert text_of(connection.receive(5)) == "one"
    with pytest.raises(TimeoutError):
        connection.receive(0.5)
    peer.sendall(frame("two"))
    assert text_of(connection.receive(5)) == "two"


def test_closing_wakes_a_blocked_receiver(pair: Pair) -> None:
    connection, _peer = pair
    reasons: list[str] = []

    def receive() -> None:
        with pytest.raises(PeerGone) as caught:
            connection.receive(30)
        reasons.append(str(caught.value))

    thread = threading.Thread(target=receive)
    thread.start()
    wait_until(lambda: connection._holders, "the receiver to wait")
    connection.close()
    thread.join(5)
    assert "is closed" in reasons[0]


def test_the_descriptor_outlives_close_while_somebody_holds_it(pair: Pair) -> None:
    connection, _peer = pair
    with connection.held():
        connection.close()
        assert connection.fileno() >= 0
    assert connection.fileno() == -1


def test_closing_twice_and_using_a_closed_connection_is_orderly(pair: Pair) -> None:
    connection, _peer = pair
    connection.close()
    connection.close()
    for attempt in (lambda: connection.send(HELLO), lambda: connection.receive(1), connection.hold):
        with pytest.raises(PeerGone, match="is closed"):
            attempt()


def test_what_was_sent_before_closing_still_arrives(pair: Pair) -> None:
    connection, peer = pair
    connection.send(HELLO)
    connection.close()
    assert read_to_end(peer) == frame("hello")


def test_what_was_sent_before_closing_arrives_although_the_peer_was_not_heard_to_its_end(pair: Pair) -> None:
    connection, peer = pair
    peer.sendall(frame("unheard"))
    wait_until(lambda: select.select([connection], [], [], 0)[0])
    connection.send(HELLO)
    connection.close()
    assert read_to_end(peer) == frame("hello")  # and no ECONNRESET instead


def test_a_peer_that_takes_nothing_costs_a_bounded_time_and_its_connection(pair: Pair) -> None:
    connection, _peer = pair
    large = Refused("x" * 4000)

    def fill() -> None:
        for _ in range(100_000):
            connection.send(large, timeout=0.05)

    with pytest.raises(PeerGone, match="takes no data"):
        fill()
    assert connection.closed


def test_now_or_never_does_not_wait(pair: Pair) -> None:
    connection, _peer = pair

    def fill() -> None:
        for _ in range(100_000):
            connection.send(Refused("x" * 4000), timeout=0)

    with pytest.raises(PeerGone, match="takes no data"):
        fill()


def test_frames_of_many_threads_do_not_mix(pair: Pair) -> None:
    connection, peer = pair
    texts = [f"{number}-" * 300 for number in range(8)]

    def send(text: str) -> None:
        for _ in range(50):
            connection.send(Refused(text))

    threads = [threading.Thread(target=send, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    with Connection(peer.dup()) as reader:
        got = sorted(text_of(reader.receive(5)) for _ in range(400))
    for thread in threads:
        thread.join()
    assert got == sorted(texts * 50)


def test_polling_gives_what_is_there_and_then_the_end(pair: Pair) -> None:
    connection, peer = pair
    assert list(connection.poll_messages()) == []
    peer.sendall(frame("one") + frame("two") + b"rubbish!")
    peer.close()
    got: list[str] = []

    def poll() -> None:
        while True:
            got.extend(text_of(message) for message in connection.poll_messages())

    with pytest.raises(WireError):
        poll()
    assert got == ["one", "two"]


def test_connecting_reaches_a_listening_peer_from_the_address_that_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with connect(f"127.0.0.1:{port}", 5, source="127.0.0.2") as connection:
            sock, address = server.accept()
            sock.close()
            assert address[0] == "127.0.0.2"
            assert connection.peer.port == port


def test_a_name_with_several_addresses_is_tried_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.getsockname()[1]))
            for host in ("127.0.0.2", "127.0.0.1")  # nobody listens at the first
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with connect("two.campus:5000", 5) as connection:
            assert str(connection.peer.ip) == "127.0.0.1"
            server.accept()[0].close()


def test_a_refused_connection_names_the_address_and_the_reason() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"nobody answers at 127.0.0.1:{port}: connection refused"):
            connect(f"127.0.0.1:{port}", 5)


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port whose accept queue is full: connects to it hang, as to a host that has vanished."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for filler in fillers:
            filler.close()


def test_a_peer_that_never_answers_costs_the_given_time(full_backlog: int) -> None:
    with pytest.raises(UnreachableError, match="no answer"):
        connect(f"127.0.0.1:{full_backlog}", 0.1)


def attempts_at(port: int) -> int:
    """Return how many sockets of this host say SYN to a port and have no answer (proc_net_tcp.txt)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


def test_who_does_not_answer_soon_is_dialled_again_beside_and_one_connection_stays() -> None:
    with socket.socket() as server, ThreadPoolExecutor(1) as threads, ExitStack() as opened:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        opened.enter_context(socket.create_connection(address))  # it fills the queue: the next SYN is lost
        dialled = threads.submit(dial, address, Deadline(PATIENCE), None, None)
        wait_until(lambda: attempts_at(address[1]) > 1, "it has dialled again")
        server.settimeout(PATIENCE)
        opened.enter_context(server.accept()[0])
        sock = opened.enter_context(dialled.result(PATIENCE))
        assert sock.getpeername() == address
        assert sock.getblocking()
        assert attempts_at(address[1]) == 0, "the others are closed"


def test_connecting_can_be_given_up(full_backlog: int) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(UnreachableError):
        connect(f"127.0.0.1:{full_backlog}", 60, cancel=cancel)
