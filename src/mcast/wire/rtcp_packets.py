"""RTCP packets, one by one (RFC 3550, section 6; RFC 4585, 6.2.1; RFC 3611); rtcp.py puts them together.

Each packet has a `pack` that returns all its bytes, header included, and an `unpack` that takes the
header's five count bits and the body behind the header. Everything that a peer
sends ends in packets or in `WireError`. Types that mcast has no use for are kept as `Unknown`, so that
a newer peer is understood as far as possible.

mcast's own messages (token, state) are APP packets; they are in rtcp_app.py.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from mcast.errors import WireError
from mcast.wire.codec import Reader, Writer

RTP_VERSION = 2
NTP_EPOCH = 2_208_988_800  # seconds from 1900 (NTP) to 1970 (Unix)
NTP_UNITS = 1 << 32  # in a second
MAX_COUNT = 31  # the header's count has five bits
CNAME = 1  # the SDES item
GENERIC_NACK = 1  # the FMT of RFC 4585's transport-layer NACK
MAX_NACK_NUMBERS = 1_024
"""Numbers read of one NACK: four times what a child asks for at once. What is beyond is skipped."""

_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_XR_BLOCK = struct.Struct("!BBH")
_DELAY = struct.Struct("!III")
_U32 = 0xFFFFFFFF


def ntp_from_unix(seconds: float) -> int:
    """Return the 64-bit NTP timestamp (32.32 fixed point) of a Unix time."""
    whole = int(seconds // 1)
    return (whole + NTP_EPOCH & _U32) << 32 | int((seconds - whole) * (1 << 32)) & _U32


def middle32(ntp: int) -> int:
    """Return the middle 32 bits of an NTP timestamp, which a report block repeats as `last_sr`."""
    return ntp >> 16 & _U32


class ReportBlock(NamedTuple):
    """What a receiver reports of one stream (RFC 3550, section 6.4.1).

    A tuple, as a parent reads one of each child twice a second: it costs a fifth of what a frozen
    dataclass does.
    """

    ssrc: int
    fraction_lost: int  # 1/256, since the last report
    cumulative_lost: int  # signed 24 bits; the caller clamps it (RFC 3550, A.3)
    highest_sequence: int  # 32 bits: how often the sequence wrapped, and the sequence
    jitter: int  # 90 kHz
    last_sr: int = 0  # middle32 of the last SR, 0 before the first
    delay_since_sr: int = 0  # 1/65,536 s

    def pack(self) -> bytes:
        if not (0 <= self.fraction_lost <= 0xFF and -(1 << 23) <= self.cumulative_lost < 1 << 23):
            raise ValueError(f"losses do not fit: {self}")
        lost = self.fraction_lost << 24 | self.cumulative_lost & 0xFFFFFF
        highest = self.highest_sequence & _U32
        return _pack(_BLOCK, self.ssrc, lost, highest, self.jitter, self.last_sr, self.delay_since_sr)

    @classmethod
    def read(cls, reader: Reader) -> "ReportBlock":
        return cls.of(*_BLOCK.unpack(reader.raw(_BLOCK.size)))

    @classmethod
    def of(
        cls, ssrc: int, lost: int, highest: int, jitter: int, last_sr: int, delay_since_sr: int
    ) -> "ReportBlock":
        """Take the six words of a block apart: the second holds both figures of what was lost."""
        cumulative = lost & 0xFFFFFF
        signed = cumulative - (cumulative >> 23 << 24)
        return cls(ssrc, lost >> 24, signed, highest, jitter, last_sr, delay_since_sr)


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The parent's clock: which RTP time is which wall-clock time. The counters go out modulo 2**32."""

    ssrc: int
    ntp: int  # 64 bits, 32.32 fixed point
    rtp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    TYPE: ClassVar[int] = 200
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!IQIII")

    def pack(self) -> bytes:
        counters = (value & _U32 for value in (self.rtp, self.packets, self.octets))
        body = _pack(self.LAYOUT, self.ssrc, self.ntp, *counters)
        return _packet(self.TYPE, len(self.blocks), body + b"".join(block.pack() for block in self.blocks))

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> Self:
        ssrc, ntp, rtp, packets, octets = cls.LAYOUT.unpack(reader.raw(cls.LAYOUT.size))
        return cls(ssrc, ntp, rtp, packets, octets, _read_blocks(count, reader))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    TYPE: ClassVar[int] = 201

    def pack(self) -> bytes:
        writer = Writer()
        writer.u32(self.ssrc)
        for block in self.blocks:
            writer.raw(block.pack())
        return _packet(self.TYPE, len(self.blocks), writer.data())

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> Self:
        return cls(reader.u32(), _read_blocks(count, reader))


