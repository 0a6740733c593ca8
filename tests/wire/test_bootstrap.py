"""The bootstrap protocol's packets."""

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire import bootstrap
from mcast.wire.bootstrap import (
    BootstrapMessage,
    Health,
    LayoutMessage,
    Links,
    NamedAddress,
    NodeKind,
    Offer,
    Policy,
    Refused,
    Register,
    Seek,
)
from mcast.wire.health import StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position
from wire.strategies import bootstrap_messages, hostile, taken

INSTANCE = b"\xcc" * 16
RP, N1 = Identity.node("rp"), Identity.node("n1")

EXAMPLES: list[tuple[BootstrapMessage, str]] = [
    (Register("n1", 5000, INSTANCE), "01 01 0002 6e31 02 0002 1388 03 0010" + "cc" * 16),
    (Register("", 5000, INSTANCE), "01 02 0002 1388 03 0010" + "cc" * 16),
    (
        LayoutMessage(
            name="rp",
            kind=NodeKind.RENDEZVOUS,
            address="a:1",
            aliases=("b",),
            neighbours=(NamedAddress("n1", "c:2"), NamedAddress("n2", "d:3")),
            servers=("e:4",),
            rendezvous=("rp", "r2"),
            version=3,
        ),
        "02 04 0002 7270 05 0001 01 06 0003 613a31 07 0001 62 08 000b 01 0002 6e31 02 0003 633a32"
        "08 000b 01 0002 6e32 02 0003 643a33 09 0003 653a34 0a 0002 7270 0a 0002 7232 0b 0004 00000003",
    ),
    (LayoutMessage("n1", NodeKind.OVERLAY, "a:1"), "02 04 0002 6e31 05 0001 00 06 0003 613a31"),
    (
        LayoutMessage("n1", NodeKind.OVERLAY, "a:1", policy=Policy(False, False, True, 2, 9)),
        "02 04 0002 6e31 05 0001 00 06 0003 613a31"
        "0f 0015 01 0001 00 02 0001 00 03 0001 01 04 0001 02 05 0002 0009",
    ),
    (
        LayoutMessage("n1", NodeKind.OVERLAY, "a:1", joined=True),
        "02 04 0002 6e31 05 0001 00 06 0003 613a31 15 0001 01",
    ),
    (
        Register("n1", 5000, INSTANCE, links=("n2", "n3")),
        "01 01 0002 6e31 02 0002 1388 03 0010" + "cc" * 16 + "14 0002 6e32 14 0002 6e33",
    ),
    (
        LayoutMessage("n1", NodeKind.RENDEZVOUS, "a:1", seniors=(NamedAddress("rp", "a:1"),)),
        "02 04 0002 6e31 05 0001 01 06 0003 613a31 20 000b 01 0002 7270 02 0003 613a31",
    ),
    (Refused("who?"), "03 0c 0004 77686f3f"),
    (Refused("who?", removed=True), "03 0c 0004 77686f3f 16 0001 01"),
    (Health(60_000), "04 0d 0008 000000000000ea60"),
    (Health(60_000, beyond=("n9",)), "04 0d 0008 000000000000ea60 17 0002 6e39"),
    (Seek(), "06"),
    (Seek("a"), "06 18 0001 61"),
    (Offer(), "07"),
    (Offer((NamedAddress("n1", "c:2"),)), "07 19 000b 01 0002 6e31 02 0003 633a32"),
    (Links(("n1", "n2")), "08 14 0002 6e31 14 0002 6e32"),
    (
        Health(1, (StreamHealth("a", (RP, N1), (N1,), Position(1, 2), lost=5, fed=False),)),
        "04 0d 0008 0000000000000001 0e 0037 01 0001 61 02 0004 00027270 02 0004 00026e31 03 0004 00026e31"
        "04 000c 00000001 0000000000000002 05 0008 0000000000000005 06 0001 00",
    ),
]


@pytest.mark.parametrize(("message", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_packets_are_written_and_read_byte_for_byte(message: BootstrapMessage, wire: str) -> None:
    assert message.pack().hex() == bytes.fromhex(wire).hex()
    assert bootstrap.unpack(bytes.fromhex(wire)) == message


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("", "cut short"),
        ("09", "unknown BootstrapFlag 9"),
        ("01 02 0002 1388", "REGISTER: instance is missing"),
        ("01 01 0001 0a", "REGISTER: name: no node's name: .* printable"),
        ("01 02 0001 13", "REGISTER: port: cut short"),
        ("02 08 0005 01 0002 6e31", "LAYOUT: neighbours: address is missing"),
        ("02 04 0002 6e31 05 0001 00 06 0001 61", "LAYOUT: address: 'a' has no port"),
        ("02 04 0002 6e31 05 0001 00 06 0003 613a30", "LAYOUT: address: 'a:0': port 0 is out of range"),
        ("02 07 0002 620a", r"LAYOUT: aliases: 'b\n' is no host name"),
        ("02 08 000a 01 0002 6e31 02 0002 3a31", "LAYOUT: neighbours: address: ':1' has no host"),
        ("02 09 0002 653a", "LAYOUT: servers: 'e:': the port '' is no number"),
        ("02 0a 0001 0a", "LAYOUT: rendezvous: no node's name"),
        ("02 20 000b 01 0002 6e31 02 0003 61203a", "LAYOUT: seniors: address: 'a :'"),
        ("03", "REFUSED: text is missing"),
        ("07 19 000a 01 0002 6e31 02 0002 6332", "OFFER: nodes: address: 'c2' has no port"),
        ("04 0d 0008 000000000000ea60 0e 0004 01 0001 61", "HEALTH: streams: position is missing"),
    ],
)
def test_a_broken_packet_names_itself_and_the_field(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        bootstrap.unpack(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "message",
    [
        Register("n1", 65_536, INSTANCE),
        Register("n1", 5000, b""),
        Register("two\nlines", 5000, INSTANCE),
        LayoutMessage("", NodeKind.OVERLAY, "a:1"),
        LayoutMessage("n1", NodeKind.OVERLAY, "a"),
    ],
)
def test_a_packet_that_does_not_fit_is_our_bug(message: BootstrapMessage) -> None:
    with pytest.raises(ValueError):
        message.pack()


@given(bootstrap_messages)
def test_every_packet_round_trips(message: BootstrapMessage) -> None:
    assert bootstrap.unpack(message.pack()) == message


@given(hostile(bootstrap_messages.map(lambda message: message.pack())))
def test_any_bytes_give_a_packet_or_a_wire_error(data: bytes) -> None:
    if (message := taken(bootstrap.unpack, data)) is not None:
        assert bootstrap.unpack(message.pack()) == message
