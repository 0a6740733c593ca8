"""How a file is played round after round: its timestamps and counters go on over the seam.

Before round k is sent, k times the period is added to each PTS, DTS and PCR (modulo 2**33; the period is
a whole number of 90 kHz ticks, so the PCR's extension stays), and k times the number of a PID's packets
to its continuity counters (modulo 16). Everything else stays as it is. Done while sending: the file
keeps its bytes, and round 0 costs nothing. Pure.

Concatenation without this gives timestamps that go backwards: players freeze or drop a whole round.
"""

from collections.abc import Mapping

from mcast.wire.mpegts import NULL_PID, PACKET, WRAP, pes_at, timestamp_at

_MARKERS = 1 << 32 | 1 << 16 | 1  # the bit behind each part of a timestamp (ISO 13818-1, 2.4.3.7)
_RAISED = [bytes(byte & 0xF0 | (byte + add) & 0x0F for byte in range(256)) for add in range(16)]


def shift(packets: bytearray, ticks: int, counters: Mapping[int, int]) -> None:
    """Move whole packets in place: their time by `ticks`, each PID's counters by `counters[pid]`."""
    raise_of = {pid: _RAISED[count & 0x0F] for pid, count in counters.items() if pid != NULL_PID}
    keep = _RAISED[0]
    highs, lows, controls = packets[1::PACKET], packets[2::PACKET], packets[3::PACKET]
    packets[3::PACKET] = bytes(
        [
            raise_of.get((high & 0x1F) << 8 | low, keep)[control]
            for high, low, control in zip(highs, lows, controls, strict=True)
        ]
    )
    for index, (high, control) in enumerate(zip(highs, controls, strict=True)):
        if control & 0x20:
            _shift_pcr(packets, index * PACKET, ticks)
        if high & 0x40:
            _shift_pes(packets, index * PACKET, control, ticks)


def _shift_pcr(packets: bytearray, offset: int, ticks: int) -> None:
    if packets[offset + 4] < 7 or not packets[offset + 5] & 0x10:
        return
    field = int.from_bytes(packets[offset + 6 : offset + 12], "big")
    base = ((field >> 15) + ticks) % WRAP
    packets[offset + 6 : offset + 12] = (base << 15 | field & 0x7FFF).to_bytes(6, "big")


def _shift_pes(packets: bytearray, offset: int, control: int, ticks: int) -> None:
    if not control & 0x10 or (found := pes_at(packets, offset)) is None:
        return
    start, stamps = found
    for stamp in range(start + 9, start + 9 + 5 * stamps, 5):
        time = (timestamp_at(packets, stamp) + ticks) % WRAP
        prefix = packets[stamp] >> 4  # 2: a PTS alone, 3: a PTS before a DTS, 1: that DTS
        field = prefix << 36 | time >> 30 << 33 | (time >> 15 & 0x7FFF) << 17 | (time & 0x7FFF) << 1
        packets[stamp : stamp + 5] = (field | _MARKERS).to_bytes(5, "big")
