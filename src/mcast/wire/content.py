"""What is said of contents: their names, and what servers tell of each.

Names are printable text, because they end up in logs, tables and file names. They are bounded by the length
byte in front of them in the node protocol's header.
"""

from dataclasses import dataclass
from enum import IntEnum

from mcast.errors import WireError
from mcast.wire.codec import BOOLEAN, TEXT, U16, U32, U64, Codec, Reader, Writer, enumerated, fixed
from mcast.wire.fields import Record, Schema, many, maybe, one
from mcast.wire.position import POSITION, Position

DIGEST_SIZE = 32  # SHA-256 of a prepared content's bytes
MAX_CONTENT_NAME = 255  # bytes of UTF-8


def check_content_name(name: str) -> str:
    """Return the name if a content can bear it.

    Raises ValueError, which says why, for any other.
    """
    size = len(name.encode())
    if size > MAX_CONTENT_NAME:
        raise ValueError(f"a content's name has at most {MAX_CONTENT_NAME} bytes, not {size}")
    if not name.isprintable():
        raise ValueError(f"a content's name is printable, unlike {name!r}")
    return name


def _accepted(name: str) -> str:
    try:
        return check_content_name(name)
    except ValueError as error:
        raise WireError(f"no content's name: {error}") from None


def _write(writer: Writer, name: str) -> None:
    writer.raw(check_content_name(name).encode())


def _read(reader: Reader) -> str:
    return _accepted(reader.text(reader.remaining))


CONTENT_NAME: Codec[str] = Codec(_write, _read)
"""A content's name that fills a whole field."""

CONTENT_NAME8: Codec[str] = Codec(
    lambda writer, name: writer.text8(check_content_name(name)), lambda reader: _accepted(reader.text8())
)
"""A content's name behind a byte that holds its length."""


class Readiness(IntEnum):
    """Whether a content can be sent now."""

    READY = 0
    PREPARING = 1  # soon
    FAILED = 2  # not before its file has changed


@dataclass(frozen=True, slots=True)
class ContentInfo(Record):
    """One content in a server's list. 0 stands for an unknown number."""

    name: str
    format: str = ""  # for people: codecs, container
    duration_ms: int = 0  # 0: a live input, or unknown
    bit_rate: int = 0  # bit/s
    frame_rate_milli: int = 0  # frames in 1,000 s
    width: int = 0
    height: int = 0
    loop: bool = False
    digest: bytes = b""  # of the prepared bytes; empty while preparing and for live inputs
    running: tuple[Position, ...] = ()  # the streams that run now, and their heads
    readiness: Readiness = Readiness.READY
    viewers: int | None = None  # of all of the overlay, as a rendezvous point counts them; None: not told

    SCHEMA = Schema(
        one(1, "name", CONTENT_NAME),
        maybe(2, "format", TEXT, ""),
        maybe(3, "duration_ms", U64, 0),
        maybe(4, "bit_rate", U64, 0),
        maybe(5, "frame_rate_milli", U32, 0),
        maybe(6, "width", U16, 0),
        maybe(7, "height", U16, 0),
        maybe(8, "loop", BOOLEAN, False),
        maybe(9, "digest", fixed(0, DIGEST_SIZE), b""),
        many(10, "running", POSITION),
        maybe(11, "readiness", enumerated(Readiness, Readiness.READY), Readiness.READY),
        maybe(12, "viewers", U32),
    )
