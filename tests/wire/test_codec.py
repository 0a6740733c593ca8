"""The cursors: what fits is written and read alike, what does not is our bug or the peer's fault."""

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import codec
from mcast.wire.codec import Codec, Reader, Writer
from wire.strategies import printable


class Colour(IntEnum):
    RED = 1
    BLUE = 2


def written(kind: Codec[Any], value: object) -> bytes:
    writer = Writer()
    kind.write(writer, value)
    return writer.data()


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        (codec.U8, 0xFE, "fe"),
        (codec.U16, 0x1234, "1234"),
        (codec.U32, 1, "00000001"),
        (codec.U64, 2**64 - 1, "ffffffffffffffff"),
        (codec.TEXT, "Zürich", "5ac3bc72696368"),
        (codec.TEXT, "", ""),
        (codec.EXPLANATION, "why", "776879"),
        (codec.BOOLEAN, True, "01"),
        (codec.BOOLEAN, False, "00"),
        (codec.fixed(3), b"abc", "616263"),
        (codec.fixed(0, 3), b"", ""),
        (codec.enumerated(Colour), Colour.BLUE, "02"),
    ],
)
def test_values_are_written_and_read_byte_for_byte(kind: Codec[Any], value: object, wire: str) -> None:
    assert written(kind, value) == bytes.fromhex(wire)
    reader = Reader(bytes.fromhex(wire))
    assert kind.read(reader) == value
    reader.finish()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (codec.U8, 256),
        (codec.U16, -1),
        (codec.U32, 1 << 32),
        (codec.U64, 1 << 64),
        (codec.TEXT, "\udc80"),
        (codec.fixed(3), b"abcd"),
    ],
)
def test_writing_what_does_not_fit_is_our_bug(kind: Codec[Any], value: object) -> None:
    with pytest.raises(ValueError) as caught:
        written(kind, value)
    assert not isinstance(caught.value, WireError)


@pytest.mark.parametrize(
    ("kind", "wire", "problem"),
    [
        (codec.U32, "000001", "cut short: 4 bytes expected, 3 left"),
        (codec.TEXT, "c3", "not UTF-8"),
        (codec.BOOLEAN, "02", "2 is neither 0 nor 1"),
        (codec.fixed(0, 3), "6162", "2 bytes, expected 0 or 3"),
        (codec.enumerated(Colour), "07", "unknown Colour 7"),
    ],
)
def test_reading_what_is_not_allowed_names_the_problem(kind: Codec[Any], wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        kind.read(Reader(bytes.fromhex(wire)))


def test_text_and_tlv_carry_their_length() -> None:
    writer = Writer()
    writer.text8("né")
    writer.tlv(7, b"abc")
    assert writer.data() == bytes.fromhex("03 6ec3a9 07 0003 616263")

    reader = Reader(writer.data())
    assert reader.text8() == "né"
    kind, value = reader.tlv()
    assert (kind, value.rest(), reader.remaining) == (7, b"abc", 0)


def test_a_value_that_no_tlv_can_carry_is_refused() -> None:
    writer = Writer()
    writer.tlv(255, bytes(65_535))
    for kind, size in ((7, 65_536), (256, 1)):
        with pytest.raises(ValueError, match=f"{size} bytes do not fit into a TLV of type {kind}"):
            writer.tlv(kind, bytes(size))
    assert len(writer.data()) == 3 + 65_535


def test_a_tlv_reader_does_not_reach_beyond_its_value() -> None:
    _, value = Reader(bytes.fromhex("01 0002 aabb ccdd")).tlv()
    with pytest.raises(WireError, match="cut short"):
        value.u32()


def test_text_beyond_its_length_byte_is_our_bug() -> None:
    with pytest.raises(ValueError, match="256 does not fit"):
        Writer().text8("x" * 256)


def test_trailing_bytes_are_an_error() -> None:
    with pytest.raises(WireError, match="2 bytes too many"):
        Reader(b"ab").finish()


@given(st.text(printable | st.just("\udc80"), max_size=2_000) | st.text(st.just("√"), min_size=330))
def test_an_explanation_is_cut_at_a_character_and_never_fails(text: str) -> None:
    wire = written(codec.EXPLANATION, text)
    assert len(wire) <= codec.MAX_EXPLANATION
    assert text.encode(errors="replace").startswith(wire)
    assert codec.EXPLANATION.read(Reader(wire)).encode() == wire
    assert codec.EXPLANATION.read(Reader(text.encode(errors="replace"))).encode() == wire


@given(
    st.binary(max_size=30),
    st.lists(st.sampled_from(["u8", "u16", "u32", "u64", "text8", "tlv", "rest", "finish"]), max_size=8),
)
def test_any_bytes_read_in_any_way_give_a_value_or_a_wire_error(data: bytes, calls: list[str]) -> None:
    reader = Reader(data)
    for call in calls:
        try:
            getattr(reader, call)()
        except WireError:
            break
        assert 0 <= reader.remaining <= len(data)
