"""The server protocol: rendezvous point <-> server (docs/protocol.md, "Server protocol").

Every packet begins with its flag and a byte that tells a request (0) from its answer (1): CSND and PING
go both ways under one flag. All the rest are TLVs.

An answer to CSND with a status that only a newer version knows is read as SendStatus.ERROR, and a STOP
with such a reason as StopReason.ERROR: both still end what they end.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from mcast.errors import UnknownMessageError, WireError
from mcast.wire.codec import (
    BOOLEAN,
    EXPLANATION,
    U8,
    U16,
    U32,
    U64,
    Reader,
    Writer,
    enumerated,
    fixed,
    packed,
)
from mcast.wire.content import CONTENT_NAME
from mcast.wire.content import DIGEST_SIZE as DIGEST_SIZE
from mcast.wire.content import ContentInfo as ContentInfo
from mcast.wire.content import Readiness as Readiness
from mcast.wire.fields import Record, Schema, many, maybe, one, read_flag
from mcast.wire.node import TOKEN_SIZE, StopReason
from mcast.wire.position import NUMBER, POSITION, Position


class ServerFlag(IntEnum):
    WAKE = 1
    CONT = 2
    CSND = 3
    OK = 4
    STOP = 5
    PING = 6


class SendStatus(IntEnum):
    """A server's answer to CSND."""

    OK = 0
    ABSENT = 1  # it has no content of this name
    PREPARING = 2  # ffmpeg is still at it
    FULL = 3  # no room for another stream or child
    ERROR = 4  # `text` says what


CONTENTS = many(1, "contents", packed(ContentInfo))
CONTENT = one(2, "content", CONTENT_NAME)
RESUME = maybe(3, "resume", POSITION)
PORT = maybe(4, "port", U16, 0)
BUFFER = maybe(5, "buffer_bytes", U32, 0)
STATUS = one(6, "status", enumerated(SendStatus, SendStatus.ERROR))
TOKEN = maybe(7, "token", fixed(0, TOKEN_SIZE), b"")
STREAM = maybe(8, "stream", POSITION)
DIGEST = maybe(9, "digest", fixed(0, DIGEST_SIZE), b"")
WHY = maybe(10, "text", EXPLANATION, "")
REASON = one(11, "reason", enumerated(StopReason, StopReason.ERROR))
LAST = maybe(12, "last", NUMBER)
NONCE = one(13, "nonce", U64)
OVERDUE = maybe(14, "overdue_ms", U32, 0)
DUE = maybe(32, "due", NUMBER)


class ServerPacket(Record):
    """Base of the server protocol's packets."""

    __slots__ = ()

    FLAG: ClassVar[ServerFlag]

    @property
    def is_answer(self) -> bool:
        return False

    def pack(self) -> bytes:
        """Return the frame's body. Raises ValueError if a field does not fit."""
        writer = Writer()
        writer.u8(self.FLAG)
        BOOLEAN.write(writer, self.is_answer)
        self.SCHEMA.write(writer, self)
        return writer.data()


@dataclass(frozen=True, slots=True)
class Wake(ServerPacket):
    """The rendezvous point asks for the list of contents."""

    FLAG = ServerFlag.WAKE


@dataclass(frozen=True, slots=True)
class Contents(ServerPacket):
    """The whole list; it replaces an older one and may come unasked."""

    FLAG = ServerFlag.CONT
    SCHEMA = Schema(CONTENTS)

    contents: tuple[ContentInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Send(ServerPacket):
    """The rendezvous point asks for a content, from a position or from where the server likes."""

    FLAG = ServerFlag.CSND
    SCHEMA = Schema(CONTENT, RESUME, PORT, BUFFER, OVERDUE, DUE)

    content: str
    resume: Position | None = None
    port: int = 0  # the rendezvous point's UDP port, a hint
    buffer_bytes: int = 0  # of its receive buffer, 0 unknown
    overdue_ms: int = 0  # how long ago the datagram at `resume` was due: the new server keeps that clock
    due: int | None = None  # the number that was due then, if it is another one than that of `resume`


@dataclass(frozen=True, slots=True)
class Sending(ServerPacket):
    """The server's answer. Unless the status is OK, all but it and the text is empty."""

    FLAG = ServerFlag.CSND
    SCHEMA = Schema(STATUS, PORT, TOKEN, STREAM, DIGEST, WHY)

    status: SendStatus
    port: int = 0  # the UDP port that the media comes from
    token: bytes = b""
    stream: Position | None = None
    digest: bytes = b""
    text: str = ""

    @property
    def is_answer(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Ready(ServerPacket):
    """The rendezvous point's socket is open, its hello follows."""

    FLAG = ServerFlag.OK


@dataclass(frozen=True, slots=True)
class ServerStop(ServerPacket):
    """The stream of this connection ends."""

    FLAG = ServerFlag.STOP
    SCHEMA = Schema(REASON, LAST, WHY)

    reason: StopReason
    last: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ping(ServerPacket):
    """A measurement; the answer repeats the nonce."""

    FLAG = ServerFlag.PING
    SCHEMA = Schema(NONCE)

    nonce: int
    reply: bool = False

    @property
    def is_answer(self) -> bool:
        return self.reply


ServerMessage = Wake | Contents | Send | Sending | Ready | ServerStop | Ping

_PACKETS: dict[tuple[ServerFlag, int], type[ServerMessage]] = {
    (ServerFlag.WAKE, 0): Wake,
    (ServerFlag.CONT, 0): Contents,
    (ServerFlag.CSND, 0): Send,
    (ServerFlag.CSND, 1): Sending,
    (ServerFlag.OK, 0): Ready,
    (ServerFlag.STOP, 0): ServerStop,
    (ServerFlag.PING, 0): Ping,
    (ServerFlag.PING, 1): Ping,
}


def unpack(body: bytes) -> ServerMessage:
    """Read the body of a server frame. Raises WireError, and nothing else.

    It is an UnknownMessageError if only a newer version can read the message.
    """
    reader = Reader(body)
    flag = read_flag(reader, ServerFlag)
    try:
        return _read(flag, U8.read(reader), reader)
    except WireError as error:
        raise type(error)(f"{flag.name}: {error}") from None


def _read(flag: ServerFlag, answer: int, reader: Reader) -> ServerMessage:
    packet = _PACKETS.get((flag, answer))
    if packet is None:
        raise UnknownMessageError(f"unknown kind of answer {answer}")
    if packet is Ping:
        return Ping(**Ping.SCHEMA.read(reader), reply=answer == 1)
    return packet.read(reader)
