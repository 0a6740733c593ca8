"""A player's side of RTMP, as far as it makes a server send: https://rtmp.veriskope.com/docs/spec/ .

What comes then is thrown away by whoever reads the socket: nothing is acknowledged, which servers bear.
"""

import socket
import struct
import time

from mcast.hostport import HostPort

HANDSHAKE_BYTES = 1536
CHUNK_BYTES = 128  # until somebody says otherwise
COMMAND, OBJECT_END = 20, b"\0\0\x09"
LIVE = -2000.0
SECONDS = 5.0
"""For each answer, and for the first media."""


def play(server: HostPort, application: str, name: str) -> socket.socket:
    """Return a connection to which the server sends this stream. Raises OSError."""
    sock = socket.create_connection((server.host, server.port), SECONDS)
    try:
        sock.sendall(b"\x03" + bytes(HANDSHAKE_BYTES))
        theirs = _receive(sock, 1 + 2 * HANDSHAKE_BYTES)
        sock.sendall(theirs[1 : 1 + HANDSHAKE_BYTES])
        about = _object(app=application, tcUrl=f"rtmp://{server}/{application}")
        sock.sendall(_message(3, 0, _string("connect") + _number(1) + about))
        sock.sendall(_message(3, 0, _string("createStream") + _number(2) + b"\x05"))
        _await_results(sock, 2)
        sock.sendall(_message(8, 1, _string("play") + _number(0) + b"\x05" + _string(name) + _number(LIVE)))
    except BaseException:
        sock.close()
        raise
    return sock


def _await_results(sock: socket.socket, count: int) -> None:
    """Wait for so many answers; what they say beside it does not matter here."""
    heard, until = b"", time.monotonic() + SECONDS
    while heard.count(b"_result") < count:
        if time.monotonic() > until:
            raise TimeoutError("the RTMP server does not answer")
        heard += _some(sock)


def _receive(sock: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size:
        heard += _some(sock)
    return heard


def _some(sock: socket.socket) -> bytes:
    if not (data := sock.recv(65_536)):
        raise ConnectionError("the RTMP server has closed")
    return data


def _message(channel: int, stream: int, body: bytes) -> bytes:
    """Return a command message (AMF0), in chunks."""
    head = struct.pack("!B3x3sB", channel, len(body).to_bytes(3, "big"), COMMAND) + struct.pack("<I", stream)
    first, rest = body[:CHUNK_BYTES], range(CHUNK_BYTES, len(body), CHUNK_BYTES)
    further = (bytes([0xC0 | channel]) + body[at : at + CHUNK_BYTES] for at in rest)
    return head + first + b"".join(further)


def _string(text: str) -> bytes:
    return b"\x02" + _key(text)


def _number(value: float) -> bytes:
    return b"\0" + struct.pack("!d", value)


def _object(**fields: str) -> bytes:
    pairs = (_key(name) + _string(value) for name, value in fields.items())
    return b"\x03" + b"".join(pairs) + OBJECT_END


def _key(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()
