"""The node protocol's packets."""

import dataclasses

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire import node
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import MAX_NODE_BODY, encode
from mcast.wire.identity import Identity
from mcast.wire.node import (
    MAX_PATH,
    Advert,
    Disc,
    Found,
    Miss,
    MissReason,
    NodeMessage,
    Port,
    Start,
    Stop,
    StopReason,
    Stream,
    Watch,
)
from mcast.wire.position import Position
from wire.strategies import hostile, node_messages, taken

REQUEST = bytes(range(16))
ID = "000102030405060708090a0b0c0d0e0f"
NO_ID = "00" * 16
N1, CLIENT = Identity.node("n1"), Identity.client(b"\xaa" * 16)
TOKEN = b"\xbb" * 16

EXAMPLES: list[tuple[NodeMessage, str]] = [
    (
        Disc(
            request=REQUEST,
            source=Endpoint.of("10.0.5.1", 5000),
            hops=1,
            content="news",
            sender=N1,
            remaining_ms=3_900,
            excluded=(Identity.node("n2"), CLIENT),
            origin=Identity.node("n4"),
        ),
        f"01 {ID} 04 0a000501 1388 01 04 6e657773 0000"
        "01 0004 00 02 6e31  02 0004 00000f3c  03 0004 00 02 6e32  03 0012 01 10"
        + "aa" * 16
        + "10 0004 00 02 6e34",
    ),
    (
        Disc(request=REQUEST, content="news", sender=N1, remaining_ms=500, scoped=True),
        f"01 {ID} 00 00 04 6e657773 0000 01 0004 00 02 6e31 02 0004 000001f4 19 0001 01",
    ),
    (
        Disc(request=REQUEST, content="news", sender=N1, remaining_ms=500, last_resort=True),
        f"01 {ID} 00 00 04 6e657773 0000 01 0004 00 02 6e31 02 0004 000001f4 1c 0001 01",
    ),
    (
        Found(request=REQUEST, content="news", sender=N1),
        f"02 {ID} 00 00 04 6e657773 0000 01 0004 00 02 6e31",
    ),
    (
        Miss(request=REQUEST, content="news", reason=MissReason.ABSENT, text="no"),
        f"03 {ID} 00 00 04 6e657773 0000 0c 0001 01 0f 0002 6e6f",
    ),
    (
        Stream(request=REQUEST, content="news", sender=CLIENT, port=40_000),
        f"04 {ID} 00 00 04 6e657773 9c40 01 0012 01 10" + "aa" * 16,
    ),
    (
        Stream(
            request=REQUEST,
            source=Endpoint.of("2001:db8::1", 5000),
            content="news",
            sender=N1,
            port=40_000,
            resume=Position(0xDEADBEEF, 65_536),
            buffer_bytes=212_992,
            start=Start.LIVE,
        ),
        f"04 {ID} 06 20010db8000000000000000000000001 1388 00 04 6e657773 9c40 01 0004 00 02 6e31"
        "04 000c deadbeef 0000000000010000  05 0004 00034000  06 0001 01",
    ),
    (
        Port(
            request=REQUEST,
            content="news",
            port=50_000,
            token=TOKEN,
            path=(Identity.node("rp"), N1),
            stream=Position(0xDEADBEEF, 7),
            version=2,
            cut=True,
        ),
        f"05 {ID} 00 00 04 6e657773 c350 07 0010" + "bb" * 16 + "08 0004 00 02 7270  08 0004 00 02 6e31"
        "09 000c deadbeef 0000000000000007  0a 0004 00000002  0b 0001 01",
    ),
    (
        Port(
            request=REQUEST,
            content="news",
            port=50_000,
            token=TOKEN,
            path=(Identity.node("rp"),),
            stream=Position(0xDEADBEEF, 7),
            version=2,
            no_way=True,
            leaving=True,
            further=(Endpoint.of("10.0.5.1", 5000), Endpoint.of("2001:db8::1", 5001)),
        ),
        f"05 {ID} 00 00 04 6e657773 c350 07 0010" + "bb" * 16 + "08 0004 00 02 7270"
        "09 000c deadbeef 0000000000000007  0a 0004 00000002  11 0001 01  12 0001 01"
        "13 0007 04 0a000501 1388  13 0013 06 20010db8000000000000000000000001 1389",
    ),
    (Watch(sender=N1), f"07 {NO_ID} 00 00 00 0000 01 0004 00 02 6e31"),
    (Watch(sender=N1, every_ms=250), f"07 {NO_ID} 00 00 00 0000 01 0004 00 02 6e31 20 0002 00fa"),
    (
        Advert(content="news", path=(Identity.node("rp"), N1), fed=True),
        f"08 {NO_ID} 00 00 04 6e657773 0000 14 0004 00 02 7270  14 0004 00 02 6e31  15 0001 01",
    ),
    (
        Advert(content="news", path=(N1,), fed=True, delay_ms=40, lost_permille=12),
        f"08 {NO_ID} 00 00 04 6e657773 0000 14 0004 00 02 6e31  15 0001 01  28 0002 0028 29 0002 000c",
    ),
    (
        Advert(content="news", path=(N1,), fed=True, viewers=70),
        f"08 {NO_ID} 00 00 04 6e657773 0000 14 0004 00 02 6e31  15 0001 01  2a 0004 00000046",
    ),
    (Advert(content="news"), f"08 {NO_ID} 00 00 04 6e657773 0000"),
    (
        Advert(distance=2, takes_clients=True),
        f"08 {NO_ID} 00 00 00 0000 16 0001 02  17 0001 01",
    ),
    (
        Stop(request=REQUEST, content="news", reason=StopReason.END, last=0),
        f"06 {ID} 00 00 04 6e657773 0000 0d 0001 02 0e 0008 0000000000000000",
    ),
]


