"""UDP sockets that carry trains: one system call sends or receives up to 49 datagrams.

    UDP_SEGMENT  the kernel cuts what is sent into datagrams of this size (Linux 4.18)
    UDP_GRO      it gives what arrived from one sender in one piece, and the size (Linux 5.0)

Where the kernel, the route (its MTU) or the device lacks them, datagrams go one by one; the bytes
on the wire are the same. Sends never wait (MSG_DONTWAIT): what does not fit the socket's buffer
stays with the caller.

A child's own socket keeps the small `SO_SNDBUF` of the system on purpose: what waits in it is beyond recall,
what waits in a history is not. One that many share gets room for a train to each (`request_send_buffer`).
"""

import contextlib
import errno
import fcntl
import socket
import struct
import termios
import threading
from dataclasses import dataclass

from mcast.net.addresses import IPAddress, SockAddr, family_of, sockaddr_of
from mcast.wire.train import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, NULL_DATAGRAM, Train

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes asked for at least: about 2,000 datagrams, a fast start of seconds. The default holds about 100."""
DATAGRAM_BYTES, DATAGRAM_COST = 1_328, 2_304
"""Bytes of a plain datagram of seven packets, and what it takes in a buffer (212,992 bytes held 92)."""

# Names that Python's socket module lacks (linux/udp.h, asm-generic/socket.h).
UDP_SEGMENT = 103
UDP_GRO = 104
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")  # linux/sock_diag.h: the last tells what was dropped

HEARD = getattr(socket, "MSG_CONFIRM", 0)
"""Flag of what is sent to somebody who has been heard of lately. Without it the kernel asks once in a while
whether a neighbour on the link still has its address (ARP, RFC 826; ND, RFC 4861), up to three times. A link
that loses a quarter of all packets each way loses all of them now and then, and whatever is sent then waits
for a second or longer (send(2))."""

_OUTQ = _GRO_SIZE = struct.Struct("=i")
_SEGMENT_SIZE = struct.Struct("=H")
_ANCILLARY = socket.CMSG_SPACE(_GRO_SIZE.size)
MAX_RECEIVE = 65_536

_NO_OFFLOAD = (errno.EMSGSIZE, errno.EINVAL, errno.EIO)


@dataclass(frozen=True, slots=True)
class Received:
    """What one receive gave: datagrams of `size` bytes, the last perhaps shorter.

    `address` is None when shutdown() has woken the socket; empty datagrams have one.
    """

    data: bytes
    size: int
    address: SockAddr | None
    cut: bool = False  # longer than the buffer: useless


def open_udp(local_ip: IPAddress, port: int = 0, *, shared: bool = False) -> socket.socket:
    """Bind a UDP socket to one local address, so that it answers from there on a host with several.

    With `shared` the port may be bound already by a socket of ours that allows it (`share_port`).
    Raises OSError.
    """
    address = sockaddr_of(local_ip, port)
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            share_port(sock)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def share_port(sock: socket.socket) -> None:
    """Let further sockets of this user bind the same address and port.

    To be called after bind() for the first of them: a socket that is bound with SO_REUSEPORT set
    would silently share a port that another process of the same user holds.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def request_receive_buffer(sock: socket.socket, size: int = RECEIVE_BUFFER) -> int:
    """Ask for a receive buffer, as root even beyond the system's limit; return what was granted.

    That is twice as much, or twice the system's limit: so the kernel counts (socket(7)).
    """
    return _request_buffer(sock, (_SO_RCVBUFFORCE, socket.SO_RCVBUF), size)


def request_send_buffer(sock: socket.socket, size: int) -> int:
    """Ask for room for what has not left yet, likewise."""
    return _request_buffer(sock, (_SO_SNDBUFFORCE, socket.SO_SNDBUF), size)


def _request_buffer(sock: socket.socket, options: tuple[int, int], size: int) -> int:
    for option in options:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
            break
        except OSError:
            continue
    return sock.getsockopt(socket.SOL_SOCKET, options[1])


def count_unsent(sock: socket.socket) -> int:
    """Return how many bytes of what was sent wait in this host's queues; 0 where it does not tell."""
    try:
        told = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_OUTQ.size))
    except OSError:
        return 0
    return int(_OUTQ.unpack(told)[0])


