"""Packets as tables: which fields of a frozen dataclass travel, under which type, how.

A control packet is a few fixed fields and then TLVs (type u8, length u16, value). Its class names the
TLVs once, in a `Schema`, and is written and read by it:

    one(1, "sender", IDENTITY)                     must be there
    maybe(4, "resume", POSITION)                   may be missing; a default is never written
    many(3, "excluded", IDENTITY)                  any number of times, order kept
    some(8, "path", IDENTITY)                      the same, at least once

Versions work side by side, so what only a newer version knows costs as little as possible. A type
that the table does not name is skipped. A value with an unknown member of an enumeration costs itself
where it is optional (`maybe` has its default then, `many` one element less) and the whole message where
it is mandatory (UnknownMessageError). What no version allows is an error: a repeated `one` or `maybe`,
a missing `one` or `some`, a value of the wrong length, a list that is too long.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Any, ClassVar, Self, TypeVar

from mcast.errors import UnknownMessageError, WireError
from mcast.wire.codec import Codec, Reader, Writer

E = TypeVar("E", bound=IntEnum)


class Rule(Enum):
    """How often a TLV stands in a packet."""

    ONE = auto()
    MAYBE = auto()
    MANY = auto()
    SOME = auto()

    @property
    def is_list(self) -> bool:
        return self in (Rule.MANY, Rule.SOME)

    @property
    def is_mandatory(self) -> bool:
        return self in (Rule.ONE, Rule.SOME)


@dataclass(frozen=True, slots=True)
class Tlv:
    """One row of a packet's table."""

    kind: int
    field: str
    codec: Codec[Any]
    rule: Rule
    default: Any = None
    most: int | None = None  # elements of a list that is read

    def values(self, record: object) -> Iterable[Any]:
        """Return the values of the record's field that are written. Raises ValueError for an empty `some`."""
        value = getattr(record, self.field)
        if self.rule is Rule.SOME and not value:
            raise ValueError(f"{self.field} is empty")
        if self.rule.is_list:
            return tuple(value)
        return () if self.rule is Rule.MAYBE and value == self.default else (value,)

    def gathered(self, values: list[Any]) -> Any:
        """Return the field's value, made of all that came. Raises WireError for too few or too many."""
        if not values and self.rule.is_mandatory:
            raise WireError(f"{self.field} is missing")
        if self.most is not None and len(values) > self.most:
            raise WireError(f"{self.field} has {len(values)} elements, the most is {self.most}")
        if self.rule.is_list:
            return tuple(values)
        if len(values) > 1:
            raise WireError(f"{self.field} stands there {len(values)} times")
        return values[0] if values else self.default


def one(kind: int, field: str, codec: Codec[Any]) -> Tlv:
    return Tlv(kind, field, codec, Rule.ONE)


def maybe(kind: int, field: str, codec: Codec[Any], default: Any = None) -> Tlv:
    """Name a TLV that may be missing; the dataclass must have the same default."""
    return Tlv(kind, field, codec, Rule.MAYBE, default)


def many(kind: int, field: str, codec: Codec[Any], *, most: int | None = None) -> Tlv:
    return Tlv(kind, field, codec, Rule.MANY, most=most)


def some(kind: int, field: str, codec: Codec[Any], *, most: int | None = None) -> Tlv:
    return Tlv(kind, field, codec, Rule.SOME, most=most)


class Schema:
    """The table of one packet's TLVs."""

    def __init__(self, *tlvs: Tlv) -> None:
        self.tlvs = tlvs
        self._by_kind = {tlv.kind: tlv for tlv in tlvs}

    def write(self, writer: Writer, record: object) -> None:
        """Write the record's fields. Raises ValueError if one does not fit."""
        for tlv in self.tlvs:
            for value in tlv.values(record):
                part = Writer()
                tlv.codec.write(part, value)
                writer.tlv(tlv.kind, part.data())

    def read(self, reader: Reader) -> dict[str, Any]:
        """Read all that is left into the record's arguments. Raises WireError, which names the field."""
        found: dict[str, list[Any]] = {tlv.field: [] for tlv in self.tlvs}
        while reader.remaining:
            kind, part = reader.tlv()
            if tlv := self._by_kind.get(kind):
                found[tlv.field] += _read_value(tlv, part)
        return {tlv.field: tlv.gathered(found[tlv.field]) for tlv in self.tlvs}


def _read_value(tlv: Tlv, part: Reader) -> list[Any]:
    """Return the one value that a TLV holds, or none if it is an element that this version does not know."""
    try:
        value = tlv.codec.read(part)
        part.finish()
    except UnknownMessageError as error:
        if tlv.rule.is_mandatory:
            raise UnknownMessageError(f"{tlv.field}: {error}") from None
        return [] if tlv.rule.is_list else [tlv.default]
    except WireError as error:
        raise WireError(f"{tlv.field}: {error}") from None
    return [value]


class Record:
    """Base of the dataclasses that have a table, whole packets and parts of packets alike."""

    __slots__ = ()

    SCHEMA: ClassVar[Schema] = Schema()

    def write(self, writer: Writer) -> None:
        """Write this record as a field's whole value. Raises ValueError if something does not fit."""
        self.SCHEMA.write(writer, self)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read a record that fills the whole field. Raises WireError."""
        return cls(**cls.SCHEMA.read(reader))


class FlaggedRecord(Record):
    """Base of the packets that are a flag and TLVs, nothing else."""

    __slots__ = ()

    FLAG: ClassVar[IntEnum]

    def pack(self) -> bytes:
        """Return the frame's body. Raises ValueError if a field does not fit."""
        writer = Writer()
        writer.u8(self.FLAG)
        self.SCHEMA.write(writer, self)
        return writer.data()


def read_flag(reader: Reader, flags: type[E]) -> E:
    """Read a packet's first byte. Raises UnknownMessageError, which names an unknown flag."""
    value = reader.u8()
    try:
        return flags(value)
    except ValueError:
        known = ", ".join(f"{flag.value} {flag.name}" for flag in flags)
        raise UnknownMessageError(f"unknown {flags.__name__} {value} (known: {known})") from None


def by_flag(*packets: type[Any]) -> Mapping[IntEnum, type[Any]]:
    """Index packet classes by their FLAG."""
    return {packet.FLAG: packet for packet in packets}
