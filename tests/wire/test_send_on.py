"""Receive, then send on: nothing that a peer says, and is accepted, makes our own packing fail."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import rtcp
from mcast.wire.bootstrap import Health, LayoutMessage, NamedAddress, NodeKind, Refused, Register
from mcast.wire.codec import MAX_EXPLANATION, Reader, Writer
from mcast.wire.frame import FrameDecoder, FrameHeader, Message, Protocol, encode, protocol_of
from mcast.wire.handshake import Challenge, Greeting, Proof, Refusal, Role, Welcome
from mcast.wire.health import StreamHealth
from mcast.wire.identity import MAX_NODE_NAME, Identity
from mcast.wire.node import (
    MAX_EXCLUDED,
    Disc,
    Found,
    Miss,
    MissReason,
    Port,
    Start,
    Stop,
    StopReason,
    Stream,
)
from mcast.wire.position import MAX_COUNTED, MAX_NUMBER, Position
from mcast.wire.server import (
    ContentInfo,
    Contents,
    Ping,
    Ready,
    Send,
    Sending,
    SendStatus,
    ServerStop,
    Wake,
)
from wire.strategies import messages, taken

ME = Identity.node("n" * MAX_NODE_NAME)
A_LIFETIME = 1 << 60  # datagrams: more than a program can count

NUMBERS = [0, 1, MAX_NUMBER - 1, MAX_NUMBER, MAX_NUMBER + 1, MAX_COUNTED, (1 << 64) - 1]
NAMES = [b"", b"n1", b"two\nlines", b"\xc3", b"x" * 300, "é".encode() * MAX_EXPLANATION]
IDENTITIES = [b"\0\2n1", b"\0\0", b"\1\x10" + bytes(16), b"\7\1x", b"\0\1\n"]
VALUES = [
    *(bytes([byte]) * size for byte in (0, 1, 7, 0xFF) for size in (1, 2, 4, 8, 12, 16, 32)),
    *(number.to_bytes(8, "big") for number in NUMBERS),
    *(bytes(4) + number.to_bytes(8, "big") for number in NUMBERS),
    *NAMES,
    *IDENTITIES,
    *(b"\1" + len(name).to_bytes(2, "big") + name for name in NAMES),  # of a content in a list
    *(b"\1\0\1a\4\0\x0c" + bytes(4) + number.to_bytes(8, "big") for number in NUMBERS),  # a stream's health
]

N1, ID, AT = Identity.node("n1"), bytes(16), Position(1, 2)
MESSAGES: list[Message] = [
    Disc(request=ID, content="a", sender=N1, remaining_ms=1, excluded=(N1,), origin=N1),
    Found(request=ID, content="a", sender=N1),
    Miss(request=ID, content="a", reason=MissReason.BUSY, text="why"),
    Stream(request=ID, content="a", sender=N1, resume=AT, buffer_bytes=1, start=Start.LIVE),
    Port(request=ID, content="a", token=ID, path=(N1,), stream=AT, version=1, cut=True),
    Stop(request=ID, content="a", reason=StopReason.END, last=1, text="why"),
    Wake(),
    Contents((ContentInfo("a", running=(AT,)),)),
    Send("a", AT, 1, 1, 1),
    Sending(SendStatus.OK, 1, ID, AT, bytes(32), "why"),
    Ready(),
    ServerStop(StopReason.END, 1, "why"),
    Ping(1),
    Register("n1", 1, ID),
    LayoutMessage(
        "n1", NodeKind.RENDEZVOUS, "a:1", ("b",), (NamedAddress("n2", "c:1"),), ("d:1",), ("rp",), 1
    ),
    Refused("why"),
    Health(1, (StreamHealth("a", (N1,), (N1,), AT, 1, False),)),
    Greeting(1, Role.CLIENT, Role.NODE, bytes(32)),
    Challenge(1, Role.NODE, bytes(32)),
    Proof((bytes(32),)),
    Welcome(bytes(32)),
    Refusal("why"),
]


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def read(wire: bytes) -> Message | None:
    decoder = FrameDecoder()
    decoder.feed(wire)
    return decoder.next()


def read_whole(wire: bytes) -> Message:
    message = read(wire)
    assert message is not None
    return message


def replaced(message: Message, kind: int, value: bytes) -> bytes:
    """Return a message's frame in which one field, new or there already, has this value."""
    whole, fields = message.pack(), Writer()
    message.SCHEMA.write(fields, message)
    rest, kept = Reader(fields.data()), b""
    while rest.remaining:
        found, part = rest.tlv()
        kept += b"" if found == kind else tlv(found, part.rest())
    body = whole[: len(whole) - len(fields.data())] + kept + tlv(kind, value)
    return FrameHeader(protocol_of(message), len(body)).pack() + body


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_read_can_be_written_and_reads_the_same_whatever_a_field_holds(message: Message) -> None:
    kinds, accepted = [row.kind for row in message.SCHEMA.tlvs], 0
    for kind, value in itertools.product([*kinds, 99], VALUES):
        if (told := taken(read_whole, replaced(message, kind, value))) is not None:
            assert read(encode(told)) == told
            accepted += 1
    assert accepted >= len(VALUES)


