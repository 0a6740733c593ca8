"""docs/protocol.md cannot rot: its examples and its tables are compared with the code, both ways."""

import contextlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from mcast.errors import WireError
from mcast.wire import (
    address,
    bootstrap,
    codec,
    content,
    endpoint,
    frame,
    handshake,
    health,
    identity,
    node,
    position,
    rtcp,
    rtp,
    server,
)
from mcast.wire.fields import FlaggedRecord, Record, Rule, Tlv
from mcast.wire.frame import FrameDecoder, encode

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
MODULES = (content, endpoint, frame, identity, node, position, rtcp, rtp, server, health, bootstrap,
           handshake)  # fmt: skip
NAMES = {name: value for module in MODULES for name, value in vars(module).items()}

LABELS: dict[str, dict[str, type[Record]]] = {  # how the tables of TLVs call the packets
    "Node protocol": {
        "DISC": node.Disc,
        "FOUND": node.Found,
        "MISS": node.Miss,
        "STREAM": node.Stream,
        "PORT": node.Port,
        "STOP": node.Stop,
        "WATCH": node.Watch,
        "ADVERT": node.Advert,
        "LIST": node.ListContents,
        "CONTENTS": node.ContentsPage,
    },
    "Server protocol": {
        "WAKE": server.Wake,
        "CONT": server.Contents,
        "CSND": server.Send,
        "CSND-answer": server.Sending,
        "OK": server.Ready,
        "STOP": server.ServerStop,
        "PING": server.Ping,
    },
    "Bootstrap protocol": {
        "REGISTER": bootstrap.Register,
        "LAYOUT": bootstrap.LayoutMessage,
        "REFUSED": bootstrap.Refused,
        "HEALTH": bootstrap.Health,
        "PROBE": bootstrap.Probe,
        "SEEK": bootstrap.Seek,
        "OFFER": bootstrap.Offer,
        "LINKS": bootstrap.Links,
    },
    "Handshake": {
        "GREETING": handshake.Greeting,
        "CHALLENGE": handshake.Challenge,
        "PROOF": handshake.Proof,
        "WELCOME": handshake.Welcome,
        "REFUSAL": handshake.Refusal,
    },
}
RECORDS = (content.ContentInfo, bootstrap.NamedAddress, bootstrap.Policy, health.StreamHealth,
           health.ParentHealth, health.ServerHealth, health.CataloguePage, health.ContentHealth,
           health.EventReport, health.EventField)  # fmt: skip
ENUMS = (
    identity.IdentityKind,
    frame.Protocol,
    node.NodeFlag,
    node.MissReason,
    node.StopReason,
    node.Start,
    server.ServerFlag,
    server.SendStatus,
    content.Readiness,
    bootstrap.BootstrapFlag,
    bootstrap.NodeKind,
    handshake.HandshakeFlag,
    handshake.Role,
    rtcp.FeedState,
)
VALUES = {
    codec.U8: "u8",
    codec.U16: "u16",
    codec.U32: "u32",
    codec.U64: "u64",
    content.CONTENT_NAME: "a content's name",
    position.NUMBER: "number",
    codec.TEXT: "text",
    codec.EXPLANATION: "text, at most 1,000 bytes",
    address.ADDRESS: "host and port",
    address.HOST: "host",
    codec.BOOLEAN: "boolean",
    identity.IDENTITY: "identity",
    identity.NODE_NAME: "a node's name",
    position.POSITION: "position",
}


