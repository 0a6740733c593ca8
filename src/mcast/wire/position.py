"""A place in a stream: which stream, and the number of its next datagram.

Numbers have 64 bits and are the same on every hop; RTP carries the low 16 of them. A child is told
a position when it subscribes and extends the 16 bits against it.

Every number that travels is checked, twice. What a peer names is at most MAX_NUMBER, else it is a
WireError. What we write is at most MAX_COUNTED, else it is a ValueError and our bug. The room between
the two is for counting: we go on from the number that a peer has named, one by one, and whatever we
count to can be written.

Where a numbering begins there is a lower bound, MAX_BEGIN: who is told later how far the stream is must be
able to read it, so all that a server counts to has to stay below MAX_NUMBER.
"""

from dataclasses import dataclass
from typing import Self

from mcast.errors import WireError
from mcast.wire.codec import Codec, Reader, Writer, packed

MAX_SSRC = 0xFFFF_FFFF
MAX_NUMBER = 1 << 62
"""The highest number that a peer may name."""
MAX_BEGIN = MAX_NUMBER >> 1
"""The highest number at which a server begins a stream that ran elsewhere: a million datagrams a second take
73,000 years from here to MAX_NUMBER."""
MAX_COUNTED = (1 << 63) - 1
"""The highest number that we write. A million datagrams a second, each of which skips as many numbers
as 16 bits allow, take four years from MAX_NUMBER to here."""


def checked_number(number: int) -> int:
    """Return the number if we may write it. Raises ValueError for any other."""
    if not 0 <= number <= MAX_COUNTED:
        raise ValueError(f"{number} is no number of a datagram, the highest is {MAX_COUNTED}")
    return number


def accepted_number(number: int) -> int:
    """Return the number if a peer may name it. Raises WireError for any other."""
    if number > MAX_NUMBER:
        raise WireError(f"datagram number {number}, the highest is {MAX_NUMBER}")
    return number


NUMBER: Codec[int] = Codec(
    lambda writer, number: writer.u64(checked_number(number)), lambda reader: accepted_number(reader.u64())
)
"""The number of a datagram."""


@dataclass(frozen=True, slots=True)
class Position:
    """A stream and the number of its next datagram. Raises ValueError for numbers that we never write."""

    ssrc: int  # 32 bits
    next: int

    def __post_init__(self) -> None:
        if not 0 <= self.ssrc <= MAX_SSRC:
            raise ValueError(f"{self.ssrc} is no SSRC")
        checked_number(self.next)

    def __str__(self) -> str:
        return f"{self.ssrc:08x}:{self.next}"

    def write(self, writer: Writer) -> None:
        writer.u32(self.ssrc)
        NUMBER.write(writer, self.next)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u32(), NUMBER.read(reader))


POSITION: Codec[Position] = packed(Position)
