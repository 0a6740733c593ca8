"""Frames: a header of eight bytes, then one control message (docs/protocol.md, "Frame").

The header says how long the body is, so a reader of TCP knows where a message ends. It is checked as
soon as it is there, so an oversized frame fails before its body arrives.

Versions work side by side: a frame of an unknown protocol, and one whose message only a newer version
can read, are skipped whole (UnknownMessageError), as their length is known. An unknown version of the
frame itself is an error: its length cannot be trusted.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self

from mcast.errors import UnknownMessageError, WireError
from mcast.wire import bootstrap, handshake, node, server
from mcast.wire.bootstrap import BootstrapMessage
from mcast.wire.handshake import HandshakeMessage, HandshakePacket
from mcast.wire.node import NodeMessage, NodePacket
from mcast.wire.server import ServerMessage, ServerPacket

MAGIC = b"MC"
VERSION = 1
HTTP_ANSWER = b"HTTP/"
HEADER_SIZE = 8
MAX_BODY = 262_144  # bytes: a server's list of a thousand contents fits
MAX_NODE_BODY = 16_384  # bytes: the longest path fits; anyone may send node frames, so they are shorter


class Protocol(IntEnum):
    NODE = 1
    SERVER = 2
    BOOTSTRAP = 3
    HANDSHAKE = 4


Message = NodeMessage | ServerMessage | BootstrapMessage | HandshakeMessage

_UNPACK: dict[int, Callable[[bytes], Message]] = {
    Protocol.NODE: node.unpack,
    Protocol.SERVER: server.unpack,
    Protocol.BOOTSTRAP: bootstrap.unpack,
    Protocol.HANDSHAKE: handshake.unpack,
}


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The eight bytes in front of every control message."""

    protocol: int  # a Protocol, or a number that only a newer version knows
    length: int  # bytes of the body that follows

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!2sBBI")

    def pack(self) -> bytes:
        """Return the header's bytes. Raises ValueError if the body is too long."""
        if not 0 <= self.length <= self._max_body:
            raise ValueError(self._problem())
        return self.LAYOUT.pack(MAGIC, VERSION, self.protocol, self.length)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read eight bytes. Raises WireError, and nothing else."""
        if len(data) != HEADER_SIZE:
            raise WireError(f"frame header is {len(data)} bytes, expected {HEADER_SIZE}")
        magic, version, protocol, length = cls.LAYOUT.unpack(data)
        if data.startswith(HTTP_ANSWER):
            raise WireError("an HTTP service is there: mcast listens at another port than its --http")
        if magic != MAGIC:
            raise WireError(f"not an mcast frame: it starts with {data[:4].hex(' ')}")
        if version != VERSION:
            raise WireError(f"unknown protocol version {version}, this is version {VERSION}")
        header = cls(protocol, length)
        if length > header._max_body:
            raise WireError(header._problem())
        return header

    @property
    def _max_body(self) -> int:
        return MAX_NODE_BODY if self.protocol == Protocol.NODE else MAX_BODY

    def _problem(self) -> str:
        name = Protocol(self.protocol).name if self.protocol in _UNPACK else f"protocol {self.protocol}"
        return f"{name} frame of {self.length} bytes, the most is {self._max_body}"


def protocol_of(message: Message) -> Protocol:
    if isinstance(message, NodePacket):
        return Protocol.NODE
    if isinstance(message, HandshakePacket):
        return Protocol.HANDSHAKE
    return Protocol.SERVER if isinstance(message, ServerPacket) else Protocol.BOOTSTRAP


def encode(message: Message) -> bytes:
    """Return a message's whole frame. Raises ValueError if something in it does not fit."""
    body = message.pack()
    return FrameHeader(protocol_of(message), len(body)).pack() + body


class FrameDecoder:
    """Cut a TCP connection's bytes into messages, however they arrive.

    Call `feed` with what came, then `next` until it returns None. An UnknownMessageError has skipped
    one frame: call `next` again. Any other WireError is the end: close the connection, as
    every further `next` raises the same again.
    """

    __slots__ = ("_data", "_error", "_header", "max_body")

    def __init__(self) -> None:
        self.max_body = MAX_BODY
        """Bytes: a longer frame is an error, whatever its protocol. Lower it for strangers."""
        self._data = bytearray()
        self._header: FrameHeader | None = None
        self._error: WireError | None = None

    @property
    def pending(self) -> int:
        """Return how many bytes of an incomplete frame are here (after `next` has returned None)."""
        return len(self._data) + (HEADER_SIZE if self._header else 0)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._error is None:
            self._data += data

    def next(self) -> Message | None:
        """Return the next message, None if it is not complete. Raises WireError, and nothing else."""
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except UnknownMessageError:
            raise
        except WireError as error:
            self._error = error
            self._data.clear()
            raise

    def _next(self) -> Message | None:
        if self._header is None:
            if len(self._data) < HEADER_SIZE:
                return None
            header = FrameHeader.unpack(self._take(HEADER_SIZE))
            if header.length > self.max_body:
                raise WireError(f"frame of {header.length} bytes, the most is {self.max_body} here")
            self._header = header
        if len(self._data) < self._header.length:
            return None
        protocol, body = self._header.protocol, self._take(self._header.length)
        self._header = None
        unpack = _UNPACK.get(protocol)
        if unpack is None:
            raise UnknownMessageError(f"unknown protocol {protocol}")
        return unpack(body)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]  # cheap: a bytearray only moves its start, and is moved itself when half empty
        return taken
