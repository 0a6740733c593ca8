"""One train to many addresses with one system call: sendmmsg(2), which Python's socket module lacks.

The headers of all messages are made ready once, for as long as the addresses stay the same: with each train
only the place and the length of its bytes change, which all messages share. On a system without
sendmmsg `is_available` is False, and who sends goes on address by address.

The call keeps the interpreter's lock (messages.py), so it has no more than `MAX_MESSAGES`.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Sequence

from mcast.net.addresses import SockAddr
from mcast.net.buffer_limits import SEND_LIMIT, warn_of_limit
from mcast.net.messages import Header, Message, Part, function
from mcast.net.udp import DATAGRAM_COST, UDP_SEGMENT, request_send_buffer
from mcast.wire.train import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, Train

MAX_MESSAGES = 64
"""In one call: a hundred of them would keep the interpreter for 0.6 ms."""
MAX_SEND_BUFFER = 16 * 1024 * 1024
"""Bytes for what one socket has sent and no card has taken, so that memory is bounded: two trains of six
datagrams to each of 600 addresses. For more the socket may be full now and then."""
TRAINS_HELD = 2
"""To each address: the last one may still wait when the next one comes."""

_FULL = (errno.EAGAIN, errno.ENOBUFS)
_MESSAGE_SIZE = ctypes.sizeof(Message)
_SENDMMSG = function("sendmmsg")

is_available = _SENDMMSG is not None


class MultiSender:
    """Sends trains from one unconnected socket to a fixed list of addresses; by one thread at a time."""

    def __init__(self, sock: socket.socket, addresses: Sequence[SockAddr]) -> None:
        """Make the headers ready; the addresses are of the socket's family."""
        self._sock, self._count, self._segment = sock, len(addresses), 0
        self._room = 0  # bytes that were asked for
        self.refused = False  # the last train, at one address; else the socket was full
        names = [_packed(sock.family, address) for address in addresses]
        self._names = ctypes.create_string_buffer(b"".join(names))  # the headers point into these two
        self._part = Part()
        self._messages = (Message * max(1, len(addresses)))()
        at, part = ctypes.addressof(self._names), ctypes.addressof(self._part)
        for message, name in zip(self._messages, names, strict=False):
            message.header = Header(at, len(name), part, 1)
            at += len(name)
        self._starts = [
            (ctypes.byref(self._messages, first * _MESSAGE_SIZE), min(MAX_MESSAGES, self._count - first))
            for first in range(0, self._count, MAX_MESSAGES)
        ]

    def send(self, train: Train) -> int:
        """Send without waiting; return to how many addresses, from the first on, the whole train has left.

        If not to all, `refused` tells whether the next address is out of reach, or nobody can be sent to.
        """
        data, size = train.data, train.size
        if size != self._segment and not self._set_segment(size):
            return self._send_nothing()
        if len(data) > MAX_TRAIN_BYTES or len(data) > MAX_TRAIN_DATAGRAMS * size:
            return self._send_nothing()
        assert _SENDMMSG is not None
        self._part.base, self._part.length = data, len(data)
        descriptor, sent = self._sock.fileno(), 0
        for start, count in self._starts:
            done = _SENDMMSG(descriptor, start, count, socket.MSG_DONTWAIT)
            if done != count:
                return self._send_on(descriptor, sent + max(0, done))
            sent += done
        return sent

    def make_room(self, train: Train, served: int) -> None:
        """Have the socket hold more, as it had no room for a train after `served` addresses.

        A card needs milliseconds for a train to a hundred children, which wait here meanwhile. Nothing is
        changed where not they have filled the socket but what had waited there before: that is for somebody
        behind a slow link, and more room would only let more of it wait.
        """
        cost = train.count * DATAGRAM_COST
        needed = min(TRAINS_HELD * cost * self._count, MAX_SEND_BUFFER)
        if needed <= self._room:
            return
        granted = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        if 2 * served * cost < granted:
            return
        self._room = needed
        if granted < needed:
            granted = request_send_buffer(self._sock, needed // 2)
        if granted < needed:
            warn_of_limit(SEND_LIMIT, granted, needed)

    def _send_nothing(self) -> int:
        self.refused = False
        return 0

    def _send_on(self, descriptor: int, sent: int) -> int:
        """Send to the addresses from this one on, at which a call has stopped, and find out why it has."""
        assert _SENDMMSG is not None
        while sent < self._count:
            start = ctypes.byref(self._messages, sent * _MESSAGE_SIZE)
            done = _SENDMMSG(descriptor, start, min(MAX_MESSAGES, self._count - sent), socket.MSG_DONTWAIT)
            if done <= 0:
                self.refused = ctypes.get_errno() not in _FULL
                break
            sent += done
        return sent

    def _set_segment(self, size: int) -> bool:
        try:
            self._sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        except OSError:
            return False
        self._segment = size
        return True


_FAMILY = struct.Struct("=H")
_INET, _INET6 = struct.Struct("!H4s8x"), struct.Struct("!HI16s")
_SCOPE = struct.Struct("=I")


def _packed(family: int, address: SockAddr) -> bytes:
    """Return a struct sockaddr_in or sockaddr_in6."""
    host, port = address[0], address[1]
    if family == socket.AF_INET:
        return _FAMILY.pack(family) + _INET.pack(port, socket.inet_aton(host))
    flow, scope = address[2:] if len(address) == 4 else (0, 0)
    ip = socket.inet_pton(family, host.partition("%")[0])
    return _FAMILY.pack(family) + _INET6.pack(port, flow, ip) + _SCOPE.pack(scope)
