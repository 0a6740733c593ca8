"""Frames on their way out of a socket."""

import socket
import threading
from collections.abc import Iterator

import pytest

from mcast.net.deadline import Deadline
from mcast.net.outgoing import Outgoing

Pair = tuple[Outgoing, socket.socket, socket.socket]
LARGE = b"x" * 10 * 2**20


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    with here, there:
        yield Outgoing(here), here, there


def take(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += sock.recv(size - len(got))
    return got


def test_what_fits_is_out_at_once(pair: Pair) -> None:
    outgoing, _, peer = pair
    assert outgoing.begin(b"one")
    outgoing.send(b"two", Deadline(0))
    assert take(peer, 6) == b"onetwo"


def test_the_rest_goes_out_when_there_is_room_and_the_next_frame_behind_it(pair: Pair) -> None:
    outgoing, _, peer = pair
    assert not outgoing.begin(LARGE)
    assert not outgoing.go_on()
    next_one = threading.Thread(target=outgoing.send, args=(b"next", Deadline(None)))
    next_one.start()
    taken = 0
    while not outgoing.go_on():
        taken += len(peer.recv(2**20))
    assert take(peer, len(LARGE) - taken + 4).endswith(b"xnext")
    next_one.join()


def test_who_is_in_a_hurry_does_not_wait_behind_the_rest(pair: Pair) -> None:
    outgoing, _, _ = pair
    assert not outgoing.begin(LARGE)
    for hurried in (lambda: outgoing.send(b"now", Deadline(0)), lambda: outgoing.begin(b"now")):
        with pytest.raises(BlockingIOError):
            hurried()


@pytest.mark.parametrize("end", ["given up", "the socket is lost"])
def test_nobody_waits_for_a_rest_that_will_not_go_out(pair: Pair, end: str) -> None:
    outgoing, sock, _ = pair
    assert not outgoing.begin(LARGE)
    sock.shutdown(socket.SHUT_RDWR)
    if end == "given up":
        outgoing.give_up()
        outgoing.give_up()
    else:
        with pytest.raises(OSError, match=r"[Bb]roken pipe"):
            outgoing.go_on()
    with pytest.raises(OSError, match=r"[Bb]roken pipe"):
        outgoing.send(b"next", Deadline(None))
