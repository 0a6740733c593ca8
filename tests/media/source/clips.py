"""Tiny clips as people have them, made by ffmpeg; and what became of them."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mcast.media.source.cache import Cache
from mcast.media.source.encoding import DEFAULT_QUALITY, Quality
from mcast.media.source.prepare import Description, prepare
from mcast.media.source.tracks import NO_WISH, Wish
from media.source.transport import run

SIZE, RATE = "160x90", 25
X264 = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "50")
AAC = ("-c:a", "aac", "-b:a", "64k")


def picture(seconds: float, size: str = SIZE) -> tuple[str, ...]:
    return "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={RATE}:duration={seconds}"


def sound(seconds: float, frequency: int = 440) -> tuple[str, ...]:
    return "-f", "lavfi", "-i", f"sine=duration={seconds}:frequency={frequency}"


def make(path: Path, *arguments: str | Path) -> Path:
    """Let ffmpeg make a file."""
    run("ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, path)
    return path


def film(path: Path, seconds: float, *arguments: str | Path) -> Path:
    """Make a film with sound."""
    return make(path, *picture(seconds), *sound(seconds), *X264, *AAC, *arguments)


def prepared(path: Path, cache: Path, quality: Quality = DEFAULT_QUALITY, wish: Wish = NO_WISH) -> Path:
    """Prepare a file, return its cache entry."""
    return prepare(
        path, quality, Cache(cache), cancelled=lambda: False, on_progress=lambda _: None, wish=wish
    )


def description(entry: Path) -> Description:
    return Description.from_json((entry / "stream.json").read_bytes())


def shown(path: Path, entries: str, *options: str) -> list[str]:
    """Return the lines that ffprobe writes about some entries."""
    return run("ffprobe", "-v", "error", *options, "-show_entries", entries, "-of", "csv=p=0", path).split()


def streams(path: Path, *names: str) -> list[tuple[str, ...]]:
    """Return what ffprobe says of each stream; a name may be a tag."""
    text = run("ffprobe", "-v", "error", "-of", "json", "-show_streams", path)
    found = json.loads(text)["streams"]
    return [tuple(str({**each, **each.get("tags", {})}.get(name, "")) for name in names) for each in found]


def loudest_frequency(path: Path, rate: int = 8_000, stream: str = "0:a:0") -> float:
    """Measure a tone: how often a second the sound of a file crosses zero upwards."""
    raw = path.with_suffix(".s16")
    run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", path, "-map", stream, "-ac", "1", "-ar", str(rate),
        "-f", "s16le", raw)  # fmt: skip
    samples: Sequence[int] = memoryview(raw.read_bytes()).cast("h")
    middle = samples[rate // 2 : -rate // 2]
    crossings = sum(before < 0 <= after for before, after in pairwise(middle))
    return crossings * rate / len(middle)
