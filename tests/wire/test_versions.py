"""Versions side by side: what only a newer one knows costs that message or that field alone."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import UnknownMessageError, WireError
from mcast.wire import bootstrap, node, rtcp, server
from mcast.wire.bootstrap import LayoutMessage, NodeKind
from mcast.wire.codec import U8, Reader, enumerated
from mcast.wire.fields import Record, Schema, many, maybe, one, some
from mcast.wire.frame import HEADER_SIZE, FrameDecoder, FrameHeader, Message, Protocol, encode
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Miss, MissReason, Start, Stop, StopReason, Stream
from mcast.wire.rtcp import App, FeedState, UpstreamState
from mcast.wire.server import Ping, Sending, SendStatus, ServerStop, Wake
from wire.strategies import messages

ID = "00" * 16
REQUEST, N1 = bytes(16), Identity.node("n1")
HEAD = f"{ID} 00 00 01 61 0000"  # of a node message: content "a", nothing else
SENDER = "01 0004 00 02 6e31"


@dataclasses.dataclass(frozen=True, slots=True)
class Order(Record):
    start: Start
    others: tuple[Start, ...]
    then: Start = Start.LIVE
    more: tuple[Start, ...] = ()
    seat: int = 0

    SCHEMA = Schema(
        one(1, "start", enumerated(Start)),
        some(2, "others", enumerated(Start)),
        maybe(3, "then", enumerated(Start), Start.LIVE),
        many(4, "more", enumerated(Start)),
        maybe(5, "seat", U8, 0),
    )


def test_an_unknown_value_of_an_optional_field_costs_that_value() -> None:
    wire = bytes.fromhex("01 0001 00  02 0001 01  03 0001 63  04 0001 01  04 0001 63  04 0001 00  05 0001 07")
    assert Order.read(Reader(wire)) == Order(
        Start.KEYFRAME, (Start.LIVE,), more=(Start.LIVE, Start.KEYFRAME), seat=7
    )


def test_an_unknown_value_of_a_mandatory_field_costs_the_message() -> None:
    for wire, field in (
        ("01 0001 63  02 0001 01", "start"),
        ("01 0001 00  02 0001 01  02 0001 63", "others"),
    ):
        with pytest.raises(UnknownMessageError, match=f"{field}: unknown Start 99"):
            Order.read(Reader(bytes.fromhex(wire)))


def test_an_unknown_value_that_stands_there_twice_is_still_an_error() -> None:
    wire = bytes.fromhex("01 0001 00  02 0001 01  03 0001 63  03 0001 63")
    with pytest.raises(WireError, match="then stands there 2 times") as caught:
        Order.read(Reader(wire))
    assert not isinstance(caught.value, UnknownMessageError)


@pytest.mark.parametrize(
    ("protocol", "wire", "problem"),
    [
        (Protocol.NODE, "63", r"unknown NodeFlag 99 \(known: 1 DISC, 2 FOUND"),
        (Protocol.NODE, "00" + "ff" * 40, "unknown NodeFlag 0"),
        (Protocol.NODE, f"02 {ID} 09 0102030405", "FOUND: unknown address family 9"),
        (Protocol.NODE, f"02 {HEAD} 01 0004 07 02 6e31", "FOUND: sender: unknown IdentityKind 7"),
        (
            Protocol.NODE,
            f"05 {HEAD} 07 0010 {ID} 08 0004 00 02 6e31 08 0003 07 01 00"
            "09 000c 00000001 0000000000000002 0a 0004 00000001",
            "PORT: path: unknown IdentityKind 7",  # a path with a hole could hide a loop
        ),
        (Protocol.SERVER, "07 00", "unknown ServerFlag 7"),
        (Protocol.SERVER, "01 01", "WAKE: unknown kind of answer 1"),
        (Protocol.SERVER, "06 02 0d 0008 0000000000000001", "PING: unknown kind of answer 2"),
        (Protocol.BOOTSTRAP, "09", "unknown BootstrapFlag 9"),
        (5, "0102", "unknown protocol 5"),
        (255, "", "unknown protocol 255"),
    ],
)
def test_an_unknown_message_is_skipped_and_the_next_one_is_read(
    protocol: int, wire: str, problem: str
) -> None:
    body = bytes.fromhex(wire)
    decoder = FrameDecoder()
    decoder.feed(encode(Ping(1)) + FrameHeader(protocol, len(body)).pack() + body + encode(Ping(2)))
    assert decoder.next() == Ping(1)
    with pytest.raises(UnknownMessageError, match=problem):
        decoder.next()
    assert (decoder.next(), decoder.next(), decoder.pending) == (Ping(2), None, 0)


def test_an_unknown_message_is_skipped_only_when_it_is_complete() -> None:
    decoder = FrameDecoder()
    for byte in FrameHeader(9, 3).pack() + b"ab":
        decoder.feed(bytes([byte]))
        assert decoder.next() is None
    assert decoder.pending == HEADER_SIZE + 2
    decoder.feed(b"c")
    with pytest.raises(UnknownMessageError):
        decoder.next()
    assert (decoder.next(), decoder.pending) == (None, 0)


def test_an_unknown_version_of_the_frame_is_the_end() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"MC\x02" + encode(Wake())[3:] + encode(Wake()))
    for _ in range(2):
        with pytest.raises(WireError, match="unknown protocol version 2") as caught:
            decoder.next()
        assert not isinstance(caught.value, UnknownMessageError)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Miss(request=REQUEST, content="a", reason=MissReason.CUT), f"03 {HEAD} 0c 0001 63"),
        (Stop(request=REQUEST, content="a", reason=StopReason.ERROR), f"06 {HEAD} 0d 0001 63"),
        (
            Stop(request=REQUEST, content="a", reason=StopReason.ERROR, last=7),
            f"06 {HEAD} 0d 0001 00 0e 0008 0000000000000007",
        ),
        (Stream(request=REQUEST, content="a", sender=N1), f"04 {HEAD} {SENDER} 06 0001 63"),
        (
            Disc(request=REQUEST, content="a", sender=N1, remaining_ms=1, excluded=(N1,)),
            f"01 {HEAD} {SENDER} 02 0004 00000001 03 0003 07 01 ff 03 0004 00 02 6e31 10 0003 07 01 ff",
        ),
    ],
    ids=["MISS", "STOP", "STOP with a last number", "STREAM", "DISC"],
)
def test_a_node_message_with_an_unknown_value_still_means_what_it_means(
    message: node.NodeMessage, wire: str
) -> None:
    assert node.unpack(bytes.fromhex(wire)) == message


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Sending(SendStatus.ERROR, text="why"), "03 01 06 0001 63 0a 0003 776879"),
        (ServerStop(StopReason.ERROR), "05 00 0b 0001 63"),
    ],
)
def test_a_server_message_with_an_unknown_value_still_means_what_it_means(
    message: server.ServerMessage, wire: str
) -> None:
    assert server.unpack(bytes.fromhex(wire)) == message


def test_a_node_that_is_told_an_unknown_kind_relays() -> None:
    told = bootstrap.unpack(bytes.fromhex("02 04 0002 6e31 05 0001 63 06 0003 613a31"))
    assert told == LayoutMessage("n1", NodeKind.OVERLAY, "a:1")


def test_of_a_parent_in_an_unknown_state_its_media_tells() -> None:
    told = rtcp.read_state([App(1, 1, b"MCST", bytes.fromhex("63 000000 0000012c 0000000000000007"))])
    assert told == UpstreamState(FeedState.FED, 300, 7)


@given(messages, st.integers(100, 255), st.binary(max_size=40))
def test_every_message_may_grow_by_fields_that_this_version_does_not_know(
    message: Message, kind: int, value: bytes
) -> None:
    body = message.pack() + bytes([kind]) + len(value).to_bytes(2, "big") + value
    wire = encode(message)[:4] + len(body).to_bytes(4, "big") + body
    decoder = FrameDecoder()
    decoder.feed(wire)
    assert decoder.next() == message
