"""Transport stream packets made by hand, and what ffmpeg thinks of a stream."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mcast.wire.mpegts import PACKET, PCR_WRAP

VIDEO, PMT = 0x100, 0x1000


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
