"""RTCP compounds: several packets in one datagram (RFC 3550, section 6.1), and every RTCP name in one place.

The packets themselves are in rtcp_packets.py, mcast's own messages inside of APP packets in rtcp_app.py.
"""

from collections.abc import Iterable

from mcast.errors import WireError
from mcast.wire.codec import Buffer, Reader
from mcast.wire.rtcp_app import (
    NEXT_UNKNOWN,
    FeedState,
    Origin,
    UpstreamState,
    beside_app,
    delay_app,
    read_delay,
    read_state,
    read_token,
    says_beside,
    state_app,
    token_app,
)
from mcast.wire.rtcp_packets import (
    NTP_UNITS,
    RTP_VERSION,
    App,
    Bye,
    ExtendedReport,
    Nack,
    Packet,
    ReceiverReport,
    ReferenceDelay,
    ReportBlock,
    Sdes,
    SenderReport,
    Unknown,
    middle32,
    ntp_from_unix,
)

__all__ = [
    "NEXT_UNKNOWN",
    "NTP_UNITS",
    "App",
    "Bye",
    "ExtendedReport",
    "FeedState",
    "Nack",
    "Origin",
    "Packet",
    "ReceiverReport",
    "ReferenceDelay",
    "ReportBlock",
    "Sdes",
    "SenderReport",
    "Unknown",
    "UpstreamState",
    "beside_app",
    "delay_app",
    "middle32",
    "ntp_from_unix",
    "pack_compound",
    "read_delay",
    "read_state",
    "read_token",
    "says_beside",
    "state_app",
    "token_app",
    "unpack_compound",
]

_KNOWN = {kind.TYPE: kind for kind in (SenderReport, ReceiverReport, Sdes, Bye, App, Nack, ExtendedReport)}
_FIRST = (SenderReport.TYPE, ReceiverReport.TYPE)


def pack_compound(packets: Iterable[Packet]) -> bytes:
    """Return one datagram's bytes. Raises ValueError unless a report comes first."""
    packets = tuple(packets)
    if not packets or not isinstance(packets[0], SenderReport | ReceiverReport):
        raise ValueError("an RTCP compound starts with a report")
    return b"".join(packet.pack() for packet in packets)


def unpack_compound(data: Buffer) -> tuple[Packet, ...]:
    """Read one datagram, checked as RFC 3550, A.2 asks. Raises WireError, and nothing else."""
    packets: list[Packet] = []
    reader = Reader(bytes(data))
    while reader.remaining:
        first, packet_type, words = reader.u8(), reader.u8(), reader.u16()
        if first >> 6 != RTP_VERSION:
            raise WireError(f"RTCP of version {first >> 6}, expected {RTP_VERSION}")
        if not packets and packet_type not in _FIRST:
            raise WireError(
                f"RTCP starts with packet type {packet_type}, expected {_FIRST[0]} or {_FIRST[1]}"
            )
        body = reader.raw(4 * words)
        if first & 0x20:
            body = _unpadded(body, last=bool(packets) and not reader.remaining)
        packets.append(_unpack(packet_type, first & 0x1F, body))
    if not packets:
        raise WireError("RTCP without a packet")
    return tuple(packets)


def _unpack(packet_type: int, count: int, body: bytes) -> Packet:
    kind = _KNOWN.get(packet_type)
    if kind is None:
        return Unknown(packet_type, count, body)
    try:
        # A rest is no mistake here: reports may end in extensions (6.4.3), texts are padded.
        return kind.unpack(count, Reader(body))
    except WireError as error:
        raise WireError(f"RTCP {kind.__name__}: {error}") from None


def _unpadded(body: bytes, last: bool) -> bytes:
    """Take the padding off, which only the last packet of several may have (RFC 3550, 6.4.1)."""
    if not last:
        raise WireError("RTCP padding before the last packet")
    size = body[-1] if body else 0
    if size == 0 or size % 4 or size > len(body):
        raise WireError(f"RTCP padding of {size} bytes in a packet of {len(body)}")
    return body[:-size]
