"""Transport streams as muxers make them that know nothing of mcast: tables anywhere, ten times a second."""

from pathlib import Path

from helpers import locked
from machine import need_ffmpeg
from mcast.media.source.restamp import shift
from mcast.wire.mpegts import NULL_PID, PACKET, pid_at
from media.source.transport import run

FOREIGN_SECONDS = 4
CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast"),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "mpeg2": ("-c:v", "mpeg2video", "-b:v", "1M"),
}
_SOUND = ("-f", "lavfi", "-i", "sine=duration=4", "-c:a", "mp2")


def foreign(directory: Path, name: str) -> Path:
    """Make four seconds with this codec, a keyframe each second; of "sound" there is nothing to see."""
    need_ffmpeg()
    file = directory / f"foreign-{name}.ts"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=4")
    arguments = _SOUND if name == "sound" else (*picture, *_SOUND, *CODECS[name], "-g", "25", "-bf", "0")
    with locked(directory / f"foreign-{name}.lock"):
        if not file.exists():
            run("ffmpeg", "-v", "error", *arguments, "-f", "mpegts", file)
    return file


def without_indicators(data: bytes) -> bytes:
    """Clear each random access indicator, as some muxers set none."""
    changed = bytearray(data)
    for at in range(0, len(data), PACKET):
        if data[at + 3] & 0x20 and data[at + 4]:
            changed[at + 5] &= ~0x40
    return bytes(changed)


def later(data: bytes, seconds: float, *, is_marked: bool) -> bytes:
    """Move a stream's clocks; with `is_marked` each PID says that it does not go on with what was before."""
    changed = bytearray(data)
    shift(changed, round(seconds * 90_000), {})
    if is_marked:
        seen = {NULL_PID}
        for at in range(0, len(data), PACKET):
            if pid_at(data, at) not in seen and data[at + 3] & 0x20 and data[at + 4]:
                seen.add(pid_at(data, at))
                changed[at + 5] |= 0x80
    return bytes(changed)
