"""Nothing is sent to who did not ask; a subscription is a lease; a child may move."""

import contextlib
import errno
import random
import socket
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

import pytest

from helpers import wait_until
from mcast.media import rtcp_session, sockets
from mcast.media.child import MAX_REPORTS, ChildLost, ChildState
from mcast.media.plain_report import PlainReports
from mcast.media.reports import ChildReport, Speaker, Supply, read_child_report
from mcast.media.timing import Timing
from mcast.net.addresses import IPAddress, SockAddr
from mcast.net.udp import open_udp
from mcast.wire.node import Start
from mcast.wire.rtcp import FeedState, ReportBlock
from media.plane.parts import LOCAL, PATIENT, Pusher, family
from media.plane.streams import SSRC, train

OTHER = ip_address("127.0.0.2")
KEY = 1_000_000
BLOCK = ReportBlock(SSRC, 0, 0, 0, 0)


def hello(token: bytes, *, bye: bool = False) -> bytes:
    return Speaker(1, "somebody", token).compound(BLOCK, bye=bye)


@contextlib.contextmanager
def stranger(ip: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ip, 0))
        yield sock


def got_nothing(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(2048)
    except BlockingIOError as error:
        return error.errno == errno.EAGAIN
    return False


def test_admission_alone_sends_nothing() -> None:
    with family() as parent, stranger() as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join(running=False)
        parent.fanout.push(train(10, 10))
        assert parent.child(viewer).state is ChildState.WAITING
        assert parent.child(viewer).datagrams == 0
        assert got_nothing(sock)


def test_right_token_from_another_address_gets_nothing() -> None:
    with family() as parent, stranger("127.0.0.2") as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        port = parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16)
        sock.sendto(hello(b"t" * 16), ("127.0.0.1", port))
        wait_until(lambda: parent.fanout.counters["wrong_address"] == 1)
        parent.fanout.push(train(10, 10))
        assert got_nothing(sock)
        sock.sendto(hello(b"t" * 16, bye=True), ("127.0.0.1", port))
        wait_until(lambda: parent.fanout.counters["wrong_address"] == 2)
        assert len(parent.fanout.children()) == 1


def test_wrong_token_and_garbage_get_nothing_and_are_counted() -> None:
    with family() as parent, stranger() as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16))
        rng = random.Random(3)
        good = hello(b"t" * 16)
        garbage = [
            b"",
            b"\x80",
            good[:-1],
            good[:8],
            train(0, 1).data,
            rng.randbytes(300),
            good[:1] + b"\xc9\0\1",
        ]
        for packet in garbage:
            sock.sendto(packet, there)
        sock.sendto(hello(b"x" * 16), there)
        wait_until(lambda: parent.fanout.counters["wrong_token"] == 1)
        assert parent.fanout.counters["garbage"] == len(garbage)
        assert got_nothing(sock)
        sock.sendto(good, there)
        wait_until(lambda: parent.fanout.children()[0].state is ChildState.LIVE)
        assert not got_nothing(sock)


def test_lease_ends_after_silence_and_nothing_more_is_sent() -> None:
    with family(timing=Timing(lease=0.3)) as parent, stranger() as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16))
        began = time.monotonic()
        sock.sendto(hello(b"t" * 16), there)
        wait_until(lambda: parent.lost == [(KEY, ChildLost.LEASE)])
        assert time.monotonic() - began >= 0.3
        assert parent.fanout.children() == ()
        while not got_nothing(sock):
            pass
        parent.fanout.push(train(10, 10))
        assert got_nothing(sock)
        sock.sendto(hello(b"t" * 16), there)
        wait_until(lambda: parent.fanout.counters["last_words"] == 1)
        assert got_nothing(sock)


def test_lease_of_one_that_never_says_hello_ends_too() -> None:
    with family(timing=Timing(first_hello=0.2)) as parent:
        parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16)
        wait_until(lambda: parent.lost == [(KEY, ChildLost.LEASE)])


def test_reports_renew_the_lease_for_as_long_as_they_come() -> None:
    lease = 1.5
    with family(timing=Timing(lease=lease, first_hello=lease, report=0.05)) as parent:
        viewer = parent.join()
        trains = [train(number, 20, keys=[0]) for number in range(0, 2_000, 20)]
        Pusher(parent.fanout, trains).join()
        parent.wait_next(2_000, viewer)
        assert parent.lost == []
        assert viewer.numbers() == list(range(2_000))


