import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.hostport import parse_address, parse_host
from mcast.wire.address import ADDRESS, HOST
from mcast.wire.codec import Reader, Writer


def written(text: str) -> bytes:
    writer = Writer()
    ADDRESS.write(writer, text)
    return writer.data()


@pytest.mark.parametrize("text", ["10.0.0.1:5000", "[2001:db8::1]:1", "node-7.example.org:65535"])
def test_an_address_is_the_text_that_people_write(text: str) -> None:
    assert written(text) == text.encode()
    assert ADDRESS.read(Reader(text.encode())) == text


@pytest.mark.parametrize("text", ["", ":5000", "a", "a:0", "a:65536", "::1:5000", "1.2.3:4", "a\n:5", "é:5"])
def test_what_cannot_be_dialled_is_a_peers_error_when_read_and_ours_when_written(text: str) -> None:
    with pytest.raises(WireError):
        ADDRESS.read(Reader(text.encode()))
    with pytest.raises(ValueError):
        written(text)


def test_a_host_stands_alone() -> None:
    assert HOST.read(Reader(b"2001:db8::1")) == "2001:db8::1"
    with pytest.raises(WireError):
        HOST.read(Reader(b"a:5000"))


@given(st.binary(max_size=30) | st.from_regex(r"[a:0-9.\[\]]{0,12}").map(str.encode))
def test_whatever_is_read_can_be_dialled(data: bytes) -> None:
    with contextlib.suppress(WireError):
        parse_address(ADDRESS.read(Reader(data)), lowest_port=1)
    with contextlib.suppress(WireError):
        parse_host(HOST.read(Reader(data)))
