"""Where a recording may end: in front of the last picture that has begun, as it may lack its end.

A recording is stopped at any packet, in the middle of a picture, of which a decoder complains. Whether a
picture is whole shows when the next one begins. So it ends there, and stays what it is: a piece of the
stream, byte for byte. Muxers write each PES packet in one go, so the sound in front of it is whole as well.

A program that is killed ends nothing. So what may lack its end is not written before it is whole.

Pure.
"""

from functools import partial

from mcast.wire.mpegts import PACKET, PICTURES, pid_at, starts_with_pat, stream_id_at

TAIL = 4 * 1024 * 1024
"""Bytes that are looked at: a picture, at most 1 MB at 100 Mbit/s, and the sound beside it."""
MAX_PMT = 6
"""Packets of a PMT, whose length is at most 1,024 bytes (ISO 13818-1, 2.4.4.9)."""


class WholePictures:
    """Holds back the last picture that has begun, with its tables, until the next one begins.

    Where there are no pictures, the last piece of sound. One stream.
    """

    def __init__(self) -> None:
        self._held = b""
        self._has_begun = self._has_pictures = False

    def feed(self, packets: bytes) -> bytes:
        """Take whole packets; return those that are whole now, which may be held ones."""
        picture, piece = _last_begins(packets)
        self._has_pictures = self._has_pictures or picture is not None
        self._has_begun = self._has_pictures or self._has_begun or piece is not None
        begin = picture if self._has_pictures else piece
        known = self._held + packets
        if begin is not None:
            end = _tables_in_front(known, len(self._held) + begin)
        elif not self._has_begun:
            end = _tables_in_front(known, len(known), least=1)
        else:  # more than TAIL is no picture
            end = 0 if len(known) <= TAIL else len(known)
        self._held = known[end:]
        return known[:end]

    def take_rest(self) -> bytes:
        """Return what is held, once."""
        rest, self._held = self._held, b""
        return rest


def without_open_picture(packets: bytes) -> bytes:
    """Return whole packets up to the last picture that begins in them, and its tables.

    Where there are no pictures they end where the last PES packet begins, if any does. Where nothing would be
    left, all stays: half a picture is more than none.
    """
    picture, piece = _last_begins(packets)
    begin = piece if picture is None else picture
    return packets[: _tables_in_front(packets, begin)] or packets if begin is not None else packets


def _last_begins(packets: bytes) -> tuple[int | None, int | None]:
    """Return where the last picture begins, and the last PES packet behind it (or the last at all)."""
    last_piece: int | None = None
    for at in range(len(packets) - PACKET, -1, -PACKET):
        stream = stream_id_at(packets, at)
        if stream in PICTURES:
            return at, last_piece
        if stream is not None and last_piece is None:
            last_piece = at
    return None, last_piece


def _tables_in_front(packets: bytes, end: int, least: int = 2) -> int:
    """Return where a PAT and a PMT begin that stand right in front of an offset; the offset if none do.

    Of the tables `least` packets are there: 1 if the rest may be on its way.
    """
    for at in range(end - least * PACKET, max(end - 2 * PACKET - MAX_PMT * PACKET, -1), -PACKET):
        if starts_with_pat(packets, at):
            others = range(at + PACKET, end, PACKET)
            is_one_table = len({pid_at(packets, other) for other in others}) <= 1
            return at if is_one_table and not any(map(partial(_begins_pes, packets), others)) else end
    return end


def _begins_pes(packets: bytes, at: int) -> bool:
    return stream_id_at(packets, at) is not None
