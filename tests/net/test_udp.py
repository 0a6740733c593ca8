"""UDP sockets that carry trains: the same bytes with and without the kernel's help, and no waiting."""

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from mcast.net.udp import (
    UDP_SEGMENT,
    Received,
    TrainSender,
    count_dropped,
    enable_merging,
    open_udp,
    receive,
    request_receive_buffer,
    share_port,
)
from mcast.wire.train import Train
from media.plane.streams import SIZE, stream, train

V4, V6 = ip_address("127.0.0.1"), ip_address("::1")


def set_receive_timeout(sock: socket.socket, seconds: float) -> None:
    """Let a blocking receive give up (BlockingIOError) after this time.

    Not settimeout(): that makes the socket non-blocking, and a shutdown() would make it spin.
    """
    whole, part = divmod(seconds, 1)
    value = struct.pack("@ll", int(whole), int(part * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)


@contextlib.contextmanager
def pair(ip: str = "127.0.0.1", *, merging: bool = True) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a sender's socket, connected, and a receiver's."""
    with open_udp(ip_address(ip)) as sender, open_udp(ip_address(ip)) as receiver:
        request_receive_buffer(receiver)
        set_receive_timeout(receiver, 2.0)
        if merging:
            assert enable_merging(receiver)
        sender.connect(receiver.getsockname())
        yield sender, receiver


def take(sock: socket.socket, length: int) -> list[bytes]:
    """Receive until so many bytes have come; return the datagrams."""
    datagrams: list[bytes] = []
    while sum(map(len, datagrams)) < length:
        got = receive(sock)
        datagrams += [got.data[at : at + got.size] for at in range(0, len(got.data), got.size)]
    return datagrams


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("merging", [True, False])
def test_bytes_are_the_same_with_and_without_the_kernels_help(ip: str, offload: bool, merging: bool) -> None:
    trains = [
        *stream(0, 120, short=[30, 31, 60]),
        train(120, 1),
        train(121, 2, short=[121, 122]),
        Train(123, SIZE, b"".join(item.data for item in stream(123, 100))),  # longer than one send
    ]
    with pair(ip, merging=merging) as (sending, receiving):
        sender = TrainSender(sending, offload=offload)
        for item in trains:
            assert sender.send(item) == item.count
            assert take(receiving, len(item.data)) == [bytes(part) for part in item.datagrams()]
        assert sender.offload is offload


def test_one_send_arrives_as_one_piece_and_says_its_segment_size() -> None:
    with pair() as (sending, receiving):
        item = train(0, 49, short=[48])
        assert TrainSender(sending).send(item) == 49
        assert receive(receiving) == Received(item.data, SIZE, sending.getsockname())


def test_what_was_received_stays_as_it_was_when_more_comes() -> None:
    with pair() as (sending, receiving):
        first, second = train(0, 5), train(5, 7)
        for item in (first, second):
            TrainSender(sending).send(item)
        assert [receive(receiving).data, receive(receiving).data] == [first.data, second.data]


def test_packet_of_any_size_goes_out_whole_whatever_the_segment_size_is() -> None:
    with pair() as (sending, receiving):
        sender = TrainSender(sending)
        sender.send(train(0, 3, short=[0, 1, 2]))
        receive(receiving)
        assert sender.send_packet(b"r" * 600)
        got = receive(receiving)
        assert (len(got.data), got.size) == (600, 600)


def test_full_socket_gives_back_what_did_not_fit_and_never_waits() -> None:
    with open_udp(V4) as sending, open_udp(V4) as receiving:
        sending.connect(receiving.getsockname())
        full = _FullAfter(sending, 3)
        sender = TrainSender(full, offload=False)  # type: ignore[arg-type]
        assert sender.send(train(0, 10)) == 3
        assert sender.send(train(3, 10)) == 0
        assert TrainSender(_FullAfter(sending, 0)).send(train(0, 10)) == 0  # type: ignore[arg-type]
        assert all(flags & socket.MSG_DONTWAIT for flags in full.flags)


class _FullAfter:
    """A socket whose buffer takes so many datagrams."""

    def __init__(self, sock: socket.socket, room: int, error: int = errno.EAGAIN) -> None:
        self._sock, self._room, self._error = sock, room, error
        self.flags: list[int] = []

    def send(self, data: bytes, flags: int) -> int:
        self.flags.append(flags)
        if not self._room:
            raise OSError(self._error, "told to")
        self._room -= 1
        return self._sock.send(data, flags)

    def setsockopt(self, *args: int) -> None:
        self._sock.setsockopt(*args)


@pytest.mark.parametrize("error", [errno.EMSGSIZE, errno.EINVAL, errno.EIO])
def test_lack_of_offload_is_noticed_once_and_datagrams_go_one_by_one(error: int) -> None:
    class NoSegments(_FullAfter):
        def send(self, data: bytes, flags: int) -> int:
            if len(data) > SIZE or self._sock.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT):
                raise OSError(error, "no segments here")
            return self._sock.send(data, flags)

    with pair() as (sending, receiving):
        for first in (train(0, 5), train(0, 1)):
            sending.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SIZE)
            sender = TrainSender(NoSegments(sending, 99))  # type: ignore[arg-type]
            assert sender.send(first) == first.count
            assert not sender.offload
            assert take(receiving, len(first.data)) == [bytes(part) for part in first.datagrams()]


def test_closed_port_of_a_child_costs_no_train() -> None:
    with pair() as (sending, receiving):
        sender = TrainSender(sending)
        address = receiving.getsockname()
        receiving.close()
        assert sender.send(train(0, 5)) == 5
        assert sender.send(train(5, 5)) == 5  # the first one's ICMP answer is read and forgotten
        with open_udp(V4, address[1]) as again:
            set_receive_timeout(again, 2.0)
            assert sender.send(train(10, 2)) == 2
            assert take(again, 2 * SIZE) == [bytes(part) for part in train(10, 2).datagrams()]


def test_shutdown_wakes_a_receiver_and_an_empty_datagram_does_not_look_like_it() -> None:
    with pair() as (sending, receiving):
        sending.send(b"")
        assert receive(receiving).address is not None
        got: list[Received] = []
        thread = threading.Thread(target=lambda: got.append(receive(receiving)))
        set_receive_timeout(receiving, 30.0)
        thread.start()
        with contextlib.suppress(OSError):
            receiving.shutdown(socket.SHUT_RD)
        thread.join(5)
        assert got[0].address is None


def test_receive_gives_up_after_its_time() -> None:
    with pair() as (_, receiving):
        set_receive_timeout(receiving, 0.02)
        with pytest.raises(BlockingIOError):
            receive(receiving)
        with pytest.raises(BlockingIOError):
            receive(receiving, wait=False)


def test_children_of_one_port_get_their_own_packets_and_the_door_the_rest() -> None:
    with open_udp(V4) as door, open_udp(V4) as one, open_udp(V4) as two, open_udp(V4) as stranger:
        share_port(door)
        address = door.getsockname()
        with open_udp(V4, address[1], shared=True) as to_one, open_udp(V4, address[1], shared=True) as to_two:
            to_one.connect(one.getsockname())
            to_two.connect(two.getsockname())
            for sock, word in ((one, b"1"), (two, b"2"), (stranger, b"?")):
                sock.sendto(word, address)
            for sock, word in ((to_one, b"1"), (to_two, b"2"), (door, b"?")):
                set_receive_timeout(sock, 2.0)
                assert receive(sock).data == word


def test_shared_port_is_still_refused_to_who_does_not_share() -> None:
    with open_udp(V4) as holder, pytest.raises(OSError, match="in use"):
        open_udp(V4, holder.getsockname()[1], shared=True)
    with open_udp(V4) as door:
        share_port(door)
        with pytest.raises(OSError, match="in use"):
            open_udp(V4, door.getsockname()[1])


def test_receive_buffer_is_asked_for_and_what_was_granted_is_told() -> None:
    with open_udp(V4) as sock:
        assert request_receive_buffer(sock, 300_000) >= 200_000


def test_ipv6_socket_takes_no_ipv4() -> None:
    with open_udp(V6) as sock, open_udp(V4, sock.getsockname()[1]) as other:
        assert other.getsockname()[1] == sock.getsockname()[1]


def test_what_a_receive_buffer_has_no_room_for_is_counted() -> None:
    with open_udp(V4) as receiver, open_udp(V4) as sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        assert count_dropped(receiver) == 0
        for _ in range(100):
            sender.sendto(bytes(1_328), receiver.getsockname())
        assert count_dropped(receiver) > 0
    assert count_dropped(receiver) == 0  # it is closed
