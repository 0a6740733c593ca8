"""Transport streams as muxers make them that know nothing of mcast: tables anywhere, ten times a second."""

from pathlib import Path

from helpers import locked
from machine import need_ffmpeg
from mcast.media.source.restamp import shift
from mcast.wire.mpegts import NULL_PID, PACKET, continuity_at, payload_start_at, pid_at
from media.source.transport import PMT, in_packets, run

FOREIGN_SECONDS = 4
CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast"),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "mpeg2": ("-c:v", "mpeg2video", "-b:v", "1M"),
}
TRACKS = 20
"""Sounds of "many": with their languages the PMT takes two packets."""
_SOUND = ("-f", "lavfi", "-i", "sine=duration=4", "-c:a", "mp2")
_H264 = (*CODECS["h264"], "-g", "25", "-bf", "0")
_MADE = {
    "many": (
        *_SOUND, "-b:a", "32k", *_H264, "-map", "0:v", *("-map", "1:a") * TRACKS,
        *(part for n in range(TRACKS) for part in (f"-metadata:s:a:{n}", "language=deu")),
    ),
    "multiplex": (
        *_SOUND, *_H264, "-map", "1:a", "-map", "0:v", "-map", "1:a",
        "-program", "title=Radio:program_num=11:st=0", "-program", "title=News:program_num=22:st=1:st=2",
    ),
    "dvb": (*_SOUND, "-c:a", "ac3", *_H264, "-mpegts_flags", "system_b"),
    **{name: (*_SOUND, *codec, "-g", "25", "-bf", "0") for name, codec in CODECS.items()},
}  # fmt: skip


def foreign(directory: Path, name: str) -> Path:
    """Make four seconds with this codec, a keyframe every second; of "sound" there is nothing to see.

    "many" has 20 sounds, "multiplex" a radio and then a programme with a picture, "dvb" AC-3 as DVB says it.
    """
    need_ffmpeg()
    file = directory / f"foreign-{name}.ts"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=4")
    arguments = _SOUND if name == "sound" else (*picture, *_MADE[name])
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


def with_table(data: bytes, pid: int, section: bytes) -> bytes:
    """Put this section in the place of each packet of a table's PID."""
    return b"".join(
        in_packets(pid, [section], count=continuity_at(data, at))[0]
        if pid_at(data, at) == pid
        else data[at : at + PACKET]
        for at in range(0, len(data), PACKET)
    )


def without_tables(data: bytes) -> bytes:
    """Damage each PMT, so that its checksum is wrong."""
    changed = bytearray(data)
    for at in range(0, len(data), PACKET):
        if pid_at(data, at) == PMT:
            changed[at + 20] ^= 1
    return bytes(changed)


def scrambled(data: bytes) -> bytes:
    """Make picture and sound unreadable, as for who may not see them: only packets have clear headers."""
    changed = bytearray(data)
    for at in range(0, len(data), PACKET):
        if pid_at(data, at) in (0x100, 0x101):
            changed[at + 3] |= 0x80
            start = payload_start_at(data, at)
            changed[at + start : at + PACKET] = bytes(byte ^ 0x5A for byte in data[at + start : at + PACKET])
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
