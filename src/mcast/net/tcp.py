"""Plain TCP sockets, as every connection has them: dialled within a time, and set to notice dead peers."""

import errno
import os
import socket
import threading

from mcast.hostport import HostPort, parse_address
from mcast.net.addresses import SockAddr, family_of
from mcast.net.deadline import Deadline
from mcast.net.waker import wait_writable
from mcast.wire.endpoint import Endpoint

DEAD_PEER_TIMEOUT_MS = 10_000
"""TCP_USER_TIMEOUT: what was sent and is not acknowledged for so long, never will be. At a loss of
25 % each way seven retransmissions fit, all of which are lost once in 300 times of such trouble."""

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL = 5, 2
"""Seconds: an idle peer whose host vanished is noticed within DEAD_PEER_TIMEOUT_MS after these."""

CANCEL_CHECK = 0.05
"""Seconds between two looks at the cancel event of connect()."""


def target_of(address: HostPort | Endpoint | str) -> HostPort:
    """Return whom to dial. Raises ConfigError for a text that is no address."""
    if isinstance(address, Endpoint):
        return HostPort(str(address.ip), address.port)
    return parse_address(address, lowest_port=1) if isinstance(address, str) else address


def dial(
    address: SockAddr, deadline: Deadline, source: str | None, cancel: threading.Event | None
) -> socket.socket:
    """Return a connected socket in blocking mode. Raises OSError."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        if source is not None:
            sock.bind((source, 0))
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            _wait_connected(sock, deadline, cancel)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, "error"))
        if sock.getsockname() == sock.getpeername():
            # TCP's simultaneous open with oneself: the system chose the very port that was asked for.
            raise OSError(errno.ECONNREFUSED, "connected to itself")
        sock.setblocking(True)
    except BaseException:
        sock.close()
        raise
    return sock


def _wait_connected(sock: socket.socket, deadline: Deadline, cancel: threading.Event | None) -> None:
    while not wait_writable(sock.fileno(), deadline.sooner(None if cancel is None else CANCEL_CHECK)):
        if cancel is not None and cancel.is_set():
            raise OSError(errno.ECANCELED, "given up")
        if deadline.expired:
            raise TimeoutError("no answer")


def set_options(sock: socket.socket) -> None:
    """Send small messages at once, and notice a peer that has vanished. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)


def reason_of(error: Exception) -> str:
    """Return what an error means, in the system's words if it is the system's."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
