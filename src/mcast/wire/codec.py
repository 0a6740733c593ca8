"""Bytes in and out, big endian: the two cursors and the values that packets are made of.

A `Reader` is fed by a peer, so whatever it is given, only `WireError` comes out of it. A `Writer`
is fed by ourselves: a value that does not fit is a bug and a `ValueError`.

A `Codec` is how one value is written and read, so that each packet can name its fields in a table
(fields.py) instead of spelling them out twice.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, Self, TypeVar

from mcast.errors import UnknownMessageError, WireError

Buffer = bytes | bytearray | memoryview
"""What the per-datagram helpers of this package read from, by offset and without slicing."""

MAX_EXPLANATION = 1_000  # bytes: some lines of ffmpeg's; no text makes a frame too long

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
P = TypeVar("P", bound="Packed")

_TLV_HEAD = struct.Struct("!BH")


class Writer:
    """Collect the bytes of one packet. Every method raises ValueError if its value does not fit."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def u8(self, value: int) -> None:
        self._unsigned(value, 1)

    def u16(self, value: int) -> None:
        self._unsigned(value, 2)

    def u32(self, value: int) -> None:
        self._unsigned(value, 4)

    def u64(self, value: int) -> None:
        self._unsigned(value, 8)

    def i32(self, value: int) -> None:
        if not -(1 << 31) <= value < 1 << 31:
            raise ValueError(f"{value} does not fit into 4 signed bytes")
        self.u32(value & 0xFFFF_FFFF)

    def raw(self, value: bytes) -> None:
        self._data += value

    def text8(self, value: str) -> None:
        """Write at most 255 bytes of UTF-8 behind their length."""
        encoded = value.encode()
        self.u8(len(encoded))
        self._data += encoded

    def tlv(self, kind: int, value: bytes) -> None:
        """Write one type, length, value."""
        try:
            self._data += _TLV_HEAD.pack(kind, len(value))
        except struct.error:
            raise ValueError(f"{len(value)} bytes do not fit into a TLV of type {kind}") from None
        self._data += value

    def data(self) -> bytes:
        return bytes(self._data)

    def _unsigned(self, value: int, size: int) -> None:
        try:
            self._data += value.to_bytes(size, "big")
        except OverflowError:
            raise ValueError(f"{value} does not fit into {size} unsigned bytes") from None


class Reader:
    """Take a peer's packet apart. Every method raises WireError, and nothing else."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        return self._end - self._position

    def u8(self) -> int:
        return self._unsigned(1)

    def u16(self) -> int:
        return self._unsigned(2)

    def u32(self) -> int:
        return self._unsigned(4)

    def u64(self) -> int:
        return self._unsigned(8)

    def i32(self) -> int:
        value = self._unsigned(4)
        return value - (value >> 31 << 32)

    def raw(self, size: int) -> bytes:
        start = self._advance(size)
        return self._data[start : start + size]

    def rest(self) -> bytes:
        return self.raw(self.remaining)

    def text8(self) -> str:
        return self.text(self.u8())

    def tlv(self) -> tuple[int, "Reader"]:
        """Read one type, length, value: the type, and a reader that holds just the value."""
        kind, size = self.u8(), self.u16()
        start = self._advance(size)
        return kind, Reader(self._data, start, start + size)

    def finish(self) -> None:
        """Raise WireError if something is left: a field that grows gets a TLV of its own instead."""
        if self.remaining:
            raise WireError(f"{self.remaining} bytes too many")

    def text(self, size: int) -> str:
        """Read so many bytes of UTF-8."""
        try:
            return self.raw(size).decode()
        except UnicodeDecodeError:
            raise WireError("text is not UTF-8") from None

    def _unsigned(self, size: int) -> int:
        start = self._advance(size)
        return int.from_bytes(self._data[start : start + size], "big")

    def _advance(self, size: int) -> int:
        start = self._position
        if size > self._end - start:
            raise WireError(f"cut short: {size} bytes expected, {self._end - start} left")
        self._position = start + size
        return start


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How one value is written and read."""

    write: Callable[[Writer, T], None]
    read: Callable[[Reader], T]


class Packed(Protocol):
    """A value that writes and reads itself, for use inside packets."""

    def write(self, writer: Writer) -> None: ...

    @classmethod
    def read(cls, reader: Reader) -> Self: ...


def packed(kind: type[P]) -> Codec[P]:
    """Return the codec of such a value."""
    return Codec(lambda writer, value: value.write(writer), kind.read)


U8 = Codec(Writer.u8, Reader.u8)
U16 = Codec(Writer.u16, Reader.u16)
U32 = Codec(Writer.u32, Reader.u32)
U64 = Codec(Writer.u64, Reader.u64)
I32 = Codec(Writer.i32, Reader.i32)


def fixed(*sizes: int) -> Codec[bytes]:
    """Return the codec of bytes that fill a whole field of one of these sizes."""

    def problem(size: int) -> str:
        return f"{size} bytes, expected {' or '.join(map(str, sizes))}"

    def write(writer: Writer, value: bytes) -> None:
        if len(value) not in sizes:
            raise ValueError(problem(len(value)))
        writer.raw(value)

    def read(reader: Reader) -> bytes:
        if reader.remaining not in sizes:
            raise WireError(problem(reader.remaining))
        return reader.rest()

    return Codec(write, read)


def _clipped(text: str) -> bytes:
    """Encode as much as fits. A character that would be cut in two is left out, a lone surrogate replaced."""
    encoded = text.encode(errors="replace")[:MAX_EXPLANATION]
    return encoded.decode(errors="ignore").encode()


def _read_boolean(reader: Reader) -> bool:
    value = reader.u8()
    if value > 1:
        raise WireError(f"{value} is neither 0 nor 1")
    return value == 1


TEXT: Codec[str] = Codec(
    lambda writer, value: writer.raw(value.encode()), lambda reader: reader.text(reader.remaining)
)
"""UTF-8 that fills a whole field: the field's length is the text's."""

EXPLANATION: Codec[str] = Codec(
    lambda writer, value: writer.raw(_clipped(value)),
    lambda reader: _clipped(reader.text(reader.remaining)).decode(),
)
"""TEXT for people to read. One that is longer than MAX_EXPLANATION is cut, both written and read."""

BOOLEAN: Codec[bool] = Codec(lambda writer, value: writer.u8(int(value)), _read_boolean)


def enumerated(kind: type[E], unknown: E | None = None) -> Codec[E]:
    """Return the codec of one byte that is a member of an enumeration.

    A value that this version does not know is read as `unknown`. Without one it is an
    UnknownMessageError, which costs an optional field its value and a mandatory one its message.
    """

    def read(reader: Reader) -> E:
        value = reader.u8()
        try:
            return kind(value)
        except ValueError:
            if unknown is not None:
                return unknown
            raise UnknownMessageError(f"unknown {kind.__name__} {value}") from None

    return Codec(lambda writer, value: writer.u8(value), read)
