"""Where a recording may end: behind the last picture, and the last piece of each sound, that are whole.

A recording is stopped at any packet, in the middle of a picture, of which a decoder complains. Whether a
PES packet is complete shows when the next one of its PID begins. So at the end each PID is cut in front of
the last one that has begun, and the packets of the others in between stay. Tables are left as they are.

Pure.
"""

from mcast.wire.mpegts import PACKET, has_payload_at, pid_at

TAIL = 4 * 1024 * 1024
"""Bytes that are looked at: a picture, at most 1 MB at 100 Mbit/s, and the sound beside it."""
_PES = b"\0\0\1"


def begins_pes(packets: bytes, at: int) -> bool:
    """Return whether a PES packet begins in the TS packet at an offset (ISO 13818-1, 2.4.3.6)."""
    if not packets[at + 1] & 0x40 or not has_payload_at(packets, at):
        return False
    start = at + (5 + packets[at + 4] if packets[at + 3] & 0x20 else 4)
    return start + 3 <= at + PACKET and packets[start : start + 3] == _PES


def without_open_pes(packets: bytes) -> bytes:
    """Return whole packets without those of each PID's last PES packet."""
    offsets = range(0, len(packets) - PACKET + 1, PACKET)
    cuts: dict[int, int] = {}  # where each PID's last PES packet begins
    for at in offsets:
        if packets[at + 1] & 0x40 and begins_pes(packets, at):
            cuts[pid_at(packets, at)] = at
    if not cuts:
        return packets
    first = min(cuts.values())
    kept = (
        packets[at : at + PACKET]
        for at in offsets[first // PACKET :]
        if at < cuts.get(pid_at(packets, at), len(packets))
    )
    return packets[:first] + b"".join(kept)
