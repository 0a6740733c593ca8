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
import select
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mcast.media.source.cache import Cache, CancelledError, create
from mcast.media.source.encoding import (
    KEYFRAME_INTERVAL,
    MISMATCH,
    PREPARE_VERSION,
    Quality,
    Recipe,
    decide,
)
from mcast.media.source.ffmpeg import Child, find_tool
from mcast.media.source.probe import Extent, SourceError, extents, probe
from mcast.media.source.ts_inspection import SDT_PID, Survey, survey, without_tables
from mcast.wire.mpegts import PACKET, PCR_CLOCK, PCR_WRAP, pcr_at

logger = logging.getLogger(__name__)

CLOCK = 90_000
_BLOCK = PACKET * 4_096
_POLL_MS = 200  # how soon a cancelled preparation ends

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
        fields["counters"] = {int(pid): int(count) for pid, count in fields["counters"].items()}
        return cls(**fields)


def prepare(
    path: Path, quality: Quality, cache: Cache, *, cancelled: Callable[[], bool], on_progress: Progress
) -> Path:
    """Give the cache entry of a file, after making it if need be.

    Raises SourceError, ConfigError if the machine is not fit (ffmpeg, disk), and CancelledError.
    """
    key = _key(cache.digest_of(path, cancelled), quality)
    if entry := cache.find(key):
        return entry
    with cache.lock(key, cancelled, lambda: logger.info("another process prepares %s, waiting", path.name)):
        if entry := cache.find(key):  # it has been made meanwhile
            return entry
        began = time.monotonic()
        with cache.new_entry(key) as work:
            description = _make(path, quality, work, cancelled, on_progress)
            with create(work / "stream.json") as file:
                file.write(description.to_json())
        logger.info(
            "%s is prepared: %s, %.1f s, %.2f Mbit/s; took %.1f s",
            *(path.name, description.codecs, description.period / CLOCK),
            *(description.packets * PACKET * 8 * CLOCK / description.period / 1e6, time.monotonic() - began),
        )
    return cache.directory / key


def is_prepared(path: Path, quality: Quality, cache: Cache, cancelled: Callable[[], bool]) -> bool:
    """Tell whether `prepare` would have nothing to do."""
    return cache.find(_key(cache.digest_of(path, cancelled), quality)) is not None


def _key(source_digest: str, quality: Quality) -> str:
    asked = json.dumps([PREPARE_VERSION, source_digest, asdict(quality)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _make(
    path: Path, quality: Quality, work: Path, cancelled: Callable[[], bool], on_progress: Progress
) -> Description:
    source = str(path.resolve())
    found = probe(source)
    seen = {} if found.is_still else extents(source)
    target = work / "stream.ts"
    for may_copy in (True, False):
        recipe = decide(source, found, seen, quality, may_copy=may_copy)
        logger.info("%s: %s", path.name, recipe.description)
        digest = _run(recipe, target, cancelled, on_progress)
        surveyed, period = _measure(target, has_video=found.video is not None)
        if not surveyed.fault:
            return _describe(target, surveyed, period, digest)
        if not recipe.copies:
            break
        logger.info("%s: cannot be copied: %s", path.name, surveyed.fault)
    raise SourceError(f"ffmpeg made a stream that cannot be used: {surveyed.fault}")


def _run(recipe: Recipe, target: Path, cancelled: Callable[[], bool], on_progress: Progress) -> str:
    """Let ffmpeg fill the file, give its SHA-256."""
    command = [find_tool("ffmpeg"), "-nostdin", "-hide_banner", "-loglevel", "error"]
    command += [*recipe.arguments, "-f", "mpegts", "pipe:1"]
    digest, meter = hashlib.sha256(), _Meter(recipe.seconds, on_progress)
    with create(target) as file:
        with Child(command, background=True) as ffmpeg:
            rest = b""
            while block := _read(ffmpeg, cancelled):
                block = rest + block
                whole = len(block) - len(block) % PACKET
                block, rest = without_tables(block[:whole], SDT_PID), block[whole:]
                meter.see(block)
                digest.update(block)
                file.write(block)
            ffmpeg.wait()
        if ffmpeg.wait() or rest or not file.tell():
            raise SourceError(f"ffmpeg cannot read it: {ffmpeg.complaint()}")
        for line in ffmpeg.last_lines():
            logger.debug("ffmpeg: %s", line)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _read(ffmpeg: Child, cancelled: Callable[[], bool]) -> bytes:
    poll = select.poll()
    poll.register(ffmpeg.stdout, select.POLLIN)
    while True:
        if cancelled():
            raise CancelledError
        if poll.poll(_POLL_MS):
            return os.read(ffmpeg.stdout.fileno(), _BLOCK)


class _Meter:
    """Says how much is done, by the clock in the stream itself."""

    def __init__(self, seconds: float, on_progress: Progress) -> None:
        self._seconds, self._on_progress = seconds, on_progress
        self._first: int | None = None

    def see(self, packets: bytes) -> None:
        for at in range(len(packets) - PACKET, -1, -PACKET):
            if (pcr := pcr_at(packets, at)) is not None:
                self._first = pcr if self._first is None else self._first
                done = (pcr - self._first) % PCR_WRAP / PCR_CLOCK
                self._on_progress(min(done / self._seconds, 1.0) if self._seconds > 0 else 0.0)
                return


def _measure(target: Path, *, has_video: bool) -> tuple[Survey, int]:
    """Look through the new stream, give what it is and how long it lasts (90 kHz)."""
    with (
        target.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream,
        memoryview(stream) as view,
    ):
        found = survey(view, has_video=has_video)
    ends = list(extents(str(target)).values())
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
    result = probe(str(target))
    video, audio = result.video, result.audio
    return Description(
        packets=found.packets,
        sha256=digest,
        period=period,
        counters=found.counters,
        first_pcr=found.first_pcr,
        codecs="/".join(stream.codec for stream in (video, audio) if stream),
        frame_rate_milli=round(video.frame_rate * 1_000) if video else 0,
        width=video.width if video else 0,
        height=video.height if video else 0,
    )
