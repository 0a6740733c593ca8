"""Frames: the header, and the decoder, however TCP cuts the bytes."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire.bootstrap import Refused
from mcast.wire.frame import (
    HEADER_SIZE,
    MAX_BODY,
    MAX_NODE_BODY,
    FrameDecoder,
    FrameHeader,
    Message,
    Protocol,
    encode,
    protocol_of,
)
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found
from mcast.wire.server import ContentInfo, Contents, Ping, Wake
from wire.strategies import hostile, messages, taken, unsigned

FOUND = Found(request=bytes(16), content="news", sender=Identity.node("n1"))


def test_frame_header_is_written_and_read_byte_for_byte() -> None:
    wire, header = bytes.fromhex("4d43 01 01 0000012c"), FrameHeader(Protocol.NODE, length=300)
    assert (header.pack(), FrameHeader.unpack(wire)) == (wire, header)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Wake(), "4d43 01 02 00000002 01 00"),
        (Refused("no"), "4d43 01 03 00000006 03 0c 0002 6e6f"),
        (FOUND, "4d43 01 01 00000021 02" + "00" * 16 + "00 00 04 6e657773 0000 01 0004 00 02 6e31"),
    ],
)
def test_a_frame_is_its_header_and_its_message(message: Message, wire: str) -> None:
    assert encode(message) == bytes.fromhex(wire)
    assert decode(bytes.fromhex(wire)) == [message]


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("4d43 01 01 000001", "7 bytes, expected 8"),
        ("4745 54 20 2f204854", "not an mcast frame: it starts with 47 45 54 20"),
        ("4854 54 50 2f312e31", "an HTTP service is there"),
        ("4d43 02 01 00000000", "unknown protocol version 2, this is version 1"),
        ("4d43 01 05 00040001", "protocol 5 frame of 262145 bytes, the most is 262144"),
        ("4d43 01 01 00004001", "NODE frame of 16385 bytes, the most is 16384"),
        ("4d43 01 02 00040001", "SERVER frame of 262145 bytes, the most is 262144"),
        ("4d43 01 03 ffffffff", "BOOTSTRAP frame of 4294967295 bytes"),
    ],
)
def test_a_wrong_header_says_what_is_wrong(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        FrameHeader.unpack(bytes.fromhex(wire))


def test_a_message_too_long_for_its_frame_is_our_bug() -> None:
    many = tuple(Identity.node(f"n{number}") for number in range(3_000))
    with pytest.raises(ValueError, match="NODE frame of"):
        encode(Disc(request=bytes(16), content="news", sender=many[0], remaining_ms=1, excluded=many))


def test_a_list_of_a_thousand_contents_fits_into_a_frame() -> None:
    info = ContentInfo("n" * 60, "h264 1280x720, aac", 1, 1, 1, 1, 1, True, bytes(32))
    message = Contents((info,) * 1_000)
    assert decode(encode(message)) == [message]


def decode(data: bytes, *cuts: int) -> list[Message]:
    """Feed the data in the pieces between the cuts, and take each message as soon as it is there."""
    decoder, found = FrameDecoder(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        decoder.feed(data[start:end])
        while (message := decoder.next()) is not None:
            found.append(message)
    return found


def test_bytes_of_a_frame_that_is_not_complete_are_pending() -> None:
    decoder, wire = FrameDecoder(), encode(FOUND)
    for count, byte in enumerate(wire[:-1], 1):
        decoder.feed(bytes([byte]))
        assert decoder.next() is None
        assert decoder.pending == count
    decoder.feed(wire[-1:] + wire[:3])
    assert (decoder.next(), decoder.next(), decoder.pending) == (FOUND, None, 3)


def test_an_oversized_frame_fails_before_its_body_arrives() -> None:
    decoder = FrameDecoder()
    decoder.feed(bytes.fromhex("4d43 01 01 7fffffff"))
    with pytest.raises(WireError, match="the most is 16384"):
        decoder.next()


def test_after_an_error_the_decoder_stays_broken_and_holds_nothing() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"GET / HTTP/1.1\r\n\r\n")
    for _ in range(3):
        with pytest.raises(WireError, match="47 45 54 20"):
            decoder.next()
        decoder.feed(encode(Wake()))
    assert decoder.pending == 0


def test_messages_before_a_broken_one_are_still_delivered() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode(Ping(1)) + bytes.fromhex("4d43 01 02 00000002 06 00"))
    assert decoder.next() == Ping(1)
    with pytest.raises(WireError, match="PING: nonce is missing"):
        decoder.next()


@pytest.mark.parametrize("size", [1, 65_536])
def test_the_time_is_linear_however_the_bytes_are_cut(size: int) -> None:
    """Quadratic work on a quarter of a megabyte, byte by byte, would outlast the test's time limit."""
    largest = encode(Contents((ContentInfo("n", format="f" * 60_000),) * 4))
    pieces = [largest[start : start + size] for start in range(0, len(largest), size)]
    assert HEADER_SIZE < len(largest) <= HEADER_SIZE + MAX_BODY
    decoder = FrameDecoder()
    for piece in pieces:
        assert decoder.next() is None
        decoder.feed(piece)
    assert isinstance(decoder.next(), Contents)


def test_many_small_frames_in_one_piece_take_linear_time() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode(Wake()) * 30_000)
    assert sum(1 for _ in iter(decoder.next, None)) == 30_000


@given(st.lists(messages, max_size=5), st.data())
def test_messages_survive_any_cuts(sent: list[Message], data: st.DataObject) -> None:
    wire = b"".join(map(encode, sent))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))
    assert decode(wire, *cuts) == sent


@given(st.builds(FrameHeader, st.sampled_from(Protocol), st.integers(0, MAX_NODE_BODY)))
def test_every_header_round_trips(header: FrameHeader) -> None:
    assert FrameHeader.unpack(header.pack()) == header


headers = st.builds(
    lambda protocol, length: b"MC\x01" + bytes([protocol]) + length.to_bytes(4, "big"),
    st.integers(0, 5),
    unsigned(20),
)


@given(st.binary(max_size=16) | headers)
def test_any_bytes_give_a_header_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert FrameHeader.unpack(data).pack() == data


@given(hostile(st.lists(messages, min_size=1, max_size=3).map(lambda sent: b"".join(map(encode, sent)))))
def test_any_bytes_give_messages_or_a_wire_error(data: bytes) -> None:
    for message in taken(decode, data) or []:
        assert decode(encode(message)) == [message]


@given(st.sampled_from(Protocol), st.binary(max_size=200))
def test_any_body_gives_a_message_or_a_wire_error(protocol: Protocol, body: bytes) -> None:
    with contextlib.suppress(WireError):
        (message,) = decode(FrameHeader(protocol, len(body)).pack() + body)
        assert protocol_of(message) is protocol