NODE_HEAD = f"{'00' * 16} 00 00 01 61 0000"
NUMBERED = {  # bodies in hex, with a place for a number
    "PORT stream": (
        Protocol.NODE,
        f"05 {NODE_HEAD} 07 0010 {'00' * 16} 08 0003 000161 09 000c 00000001 {{}} 0a 0004 00000001",
    ),
    "STREAM resume": (Protocol.NODE, f"04 {NODE_HEAD} 01 0003 000161 04 000c 00000001 {{}}"),
    "STOP last": (Protocol.NODE, f"06 {NODE_HEAD} 0d 0001 02 0e 0008 {{}}"),
    "CSND resume": (Protocol.SERVER, "03 00 02 0001 61 03 000c 00000001 {}"),
    "CSND stream": (Protocol.SERVER, "03 01 06 0001 00 08 000c 00000001 {}"),
    "CONT running": (Protocol.SERVER, "02 00 01 0013 01 0001 61 0a 000c 00000001 {}"),
    "STOP last (server)": (Protocol.SERVER, "05 00 0b 0001 02 0c 0008 {}"),
    "HEALTH position": (
        Protocol.BOOTSTRAP,
        "04 0d 0008 0000000000000000 0e 0013 01 0001 61 04 000c 00000001 {}",
    ),
}


def numbered(protocol: Protocol, body: str, number: int) -> bytes:
    data = bytes.fromhex(body.format(f"{number:016x}"))
    return FrameHeader(protocol, len(data)).pack() + data


@pytest.mark.parametrize(("protocol", "body"), NUMBERED.values(), ids=NUMBERED)
def test_the_highest_number_is_read_wherever_one_stands_and_the_next_is_refused(
    protocol: Protocol, body: str
) -> None:
    highest = numbered(protocol, body, MAX_NUMBER)
    assert (message := read(highest)) is not None
    assert encode(message) == highest
    for number in (MAX_NUMBER + 1, (1 << 64) - 1):
        with pytest.raises(WireError, match=f"datagram number {number}"):
            read(numbered(protocol, body, number))


@given(messages, st.integers(0, A_LIFETIME))
def test_a_node_can_hand_on_whatever_it_was_told(message: Message, counted: int) -> None:
    """The messages that a node makes of others': with itself added, and counted on."""
    match message:
        case Disc():
            encode(dataclasses.replace(message, sender=ME, origin=message.asker))
        case Port():
            head = Position(message.stream.ssrc, message.stream.next + counted)
            encode(dataclasses.replace(message, path=(*message.path, ME), stream=head))
            encode(Health(1, (StreamHealth(message.content, message.path, (), head),)))
        case Stop(last=last) if last is not None:
            encode(ServerStop(message.reason, last + counted, message.text))
        case Sending(stream=stream) if stream is not None:
            encode(Stream(request=bytes(16), content="a", sender=ME, resume=stream))


def test_the_longest_request_and_the_longest_path_fit_a_frame_when_handed_on() -> None:
    other = Identity.node("m" * MAX_NODE_NAME)
    longest = Disc(
        request=bytes(16),
        content="x" * 255,
        sender=ME,
        remaining_ms=1,
        excluded=(other,) * MAX_EXCLUDED,
        origin=other,
    )
    assert read(encode(longest)) == longest


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("state", [0, 1, 2, 3, 255])
def test_whatever_a_parent_says_of_its_state_can_be_said_again(state: int, number: int) -> None:
    app = rtcp.App(1, 1, b"MCST", bytes([state]) + bytes(7) + number.to_bytes(8, "big"))
    if number in (MAX_NUMBER + 1, MAX_COUNTED):
        with pytest.raises(WireError, match=f"datagram number {number}"):
            rtcp.read_state([app])
    else:
        told = rtcp.read_state([app])
        assert told is not None
        assert rtcp.UpstreamState.unpack(told.pack()) == told
        assert told.next == number
