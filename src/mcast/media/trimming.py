"""Where a recording may end: in front of the last picture that has begun, as it may lack its end.

A recording is stopped at any packet, in the middle of a picture, of which a decoder complains. Whether a
picture is whole shows when the next one begins. So it ends there, and stays what it is: a piece of the
stream, byte for byte. Muxers write each PES packet in one go, so the sound in front of it is whole as well.

Pure.
"""

from mcast.wire.mpegts import PACKET, has_payload_at, starts_with_pat

TAIL = 4 * 1024 * 1024
"""Bytes that are looked at: a picture, at most 1 MB at 100 Mbit/s, and the sound beside it."""
_PES = b"\0\0\1"
_VIDEO = range(0xE0, 0xF0)
"""Stream ids of pictures (ISO 13818-1, table 2-22)."""


def begins_pes(packets: bytes, at: int) -> bool:
    """Return whether a PES packet begins in the TS packet at an offset (ISO 13818-1, 2.4.3.6)."""
    return _stream_id(packets, at) is not None


def without_open_picture(packets: bytes) -> bytes:
    """Return whole packets up to the last picture that begins in them, and its tables.

    Where there are no pictures they end where the last PES packet begins, if any does. Where nothing would be
    left, all stays: half a picture is more than none.
    """
    end = last_pes = len(packets)
    for at in range(len(packets) - PACKET, -1, -PACKET):
        stream = _stream_id(packets, at)
        if stream in _VIDEO:
            end = at
            break
        if stream is not None and last_pes == len(packets):
            last_pes = at
    else:
        end = last_pes
    has_tables = end >= 2 * PACKET and starts_with_pat(packets, end - 2 * PACKET)
    return packets[: end - 2 * PACKET if has_tables else end] or packets


def _stream_id(packets: bytes, at: int) -> int | None:
    if not packets[at + 1] & 0x40 or not has_payload_at(packets, at):
        return None
    start = at + (5 + packets[at + 4] if packets[at + 3] & 0x20 else 4)
    if start + 4 > at + PACKET or packets[start : start + 3] != _PES:
        return None
    return packets[start + 3]