@dataclass(frozen=True, slots=True)
class Sdes:
    """One source's canonical name. Chunks of several sources or without a CNAME become Unknown."""

    ssrc: int
    cname: str

    TYPE: ClassVar[int] = 202

    def pack(self) -> bytes:
        writer = Writer()
        writer.u32(self.ssrc)
        writer.u8(CNAME)
        writer.text8(self.cname)
        writer.u8(0)  # the end of the items
        return _packet(self.TYPE, 1, _padded(writer.data()))

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> "Sdes | Unknown":
        body = reader.rest()
        reader = Reader(body)
        if count != 1:
            return Unknown(cls.TYPE, count, body)
        ssrc, cname = reader.u32(), None
        while item := reader.u8():
            text = reader.text8()
            cname = text if item == CNAME and cname is None else cname
        return Unknown(cls.TYPE, count, body) if cname is None else cls(ssrc, cname)


@dataclass(frozen=True, slots=True)
class Bye:
    ssrcs: tuple[int, ...]
    reason: str = ""

    TYPE: ClassVar[int] = 203

    def pack(self) -> bytes:
        writer = Writer()
        for ssrc in self.ssrcs:
            writer.u32(ssrc)
        if self.reason:
            writer.text8(self.reason)
        return _packet(self.TYPE, len(self.ssrcs), _padded(writer.data()))

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> Self:
        ssrcs = tuple(reader.u32() for _ in range(count))
        return cls(ssrcs, reader.text8() if reader.remaining else "")


@dataclass(frozen=True, slots=True)
class App:
    """An application's own packet: a name of four bytes, a subtype of five bits, whole words of data."""

    ssrc: int
    subtype: int
    name: bytes
    data: bytes

    TYPE: ClassVar[int] = 204

    def pack(self) -> bytes:
        if len(self.name) != 4:
            raise ValueError(f"an APP's name has 4 bytes, not {len(self.name)}")
        writer = Writer()
        writer.u32(self.ssrc)
        writer.raw(self.name + self.data)
        return _packet(self.TYPE, self.subtype, writer.data())

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> Self:
        return cls(reader.u32(), count, reader.raw(4), reader.rest())


@dataclass(frozen=True, slots=True)
class Nack:
    """These sequence numbers are missing (RFC 4585, 6.2.1); neighbours share an entry of 17."""

    sender_ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]

    TYPE: ClassVar[int] = 205

    def pack(self) -> bytes:
        if not self.sequences:
            raise ValueError("a NACK names at least one sequence number")
        writer = Writer()
        writer.u32(self.sender_ssrc)
        writer.u32(self.media_ssrc)
        for first, following in group(self.sequences):
            writer.u16(first)
            writer.u16(following)
        return _packet(self.TYPE, GENERIC_NACK, writer.data())

    @classmethod
    def unpack(cls, count: int, reader: Reader) -> "Nack | Unknown":
        if count != GENERIC_NACK:
            return Unknown(cls.TYPE, count, reader.rest())
        sender, media = reader.u32(), reader.u32()
        if not reader.remaining:
            raise WireError("NACK without a sequence number")
        sequences: list[int] = []
        while reader.remaining and len(sequences) < MAX_NACK_NUMBERS:
            first, following = reader.u16(), reader.u16()
            sequences.append(first)
            sequences += [first + bit + 1 & 0xFFFF for bit in range(16) if following >> bit & 1]
        return cls(sender, media, tuple(sequences[:MAX_NACK_NUMBERS]))


