"""Names of contents: printable text, because they end up in logs, tables and file names.

They are bounded by the length byte in front of them in the node protocol's header.
"""

from mcast.errors import WireError
from mcast.wire.codec import Codec, Reader, Writer

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
