"""Tiny sources made by ffmpeg, once per session, and a cache that all tests of this directory share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcast.media.source.cache import Cache
from mcast.media.source.encoding import DEFAULT_QUALITY
from mcast.media.source.prepare import prepare
from media.source.transport import run

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4")
H264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1")
SOUND = ("-f", "lavfi", "-i")

SOURCES: dict[str, tuple[str, ...]] = {
    "fit.mp4": (*PICTURE, *SOUND, "sine=duration=4", *H264, "-g", "50", "-c:a", "aac"),
    "open.mp4": (
        *(*PICTURE, *SOUND, "sine=duration=4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "50"),
        *("-preset", "fast", "-threads", "1", "-x264-params", "open-gop=1:min-keyint=10", "-c:a", "aac"),
    ),
    "sparse.mp4": (*PICTURE, *H264, "-g", "250"),
    "picture.mp4": (*PICTURE, *H264, "-g", "50"),
    "short-sound.mp4": (*PICTURE, *SOUND, "sine=duration=2", *H264, "-g", "50", "-c:a", "aac"),
    "long-sound.mp4": (*PICTURE, *SOUND, "sine=duration=6", *H264, "-g", "50", "-c:a", "aac"),
    "old.avi": (
        *(*PICTURE, *SOUND, "sine=duration=4", "-s", "321x181", "-c:v", "mpeg4", "-r", "30000/1001"),
        *("-c:a", "libmp3lame"),
    ),
    "sound.mp3": (*SOUND, "sine=duration=4", "-c:a", "libmp3lame"),
    "still.png": ("-f", "lavfi", "-i", "color=red:size=321x181,format=rgb24", "-frames:v", "1"),
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the path of one of SOURCES, made when first asked for."""
    directory = tmp_path_factory.mktemp("sources")

    def make(name: str) -> Path:
        path = directory / name
        if not path.exists():
            if name == "cover.mp3":
                cover = (
                    "-map",
                    "0",
                    "-map",
                    "1",
                    "-c:a",
                    "copy",
                    "-c:v",
                    "mjpeg",
                    "-disposition:v",
                    "attached_pic",
                )
                run("ffmpeg", "-v", "error", "-i", make("sound.mp3"), "-i", make("still.png"), *cover, path)
            else:
                run("ffmpeg", "-v", "error", *SOURCES[name], path)
        return path

    return make


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def entry(source: Callable[[str], Path], cache: Cache) -> Callable[[str], Path]:
    """Give the cache entry of one of SOURCES."""

    def make(name: str) -> Path:
        return prepare(
            source(name), DEFAULT_QUALITY, cache, cancelled=lambda: False, on_progress=lambda _: None
        )

    return make
