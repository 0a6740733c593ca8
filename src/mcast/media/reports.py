"""The RTCP compounds that parent and child exchange, built and read (RFC 3550, docs/protocol.md, "RTCP").

child -> parent   RR (a block that names the stream it expects), SDES(CNAME), APP(TOKEN), XR(its own
                  time), and APP(DELAY), APP(BESIDE), a Generic NACK or a BYE when there is reason.
                  The hello is the same thing.
parent -> child   SR, SDES(CNAME), APP(STATE), XR(how long ago it got the child's time)

Both sides measure the round trip, each by its own clock: the parent by SR and RR (RFC 3550, 6.4.1), the
child by the two XR blocks (RFC 3611, 4.4 and 4.5).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mcast.media.round_trip import LONGEST_ROUND_TRIP
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    App,
    Bye,
    ExtendedReport,
    FeedState,
    Nack,
    Origin,
    Packet,
    ReceiverReport,
    ReferenceDelay,
    ReportBlock,
    Sdes,
    SenderReport,
    UpstreamState,
    beside_app,
    delay_app,
    middle32,
    ntp_from_unix,
    pack_compound,
    read_delay,
    says_beside,
    state_app,
    token_app,
    unpack_compound,
)
from mcast.wire.rtcp_app import APP_NAME, TOKEN, TOKEN_SIZE
from mcast.wire.rtp import CLOCK_RATE
from mcast.wire.train import Train


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who a child is in RTCP: its own SSRC, its name, its proof."""

    ssrc: int
    cname: str
    token: bytes

    def compound(
        self,
        block: ReportBlock,
        missing: Iterable[int] = (),
        *,
        reference: int | None = None,
        delay_us: int = 0,
        beside: bool = False,
        bye: bool = False,
    ) -> bytes:
        """Build a hello or a report: at the time `reference`; `missing` numbers are asked for.

        `delay_us` is what media takes from the server to here, 0 where that is not known. `beside` says that
        another parent delivers, too; `bye` is the last word.
        """
        packets: list[Packet] = [
            ReceiverReport(self.ssrc, (block,)),
            Sdes(self.ssrc, self.cname),
            self._token(),
        ]
        if reference is not None:
            packets.append(ExtendedReport(self.ssrc, reference))
        if delay_us:
            packets.append(delay_app(self.ssrc, delay_us))
        if beside:
            packets.append(beside_app(self.ssrc))
        sequences = tuple(number & 0xFFFF for number in missing)
        if sequences:
            packets.append(Nack(self.ssrc, block.ssrc, sequences))
        if bye:
            packets.append(Bye((self.ssrc,)))
        return pack_compound(packets)

    def _token(self) -> App:
        return token_app(self.ssrc, self.token)


class ChildReport(NamedTuple):
    """What a child says, of the parts that its parent acts upon."""

    block: ReportBlock | None  # of this stream
    greets: bool  # it expects this stream, or whatever there is
    missing: tuple[int, ...]  # sequence numbers that it asks for
    bye: bool
    beside: bool  # another parent delivers to it, too
    ssrc: int  # its own
    reference: int | None  # middle32 of its own time
    delay_us: int  # from the server to it; 0: not known


_HEADER = struct.Struct("!BBH")
_TOKEN_HEADER = struct.Struct("!BBHI4s")
_BYE, _BYE_SIZE = bytes([0x81, Bye.TYPE, 0, 1]), 8  # of one source, with no reason
_COUNTERS, _COUNTERS_AT = struct.Struct("!II"), 20  # an SR's packets and octets
_NEXT = struct.Struct("!Q")


def find_token(data: bytes) -> bytes | None:
    """Return the token of a compound, None without one.

    Nothing else of it is read or checked: whoever may send what he likes shall cost no more than this.
    """
    at = 0
    while at + _TOKEN_HEADER.size + TOKEN_SIZE <= len(data):
        first, kind, words, _, name = _TOKEN_HEADER.unpack_from(data, at)
        at += _HEADER.size + 4 * words
        if kind == App.TYPE and first & 0x1F == TOKEN and name == APP_NAME:
            token = data[at - TOKEN_SIZE : at]
            return token if words * 4 == _TOKEN_HEADER.size - _HEADER.size + TOKEN_SIZE else None
    return None


def ends_with_bye(data: bytes) -> bool:
    """Return whether a compound ends as a child's last word does, without reading any of it."""
    return data[-_BYE_SIZE : -_BYE_SIZE + 4] == _BYE


def read_child_report(data: bytes, ssrc: int) -> ChildReport:
    """Read what a child of the stream `ssrc` says. Raises WireError."""
    packets = unpack_compound(data)
    reports = [packet for packet in packets if isinstance(packet, ReceiverReport)]
    blocks = [block for report in reports for block in report.blocks if block.ssrc == ssrc]
    nacks = [packet for packet in packets if isinstance(packet, Nack) and packet.media_ssrc == ssrc]
    times = [packet.reference for packet in packets if isinstance(packet, ExtendedReport)]
    return ChildReport(
        block=blocks[-1] if blocks else None,
        greets=bool(blocks) or any(not report.blocks for report in reports),
        missing=tuple(sequence for nack in nacks for sequence in nack.sequences),
        bye=any(isinstance(packet, Bye) for packet in packets),
        beside=says_beside(packets),
        ssrc=packets[0].ssrc if isinstance(packets[0], ReceiverReport | SenderReport) else 0,
        reference=next((middle32(time) for time in times if time is not None), None),
        delay_us=read_delay(packets),
    )


