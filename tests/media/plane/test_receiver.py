"""The inlet's thread: how it ends, and what it makes of a parent that is no more."""

import os
import socket
import threading
import time
from ipaddress import ip_address

from helpers import Recorder, wait_until
from mcast.media.receiver import Receiver, connect_media_socket, open_media_socket
from mcast.media.upstream import Upstream
from mcast.net.ports import MediaPorts
from mcast.net.threads import CrashBox
from mcast.net.udp import TrainSender, open_udp
from mcast.wire.position import Position
from mcast.wire.rtcp import Bye, read_token, unpack_compound
from media.plane.parts import family
from media.plane.streams import SSRC, datagram, train

LOCAL = ip_address("127.0.0.1")
TOKEN = b"t" * 16


def make(parent: socket.socket, crash: CrashBox, **options: object) -> tuple[Receiver, Recorder, Recorder]:
    """Start an inlet whose parent is a bare socket."""
    sock, _ = open_media_socket(LOCAL, MediaPorts())
    connect_media_socket(sock, LOCAL, parent.getsockname()[1])
    parent.connect(sock.getsockname())
    trains, events = Recorder(), Recorder()
    inlet = Receiver("news", sock, TOKEN, Position(SSRC, 0), "me", trains, events, crash, **options)  # type: ignore[arg-type]
    inlet.start()
    return inlet, trains, events


def test_stop_is_quick_says_bye_and_is_harmless_when_repeated() -> None:
    crash = CrashBox(threading.Event())
    with open_udp(LOCAL) as parent:
        parent.settimeout(5)
        inlet, _, _ = make(parent, crash)
        assert read_token(unpack_compound(parent.recv(2048))) == TOKEN
        began = time.monotonic()
        inlet.stop()
        inlet.stop()
        assert time.monotonic() - began < 0.5
        while not _is_bye(parent.recv(2048)):  # hellos that were on their way; it times out without a BYE
            pass
    assert crash.error is None


def _is_bye(packet: bytes) -> bool:
    return any(isinstance(part, Bye) for part in unpack_compound(packet))


def test_stop_from_its_own_callback_ends_it() -> None:
    crash = CrashBox(threading.Event())
    with open_udp(LOCAL) as parent:
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        connect_media_socket(sock, LOCAL, parent.getsockname()[1])
        parent.connect(sock.getsockname())
        stopped = threading.Event()

        def stop(_: object) -> None:
            inlet.stop()
            stopped.set()

        inlet = Receiver("news", sock, TOKEN, Position(SSRC, 0), "me", stop, Recorder(), crash)
        inlet.start()
        TrainSender(parent).send(train(0, 3))
        assert stopped.wait(5)
        wait_until(lambda: "forward-news" not in [thread.name for thread in threading.enumerate()])
    assert crash.error is None


def test_parent_that_has_died_is_noticed_at_once() -> None:
    crash = CrashBox(threading.Event())
    with open_udp(LOCAL) as parent:
        inlet, trains, events = make(parent, crash)
        TrainSender(parent).send(train(0, 3))
        trains.wait_for(1)
    wait_until(lambda: inlet.state is Upstream.REFUSED)
    assert [event.kind for event in events.calls] == [Upstream.FED, Upstream.REFUSED]  # type: ignore[attr-defined]
    inlet.stop()
    assert crash.error is None


def test_media_of_another_port_never_reaches_the_inlet() -> None:
    crash = CrashBox(threading.Event())
    with open_udp(LOCAL) as parent, open_udp(LOCAL) as stranger:
        inlet, trains, _ = make(parent, crash)
        stranger.sendto(datagram(0), parent.getpeername())
        parent.send(datagram(1, ssrc=9))
        parent.send(b"")
        parent.send(os.urandom(700))
        parent.send(datagram(5))
        trains.wait_for(1)
        assert [(item.first, item.count) for item in trains.calls] == [(5, 1)]  # type: ignore[attr-defined]
        assert (inlet.counters().foreign, inlet.counters().garbage) == (1, 1)
        inlet.stop()
    assert crash.error is None


def test_unexpected_error_in_a_callback_is_handed_to_the_owner() -> None:
    stop = threading.Event()
    crash = CrashBox(stop)
    with open_udp(LOCAL) as parent:
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        connect_media_socket(sock, LOCAL, parent.getsockname()[1])
        parent.connect(sock.getsockname())
        inlet = Receiver("news", sock, TOKEN, Position(SSRC, 0), "me", _fail, Recorder(), crash)
        inlet.start()
        TrainSender(parent).send(train(0, 3))
        assert stop.wait(5)
        assert isinstance(crash.error, ZeroDivisionError)
        inlet.stop()


def _fail(_: object) -> None:
    raise ZeroDivisionError


def test_change_of_parent_goes_on_at_the_exact_number_and_hands_on_nothing_twice() -> None:
    with family() as first, family() as second:
        for item in (train(0, 40, keys=[0, 30]), train(40, 40), train(80, 40)):
            second.fanout.push(item)
        first.fanout.push(train(0, 40, keys=[0, 30]))
        first.fanout.push(train(45, 15))
        old = first.join()
        first.wait_next(60)
        old.inlet.stop()
        new = second.join(resume=Position(SSRC, old.inlet.reception.next))
        second.wait_next(120)
        assert new.numbers() == list(range(60, 120))
