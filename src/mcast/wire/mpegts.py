"""What mcast must know of a transport stream's packets (ISO 13818-1, 2.4.3).

Only headers: which PID, which counter, which clock. The bytes themselves are sacred and pass
through unaltered. The functions that end in `_at` read one field from a buffer of many packets
without slicing; they check nothing, the caller knows that 188 bytes lie there.
"""

from dataclasses import dataclass

from mcast.wire.codec import Buffer

PACKET = 188
SYNC = 0x47
PAT_PID = 0
NULL_PID = 0x1FFF
WRAP = 1 << 33  # 90 kHz ticks, of a PTS or DTS
PCR_CLOCK = 27_000_000  # Hz
PCR_WRAP = WRAP * 300  # the 33-bit base counts at 90 kHz, the extension 300 ticks of it

PICTURES = range(0xE0, 0xF0)
SOUNDS = range(0xC0, 0xE0)
"""Stream ids of PES packets (ISO 13818-1, table 2-22)."""
_PES = b"\0\0\1"
_HEADERLESS = frozenset({0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF})  # stream ids without flags

NULL_PACKET = bytes([SYNC, NULL_PID >> 8, NULL_PID & 0xFF, 0x10]) + b"\xff" * (PACKET - 4)
"""A packet that every receiver drops: it shows that the source lives (docs/protocol.md, "Never silent")."""


def pid_at(buffer: Buffer, offset: int) -> int:
    return (buffer[offset + 1] & 0x1F) << 8 | buffer[offset + 2]


def is_null(payload: Buffer) -> bool:
    """Return whether a payload is one null packet: what keeps an idle stream's numbers going."""
    return len(payload) == PACKET and pid_at(payload, 0) == NULL_PID


def continuity_at(buffer: Buffer, offset: int) -> int:
    return buffer[offset + 3] & 0x0F


def has_payload_at(buffer: Buffer, offset: int) -> bool:
    return buffer[offset + 3] & 0x10 != 0


def payload_start_at(buffer: Buffer, offset: int) -> int:
    """Return where the payload begins in a packet; a field longer than the packet leaves none."""
    return min(5 + buffer[offset + 4], PACKET) if buffer[offset + 3] & 0x20 else 4


def adaptation_flags_at(buffer: Buffer, offset: int) -> int:
    """Return the adaptation field's flags, 0 if there is none or it is empty."""
    return buffer[offset + 5] if buffer[offset + 3] & 0x20 and buffer[offset + 4] else 0


def stream_id_at(buffer: Buffer, offset: int) -> int | None:
    """Return the stream id of the PES packet that begins in a packet (2.4.3.6), None if none does."""
    if not buffer[offset + 1] & 0x40 or not has_payload_at(buffer, offset):
        return None
    start = offset + payload_start_at(buffer, offset)
    if start + 4 > offset + PACKET or buffer[start : start + 3] != _PES:
        return None
    return buffer[start + 3]


def timestamp_at(buffer: Buffer, offset: int) -> int:
    """Read the PTS or DTS, in 90 kHz ticks, whose five bytes start at `offset` (2.4.3.7)."""
    field = int.from_bytes(buffer[offset : offset + 5], "big")
    return (field >> 33 & 7) << 30 | (field >> 17 & 0x7FFF) << 15 | field >> 1 & 0x7FFF


def pes_at(buffer: Buffer, offset: int) -> tuple[int, int] | None:
    """Find the PES header in the packet at `offset`: where it starts, and how many timestamps it has.

    None if no PES packet with flags starts here.
    """
    start = offset + 4 + (buffer[offset + 4] + 1 if buffer[offset + 3] & 0x20 else 0)
    room = offset + PACKET - start
    if room < 14 or buffer[start : start + 3] != _PES or buffer[start + 3] in _HEADERLESS:
        return None
    stamps = (0, 0, 1, 2)[buffer[start + 7] >> 6]
    return (start, stamps) if room >= 9 + 5 * stamps else None


def random_access_at(buffer: Buffer, offset: int) -> bool:
    return adaptation_flags_at(buffer, offset) & 0x40 != 0


def discontinuity_at(buffer: Buffer, offset: int) -> bool:
    return adaptation_flags_at(buffer, offset) & 0x80 != 0


def pcr_at(buffer: Buffer, offset: int) -> int | None:
    """Return the program clock reference in ticks of 27 MHz, None if the packet holds none."""
    if not adaptation_flags_at(buffer, offset) & 0x10 or buffer[offset + 4] < 7:
        return None
    field = int.from_bytes(buffer[offset + 6 : offset + 12], "big")
    return (field >> 15) * 300 + (field & 0x1FF)


def starts_with_pat(buffer: Buffer, offset: int) -> bool:
    """Return whether a program association table starts here: a keyframe's datagram does.

    The offset may lie at or behind the end (an empty payload): that is no PAT.
    """
    return (
        len(buffer) >= offset + PACKET
        and buffer[offset] == SYNC
        and buffer[offset + 1] & 0x5F == 0x40  # PUSI, and the PID's high bits are zero
        and buffer[offset + 2] == PAT_PID
    )


@dataclass(slots=True)
class _Last:
    """The last packet seen of one PID."""

    continuity: int
    payload: bytes
    duplicated: bool = False


class ContinuityChecker:
    """Count the breaks in a transport stream's continuity counters (ISO 13818-1, 2.4.3.3).

    The counter of a PID goes up with every packet that has a payload and stands still with those
    that have none. A packet may be sent twice, not three times; null packets are exempt; a packet
    that announces a discontinuity starts anew. A packet without its sync byte and a rest that is
    no whole packet are one error each.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.errors = 0
        self._last: dict[int, _Last] = {}

    def begin_anew(self) -> None:
        """Take in that what follows is another stream, which need not go on with these counters."""
        self._last.clear()

    def feed(self, payload: Buffer) -> int:
        """Take whole packets, return how many errors they hold. Raises nothing."""
        whole = len(payload) // PACKET
        errors = sum(not self._fits(payload, offset) for offset in range(0, whole * PACKET, PACKET))
        errors += len(payload) != whole * PACKET
        self.packets += whole
        self.bytes += len(payload)
        self.errors += errors
        return errors

    def _fits(self, data: Buffer, offset: int) -> bool:
        if data[offset] != SYNC:
            return False
        pid = pid_at(data, offset)
        if pid == NULL_PID or not data[offset + 3] & 0x30:  # neither field nor payload: reserved, dropped
            return True
        counter, last = continuity_at(data, offset), self._last.get(pid)
        if not has_payload_at(data, offset):
            if last is None:
                return True
            fits = counter == last.continuity or discontinuity_at(data, offset)
            last.continuity = counter
            return fits
        body = bytes(data[offset + payload_start_at(data, offset) : offset + PACKET])
        if last is not None and counter == last.continuity and not last.duplicated and body == last.payload:
            last.duplicated = True
            return True
        self._last[pid] = _Last(counter, body)
        return last is None or counter == (last.continuity + 1) & 0x0F or discontinuity_at(data, offset)
