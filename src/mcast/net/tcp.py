"""Plain TCP sockets, as every connection has them: dialled within a time, and set to notice dead peers."""

import contextlib
import errno
import os
import socket
import sys
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

_SILENT_ERRORS = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""How the kernel says that nobody has answered; the latter two if a router has said why, meanwhile."""

_LAST_DATA_AT, _LAST_ACK_AT, _RTT_AT = 52, 56, 68
"""Offsets in struct tcp_info (linux/tcp.h), 32 bits each: tcpi_last_data_recv and tcpi_last_ack_recv in
milliseconds, tcpi_rtt in microseconds."""

AGAIN_AFTER, ATTEMPTS = 0.3, 3
"""Seconds until a peer that does not answer is dialled once more, and how often it is dialled at most. The
system itself repeats a SYN that was lost after a second (RFC 6298, 2.1), in which a viewer's buffer is empty.
As between the addresses of one host (RFC 8305, section 5), what comes later is closed."""

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
    """Return a connected socket in blocking mode. Raises OSError.

    Who does not answer soon is dialled again beside, and the first connection is taken.
    """
    attempts: list[socket.socket] = []
    try:
        while True:
            try:
                attempts.append(_begin(address, source))
            except OSError:  # no descriptor is left: the first may still be answered
                if not attempts:
                    raise
            pause = AGAIN_AFTER if len(attempts) < ATTEMPTS else None
            if (sock := _first_connected(attempts, deadline, pause, cancel)) is not None:
                attempts.remove(sock)
                return sock
    finally:
        for sock in attempts:
            sock.close()


def _begin(address: SockAddr, source: str | None) -> socket.socket:
    """Return a socket that is about to connect, without waiting."""
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        if source is not None:
            sock.bind((source, 0))
        sock.setblocking(False)
        if (code := sock.connect_ex(address)) != errno.EINPROGRESS:
            _raise_if(code)
    except BaseException:
        sock.close()
        raise
    return sock


def _first_connected(
    attempts: list[socket.socket], deadline: Deadline, pause: float | None, cancel: threading.Event | None
) -> socket.socket | None:
    """Return the attempt that has succeeded; None if none has when the pause is over."""
    until, look = deadline.sooner(pause), None if cancel is None else CANCEL_CHECK
    by_descriptor = {sock.fileno(): sock for sock in attempts}
    while not (ready := wait_writable(list(by_descriptor), until.sooner(look))):
        if cancel is not None and cancel.is_set():
            raise OSError(errno.ECANCELED, "given up")
        if deadline.expired:
            raise TimeoutError("no answer")
        if until.expired:
            return None
    return _connected(by_descriptor[ready[0]])


def _connected(sock: socket.socket) -> socket.socket:
    _raise_if(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    if sock.getsockname() == sock.getpeername():
        # TCP's simultaneous open with oneself: the system chose the very port that was asked for.
        raise OSError(errno.ECONNREFUSED, "connected to itself")
    sock.setblocking(True)
    return sock


def _raise_if(code: int) -> None:
    if code:
        raise OSError(code, errno.errorcode.get(code, "error"))


def set_options(sock: socket.socket) -> None:
    """Send small messages at once, and notice a peer that has vanished. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_TIMEOUT_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)


def silent_seconds(sock: socket.socket) -> float:
    """Return for how long the peer's kernel has said nothing; 0 where that is not known."""
    return min(_info(sock, _LAST_DATA_AT), _info(sock, _LAST_ACK_AT)) / 1000


def round_trip_ms(sock: socket.socket) -> float:
    """Return TCP's own smoothed estimate of the round trip in milliseconds; 0 where it is not known."""
    return _info(sock, _RTT_AT) / 1000


def _info(sock: socket.socket, offset: int) -> int:
    with contextlib.suppress(OSError):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + 4)
        if len(info) == offset + 4:
            return int.from_bytes(info[offset:], sys.byteorder)
    return 0


def is_silence(error: OSError) -> bool:
    """Return whether a connection was lost because nothing was heard, and not by anybody's word."""
    return error.errno in _SILENT_ERRORS


def reason_of(error: Exception) -> str:
    """Return what an error means, in the system's words if it is the system's."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)