def count_dropped(sock: socket.socket) -> int:
    """Return how many times a receive buffer had no room for what came; 0 where the system does not tell."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return 0
    return int(_MEMINFO.unpack(told)[-1]) if len(told) == _MEMINFO.size else 0


def enable_merging(sock: socket.socket) -> bool:
    """Ask for trains instead of single datagrams; return whether the kernel can."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, *, wait: bool = True) -> Received:
    """Receive one datagram, or a train if merging is enabled.

    Raises BlockingIOError if nothing came in time, ConnectionRefusedError if the connected peer's
    port is closed, and other OSErrors.
    """
    flags = 0 if wait else socket.MSG_DONTWAIT
    if (buffer := _kept.buffer) is None:
        buffer = _kept.buffer = memoryview(bytearray(MAX_RECEIVE))
    count, ancillary, result, address = sock.recvmsg_into((buffer,), _ANCILLARY, flags)
    size = count
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_UDP and kind == UDP_GRO:
            size = _GRO_SIZE.unpack_from(value)[0]
    return Received(bytes(buffer[:count]), size, address, bool(result & socket.MSG_TRUNC))


class _Kept(threading.local):
    """A buffer for each thread that receives.

    recvmsg() would give a fresh object of 64 KiB, shrunk to what has come, and save the copy (0.5 us, 5 us
    for a full train). But each thread holds one while it waits, and what is kept for seconds comes to lie
    between them: the C library then finds no place for the next, and a node takes three times its histories.
    """

    buffer: memoryview | None = None  # the thread has received nothing


_kept = _Kept()


class TrainSender:
    """Sends trains on a connected socket, in as few calls as the kernel allows.

    The segment size is set on the socket when it changes (cheaper than saying it with each send);
    one thread at a time may call `send`. `send_packet` may be called by another.
    """

    __slots__ = ("_segment", "offload", "sock")

    def __init__(self, sock: socket.socket, *, offload: bool = True) -> None:
        self.sock, self.offload = sock, offload
        self._segment = 0

    @property
    def unsent(self) -> int:
        """Return how many bytes of what was sent still wait in this host's queues."""
        return count_unsent(self.sock)

    def send(self, train: Train) -> int:
        """Send without waiting; return how many datagrams, from the first on, have left."""
        data, size = train.data, train.size
        if len(data) <= size or not self.offload:
            return self._send_singly(train)
        if size != self._segment and not self._set_segment(size):
            return self._send_singly(train)
        if len(data) > MAX_TRAIN_BYTES or len(data) > MAX_TRAIN_DATAGRAMS * size:
            return self._send_parts(train)
        if self._try(data):
            return -(-len(data) // size)
        return 0 if self.offload else self._send_singly(train)

    def send_packet(self, packet: bytes | memoryview) -> bool:
        """Send one datagram of any size, to who is heard of, without waiting; return whether it has left."""
        try:
            # What is no longer than the shortest segment is not cut. The segment is not asked for: whoever
            # sends trains may change it in this moment.
            if self.offload and len(packet) > NULL_DATAGRAM:
                whole = [(socket.IPPROTO_UDP, UDP_SEGMENT, _SEGMENT_SIZE.pack(0))]
                self.sock.sendmsg([packet], whole, socket.MSG_DONTWAIT | HEARD)
            else:
                self.sock.send(packet, socket.MSG_DONTWAIT | HEARD)
        except OSError:
            return False
        return True

    def _set_segment(self, size: int) -> bool:
        try:
            self.sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        except OSError:
            self.offload = False
            return False
        self._segment = size
        return True

    def _send_parts(self, train: Train) -> int:
        sent = 0
        for part in train.parts():
            done = self.send(part)
            sent += done
            if done < part.count:
                break
        return sent

    def _send_singly(self, train: Train) -> int:
        if self._segment and train.size > self._segment:
            self._set_segment(train.size)
        sent, offload = 0, self.offload
        for datagram in train.datagrams():
            done = self._try(datagram)
            if not done and offload and not self.offload:
                offload, done = False, self._try(datagram)
            if not done:
                break
            sent += 1
        return sent

    def _try(self, data: bytes | memoryview) -> bool:
        """Make one call; return whether the bytes have left. May switch the offload off."""
        for _ in range(2):  # the first may only report an earlier datagram's ICMP answer, and send nothing
            try:
                self.sock.send(data, socket.MSG_DONTWAIT)
            except ConnectionRefusedError:
                continue
            except OSError as error:
                if self.offload and error.errno in _NO_OFFLOAD:
                    self._stop_offload()
                return False
            return True
        return False

    def _stop_offload(self) -> None:
        # The path's MTU is below the segment size (EMSGSIZE, EINVAL), or the device computes no
        # checksums (EIO): only datagrams one by one get through, in fragments if need be.
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        self._segment, self.offload = 0, False