def test_bye_ends_the_subscription_at_once() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join()
        parent.wait_live()
        viewer.receiver.stop()
        wait_until(lambda: parent.lost == [(viewer.key, ChildLost.BYE)])
        assert parent.fanout.children() == ()


def test_a_child_that_cannot_be_told_where_it_is_costs_nobody_else() -> None:
    with family(timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        broken, other = parent.join(), parent.join()
        parent.wait_live()
        child = parent.fanout._children.by_token(parent.token(broken.key))
        assert child is not None
        # No check on the way in lets it come to this.
        child.reference, child.answered = (2**64, 0, time.monotonic()), False
        parent.fanout._rtcp.tell_supply(Supply(FeedState.CUT, time.monotonic()))
        wait_until(lambda: parent.lost == [(broken.key, ChildLost.UNSENDABLE)])
        assert parent.fanout.counters["unsendable"] == 1
        parent.fanout.push(train(10, 10))
        parent.wait_next(20, other)


def test_child_whose_nat_has_moved_it_is_fed_at_its_new_port() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        viewer = parent.join(path=lambda _: 1)
        parent.wait_next(10)
        viewer.paths[0].move()
        wait_until(lambda: parent.child(viewer).moves == 1)
        parent.fanout.push(train(10, 10))
        parent.wait_next(20)


def test_hellos_that_a_socket_in_the_making_has_caught_are_those_of_who_sent_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It hears everybody until it is connected, and children of one host differ by their ports alone."""
    with contextlib.ExitStack() as held, family() as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        socks = [held.enter_context(stranger()) for _ in range(8)]
        tokens = [bytes([number]) * 16 for number in range(len(socks))]
        ports = [parent.fanout.admit(KEY + n, f"k{n}", LOCAL, LOCAL, token) for n, token in enumerate(tokens)]

        def open_and_hear_all(local_ip: IPAddress, port: int, *, shared: bool) -> socket.socket:
            made = open_udp(local_ip, port, shared=shared)
            for sock, token in zip(socks[1:], tokens[1:], strict=True):
                sock.sendto(hello(token), ("127.0.0.1", ports[0]))
            return made

        monkeypatch.setattr("mcast.media.sockets.open_udp", open_and_hear_all)
        socks[0].sendto(hello(tokens[0]), ("127.0.0.1", ports[0]))
        wait_until(lambda: all(child.state is ChildState.LIVE for child in parent.fanout.children()))
        addresses = {child.key: child.address for child in parent.fanout.children()}
        assert addresses == {KEY + n: sock.getsockname() for n, sock in enumerate(socks)}
        assert all(child.moves == 0 for child in parent.fanout.children())


def test_media_comes_from_the_address_and_port_that_was_said_hello_to() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 1, keys=[0]))
        for local in (LOCAL, OTHER):
            token = bytes(15) + local.packed[-1:]
            port = parent.fanout.admit(int(local), "k", local, LOCAL, token)
            with stranger() as sock:  # each its own: the first goes on to hear SRs
                sock.sendto(hello(token), (str(local), port))
                sock.settimeout(5)
                assert sock.recvfrom(2048)[1] == (str(local), port)
                assert sock.recvfrom(2048)[1] == (str(local), port)


def test_replaced_child_gets_nothing_any_more() -> None:
    with family() as parent, stranger() as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"a" * 16))
        assert parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"b" * 16) == there[1]
        sock.sendto(hello(b"a" * 16), there)
        wait_until(lambda: parent.fanout.counters["last_words"] == 1)
        assert got_nothing(sock)
        assert parent.fanout.dismiss(KEY)
        assert not parent.fanout.dismiss(KEY)
        assert parent.fanout.children() == ()


def test_a_number_is_sent_again_once_a_round_trip_however_often_it_is_asked_for() -> None:
    with family(timing=PATIENT) as parent, stranger() as sock:
        parent.fanout.push(train(0, 10, keys=[0]))
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16))
        sock.sendto(hello(b"t" * 16), there)
        wait_until(lambda: parent.fanout.children()[0].state is ChildState.LIVE)
        child = parent.fanout._children.by_token(b"t" * 16)
        assert child is not None
        child.round_trip.smoothed = 60.0
        nack = Speaker(1, "somebody", b"t" * 16).compound(BLOCK, [3, 4, 99])
        for _ in range(5):
            sock.sendto(nack, there)
        sock.sendto(hello(b"t" * 16, bye=True), there)
        wait_until(lambda: parent.lost)
        assert (child.resent, child.unrepaired) == (2, 0)  # what it was never sent is not repaired


def test_a_child_that_says_too_much_is_not_read_and_another_one_is_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = list[bytes]()

    def note(data: bytes, ssrc: int) -> ChildReport:
        read.append(data)
        return read_child_report(data, ssrc)

    monkeypatch.setattr(rtcp_session, "read_child_report", note)
    with family(timing=PATIENT) as parent:
        parent.fanout.push(train(0, 10, keys=[0]))
        loud, other = parent.join(), parent.join()
        parent.wait_live()
        rtcp, children = parent.fanout._rtcp, parent.fanout._children
        told, asking = (children.by_token(parent.token(viewer.key)) for viewer in (loud, other))
        assert told is not None
        assert told.address is not None
        assert asking is not None
        assert asking.address is not None
        read.clear()
        noise, now = Speaker(1, "loud", told.token).compound(BLOCK, [3]), time.monotonic()
        nack = Speaker(1, "other", asking.token).compound(BLOCK, [3, 4])

        def flood(address: SockAddr, of_other: SockAddr) -> None:
            for _ in range(10_000):
                rtcp.on_packet(noise, address, now)
            rtcp.on_packet(nack, of_other, now)

        parent.reader.call(partial(flood, told.address, asking.address), wait=True)
        wait_until(lambda: asking.resent == 2)
        assert read.count(noise) <= 600
        assert parent.fanout.counters["too_often"] >= 9_400
        parent.reader.call(partial(rtcp.on_packet, hello(told.token, bye=True), told.address, now))
        wait_until(lambda: parent.lost == [(loud.key, ChildLost.BYE)])


class Said:
    """A child's own socket, in which the same packet waits for ever."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, *_: int) -> bytes:
        return self._data


def test_a_child_that_says_more_than_can_be_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own socket is made while it floods, and never becomes empty."""
    read = 0

    class Flooded(socket.socket):
        def recvfrom(self, *_: int) -> tuple[bytes, SockAddr]:
            nonlocal read
            read += 1
            assert read < 100_000, "it goes on for ever"
            return b"\x80\xc9", self.getpeername()

    def flooded(*args: Any, **options: Any) -> socket.socket:
        return Flooded(fileno=open_udp(*args, **options).detach())

    monkeypatch.setattr(sockets, "open_udp", flooded)
    with family(timing=PATIENT) as parent, stranger() as sock:
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16))
        sock.sendto(hello(b"t" * 16), there)
        wait_until(lambda: parent.fanout.children()[0].state is not ChildState.WAITING)
        assert read == rtcp_session.STRAYS


def test_plain_reports_count_like_any_other_and_the_last_word_is_heard_behind_a_flood_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    glances, read = 0, PlainReports.read

    def note(self: PlainReports, data: bytes) -> ChildReport | None:
        nonlocal glances
        glances += (report := read(self, data)) is not None
        return report

    monkeypatch.setattr(PlainReports, "read", note)
    with family(timing=PATIENT) as parent, stranger() as sock:
        there = ("127.0.0.1", parent.fanout.admit(KEY, "k", LOCAL, LOCAL, b"t" * 16))
        sock.sendto(hello(b"t" * 16), there)
        wait_until(lambda: parent.fanout.children()[0].state is not ChildState.WAITING)
        child, rtcp = parent.fanout._children.by_token(b"t" * 16), parent.fanout._rtcp
        assert child is not None
        plain = cast(socket.socket, Said(hello(b"t" * 16)))

        def flood() -> None:
            for _ in range(10_000):
                rtcp._on_child_readable(child, plain)

        began = time.monotonic()
        parent.reader.call(flood)
        wait_until(lambda: parent.fanout.counters["too_often"] + glances >= 10_000, "all to be taken in")
        assert 0 < glances <= MAX_REPORTS * (1 + time.monotonic() - began)
        sock.sendto(hello(b"t" * 16, bye=True), there)
        wait_until(lambda: parent.lost == [(KEY, ChildLost.BYE)])


def test_fifty_children_join_and_leave_and_no_socket_is_left() -> None:
    with family() as parent:
        parent.fanout.push(train(0, 40, keys=[0]))
        for _ in range(2):
            viewers = [parent.join(start=Start.KEYFRAME) for _ in range(25)]
            parent.wait_next(40, *viewers)
            for viewer in viewers:
                if viewer.key % 2:
                    viewer.receiver.stop()
                else:
                    parent.fanout.dismiss(viewer.key)
                    viewer.receiver.stop()
        wait_until(lambda: "1 fanouts, 1 sockets" in repr(parent.reader))  # the common one
