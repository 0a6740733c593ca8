"""A forwarder's thread: it reads for several receivers, looks at their clocks, and ends them when it ends."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import Recorder, wait_until
from mcast.media.forwarder import EARLY_SECONDS, TICK_SECONDS, Forwarder
from mcast.media.receiver import Receiver
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.udp import TrainSender, open_udp
from mcast.wire.position import Position
from mcast.wire.rtcp import Bye, unpack_compound
from mcast.wire.train import Train
from media.plane.parts import LOCAL, PATIENT
from media.plane.streams import SSRC, train


class Content:
    """A receiver that a forwarder carries, and its parent: a bare socket."""

    def __init__(self, name: str, forwarder: Forwarder, gather: float = 0.0) -> None:
        self.threads, self.trains = list[str](), list[Train]()
        self.receiver = Receiver(
            name, Position(SSRC, 0), "me", lambda item, *_: self.take(item), Recorder(), Recorder(),
            timing=PATIENT, forwarder=forwarder, gather=gather,
        )  # fmt: skip
        self.parent = open_udp(LOCAL)
        self.parent.settimeout(10)
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        connect_media_socket(sock, LOCAL, self.parent.getsockname()[1])
        self.parent.connect(sock.getsockname())
        self.receiver.add_parent(0, sock, bytes(16), Position(SSRC, 0))
        self.receiver.start()
        self.sender = TrainSender(self.parent)

    def take(self, item: Train) -> None:
        self.threads.append(threading.current_thread().name)
        self.trains.append(item)

    def send(self, first: int) -> None:
        self.sender.send(train(first, 3))
        wait_until(lambda: self.trains and self.trains[-1].next == first + 3)

    def wait_for_bye(self) -> None:
        while not any(isinstance(part, Bye) for part in unpack_compound(self.parent.recv(2048))):
            pass


@pytest.fixture
def crash() -> Iterator[Recorder]:
    crash = Recorder()
    yield crash
    assert not crash.calls


@pytest.fixture
def forwarder(crash: Recorder) -> Iterator[Forwarder]:
    forwarder = Forwarder("forward-1", crash)
    yield forwarder
    forwarder.stop()


@pytest.fixture
def contents(forwarder: Forwarder) -> Iterator[list[Content]]:
    contents = [Content(name, forwarder) for name in ("news", "sea", "sun")]
    yield contents
    for content in contents:
        content.receiver.stop()
        content.parent.close()


def test_one_thread_reads_for_all_that_it_carries(contents: list[Content]) -> None:
    for content in contents:
        content.send(0)
    assert {name for content in contents for name in content.threads} == {"forward-1"}


def test_one_that_ends_says_bye_and_the_others_go_on(forwarder: Forwarder, contents: list[Content]) -> None:
    first, *others = contents
    first.receiver.stop()
    first.wait_for_bye()
    wait_until(lambda: len(forwarder) == 2)
    for content in others:
        content.send(0)


def test_ending_the_thread_ends_all_that_it_carries(forwarder: Forwarder, contents: list[Content]) -> None:
    forwarder.stop()
    for content in contents:
        content.wait_for_bye()
        content.receiver.stop()  # finds it ended


def test_an_error_in_one_is_the_crash_of_all_and_leaves_no_socket_open(
    contents: list[Content], crash: Recorder
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    contents[0].take = fail  # type: ignore[assignment, method-assign]
    contents[0].sender.send(train(0, 3))
    crash.wait_for(1)
    for content in contents:
        content.wait_for_bye()
    crash.calls.clear()


def test_an_error_is_told_before_anybody_hears_bye() -> None:
    """So that a process which ends there, as a worker does, leaves its parents to the next one."""

    class Faulty:
        def look(self, now: float) -> bool:
            raise ZeroDivisionError(now)

        def finish(self) -> None:
            done.append("finish")

    done = list[str]()
    forwarder = Forwarder("forward-1", lambda error: done.append(type(error).__name__))
    forwarder.carry(Faulty())
    wait_until(lambda: done)
    forwarder.stop()
    assert done == ["ZeroDivisionError", "finish"]


def test_a_thread_that_carries_nothing_rests(crash: Recorder) -> None:
    forwarder = Forwarder("forward-1", crash)
    content = Content("news", forwarder)
    content.send(0)
    content.receiver.stop()
    content.parent.close()
    wait_until(lambda: not len(forwarder))
    thread = next(each for each in threading.enumerate() if each.name == "forward-1")
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    before = time.clock_gettime(clock)
    threading.Event().wait(0.2)  # ten ticks of one that carries something
    assert time.clock_gettime(clock) - before < 0.0005
    forwarder.stop()


def test_one_that_has_carried_nothing_leaves_no_descriptor(crash: Recorder) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    Forwarder("forward-1", crash).stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_gathered_goes_on_in_one_train_within_its_time(forwarder: Forwarder) -> None:
    content = Content("news", forwarder, gather=0.005)
    for first in (0, 3, 6):
        content.sender.send(train(first, 3))
    wait_until(lambda: content.trains and content.trains[-1].next == 9)
    assert len(content.trains) <= 3
    assert b"".join(item.data for item in content.trains) == train(0, 9).data
    content.receiver.stop()
    content.parent.close()


class Looked:
    """Carried, and looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self, _: float) -> bool:
        self.looks += 1
        return True

    def finish(self) -> None: ...


def test_what_one_content_gathers_goes_on_without_a_look_at_all_others(forwarder: Forwarder) -> None:
    content, other = Content("news", forwarder, gather=0.001), Looked()
    forwarder.carry(other)
    content.send(0)
    wait_until(lambda: other.looks)
    looks, began = other.looks, time.monotonic()
    for first in range(3, 153, 3):
        content.send(first)
    passed = time.monotonic() - began
    assert other.looks - looks <= passed / (TICK_SECONDS - EARLY_SECONDS) + 1
    content.receiver.stop()
    content.parent.close()


def test_what_is_held_at_the_end_still_goes_on(forwarder: Forwarder) -> None:
    content = Content("news", forwarder, gather=3600.0)
    content.sender.send(train(0, 3))
    wait_until(lambda: content.receiver.position.next == 3)
    assert not content.trains
    content.receiver.stop()
    assert content.trains == [train(0, 3)]
    content.parent.close()
