"""The receiver's thread: how parents come and go, how it ends, what it makes of one that is no more."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from helpers import Recorder, wait_until
from mcast.media import buffer_fit
from mcast.media import receiver as receiver_module
from mcast.media.buffer_fit import BufferFit
from mcast.media.forwarder import Forwarder
from mcast.media.receiver import Receiver
from mcast.media.silence import MAX_STEP
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net import buffer_limits, media_socket
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.threads import CrashBox
from mcast.net.udp import RECEIVE_BUFFER, TrainSender, count_dropped, open_udp
from mcast.net.waker import Waker
from mcast.overlay.events import Feed
from mcast.wire.position import Position
from mcast.wire.rtcp import Bye, read_token, unpack_compound
from mcast.wire.train import Train
from media.plane.parts import PATIENT
from media.plane.streams import SSRC, datagram, train

LOCAL = ip_address("127.0.0.1")
TOKEN = b"t" * 16
START = Position(SSRC, 0)


class Scene:
    """A receiver whose parents are bare sockets."""

    def __init__(self, timing: Timing = PATIENT) -> None:
        self.crash = CrashBox(threading.Event())
        self.trains, self.events = Recorder(), Recorder()
        self.on_train: Callable[[Train], None] = self.trains
        self.receiver = Receiver(
            "news", START, "me", lambda train, *_: self.on_train(train), self.events, self.crash,
            timing=timing,
        )  # fmt: skip
        self.parents: list[socket.socket] = []

    def socket_to(self, parent: socket.socket) -> socket.socket:
        """Open a child's socket, connected both ways."""
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        connect_media_socket(sock, LOCAL, parent.getsockname()[1])
        parent.connect(sock.getsockname())
        return sock

    def add(self, upstream: int, token: bytes = TOKEN) -> socket.socket:
        """Add a parent; return its side."""
        parent = open_udp(LOCAL)
        parent.settimeout(10)
        self.parents.append(parent)
        self.receiver.add_parent(upstream, self.socket_to(parent), token, START)
        return parent

    def states(self) -> list[tuple[int, Feed]]:
        return [(call[0], call[1].kind) for call in self.events.calls]  # type: ignore[index]

    def close(self) -> None:
        self.receiver.stop()
        for parent in self.parents:
            parent.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()
    assert scene.crash.error is None


def token_heard(parent: socket.socket) -> bytes | None:
    return read_token(unpack_compound(parent.recv(2048)))


def wait_for_bye(parent: socket.socket) -> None:
    """Read up to the BYE; what comes before it was on its way. It times out without one."""
    while not any(isinstance(part, Bye) for part in unpack_compound(parent.recv(2048))):
        pass


