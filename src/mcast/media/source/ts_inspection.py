"""Look through a finished transport stream: is it what viewers, relays and the seam need?

A prepared stream must begin with a program association table, have one right before each keyframe (PAT,
PMT, then the picture with the random access indicator) and, where there is video, nowhere else; each
keyframe must be an IDR picture that brings its parameter sets along: `-c copy` keeps what the source has,
and of the six "keyframes" of an open-GOP source one was an IDR. The sets come before the times of the
decoder's buffer (which an encoder for a constant bit rate writes), as these refer to them: where they do
not, ffmpeg complains, and Chromium does not play HLS.
"""

import re
from collections import Counter
from dataclasses import dataclass

from mcast.media.cancelling import Cancelled, check_wanted, never
from mcast.wire.mpegts import (
    NULL_PID,
    PACKET,
    has_payload_at,
    pcr_at,
    pes_at,
    pid_at,
    random_access_at,
    starts_with_pat,
    stream_id_at,
    timestamp_at,
)

VIDEO_PID = 0x100  # what ffmpeg gives to the first stream
PMT_PID = 0x1000
SDT_PID = 0x11
_NO_MEDIA = {0, PMT_PID, SDT_PID, NULL_PID}

_CHUNK = 65_536  # packets looked at in one go: 12 MB
_PICTURE_HEAD = 400  # packets: parameter sets and SEI are far smaller
_NAL = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_IDR, _PARAMETERS, _SLICES = 5, {7, 8}, {1, 2, 3, 4, 5}
_SEI, _SEQUENCE, _DELIMITER = 6, 7, 9
_BUFFERING_PERIOD = b"\0"  # the type of an SEI message; it is the first of a picture (H.264, 7.4.1.2.3)

_SETS_TOO_LATE = "its parameter sets come behind what refers to them"

Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. `fault` is empty if all is well, else it says what is not."""

    packets: int
    counters: dict[int, int]  # how far one round moves each PID's continuity counter
    keyframes: tuple[int, ...]  # numbers of the packets with a PAT
    keyframe_times: tuple[int, ...]  # their pictures' PTS, 90 kHz
    first_pcr: int  # 27 MHz
    fault: str

    @property
    def has_late_sets(self) -> bool:
        """Return whether it would be fit if its parameter sets came sooner."""
        return self.fault.endswith(_SETS_TOO_LATE)


def survey(stream: Bytes, *, has_video: bool, cancelled: Cancelled = never) -> Survey:
    """Look through whole packets, any number of them. Raises nothing but CancelledError."""
    counts: Counter[tuple[int, int, int]] = Counter()
    tables: list[int] = []
    pictures: list[int] = []
    pcr: int | None = None
    for begin in range(0, len(stream), _CHUNK * PACKET):
        check_wanted(cancelled)
        chunk = bytes(stream[begin : begin + _CHUNK * PACKET])
        highs, lows, controls = chunk[1::PACKET], chunk[2::PACKET], chunk[3::PACKET]
        counts.update(zip(highs, lows, controls.translate(_HAS_PAYLOAD), strict=True))
        for index in [index for index, high in enumerate(highs) if high & 0x40]:
            at = index * PACKET
            if starts_with_pat(chunk, at):
                tables.append(begin // PACKET + index)
            elif has_video and pid_at(chunk, at) == VIDEO_PID and random_access_at(chunk, at):
                pictures.append(begin // PACKET + index)
        at = 0
        while pcr is None and at < len(chunk):
            pcr, at = pcr_at(chunk, at), at + PACKET
    counters: Counter[int] = Counter()
    for (high, low, has_payload), count in counts.items():
        counters[(high & 0x1F) << 8 | low] += count * has_payload
    times = tuple(_pts(stream, packet * PACKET) for packet in pictures)
    fault = _fault(stream, tables, pictures, pcr, has_video=has_video)
    return Survey(len(stream) // PACKET, dict(counters), tuple(tables), times, pcr or 0, fault)


_HAS_PAYLOAD = bytes(byte >> 4 & 1 for byte in range(256))


def without_tables(packets: bytes, pid: int) -> bytes:
    """Leave out a PID's packets (ffmpeg's SDT: it stands before the first PAT, and nobody needs it)."""
    lows, highs = packets[2::PACKET], packets[1::PACKET]
    unwanted = [
        index for index, low in enumerate(lows) if low == pid & 0xFF and highs[index] & 0x1F == pid >> 8
    ]
    for index in reversed(unwanted):
        packets = packets[: index * PACKET] + packets[(index + 1) * PACKET :]
    return packets


def holds_media(packets: bytes) -> bool:
    """Return whether picture or sound is among whole packets: tables and padding alone are no media."""
    ids = {(high & 0x1F) << 8 | low for high, low in zip(packets[1::PACKET], packets[2::PACKET], strict=True)}
    return not ids <= _NO_MEDIA


def begins_media(packet: bytes) -> bool:
    """Return whether picture or sound begins in a packet: a PES packet, or what is scrambled."""
    is_scrambled = packet[3] & 0xC0 and packet[1] & 0x40 and has_payload_at(packet, 0)
    return bool(is_scrambled) or stream_id_at(packet, 0) is not None


def _fault(stream: Bytes, tables: list[int], pictures: list[int], pcr: int | None, *, has_video: bool) -> str:
    if pcr is None:
        return "it has no clock (PCR)"
    if tables[:1] != [0]:
        return "it does not begin with a program association table"
    for packet in tables:
        at = (packet + 1) * PACKET
        if at + PACKET > len(stream) or pid_at(stream, at) != PMT_PID:
            return f"no PMT follows the PAT in packet {packet}"
    if not has_video:
        return ""
    if [packet + 2 for packet in tables] != pictures:
        return "keyframes and program association tables are not next to each other"
    for packet in pictures:
        if problem := _picture_fault(stream, packet):
            return f"keyframe in packet {packet}: {problem}"
    return ""


def _picture_fault(stream: Bytes, packet: int) -> str:
    kinds: set[int] = set()
    head = _picture_head(stream, packet)
    for match in _NAL.finditer(head):
        kind = match[1][0] & 0x1F
        if kind == _DELIMITER:
            kinds.clear()  # what stands before it belongs to the picture before
        if kind == _SEI and _SEQUENCE not in kinds and head.startswith(_BUFFERING_PERIOD, match.end()):
            return _SETS_TOO_LATE
        kinds.add(kind)
        if kind in _SLICES:
            if kind != _IDR:
                return "no IDR picture (open GOP)"
            return "" if kinds >= _PARAMETERS else "without its parameter sets"
    return "no picture found"


def _picture_head(stream: Bytes, packet: int) -> bytes:
    """Put together the first bytes of the video that begins in this packet."""
    head = bytearray()
    for at in range(packet * PACKET, min((packet + _PICTURE_HEAD) * PACKET, len(stream)), PACKET):
        if pid_at(stream, at) == VIDEO_PID:
            if at > packet * PACKET and stream[at + 1] & 0x40:
                break
            start = 4 + (stream[at + 4] + 1 if stream[at + 3] & 0x20 else 0)
            head += stream[at + start : at + PACKET]
    return bytes(head)


def _pts(stream: Bytes, at: int) -> int:
    # A copy: a view in the traceback of an interrupt would keep the file from being unmapped.
    found = pes_at(bytes(stream[at : at + PACKET]), 0)
    return timestamp_at(stream, at + found[0] + 9) if found and found[1] else 0
