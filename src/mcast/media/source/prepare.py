"""Turn a file into a prepared content in the cache, once.

Probe, decide between copy and encode, run ffmpeg, look through what came out, measure it, and let it
appear in the cache. A copy that turns out not to be fit (an open-GOP source) is made again by encoding.
ffmpeg writes into a pipe, not into the file: so it ends by itself when mcast is killed, and the bytes are
hashed, measured for the progress bar and freed of what nobody needs on their way.
"""

import hashlib
import json
import logging
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mcast.media.cancelling import Cancelled, never
from mcast.media.source.cache import Cache, create, identity_of
from mcast.media.source.complaints import SourceError
from mcast.media.source.encoding import (
    KEYFRAME_INTERVAL,
    MISMATCH,
    PREPARE_VERSION,
    Copying,
    Quality,
    Recipe,
    decide,
    surely_encoded,
)
from mcast.media.source.extents import Extent, Extents, extents
from mcast.media.source.ffmpeg import Child, require_encoders
from mcast.media.source.probe import probe
from mcast.media.source.tracks import NO_WISH, Choice, Wish, choose, names, with_counts
from mcast.media.source.ts_inspection import SDT_PID, Survey, survey, without_tables
from mcast.media.tools import find_tool
from mcast.wire.mpegts import PACKET, PCR_CLOCK, PCR_WRAP, pcr_at

logger = logging.getLogger(__name__)

CLOCK = 90_000
_GROWTH, _GROWTH_SECONDS = 1.5, 30.0
"""A preparation ends when it is longer than expected by this factor and this time."""
_HOLES, _HOLES_SECONDS = 10, 600.0
"""A source whose timestamps span so many times what its packets last, and so much, is broken."""
JOIN_AGAIN = "its clock jumps; write it anew: ffmpeg -i FILE -c copy -f mpegts NEW.ts, and give NEW.ts"

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Description:
    """What a server must know of a prepared stream; `stream.json` in the cache."""

    packets: int
    sha256: str  # of stream.ts
    period: int  # how long one round lasts, 90 kHz
    counters: dict[int, int]  # how far one round moves each PID's continuity counter
    first_pcr: int  # 27 MHz
    codecs: str
    frame_rate_milli: int
    width: int
    height: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Description":
        """Read it back. Raises ValueError, KeyError or TypeError if the file is damaged."""
        fields = json.loads(data)
        fields["counters"] = {int(pid): int(count) for pid, count in dict(fields["counters"]).items()}
        return cls(**fields)


def prepare(
    path: Path,
    quality: Quality,
    cache: Cache,
    *,
    cancelled: Cancelled,
    on_progress: Progress,
    wish: Wish = NO_WISH,
) -> Path:
    """Return the cache entry of a file, after making it if need be.

    Raises SourceError, ConfigError if the machine is not fit (ffmpeg, disk), and CancelledError.
    """
    before = identity_of(path)
    key = _key(cache.digest_of(path, cancelled), quality, wish)
    if entry := cache.find(key):
        return entry
    with cache.lock(key, cancelled, lambda: logger.info("another process prepares %s, waiting", path.name)):
        if entry := cache.find(key):  # it has been made meanwhile
            return entry
        began = time.monotonic()
        with cache.new_entry(key) as work:
            description = _make_of(path, quality, wish, work, cancelled, on_progress)
            if identity_of(path) != before:
                raise _changed()
            with create(work / "source") as file:
                file.write(os.fsencode(path.resolve()))
            with create(work / "stream.json") as file:
                file.write(description.to_json())
        logger.info(
            "%s is prepared: %s, %.1f s, %.2f Mbit/s; took %.1f s",
            *(path.name, description.codecs, description.period / CLOCK),
            *(description.packets * PACKET * 8 * CLOCK / description.period / 1e6, time.monotonic() - began),
        )
    return cache.directory / key


