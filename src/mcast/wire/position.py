"""A place in a stream: which stream, and the number of its next datagram.

Numbers have 64 bits and are the same on every hop; RTP carries the low 16 of them. A child is told
a position when it subscribes and extends the 16 bits against it.
"""

from dataclasses import dataclass
from typing import Self

from mcast.wire.codec import Codec, Reader, Writer, packed


@dataclass(frozen=True, slots=True)
class Position:
    """A stream (its SSRC, 32 bits) and the number of its next datagram (64 bits)."""

    ssrc: int
    next: int

    def __str__(self) -> str:
        return f"{self.ssrc:08x}:{self.next}"

    def write(self, writer: Writer) -> None:
        writer.u32(self.ssrc)
        writer.u64(self.next)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u32(), reader.u64())


POSITION: Codec[Position] = packed(Position)
