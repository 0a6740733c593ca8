"""Where a recording may end: in front of the last picture that has begun, as it may lack its end.

A recording is stopped at any packet, in the middle of a picture, of which a decoder complains. Whether a
picture is whole shows when the next one begins. So it ends there, and stays what it is: a piece of the
stream, byte for byte. Muxers write each PES packet in one go, so the sound in front of it is whole as well.

Pure.
"""

from mcast.wire.mpegts import PACKET, PICTURES, pid_at, starts_with_pat, stream_id_at

TAIL = 4 * 1024 * 1024
"""Bytes that are looked at: a picture, at most 1 MB at 100 Mbit/s, and the sound beside it."""
MAX_PMT = 6
"""Packets of a PMT, whose length is at most 1,024 bytes (ISO 13818-1, 2.4.4.9)."""


def without_open_picture(packets: bytes) -> bytes:
    """Return whole packets up to the last picture that begins in them, and its tables.

    Where there are no pictures they end where the last PES packet begins, if any does. Where nothing would be
    left, all stays: half a picture is more than none.
    """
    end = last_pes = len(packets)
    for at in range(len(packets) - PACKET, -1, -PACKET):
        stream = stream_id_at(packets, at)
        if stream in PICTURES:
            end = at
            break
        if stream is not None and last_pes == len(packets):
            last_pes = at
    else:
        end = last_pes
    return packets[: _tables_in_front(packets, end)] or packets


def _tables_in_front(packets: bytes, end: int) -> int:
    """Return where a PAT and a PMT begin that stand right in front of an offset; the offset if none do."""
    for at in range(end - 2 * PACKET, max(end - 2 * PACKET - MAX_PMT * PACKET, -1), -PACKET):
        if starts_with_pat(packets, at):
            others = range(at + PACKET, end, PACKET)
            is_one_table = len({pid_at(packets, other) for other in others}) == 1
            return at if is_one_table and stream_id_at(packets, at + PACKET) is None else end
    return end
