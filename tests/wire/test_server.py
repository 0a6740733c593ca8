"""The server protocol's packets."""

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire import server
from mcast.wire.node import StopReason
from mcast.wire.position import Position
from mcast.wire.server import (
    ContentInfo,
    Contents,
    Ping,
    Ready,
    Send,
    Sending,
    SendStatus,
    ServerMessage,
    ServerStop,
    Wake,
)
from wire.strategies import hostile, server_messages, taken

EARTH = ContentInfo(
    name="earth",
    format="h264",
    duration_ms=12_000,
    bit_rate=5_000_000,
    frame_rate_milli=25_000,
    width=1_280,
    height=720,
    loop=True,
    digest=b"\xdd" * 32,
    running=(Position(1, 2), Position(3, 4)),
)
EARTH_WIRE = (
    "01 0005 6561727468  02 0004 68323634  03 0008 0000000000002ee0  04 0008 00000000004c4b40"
    "05 0004 000061a8  06 0002 0500  07 0002 02d0  08 0001 01  09 0020" + "dd" * 32 + ""
    "0a 000c 00000001 0000000000000002  0a 000c 00000003 0000000000000004"
)

EXAMPLES: list[tuple[ServerMessage, str]] = [
    (Wake(), "01 00"),
    (Contents(()), "02 00"),
    (
        Contents((EARTH, ContentInfo("studio"))),
        f"02 00 01 {len(bytes.fromhex(EARTH_WIRE)):04x} {EARTH_WIRE} 01 0009 01 0006 73747564696f",
    ),
    (Send("earth"), "03 00 02 0005 6561727468"),
    (
        Send("earth", Position(1, 2), 40_000, 212_992),
        "03 00 02 0005 6561727468 03 000c 00000001 0000000000000002 04 0002 9c40 05 0004 00034000",
    ),
    (
        Send("earth", Position(1, 2), overdue_ms=350),
        "03 00 02 0005 6561727468 03 000c 00000001 0000000000000002 0e 0004 0000015e",
    ),
    (
        Send("earth", Position(1, 2), overdue_ms=350, due=9),
        "03 00 02 0005 6561727468 03 000c 00000001 0000000000000002 0e 0004 0000015e20 0008 0000000000000009",
    ),
    (
        Sending(SendStatus.OK, 50_000, b"\xbb" * 16, Position(1, 2), b"\xdd" * 32),
        "03 01 06 0001 00 04 0002 c350 07 0010" + "bb" * 16 + "08 000c 00000001 0000000000000002"
        "09 0020" + "dd" * 32,
    ),
    (Sending(SendStatus.PREPARING, text="40 %"), "03 01 06 0001 02 0a 0004 34302025"),
    (Ready(), "04 00"),
    (ServerStop(StopReason.END, 99), "05 00 0b 0001 02 0c 0008 0000000000000063"),
    (ServerStop(StopReason.LEAVING, text="bye"), "05 00 0b 0001 03 0a 0003 627965"),
    (Ping(7), "06 00 0d 0008 0000000000000007"),
    (Ping(7, reply=True), "06 01 0d 0008 0000000000000007"),
]


@pytest.mark.parametrize(("message", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_packets_are_written_and_read_byte_for_byte(message: ServerMessage, wire: str) -> None:
    assert message.pack() == bytes.fromhex(wire)
    assert server.unpack(bytes.fromhex(wire)) == message


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("", "cut short"),
        ("00 00", "unknown ServerFlag 0"),
        ("01", "WAKE: cut short"),
        ("01 01", "WAKE: unknown kind of answer 1"),
        ("06 02", "PING: unknown kind of answer 2"),
        ("06 01", "PING: nonce is missing"),
        ("03 00", "CSND: content is missing"),
        ("03 01", "CSND: status is missing"),
        ("03 00 02 0003 611b62", "CSND: content: no content's name: .* printable"),
        ("03 00 02 0100" + "61" * 256, "CSND: content: no content's name: .* at most 255 bytes"),
        ("03 00 03 000c 00000001 4000000000000001", "CSND: resume: datagram number"),
        ("05 00 0c 0008 4000000000000001", "STOP: last: datagram number"),
        ("03 01 06 0001 00 07 0003 626262", "CSND: token: 3 bytes, expected 0 or 16"),
        ("02 00 01 0003 02 0000", "CONT: contents: name is missing"),
        ("02 00 01 0009 01 0001 61 09 0002 dddd", "CONT: contents: digest: 2 bytes, expected 0 or 32"),
    ],
)
def test_a_broken_packet_names_itself_and_the_field(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        server.unpack(bytes.fromhex(wire))


def test_unknown_fields_of_a_newer_peer_are_skipped_in_lists_too() -> None:
    wire = bytes.fromhex("02 00 01 0008 01 0001 61 c8 0001 ff c8 0000")
    assert server.unpack(wire) == Contents((ContentInfo("a"),))
    assert server.unpack(bytes.fromhex("01 00 c8 0001 ff")) == Wake()


@pytest.mark.parametrize(
    "message",
    [
        Contents((ContentInfo("a", digest=bytes(31)),)),
        Contents((ContentInfo("a", width=65_536),)),
        Contents((ContentInfo("a" * 256),)),
        Contents((ContentInfo("two\nlines"),)),
        Contents((ContentInfo("a", format="x" * 65_536),)),
        Sending(SendStatus.OK, token=bytes(15)),
        Ping(-1),
    ],
)
def test_a_packet_that_does_not_fit_is_our_bug(message: ServerMessage) -> None:
    with pytest.raises(ValueError):
        message.pack()


@given(server_messages)
def test_every_packet_round_trips(message: ServerMessage) -> None:
    assert server.unpack(message.pack()) == message


@given(hostile(server_messages.map(lambda message: message.pack())))
def test_any_bytes_give_a_packet_or_a_wire_error(data: bytes) -> None:
    if (message := taken(server.unpack, data)) is not None:
        assert server.unpack(message.pack()) == message
