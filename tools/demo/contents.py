"""The two contents of the demonstration: ffmpeg's test sources, picture and sound."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from mcast.errors import ConfigError
from mcast.media.source.complaints import SourceError
from mcast.media.source.ffmpeg import lines_of
from mcast.media.source.progress import progress_of
from mcast.media.tools import find_tool

SECONDS = 30
"""Longer than all recordings together, so that each is a piece of the file's first round."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A content to be made."""

    name: str
    video: str  # ffmpeg's lavfi descriptions
    audio: str
    seconds: float = SECONDS
    keyframe_frames: int = 50
    bit_rate: int = 1_500_000


NEWS = Picture("news", "testsrc2=size=640x360:rate=25", "sine=frequency=440:beep_factor=4:sample_rate=48000")
SPORT = Picture("sport", "smptehdbars=size=640x360:rate=25", "sine=frequency=220:sample_rate=48000")


def make(picture: Picture, directory: Path) -> Path:
    """Make the content's file with ffmpeg, unless it is there; a terminal shows how far. Raises ConfigError.

    Whoever comes meanwhile waits: made twice, a content may differ, and a server may have prepared the first.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f".{picture.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = directory / f"{picture.name}.mp4"
        return target if target.exists() else _make(picture, target)


def _make(picture: Picture, target: Path) -> Path:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _encode(picture, part)
        part.replace(target)
    except SourceError as error:
        raise ConfigError(f"{target}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return target


def _encode(picture: Picture, target: Path) -> None:
    with progress_of(picture.name, doing="making") as show:
        for line in lines_of([find_tool("ffmpeg"), *_arguments(picture), str(target)]):
            key, _, value = line.partition("=")
            if key == "out_time_us" and value.isdecimal():  # "N/A" before the first packet
                show(min(int(value) / 1e6 / picture.seconds, 1.0))


def _arguments(picture: Picture) -> list[str]:
    video, audio = picture.video, picture.audio
    return [
        *("-nostdin", "-v", "error", "-progress", "pipe:1", "-y"),
        *(("-f", "lavfi", "-i", video) if video else ()),
        *(("-f", "lavfi", "-i", audio) if audio else ()),
        *("-t", str(picture.seconds), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"),
        *("-g", str(picture.keyframe_frames), "-sc_threshold", "0", "-x264-params", "open-gop=0"),
        *(
            "-b:v",
            str(picture.bit_rate),
            "-maxrate",
            str(picture.bit_rate),
            "-bufsize",
            str(picture.bit_rate),
        ),
        *("-c:a", "aac", "-b:a", "96k", "-f", "mp4"),
    ]