@dataclass(frozen=True, slots=True)
class Supply:
    """How the parent itself is fed."""

    state: FeedState = FeedState.FED
    since: float = 0.0  # monotonic seconds
    no_way: bool = False  # cut off, and no other parent was found

    def told(self, next_number: int, now: float, origin: Origin | None = None) -> UpstreamState:
        """Put it as the child is told, beside the server's word of its clock."""
        cut_ms = 0 if self.state is FeedState.FED else int((now - self.since) * 1000)
        return UpstreamState(self.state, min(max(cut_ms, 0), 0xFFFF_FFFF), next_number, self.no_way, origin)


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What an SR says of the stream: which RTP time is now, and how much has been sent."""

    ssrc: int
    timestamp: int  # RTP time of the newest datagram
    age: float  # seconds since it was sent
    packets: int
    octets: int

    def at(self, wall: float) -> SenderReport:
        """Build the SR of this moment (Unix time)."""
        rtp = self.timestamp + int(self.age * CLOCK_RATE)
        return SenderReport(
            self.ssrc,
            ntp_from_unix(wall),
            rtp & 0xFFFF_FFFF,
            self.packets & 0xFFFF_FFFF,
            self.octets & 0xFFFF_FFFF,
        )


def sender_info(ssrc: int, newest: Train | None, age: float, packets: int, octets: int) -> SenderInfo:
    """Describe a stream whose newest train was sent `age` seconds ago, if there was any."""
    if newest is None:
        return SenderInfo(ssrc, 0, 0.0, packets, octets)
    return SenderInfo(ssrc, newest.last_timestamp(), age, packets, octets)


def sender_compound(info: SenderInfo, cname: str, state: UpstreamState, wall: float) -> bytes:
    """Build what a parent sends."""
    return pack_compound((info.at(wall), Sdes(info.ssrc, cname), state_app(info.ssrc, state)))


class SenderRound:
    """The SRs of one moment to all children: what they share is built once.

    A thousand children of a source that is silent for a moment hear one every 30 ms.
    """

    def __init__(
        self, info: SenderInfo, cname: str, supply: Supply, wall: float, now: float,
        origin: Origin | None = None,
    ) -> None:  # fmt: skip
        """`info` describes the stream, `origin` is the server's clock; what was sent differs by child."""
        self._ssrc = info.ssrc
        # What comes last is the number that is sent next, which differs by child, too, and the clock.
        self._shared = sender_compound(info, cname, supply.told(NEXT_UNKNOWN, now, origin), wall)
        self._next_at = len(self._shared) - _NEXT.size - (0 if origin is None else Origin.LAYOUT.size)

    def compound(
        self, next_number: int, packets: int, octets: int, answer: ReferenceDelay | None = None
    ) -> bytes:
        """Build what a child hears that is sent `next_number` next."""
        compound = bytearray(self._shared)
        _COUNTERS.pack_into(compound, _COUNTERS_AT, packets & _U32, octets & _U32)
        _NEXT.pack_into(compound, self._next_at, next_number)
        if answer is not None:
            compound += ExtendedReport.pack_answer(self._ssrc, answer)
        return bytes(compound)


def round_trip(block: ReportBlock, wall: float) -> float | None:
    """Return the seconds between an SR and the report that answers it, less the time the child took.

    None where the block answers none, or where the clocks make no sense (RFC 3550, 6.4.1).
    """
    if not block.last_sr:
        return None
    seconds = ((middle32(ntp_from_unix(wall)) - block.last_sr - block.delay_since_sr) & _U32) / _UNITS
    return seconds if seconds < LONGEST_ROUND_TRIP else None


def reference_time(now: float) -> int:
    """Return a child's own time, which only itself reads again: the monotonic one, so nobody can set it."""
    return int(now * (1 << 32)) & _U64


def reference_answer(ssrc: int, reference: int, age: float) -> ReferenceDelay:
    """Answer a child's time that came `age` seconds ago."""
    return ReferenceDelay(ssrc, reference, min(int(age * _UNITS), _U32))


def reference_delay(packets: Iterable[Packet], ssrc: int, now: float) -> tuple[float, float] | None:
    """Return what a parent's answer to our time shows, if there is one, in seconds.

    The round trip, and how long ago the parent has heard that time.
    """
    for packet in packets:
        if isinstance(packet, ExtendedReport):
            for delay in packet.delays:
                if delay.ssrc == ssrc and delay.last:
                    units = middle32(reference_time(now)) - delay.last - delay.delay
                    return max(0, (units + _HALF & _U32) - _HALF) / _UNITS, delay.delay / _UNITS
    return None


_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_HALF = 1 << 31
_UNITS = 65_536
