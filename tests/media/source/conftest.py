"""Tiny sources made by ffmpeg, and a cache: each once per session, for all workers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import locked
from machine import need_ffmpeg
from mcast.media.source.cache import Cache
from mcast.media.source.encoding import DEFAULT_QUALITY
from mcast.media.source.prepare import prepare
from media.source.transport import run

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4")
H264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1")
SOUND = ("-f", "lavfi", "-i")
CONSTANT = ("-b:v", "300k", "-minrate", "300k", "-maxrate", "300k", "-bufsize", "300k")
"""A constant bit rate, as OBS records with: beside `nal-hrd=cbr` keyframes tell of the decoder's buffer."""

SOURCES: dict[str, tuple[str, ...]] = {
    "fit.mp4": (*PICTURE, *SOUND, "sine=duration=4", *H264, "-g", "50", "-c:a", "aac"),
    "open.mp4": (
        *(*PICTURE, *SOUND, "sine=duration=4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "50"),
        *("-preset", "fast", "-threads", "1", "-x264-params", "open-gop=1:min-keyint=10", "-c:a", "aac"),
    ),
    "sparse.mp4": (*PICTURE, *H264, "-g", "250"),
    "picture.mp4": (*PICTURE, *H264, "-g", "50"),
    "constant.mp4": (*PICTURE, *H264, "-g", "50", *CONSTANT, "-x264-params", "nal-hrd=cbr"),
    "delimited.mp4": (*PICTURE, *H264, "-g", "50", *CONSTANT, "-x264-params", "nal-hrd=cbr:aud=1"),
    "short-sound.mp4": (*PICTURE, *SOUND, "sine=duration=2", *H264, "-g", "50", "-c:a", "aac"),
    "long-sound.mp4": (*PICTURE, *SOUND, "sine=duration=6", *H264, "-g", "50", "-c:a", "aac"),
    "old.avi": (
        *(*PICTURE, *SOUND, "sine=duration=4", "-s", "321x181", "-c:v", "mpeg4", "-r", "30000/1001"),
        *("-c:a", "libmp3lame"),
    ),
    "sound.mp3": (*SOUND, "sine=duration=4", "-c:a", "libmp3lame"),
    "still.png": ("-f", "lavfi", "-i", "color=red:size=321x181,format=rgb24", "-frames:v", "1"),
}
COVER = ("-map", "0", "-map", "1", "-c:a", "copy", "-c:v", "mjpeg", "-disposition:v", "attached_pic")
"""A sound file with a picture of its cover."""


@pytest.fixture(scope="session")
def source(shared_directory: Path) -> Callable[[str], Path]:
    """Return the path of one of SOURCES, made when the first worker asks for it."""
    need_ffmpeg()
    directory = shared_directory / "sources"
    directory.mkdir(exist_ok=True)

    def make(name: str) -> Path:
        path = directory / name
        with locked(directory / f"{name}.lock"):
            if not path.exists():
                part = directory / f"part-{name}"  # ffmpeg knows the format by the name's end
                run("ffmpeg", "-v", "error", "-y", *arguments(name), part)
                part.rename(path)
        return path

    def arguments(name: str) -> tuple[str | Path, ...]:
        if name == "cover.mp3":
            return ("-i", make("sound.mp3"), "-i", make("still.png"), *COVER)
        return SOURCES[name]

    return make


@pytest.fixture(scope="session")
def cache(shared_directory: Path) -> Cache:
    return Cache(shared_directory / "cache")


@pytest.fixture(scope="session")
def entry(source: Callable[[str], Path], cache: Cache) -> Callable[[str], Path]:
    """Return the cache entry of one of SOURCES."""

    def make(name: str) -> Path:
        return prepare(
            source(name), DEFAULT_QUALITY, cache, cancelled=lambda: False, on_progress=lambda _: None
        )

    return make