def is_prepared(
    path: Path, quality: Quality, cache: Cache, cancelled: Cancelled, wish: Wish = NO_WISH,
    *, on_progress: Progress = lambda _: None,
) -> bool:  # fmt: skip
    """Return whether `prepare` would have nothing to do. It takes as long as to read the file."""
    return cache.find(_key(cache.digest_of(path, cancelled, on_progress), quality, wish)) is not None


def check(path: Path, quality: Quality, wish: Wish, cancelled: Cancelled = never) -> None:
    """Make sure that a file can be prepared, as far as can be told without reading all of it.

    Raises SourceError, ConfigError if the machine is not fit, and CancelledError.
    """
    found = probe(str(path), cancelled)
    require_encoders(surely_encoded(choose(found.streams, wish), quality))


def _key(source_digest: str, quality: Quality, wish: Wish) -> str:
    asked = json.dumps([PREPARE_VERSION, source_digest, asdict(quality), asdict(wish)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _make_of(
    path: Path,
    quality: Quality,
    wish: Wish,
    work: Path,
    cancelled: Cancelled,
    on_progress: Progress,
) -> Description:
    before = identity_of(path)
    try:
        return _make(path, quality, wish, work, cancelled, on_progress)
    except SourceError:
        if identity_of(path) != before:  # so what ffmpeg says of it means nothing
            raise _changed() from None
        raise


def _changed() -> SourceError:
    return SourceError("it changed while it was read", "it is tried again when it has come to rest")


def _make(
    path: Path,
    quality: Quality,
    wish: Wish,
    work: Path,
    cancelled: Cancelled,
    on_progress: Progress,
) -> Description:
    source = str(path.resolve())
    logger.info("%s: reading the times of all its packets", path.name)
    found = probe(source, cancelled)
    seen = extents(source, found, cancelled)
    pictures = {index: extent.packets for index, extent in seen.by_index.items()}
    choice = choose(with_counts(found.streams, pictures), wish)
    target = work / "stream.ts"
    copying: Copying | None = Copying.AS_THEY_ARE
    while copying is not None:
        recipe = decide(source, found, choice, seen, quality, copying)
        logger.info("%s: %s", path.name, recipe.description)
        require_encoders(recipe.encoders)
        _check_holes(choice, seen, recipe.seconds)
        digest = _run(recipe, source, target, cancelled, on_progress)
        surveyed, period = _measure(target, choice, cancelled)
        if not surveyed.fault:
            return _describe(target, surveyed, period, digest)
        if recipe.copies:
            logger.info("%s: cannot be copied: %s", path.name, surveyed.fault)
        copying = _next(copying, recipe, surveyed)
    raise SourceError(f"ffmpeg made a stream that cannot be used: {surveyed.fault}")


def _next(copying: Copying, recipe: Recipe, surveyed: Survey) -> Copying | None:
    """Return what is tried after a stream that is not fit; None: nothing more."""
    if not recipe.copies:
        return None
    may_mend = surveyed.has_late_sets and copying is Copying.AS_THEY_ARE
    return Copying.SETS_IN_FRONT if may_mend else Copying.NOTHING


def _check_holes(choice: Choice, seen: Extents, seconds: float) -> None:
    """Refuse what ffmpeg would fill for hours: no ordinary film consists of holes."""
    streams = (choice.video, *choice.audios)
    filled = max((extent.filled for stream in streams if (extent := seen.of(stream))), default=0.0)
    if filled and seconds > _HOLES * filled + _HOLES_SECONDS:
        raise SourceError(
            f"its packets last {filled:.0f} s, but its timestamps span {seconds:.0f} s", JOIN_AGAIN
        )


def _run(recipe: Recipe, source: str, target: Path, cancelled: Cancelled, on_progress: Progress) -> str:
    """Let ffmpeg fill the file, return its SHA-256."""
    command = [find_tool("ffmpeg"), "-nostdin", "-hide_banner", "-loglevel", "error"]
    command += [*recipe.arguments, "-f", "mpegts", "pipe:1"]
    digest, meter = hashlib.sha256(), _Meter(recipe.seconds, on_progress)
    with create(target) as file:
        with Child(command, background=True) as ffmpeg:
            rest = b""
            while block := ffmpeg.read(cancelled):
                block = rest + block
                whole = len(block) - len(block) % PACKET
                block, rest = without_tables(block[:whole], SDT_PID), block[whole:]
                meter.see(block)
                digest.update(block)
                file.write(block)
            ffmpeg.wait()
        if ffmpeg.wait() or rest or not file.tell():
            raise ffmpeg.complaint(source)
        for line in ffmpeg.last_lines():
            logger.debug("ffmpeg: %s", line)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


class _Meter:
    """Says how much is done, by the clock in the stream itself, and stops what grows beyond all bounds."""

    def __init__(self, seconds: float, on_progress: Progress) -> None:
        self._seconds, self._on_progress = seconds, on_progress
        self._first: int | None = None

    def see(self, packets: bytes) -> None:
        for at in range(len(packets) - PACKET, -1, -PACKET):
            if (pcr := pcr_at(packets, at)) is not None:
                self._first = pcr if self._first is None else self._first
                done = (pcr - self._first) % PCR_WRAP / PCR_CLOCK
                if done > _GROWTH * self._seconds + _GROWTH_SECONDS:
                    raise SourceError(
                        f"stopped at {done:.0f} s: its packets last {self._seconds:.0f} s", JOIN_AGAIN
                    )
                self._on_progress(min(done / self._seconds, 1.0) if self._seconds > 0 else 0.0)
                return


def _measure(target: Path, choice: Choice, cancelled: Cancelled) -> tuple[Survey, int]:
    """Look through the new stream, return what it is and how long it lasts (90 kHz)."""
    with (
        target.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream,
        memoryview(stream) as view,
    ):
        found = survey(view, has_video=choice.video is not None, cancelled=cancelled)
    # Picture and sounds are the first streams; subtitles come when somebody speaks.
    count = len(choice.audios) + (choice.video is not None)
    by_index = extents(str(target), cancelled=cancelled).by_index
    ends = [extent for index, extent in by_index.items() if index < count]
    if not ends:
        return replace(found, fault="it has no timestamps"), 0
    # From the durations of the frames: by the distance of the last PES packets, which hold several
    # frames of sound, each round would end with a hole of 240 ms.
    period = round((max(extent.end for extent in ends) - min(extent.start for extent in ends)) * CLOCK)
    return (found if found.fault else replace(found, fault=_timing_fault(found, ends, period))), period


def _timing_fault(found: Survey, ends: list[Extent], period: int) -> str:
    for side in ("start", "end"):
        times = [getattr(extent, side) for extent in ends]
        if max(times) - min(times) > 2 * MISMATCH:
            return f"picture and sound {side} {max(times) - min(times):.3f} s apart"
    times = sorted(found.keyframe_times)
    gaps = (
        [after - before for before, after in zip(times, [*times[1:], times[0] + period], strict=True)]
        if times
        else []
    )
    if max(gaps, default=0) > (KEYFRAME_INTERVAL + 2 * MISMATCH) * CLOCK:
        return f"keyframes up to {max(gaps) / CLOCK:.3f} s apart"
    return ""


def _describe(target: Path, found: Survey, period: int, digest: str) -> Description:
    streams = probe(str(target)).streams
    video = next(iter(streams.videos), None)
    return Description(
        packets=found.packets,
        sha256=digest,
        period=period,
        counters=found.counters,
        first_pcr=found.first_pcr,
        codecs=names([*streams.videos[:1], *streams.audios]),
        frame_rate_milli=round(video.frame_rate * 1_000) if video else 0,
        width=video.width if video else 0,
        height=video.height if video else 0,
    )
