"""Peers for tests of connections: plain sockets that send any bytes, drip, delay, reset."""

import contextlib
import ctypes
import logging
import socket
import struct
from collections.abc import Iterator

from mcast.net.connection import Connection
from mcast.net.ratelimit import RateLimitedLog
from mcast.wire.bootstrap import Refused
from mcast.wire.frame import FrameHeader, Message, encode

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27

HELLO = Refused("hello")  # any small message will do


def frame(text: str) -> bytes:
    return encode(Refused(text))


@contextlib.contextmanager
def tcp_pair(
    log: RateLimitedLog | None = None, *, host: str = "127.0.0.1"
) -> Iterator[tuple[Connection, socket.socket]]:
    """Give one end as a connection, the other as the plain socket of a peer that may do anything.

    `host` is the peer's address.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname(), source_address=(host, 0))
        sock, _ = listening.accept()
    with peer, Connection(sock, log or RateLimitedLog(logging.getLogger("peers"))) as connection:
        peer.settimeout(10)
        yield connection, peer


def reset(sock: socket.socket) -> None:
    """Close with RST, like a process that crashed with data unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


_DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # struct sock_filter: return 0, none of the packet


def drop_all_that_comes(sock: socket.socket) -> None:
    """Let the kernel drop every packet of this TCP connection, acknowledgements too: as if the way were cut.

    Of a listening socket: nobody connects to it any more. No datagram is concerned. Needs no privilege
    (SO_ATTACH_FILTER, socket(7)).
    """
    program = ctypes.create_string_buffer(_DROP_ALL)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


def let_come_again(sock: socket.socket) -> None:
    """Undo `drop_all_that_comes`."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def read_to_end(sock: socket.socket) -> bytes:
    """Give all bytes until the other side closes; a reset is an end, too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := sock.recv(65_536):
            data += more
    return data


def unknown_frame(protocol: int = 3, body: bytes = b"\xee") -> bytes:
    """Return a frame that only a newer version knows: of an unknown flag unless told otherwise."""
    return FrameHeader(protocol, len(body)).pack() + body


def text_of(message: Message) -> str:
    assert isinstance(message, Refused)
    return message.text