def test_stop_says_bye_closes_the_socket_and_is_harmless_when_repeated(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.start()
    assert token_heard(parent) == TOKEN
    scene.receiver.stop()
    scene.receiver.stop()
    wait_for_bye(parent)
    assert scene.receiver.parents() == {}


def test_asking_to_stop_does_not_wait_and_stop_finds_it_ended(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.start()
    scene.receiver.ask_to_stop()
    wait_for_bye(parent)
    scene.receiver.stop()


def test_stop_from_its_own_callback_ends_it() -> None:
    scene = Scene()
    stopped = threading.Event()

    def stop(_: object) -> None:
        scene.receiver.stop()
        stopped.set()

    scene.on_train = stop
    parent = scene.add(0)
    scene.receiver.start()
    TrainSender(parent).send(train(0, 3))
    assert stopped.wait(10)
    wait_until(lambda: "forward-news" not in [thread.name for thread in threading.enumerate()])
    wait_for_bye(parent)
    scene.close()
    assert scene.crash.error is None


def test_a_parent_whose_answer_took_long_has_twice_as_long_for_its_first_sign() -> None:
    scene = Scene(replace(PATIENT, start_silence=0.05))
    quick, slow = open_udp(LOCAL), open_udp(LOCAL)
    scene.parents += [quick, slow]
    scene.receiver.add_parent(0, scene.socket_to(quick), TOKEN, START)
    scene.receiver.add_parent(1, scene.socket_to(slow), TOKEN, START, answer=0.4)
    begun = time.monotonic()
    scene.receiver.start()
    wait_until(lambda: (1, Feed.SILENT) in scene.states())
    assert time.monotonic() - begun > 0.75
    assert scene.states() == [(0, Feed.SILENT), (1, Feed.SILENT)]
    scene.close()


def test_one_that_was_never_started_says_bye_and_leaves_nothing_open(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.stop()
    wait_for_bye(parent)


def test_what_a_socket_had_no_room_for_before_it_is_read_here_is_not_counted(scene: Scene) -> None:
    parent = open_udp(LOCAL)
    scene.parents.append(parent)
    sock = scene.socket_to(parent)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    for number in range(100):  # a process that has died did not read them
        parent.send(datagram(number))
    assert count_dropped(sock) > 0
    scene.receiver.add_parent(1, sock, TOKEN, START)
    scene.receiver.start()
    parent.settimeout(10)
    assert token_heard(parent) == TOKEN, "it reads that socket"
    assert scene.receiver.counters().dropped == 0


def test_more_room_is_asked_for_when_the_stream_is_fast(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(_: socket.socket, size: int = RECEIVE_BUFFER) -> int:
        asked.append(size)
        return size

    for module in (media_socket, receiver_module):
        monkeypatch.setattr(module, "request_receive_buffer", ask)
    monkeypatch.setattr(buffer_fit, "BUFFER_SECONDS", 3600.0)  # as if it came that much faster
    with scene.receiver:
        sender = TrainSender(scene.add(1))
        assert len(asked) == 1  # when the socket was opened
        number = 0

        def has_grown() -> bool:
            nonlocal number
            sender.send(train(number, 10))
            number += 10
            return len(asked) > 1

        wait_until(has_grown, "a larger buffer")
        assert asked[1] > asked[0] == RECEIVE_BUFFER
        scene.add(2)
        wait_until(lambda: len(asked) > 3, "as much for a parent that comes later")
        assert asked[-1] >= asked[1]


def test_that_the_system_grants_too_little_is_said_once_with_the_command_that_mends_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    buffer_limits._warn.cache_clear()
    monkeypatch.setattr(receiver_module, "request_receive_buffer", lambda *_: 425_984)
    monkeypatch.setattr(buffer_fit, "size_for", lambda rate: 3_000_000 if rate else 0)
    scene.receiver._fit = BufferFit(quick=0.01, steady=0.01)
    with scene.receiver:
        senders = [TrainSender(scene.add(number)) for number in (1, 2)]
        number = 0

        def is_told() -> bool:
            nonlocal number
            for sender in senders:
                sender.send(train(number, 10))
            number += 10
            return bool(caplog.records)

        wait_until(is_told, "a warning")
    assert [record.getMessage() for record in caplog.records] == [
        "a socket holds 425984 bytes of what comes, as the system allows no more: "
        "sysctl -w net.core.rmem_max=4194304"
    ]
    buffer_limits._warn.cache_clear()


def test_without_a_parent_it_waits_for_one(scene: Scene) -> None:
    scene.receiver.start()
    parent = scene.add(0)
    assert token_heard(parent) == TOKEN
    scene.receiver.remove_parent(0)
    wait_for_bye(parent)
    again = scene.add(1, b"u" * 16)
    assert token_heard(again) == b"u" * 16


def test_a_parent_that_comes_when_it_has_ended_is_closed_at_once(scene: Scene) -> None:
    scene.receiver.start()
    scene.receiver.stop()
    with open_udp(LOCAL) as parent:
        sock = scene.socket_to(parent)
        scene.receiver.add_parent(0, sock, TOKEN, START)
        assert sock.fileno() == -1


def test_a_parent_of_another_stream_or_of_a_known_id_is_the_callers_mistake(scene: Scene) -> None:
    scene.add(0)
    with open_udp(LOCAL) as parent, scene.socket_to(parent) as sock:
        with pytest.raises(ValueError, match="for the stream"):
            scene.receiver.add_parent(1, sock, TOKEN, Position(SSRC + 1, 0))
        with pytest.raises(ValueError, match="already"):
            scene.receiver.add_parent(0, sock, TOKEN, START)
        assert sock.fileno() != -1


def test_removing_who_is_not_there_changes_nothing(scene: Scene) -> None:
    scene.receiver.remove_parent(7)
    parent = scene.add(0)
    scene.receiver.start()
    scene.receiver.remove_parent(7)
    TrainSender(parent).send(train(0, 3))
    scene.trains.wait_for(1)


def test_parent_that_has_died_is_noticed_at_once(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.start()
    TrainSender(parent).send(train(0, 3))
    scene.trains.wait_for(1)
    parent.close()
    wait_until(lambda: scene.states() == [(0, Feed.FED), (0, Feed.REFUSED)])
    assert scene.receiver.parents()[0].state is Feed.REFUSED


def test_two_parents_are_heard_and_each_is_told_of_by_its_id(scene: Scene) -> None:
    first, second = scene.add(3), scene.add(4, b"u" * 16)
    scene.receiver.start()
    assert (token_heard(first), token_heard(second)) == (TOKEN, b"u" * 16)
    first.send(datagram(0))
    wait_until(lambda: scene.states() == [(3, Feed.FED)])
    second.send(datagram(0))
    second.send(datagram(1))
    wait_until(lambda: scene.states() == [(3, Feed.FED), (4, Feed.FED)])
    wait_until(lambda: scene.receiver.position == Position(SSRC, 2))
    assert [item.first for item in scene.trains.calls] == [0, 1]  # type: ignore[attr-defined]
    wait_until(lambda: scene.receiver.counters().duplicates == 1)
    first.close()
    wait_until(lambda: scene.states()[-1] == (3, Feed.REFUSED))


def test_media_of_another_port_never_reaches_it(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.start()
    with open_udp(LOCAL) as stranger:
        stranger.sendto(datagram(0), parent.getpeername())
    parent.send(datagram(1, ssrc=9))
    parent.send(b"")
    parent.send(os.urandom(700))
    parent.send(datagram(5))
    scene.trains.wait_for(1)
    assert [(item.first, item.count) for item in scene.trains.calls] == [(5, 1)]  # type: ignore[attr-defined]
    assert (scene.receiver.counters().foreign, scene.receiver.counters().garbage) == (1, 1)


def test_wanted_is_the_lowest_number_that_lacks(scene: Scene) -> None:
    parent = scene.add(0)
    scene.receiver.start()
    assert scene.receiver.wanted == START
    for number in (0, 1, 4):
        parent.send(datagram(number))
    wait_until(lambda: scene.receiver.position.next == 5)
    assert scene.receiver.wanted == Position(SSRC, 2)
    for number in (2, 3):
        parent.send(datagram(number))
    wait_until(lambda: scene.receiver.wanted == Position(SSRC, 5))


def test_unexpected_error_in_a_callback_is_handed_to_the_owner() -> None:
    scene = Scene()
    scene.on_train = _fail
    parent = scene.add(0)
    scene.receiver.start()
    TrainSender(parent).send(train(0, 3))
    wait_until(lambda: isinstance(scene.crash.error, ZeroDivisionError))
    scene.close()


def _fail(_: object) -> None:
    raise ZeroDivisionError


class Hand(Forwarder):
    """A forwarder without a thread: a test looks, and reads."""

    def __init__(self) -> None:
        super().__init__("hand", CrashBox(threading.Event()))
        self.read: Callable[[], None] = lambda: None

    def watch(self, source: socket.socket | Waker, on_readable: Callable[[], None]) -> None:
        super().watch(source, on_readable)
        if isinstance(source, socket.socket):
            self.read = on_readable


@pytest.fixture
def flowing(scene: Scene) -> Iterator[tuple[Scene, Hand, socket.socket]]:
    """Return a scene whose only parent has just sent the datagrams 0 to 9, one by one; and nobody looks."""
    scene.receiver.stop()
    hand = Hand()
    scene.receiver = Receiver(
        "news", START, "me", lambda train, *_: scene.on_train(train), scene.events, scene.crash,
        forwarder=hand,
    )  # fmt: skip
    parent = scene.add(1)
    scene.receiver.look(time.monotonic())
    assert token_heard(parent) == TOKEN
    for number in range(10):
        parent.send(datagram(number))
        hand.read()
    assert len(scene.trains.calls) == 10
    yield scene, hand, parent
    scene.receiver.stop()
    hand.stop()


def test_silence_behind_media_that_flowed_is_noticed_as_soon_as_behind_any(
    flowing: tuple[Scene, Hand, socket.socket],
) -> None:
    scene, hand, parent = flowing
    before = time.monotonic()
    parent.send(datagram(10))
    hand.read()
    now = after = time.monotonic()  # the machine may have stood still meanwhile
    while (1, Feed.SUSPECT) not in scene.states():
        now += 0.02
        scene.receiver.look(now)
    assert now - before >= DEFAULT_TIMING.suspect
    most = DEFAULT_TIMING.suspect + MAX_STEP  # the first look counts for no more than that
    assert now - after <= most + 0.02


def test_a_stream_that_flows_hears_its_reports_in_time(flowing: tuple[Scene, Hand, socket.socket]) -> None:
    scene, hand, parent = flowing
    parent.setblocking(False)
    number, reports, until = 10, 0, time.monotonic() + 10
    while reports < 2 and time.monotonic() < until:
        parent.send(datagram(number))
        hand.read()
        scene.receiver.look(time.monotonic())
        with contextlib.suppress(BlockingIOError):
            reports += token_heard(parent) == TOKEN
        number += 1
    assert reports == 2, "one soon after it has begun, the next half a second later"
    assert len(scene.trains.calls) == number
