"""The rules that all packets' tables obey."""

import dataclasses

import pytest

from mcast.errors import WireError
from mcast.wire import bootstrap, health, node, server
from mcast.wire.codec import TEXT, U8, Reader, Writer
from mcast.wire.fields import Record, Rule, Schema, many, maybe, one, some


@dataclasses.dataclass(frozen=True, slots=True)
class Parcel(Record):
    weight: int
    stamps: tuple[int, ...]
    note: str = ""
    labels: tuple[str, ...] = ()

    SCHEMA = Schema(
        one(1, "weight", U8), some(2, "stamps", U8), maybe(3, "note", TEXT, ""), many(4, "labels", TEXT)
    )


def written(parcel: Parcel) -> bytes:
    writer = Writer()
    parcel.write(writer)
    return writer.data()


def test_a_record_is_its_fields_as_tlvs() -> None:
    parcel = Parcel(9, (1, 2), "x", ("a", "b"))
    wire = bytes.fromhex("01 0001 09  02 0001 01  02 0001 02  03 0001 78  04 0001 61  04 0001 62")
    assert (written(parcel), Parcel.read(Reader(wire))) == (wire, parcel)


def test_a_default_is_not_written_and_is_what_a_missing_field_means() -> None:
    wire = bytes.fromhex("01 0001 09  02 0001 01")
    assert (written(Parcel(9, (1,))), Parcel.read(Reader(wire))) == (wire, Parcel(9, (1,)))


def test_the_order_of_different_fields_is_free() -> None:
    assert Parcel.read(Reader(bytes.fromhex("02 0001 01  01 0001 09  02 0001 02"))) == Parcel(9, (1, 2))


def test_an_unknown_field_is_skipped() -> None:
    wire = bytes.fromhex("63 0003 ffffff  01 0001 09  63 0000  02 0001 01")
    assert Parcel.read(Reader(wire)) == Parcel(9, (1,))


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("02 0001 01", "weight is missing"),
        ("01 0001 09", "stamps is missing"),
        ("01 0001 09  02 0001 01  01 0001 09", "weight stands there 2 times"),
        ("01 0001 09  02 0001 01  03 0000  03 0000  03 0000", "note stands there 3 times"),
        ("01 0002 0909  02 0001 01", "weight: 1 bytes too many"),
        ("01 0000  02 0001 01", "weight: cut short"),
        ("01 0001", "cut short"),
        ("01 00", "cut short"),
    ],
)
def test_what_is_missing_repeated_or_misshapen_is_named(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        Parcel.read(Reader(bytes.fromhex(wire)))


def test_writing_an_empty_list_where_one_is_needed_is_our_bug() -> None:
    with pytest.raises(ValueError, match="stamps is empty"):
        written(Parcel(9, ()))


RECORDS = [
    *(node.Disc, node.Found, node.Miss, node.Stream, node.Port, node.Stop),
    *(server.Wake, server.Contents, server.Send, server.Sending, server.Ready, server.ServerStop),
    *(server.Ping, server.ContentInfo),
    *(bootstrap.Register, bootstrap.LayoutMessage, bootstrap.Refused, bootstrap.Health),
    *(bootstrap.NamedAddress, health.StreamHealth, health.ParentHealth, health.ServerHealth),
    *(health.EventReport, health.EventField),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_table_and_dataclass_agree(record: type[Record]) -> None:
    fields = {field.name: field for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    kinds = [tlv.kind for tlv in record.SCHEMA.tlvs]
    assert len(set(kinds)) == len(kinds)
    for tlv in record.SCHEMA.tlvs:
        default = fields[tlv.field].default
        if tlv.rule is Rule.MAYBE and default is not dataclasses.MISSING:
            assert default == tlv.default, tlv.field
        if tlv.rule.is_mandatory:
            assert default is dataclasses.MISSING, tlv.field
