"""Names of contents: printable, bounded, and checked whoever writes them."""

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire.codec import Codec, Reader, Writer
from mcast.wire.content import CONTENT_NAME, CONTENT_NAME8, check_content_name
from wire.strategies import contents, hostile, taken

BOTH = pytest.mark.parametrize("codec", [CONTENT_NAME, CONTENT_NAME8], ids=["whole field", "with its length"])


def written(codec: Codec[str], name: str) -> bytes:
    writer = Writer()
    codec.write(writer, name)
    return writer.data()


@pytest.mark.parametrize(("codec", "wire"), [(CONTENT_NAME, "6ec3a9"), (CONTENT_NAME8, "03 6ec3a9")])
def test_names_are_written_and_read_byte_for_byte(codec: Codec[str], wire: str) -> None:
    assert written(codec, "né") == bytes.fromhex(wire)
    assert codec.read(Reader(bytes.fromhex(wire))) == "né"


@BOTH
@pytest.mark.parametrize(
    "name", ["two\nlines", "bell\a", "\x1b[2J", "\u2028", "\udc80", "x" * 256, "é" * 128]
)
def test_no_content_bears_an_unprintable_or_long_name(codec: Codec[str], name: str) -> None:
    with pytest.raises(ValueError):
        written(codec, name)


@pytest.mark.parametrize("data", [b"two\nlines", b"\x1b[2J", b"\xff", b"x" * 255 + b"\n"])
def test_a_peers_wrong_name_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        CONTENT_NAME.read(Reader(data))
    with pytest.raises(WireError):
        CONTENT_NAME8.read(Reader(bytes([min(len(data), 255)]) + data[:254] + data[-1:]))


@BOTH
@given(name=contents)
def test_every_name_round_trips(codec: Codec[str], name: str) -> None:
    assert codec.read(Reader(written(codec, check_content_name(name)))) == name


@BOTH
@given(data=hostile(contents.map(str.encode)))
def test_any_bytes_give_a_name_that_can_be_written_or_a_wire_error(codec: Codec[str], data: bytes) -> None:
    if (name := taken(codec.read, Reader(data))) is not None:
        assert codec.read(Reader(written(codec, name))) == name