def examples() -> list[tuple[str, str]]:
    """List the page's examples: a Python expression, and the bytes that it stands for."""
    blocks = re.findall(r"^```packet\n(.*?)^---\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [(expression, re.sub(r"#.*", "", wire)) for expression, wire in blocks]


def evaluated(expression: str) -> Any:
    return eval(expression, dict(NAMES))


def section(title: str) -> str:
    """Return the text of one chapter."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield each table's heading and rows."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line[1:-2].split("|")] for line in table.splitlines(True)]
        yield head, rows


def rows_headed(*columns: str, text: str = PAGE) -> list[list[str]]:
    """Return the rows of the one table that begins with these columns."""
    (found,) = [rows for head, rows in tables(text) if head[: len(columns)] == list(columns)]
    return found


def is_as_documented(tlv: Tlv, field: str, value: str) -> bool:
    """Compare a TLV with what the page says of its name, its being a list and its value."""
    listed = ""
    if tlv.rule is Rule.MANY:
        listed = f" (list, at most {tlv.most})" if tlv.most else " (list)"
    elif tlv.rule is Rule.SOME:
        listed = f" (list, 1 to {tlv.most})"
    return field == f"`{tlv.field}`{listed}" and VALUES.get(tlv.codec, value) == value


@pytest.mark.parametrize(("expression", "wire"), examples(), ids=lambda text: text.split("(")[0].strip())
def test_each_example_is_written_and_read_as_the_page_says(expression: str, wire: str) -> None:
    packet, data = evaluated(expression), bytes.fromhex(wire)
    if isinstance(packet, rtp.RtpHeader):
        assert (packet.pack(), rtp.RtpHeader.unpack(data)) == (data, packet)
    elif isinstance(packet, tuple):
        assert (rtcp.pack_compound(packet).hex(), rtcp.unpack_compound(data)) == (data.hex(), packet)
    else:
        decoder = FrameDecoder()
        decoder.feed(data)
        assert (encode(packet).hex(), decoder.next(), decoder.pending) == (data.hex(), packet, 0)


def test_every_packet_has_an_example() -> None:
    shown: set[type] = set()
    for expression, _ in examples():
        packet = evaluated(expression)
        shown |= {type(part) for part in packet} if isinstance(packet, tuple) else {type(packet)}
    packets = {packet for labels in LABELS.values() for packet in labels.values()}
    reports = {rtcp.SenderReport, rtcp.ReceiverReport, rtcp.Sdes, rtcp.App, rtcp.Bye, rtcp.Nack,
               rtcp.ExtendedReport}  # fmt: skip
    assert shown == packets | reports | {rtp.RtpHeader}


def test_this_test_knows_every_packet_record_and_enumeration() -> None:
    classes = {value for value in NAMES.values() if inspect.isclass(value)}
    packets = {packet for labels in LABELS.values() for packet in labels.values()}
    bases = {
        Record,
        FlaggedRecord,
        node.NodePacket,
        server.ServerPacket,
        bootstrap.BootstrapPacket,
        handshake.HandshakePacket,
    }
    assert {kind for kind in classes if issubclass(kind, Record)} == packets | set(RECORDS) | bases
    assert {kind for kind in classes if issubclass(kind, IntEnum)} == {IntEnum, *ENUMS}


def test_the_contents_name_the_messages_of_each_protocol() -> None:
    named = dict(re.findall(r"^\d\. \[(\w+ protocol)\]\(.*?\): (.*)$", PAGE, re.MULTILINE))
    packets = {protocol: [label for label in labels if not label.endswith("-answer")]
               for protocol, labels in LABELS.items() if protocol.endswith(" protocol")}  # fmt: skip
    assert {protocol: labels.split() for protocol, labels in named.items()} == packets


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_each_enumeration_is_on_the_page(kind: type[IntEnum]) -> None:
    rows = rows_headed("value", kind.__name__)
    assert [(row[0], row[1]) for row in rows] == [(str(member.value), f"`{member.name}`") for member in kind]


@pytest.mark.parametrize("protocol", LABELS)
def test_each_tlv_of_a_protocol_is_on_the_page(protocol: str) -> None:
    columns = ("type", "field", "value", "mandatory in", "optional in")
    documented = set()
    for kind, field, value, mandatory, optional in rows_headed(*columns, text=section(protocol)):
        for label in [*mandatory.split(), *optional.split()]:
            (tlv,) = [row for row in LABELS[protocol][label].SCHEMA.tlvs if row.kind == int(kind)]
            assert is_as_documented(tlv, field, value), (label, kind, field, value)
            documented.add((label, int(kind), label in mandatory.split()))
    assert documented == {
        (label, tlv.kind, tlv.rule.is_mandatory)
        for label, packet in LABELS[protocol].items()
        for tlv in packet.SCHEMA.tlvs
    }


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_each_field_of_a_record_is_on_the_page(record: type[Record]) -> None:
    rows = rows_headed("type", record.__name__)
    assert [int(row[0]) for row in rows] == [tlv.kind for tlv in record.SCHEMA.tlvs]
    for (_, field, value, note), tlv in zip(rows, record.SCHEMA.tlvs, strict=True):
        assert is_as_documented(tlv, field, value), (field, value)
        assert note.startswith("mandatory") == tlv.rule.is_mandatory, field


BOUNDS = rows_headed("bound", "value", "in the code")


@pytest.mark.parametrize(
    "row", [*BOUNDS, *rows_headed("what", "value", "in the code")], ids=lambda row: row[0]
)
def test_each_constant_on_the_page_is_the_codes(row: list[str]) -> None:
    value = pkgutil.resolve_name(row[2].strip("`"))
    if power := re.fullmatch(r"2\^(\d+)(?: - (\d+))?", row[1]):
        assert value == 2 ** int(power[1]) - int(power[2] or 0)
    else:
        number, _, unit = row[1].replace(",", "").partition(" ")
        assert unit in ("", "s", "ms", "bytes")
        assert value == float(number)


def test_each_bound_of_the_messages_is_on_the_page() -> None:
    documented = {row[2].strip("`").rpartition(".")[2] for row in BOUNDS}
    modules = (*MODULES, codec)
    constants = {
        name for module in modules for name in vars(module) if re.fullmatch(r"MAX_\w+|\w+_SIZE", name)
    }
    elsewhere = {"HEADER_SIZE", "MAX_PACKETS", "MAX_SSRC"}  # formats, told where they belong
    assert constants - elsewhere == documented


def test_each_message_with_an_explanation_is_named_at_the_bound_of_its_text() -> None:
    (told,) = [row[3] for row in BOUNDS if row[2].endswith("MAX_EXPLANATION`")]
    packets = [*(each for labels in LABELS.values() for each in labels.items()),
               *((record.__name__, record) for record in RECORDS)]  # fmt: skip
    explained = [
        label
        for label, packet in packets
        if any(tlv.codec is codec.EXPLANATION for tlv in packet.SCHEMA.tlvs)
    ]
    assert [label for label in explained if not re.search(rf"\b{label}\b", told)] == []


def fallback(tlv: Tlv, value: int) -> object:
    return tlv.codec.read(codec.Reader(bytes([value])))


def test_each_fallback_of_an_unknown_value_is_on_the_page() -> None:
    documented = {kind: value.strip("`") for kind, value, _ in rows_headed("value", "is read as", "because")}
    found = {"FeedState": rtcp.UpstreamState.unpack(b"\xff" + bytes(15)).state.name}
    for packet in [packet for labels in LABELS.values() for packet in labels.values()]:
        for tlv in packet.SCHEMA.tlvs:
            with contextlib.suppress(WireError):
                read = fallback(tlv, 0xFF)
                if isinstance(read, IntEnum):
                    found[type(read).__name__] = read.name
    assert documented == found


def test_every_link_inside_of_the_page_leads_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#(.*?)\)", PAGE)) <= anchors
