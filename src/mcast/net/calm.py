"""Connections whose silence ends nothing.

The control connection of a subscription lies beside media and RTCP, which say better than TCP whether the
peer lives: where a link loses much, TCP gives up long before they do. Such a connection is made *calm* when
the subscription is accepted. FIN and RST still end it at once.

The kernel's own end of a silent connection would not do: when its probes fail it sends RST, and the peer
takes that for a word. So a child's kernel only probes, and the child looks at how long it has heard nothing.
A parent, which has the child's lease, needs no probes.
"""

import contextlib
import socket
from dataclasses import dataclass

from mcast.net.connection import Connection, PeerGone
from mcast.net.tcp import KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, set_options, silent_seconds

_MOST_PROBES = 127  # the kernel's limit: they take minutes, and end when silence is noticed


@dataclass(frozen=True, slots=True)
class Calm:
    """How an idle peer is probed, and when it counts as silent. Seconds."""

    idle: int = KEEPALIVE_IDLE
    interval: int = KEEPALIVE_INTERVAL
    silence: float = 15.0
    """Nothing acknowledged for so long: six probes, or six retransmissions, were lost in a row. At a loss of
    25 % each way that happens by chance once in a quarter of an hour."""


DEFAULT_CALM = Calm()


def be_calm(connection: Connection) -> None:
    """Let silence end a connection no more, and do not probe the peer. Harmless if it has ended."""
    with contextlib.suppress(OSError, PeerGone), connection.held():
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)


def probe_calmly(connection: Connection, calm: Calm = DEFAULT_CALM) -> None:
    """Let silence end a connection no more, but probe the peer: so silence is seen. Harmless likewise."""
    be_calm(connection)
    with contextlib.suppress(OSError, PeerGone), connection.held():
        sock = connection.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _MOST_PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, calm.idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, calm.interval)


def heed_silence(connection: Connection) -> None:
    """Let silence end a connection again. Harmless if it has ended."""
    with contextlib.suppress(OSError, PeerGone), connection.held():
        set_options(connection.sock)


def is_silent(connection: Connection, calm: Calm = DEFAULT_CALM) -> bool:
    """Return whether the peer's kernel has said nothing for too long."""
    with contextlib.suppress(PeerGone), connection.held():
        return silent_seconds(connection.sock) > calm.silence
    return False