@pytest.mark.parametrize(("message", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_packets_are_written_and_read_byte_for_byte(message: NodeMessage, wire: str) -> None:
    assert message.pack() == bytes.fromhex(wire)
    assert node.unpack(bytes.fromhex(wire)) == message


PORT = (
    f"05 {ID} 00 00 00 0000 07 0010" + "bb" * 16 + "08 0003 00 01 61 09 000c" + "00" * 12 + "0a 0004 00000002"
)
FOUND = f"02 {ID} 00 00 04 6e657773 0000 "


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("", "cut short"),
        ("63", r"unknown NodeFlag 99 \(known: 1 DISC, 2 FOUND"),
        ("02 0001", "FOUND: cut short"),
        (FOUND, "FOUND: sender is missing"),
        (FOUND + "01 0004 00 02 6e31 01 0004 00 02 6e31", "FOUND: sender stands there 2 times"),
        (FOUND + "01 0005 00 02 6e31 00", "FOUND: sender: 1 bytes too many"),
        (FOUND + "01 0004 00 02 6e31 01", "FOUND: cut short"),
        (f"02 {ID} 06 fe800000000000000000000000000001 1388", "FOUND: fe80::1 is link-local"),
        (f"02 {ID} 00 00 01 ff 0000", "FOUND: text is not UTF-8"),
        (f"02 {ID} 00 00 02 610a 0000", "FOUND: no content's name: .* printable"),
        (
            f"01 {ID} 00 00 00 0000 01 0003 00 01 61 02 0004 00000001" + "03 0003 00 01 61" * 65,
            "DISC: excluded has 65 elements, the most is 64",
        ),
        (
            f"05 {ID} 00 00 00 0000 07 0010" + "bb" * 16 + "08 0003 00 01 61" * 65,
            "PORT: path has 65 elements, the most is 64",
        ),
        (
            f"08 {ID} 00 00 00 0000" + "14 0003 00 01 61" * 65,
            "ADVERT: path has 65 elements, the most is 64",
        ),
        (PORT + "13 0007 04 0a000501 1388" * 5, "PORT: further has 5 elements, the most is 4"),
        (PORT + "13 0007 04 0a000501 0000", "PORT: further: nobody can be reached at 10.0.5.1:0"),
        (PORT + "13 0007 04 00000000 1388", "PORT: further: nobody can be reached at 0.0.0.0:5000"),
        (PORT + "13 0007 04 ffffffff 1388", "PORT: further: nobody can be reached at 255.255.255.255:5000"),
        (PORT + "13 0007 04 ef000001 1388", "PORT: further: nobody can be reached at 239.0.0.1:5000"),
        (
            PORT + "13 0013 06 ff020000000000000000000000000001 1388",
            r"PORT: further: nobody .* \[ff02::1\]:5000",
        ),
        (PORT + "13 0013 06 fe800000000000000000000000000001 1388", "PORT: further: fe80::1 is link-local"),
        (f"05 {ID} 00 00 00 0000 09 000c 00000001 4000000000000001", "PORT: stream: datagram number"),
        (f"04 {ID} 00 00 00 0000 04 000c 00000001 ffffffffffffffff", "STREAM: resume: datagram number"),
        (f"06 {ID} 00 00 00 0000 0e 0008 4000000000000001", "STOP: last: datagram number"),
        (f"05 {ID} 00 00 00 0000 07 000f" + "bb" * 15, "PORT: token: 15 bytes, expected 16"),
        (
            f"05 {ID} 00 00 00 0000 07 0010" + "bb" * 16 + "09 000c" + "00" * 12 + "0a 0004 00000002",
            "PORT: path is missing",
        ),
    ],
)
def test_a_broken_packet_names_itself_and_the_field(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        node.unpack(bytes.fromhex(wire))


def test_an_unknown_field_of_a_newer_peer_is_skipped() -> None:
    wire = bytes.fromhex(FOUND + "c8 0002 ffff 01 0004 00 02 6e31")
    assert node.unpack(wire) == Found(request=REQUEST, content="news", sender=N1)


def test_who_asks_is_the_origin_or_else_the_sender() -> None:
    asked = Disc(request=REQUEST, content="news", sender=N1, remaining_ms=1)
    assert asked.asker == N1
    assert dataclasses.replace(asked, origin=CLIENT).asker == CLIENT


def test_a_path_is_handed_on_with_one_node_more_than_may_be_read() -> None:
    longest = tuple(Identity.node("n" * 64) for _ in range(MAX_PATH + 1))
    port = Port(request=REQUEST, content="", token=TOKEN, path=longest, stream=Position(1, 2), version=1)
    assert len(encode(port)) < MAX_NODE_BODY
    with pytest.raises(WireError, match="path has 65 elements"):
        node.unpack(port.pack())


@pytest.mark.parametrize(
    "message",
    [
        Found(request=REQUEST[:15], content="news", sender=N1),
        Found(request=REQUEST, content="x" * 256, sender=N1),
        Found(request=REQUEST, content="two\nlines", sender=N1),
        Found(request=REQUEST, content="\udc80", sender=N1),
        Stop(request=REQUEST, content="news", reason=StopReason.END, last=-1),
        Stop(request=REQUEST, content="news", reason=StopReason.END, last=1 << 63),
        Found(request=REQUEST, content="news", sender=N1, hops=256),
        Found(request=REQUEST, content="news", sender=N1, port=65_536),
        Found(request=REQUEST, content="news", sender=N1, source=Endpoint.of("fe80::1", 1)),
        Disc(request=REQUEST, content="news", sender=N1, remaining_ms=-1),
        Port(request=REQUEST, content="", token=TOKEN, path=(), stream=Position(1, 2), version=1),
    ],
)
def test_a_packet_that_does_not_fit_is_our_bug(message: NodeMessage) -> None:
    with pytest.raises(ValueError):
        message.pack()


@given(node_messages)
def test_every_packet_round_trips(message: NodeMessage) -> None:
    assert node.unpack(message.pack()) == message


@given(hostile(node_messages.map(lambda message: message.pack())))
def test_any_bytes_give_a_packet_or_a_wire_error(data: bytes) -> None:
    if (message := taken(node.unpack, data)) is not None:
        assert node.unpack(message.pack()) == message