def group(sequences: Iterable[int]) -> list[tuple[int, int]]:
    """Group 16-bit sequence numbers into (PID, BLP): one, and a bit for each of the 16 behind it.

    In ascending order (the wrap included) the groups are as few as can be.
    """
    groups: list[tuple[int, int]] = []
    for sequence in sequences:
        distance = sequence - groups[-1][0] & 0xFFFF if groups else 0
        if 1 <= distance <= 16:
            first, following = groups[-1]
            groups[-1] = first, following | 1 << distance - 1
        else:
            groups.append((sequence, 0))
    return groups


class ReferenceDelay(NamedTuple):
    """The answer to a receiver's reference time: which one, and how long ago it came (RFC 3611, 4.5)."""

    ssrc: int  # the receiver's
    last: int  # middle32 of its reference time
    delay: int  # 1/65,536 s

    def pack(self) -> bytes:
        return _pack(_DELAY, *self)

    @classmethod
    def read(cls, reader: Reader) -> "ReferenceDelay":
        return cls(*_DELAY.unpack(reader.raw(_DELAY.size)))


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """What one who sends no media needs to measure the round trip (RFC 3611); other blocks are skipped.

    The receiver tells its reference time, any clock of its own; the sender answers with its delays.
    """

    ssrc: int
    reference: int | None = None  # 64 bits, 32.32 fixed point
    delays: tuple[ReferenceDelay, ...] = ()

    TYPE: ClassVar[int] = 207
    REFERENCE: ClassVar[int] = 4  # block types
    DELAYS: ClassVar[int] = 5
    ANSWER: ClassVar[struct.Struct] = struct.Struct("!BBHIBBHIII")

    def pack(self) -> bytes:
        writer = Writer()
        writer.u32(self.ssrc)
        if self.reference is not None:
            writer.raw(_pack(_XR_BLOCK, self.REFERENCE, 0, 2))
            writer.u64(self.reference)
        if self.delays:
            writer.raw(_pack(_XR_BLOCK, self.DELAYS, 0, 3 * len(self.delays)))
            writer.raw(b"".join(delay.pack() for delay in self.delays))
        return _packet(self.TYPE, 0, writer.data())

    @classmethod
    def pack_answer(cls, ssrc: int, answer: ReferenceDelay) -> bytes:
        """Return what `pack` does with this one delay: each child is sent one a second."""
        head = RTP_VERSION << 6, cls.TYPE, cls.ANSWER.size // 4 - 1, ssrc, cls.DELAYS, 0, 3
        return _pack(cls.ANSWER, *head, *answer)

    @classmethod
    def unpack(cls, _count: int, reader: Reader) -> Self:
        ssrc, reference, delays = reader.u32(), None, list[ReferenceDelay]()
        while reader.remaining:
            kind, _, words = _XR_BLOCK.unpack(reader.raw(_XR_BLOCK.size))
            block = Reader(reader.raw(4 * words))
            if kind == cls.REFERENCE and words == 2:
                reference = block.u64()
            elif kind == cls.DELAYS:
                delays += [ReferenceDelay.read(block) for _ in range(words // 3)]
        return cls(ssrc, reference, tuple(delays))


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed packet that mcast has no use for: kept, ignored, sent by nobody here."""

    packet_type: int
    count: int
    body: bytes

    def pack(self) -> bytes:
        return _packet(self.packet_type, self.count, self.body)


Packet = SenderReport | ReceiverReport | Sdes | Bye | App | Nack | ExtendedReport | Unknown


def _read_blocks(count: int, reader: Reader) -> tuple[ReportBlock, ...]:
    return tuple(ReportBlock.read(reader) for _ in range(count))


def _padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % 4)


def _pack(layout: struct.Struct, *fields: int) -> bytes:
    try:
        return layout.pack(*fields)
    except struct.error as error:
        raise ValueError(f"RTCP field: {error}") from None


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    if not 0 <= count <= MAX_COUNT:
        raise ValueError(f"{count} does not fit into the five bits of an RTCP header")
    if len(body) % 4:
        raise ValueError(f"an RTCP packet is whole words, not {len(body)} bytes")
    return _pack(_HEADER, RTP_VERSION << 6 | count, packet_type, len(body) // 4) + body
