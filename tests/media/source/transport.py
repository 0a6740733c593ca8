"""Transport stream packets made by hand, and what ffmpeg thinks of a stream."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from mcast.media.sections import checksum
from mcast.wire.mpegts import PACKET, PCR_WRAP

VIDEO, PMT = 0x100, 0x1000

any_packet = st.builds(
    lambda head, rest: (b"\x47" + head + rest).ljust(PACKET, b"\xff")[:PACKET],
    st.binary(min_size=3, max_size=3),
    st.binary(max_size=PACKET),
)
"""Whatever has a sync byte in its place."""


def packet(
    pid: int = VIDEO, *, start: bool = False, pcr: int | None = None, count: int = 0, body: bytes = b""
) -> bytes:
    """Make one packet with a payload; `pcr` in 27 MHz ticks, with the random access indicator."""
    head = bytes([0x47, start << 6 | pid >> 8, pid & 0xFF, (0x30 if pcr is not None else 0x10) | count & 15])
    if pcr is not None:
        pcr %= PCR_WRAP
        head += bytes([7, 0x50]) + (pcr // 300 << 15 | 0x7E00 | pcr % 300).to_bytes(6, "big")
    return (head + body).ljust(PACKET, b"\xff")[:PACKET]


def pat(count: int = 0) -> bytes:
    return packet(0, start=True, count=count)


def stamp(time: int, prefix: int = 2) -> bytes:
    """Write a PTS or DTS the slow way, as the standard draws it."""
    bits = f"{prefix:04b}{time >> 30 & 7:03b}1{time >> 15 & 0x7FFF:015b}1{time & 0x7FFF:015b}1"
    return int(bits, 2).to_bytes(5, "big")


def pes(pts: int, dts: int | None = None, stream: int = 0xE0) -> bytes:
    """Make the header of a PES packet."""
    if dts is None:
        return bytes([0, 0, 1, stream, 0, 0, 0x80, 0x80, 5]) + stamp(pts)
    return bytes([0, 0, 1, stream, 0, 0, 0x80, 0xC0, 10]) + stamp(pts, 3) + stamp(dts, 1)


def run(*command: str | Path) -> str:
    """Run a tool that must succeed, give its stdout."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def complaints(stream: Path) -> str:
    """Decode a stream, give what ffmpeg has to say about it."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "warning", "-i", stream, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def packets(stream: Path, entries: str = "codec_type,dts_time,duration_time,flags") -> list[list[str]]:
    """List a stream's packets as ffprobe sees them."""
    text = run("ffprobe", "-v", "error", "-show_entries", f"packet={entries}", "-of", "csv=p=0", stream)
    return [line.split(",") for line in text.splitlines() if line.count(",") >= entries.count(",")]


def holes(stream: Path, kind: str) -> list[float]:
    """Give the time between each frame's end and the next one's start, seconds."""
    frames = [(float(dts), float(length)) for name, dts, length, *_ in packets(stream) if name == kind]
    return [
        after - before - length
        for (before, length), (after, _) in zip(frames, frames[1:], strict=False)  # noqa: RUF007
    ]


def first_packets(data: bytes, offsets: Sequence[int]) -> list[int]:
    """Give the PIDs of the packets with these numbers."""
    return [(data[n * PACKET + 1] & 0x1F) << 8 | data[n * PACKET + 2] for n in offsets]


def section(
    table: int, extension: int, body: bytes, *, version: int = 0, is_current: bool = True,
    number: int = 0, last: int = 0,
) -> bytes:  # fmt: skip
    """Make a section with a long header and the right checksum (ISO 13818-1, 2.4.4.10)."""
    head = bytes([table, 0xB0 | len(body) + 9 >> 8, len(body) + 9 & 0xFF]) + extension.to_bytes(2, "big")
    data = head + bytes([0xC0 | version << 1 | is_current, number, last]) + body
    return data + checksum(data).to_bytes(4, "big")


def pat_section(programmes: dict[int, int], *, version: int = 0, is_current: bool = True) -> bytes:
    """Make a PAT: the PID of each programme's table, by number."""
    body = b"".join(
        number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for number, pid in programmes.items()
    )
    return section(0x00, 1, body, version=version, is_current=is_current)


def pmt_section(
    streams: Sequence[tuple[int, int]], number: int = 1, *, clock: int = VIDEO, descriptors: bytes = b"",
    is_current: bool = True,
) -> bytes:  # fmt: skip
    """Make a PMT: PIDs and stream types, with the same descriptors for each."""
    length = (0xF000 | len(descriptors)).to_bytes(2, "big")
    rows = (bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + length + descriptors for pid, kind in streams)
    body = (0xE000 | clock).to_bytes(2, "big") + b"\xf0\0" + b"".join(rows)
    return section(0x02, number, body, is_current=is_current)


def in_packets(
    pid: int, sections: Sequence[bytes], rooms: Sequence[int] = (184,), count: int = 0
) -> list[bytes]:
    """Put sections into packets, one behind the other; each packet has room (2 to 184 bytes) for so much."""
    stream, made = b"".join(sections), list[bytes]()
    starts = [sum(map(len, sections[:n])) for n in range(len(sections))]
    at = 0
    while at < len(stream):
        room = rooms[len(made) % len(rooms)]
        begin = next((start for start in starts if start >= at), len(stream) + room)
        if begin - at < room - 1:  # it begins in this packet, behind the pointer field
            payload, is_start = bytes([begin - at]) + stream[at : at + room - 1], True
            at += room - 1
        else:
            end = min(at + room, begin)
            payload, is_start = stream[at:end], False
            at = end
        made.append(_filled(pid, payload, is_start=is_start, count=count + len(made)))
    return made


def _filled(pid: int, payload: bytes, *, is_start: bool, count: int) -> bytes:
    """Make a packet that an adaptation field fills, unless the payload does."""
    head = bytes([0x47, is_start << 6 | pid >> 8, pid & 0xFF])
    if len(payload) == PACKET - 4:
        return head + bytes([0x10 | count & 15]) + payload
    field = PACKET - 5 - len(payload)
    filling = b"" if not field else b"\0" + b"\xff" * (field - 1)
    return head + bytes([0x30 | count & 15, field]) + filling + payload
