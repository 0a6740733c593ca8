"""What a server has: its contents, and how far each one is prepared."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mcast import eventlog
from mcast.errors import ConfigError, McastError
from mcast.media.source.cache import Cache, CancelledError
from mcast.media.source.ffmpeg import find_tool
from mcast.media.source.live import LiveSource
from mcast.media.source.pacing import PreparedSource, Source
from mcast.media.source.prepare import CLOCK, is_prepared, prepare
from mcast.media.source.prepared import Prepared
from mcast.media.source.probe import SourceError, probe
from mcast.media.source.progress import progress_of
from mcast.media.source.server_config import ContentSpec
from mcast.net.threads import OnCrash, OwnedThread
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, SendStatus

logger = logging.getLogger(__name__)


class NotReadyError(McastError):
    """A content cannot be sent now; status and text are for the answer to CSND."""

    def __init__(self, status: SendStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Catalogue:
    """All contents of one server file.

    Files are prepared by `prepare_all`, or one after the other by a thread between `start` and `stop`.
    `on_change` is called by that thread whenever one is ready or has failed.
    """

    def __init__(self, contents: Sequence[ContentSpec], file: Path, cache: Cache) -> None:
        self._specs = {spec.name: spec for spec in contents}
        self._file, self._cache = file, cache
        self._lock = threading.Lock()  # for the two below
        self._prepared: dict[str, Prepared] = {}
        self._failures: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread: OwnedThread | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def check(self) -> None:
        """Make sure that every source can be read, without encoding anything. Raises ConfigError."""
        for spec in self._specs.values():
            if spec.path is None:
                find_tool("ffmpeg")
            elif not is_prepared(spec.path, spec.quality, self._cache, self._stopping.is_set):
                find_tool("ffmpeg")
                try:
                    probe(str(spec.path))
                except SourceError as error:
                    raise self._unreadable(spec, error) from None

    def prepare_all(self, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Prepare what is not; tell whether all was done before it was cancelled. Raises ConfigError."""
        try:
            for spec in self._specs.values():
                if spec.path is not None:
                    self._prepare(spec, spec.path, lambda: cancelled() or self._stopping.is_set())
        except CancelledError:
            return False
        return True

    def start(self, on_change: Callable[[], None], on_crash: OnCrash) -> None:
        """Prepare in the background; contents that are ready can be taken meanwhile."""
        self._thread = OwnedThread("prepare", lambda: self._prepare_each(on_change), on_crash)
        self._thread.start()

    def stop(self) -> None:
        """Cancel what is being prepared, close all contents. No streamer may use them any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            for content in self._prepared.values():
                content.close()
            self._prepared.clear()

    def digest(self, name: str) -> bytes:
        """Give the digest of a content; empty for live inputs and what is not ready."""
        with self._lock:
            found = self._prepared.get(name)
        return found.digest if found else b""

    def prepared(self, name: str) -> Prepared | None:
        """Give a content that is ready."""
        with self._lock:
            return self._prepared.get(name)

    def open_source(self, name: str, position: Position) -> Source:
        """Begin to play a content at a position. Raises NotReadyError, ConfigError if ffmpeg is missing."""
        spec = self._specs.get(name)
        if spec is None:
            raise NotReadyError(SendStatus.ABSENT, f"there is no content '{name}' here")
        if spec.path is None:
            return LiveSource(spec, position, time.monotonic())
        with self._lock:
            found, failure = self._prepared.get(name), self._failures.get(name)
        if failure is not None:
            raise NotReadyError(SendStatus.ERROR, failure)
        if found is None:
            raise NotReadyError(SendStatus.PREPARING, f"'{name}' is still being prepared")
        return PreparedSource(found, position, time.monotonic())

    def describe(self, name: str, running: tuple[Position, ...]) -> ContentInfo:
        """Describe a content for the rendezvous point."""
        spec = self._specs[name]
        with self._lock:
            found, failed = self._prepared.get(name), name in self._failures
        if spec.path is None:
            return ContentInfo(name=name, format="live", running=running)
        if found is None:
            return ContentInfo(name=name, format="failed" if failed else "preparing", loop=spec.loop)
        about = found.description
        return ContentInfo(
            name=name,
            format=about.codecs,
            duration_ms=about.period * 1_000 // CLOCK,
            bit_rate=found.bit_rate,
            frame_rate_milli=about.frame_rate_milli,
            width=about.width,
            height=about.height,
            loop=spec.loop,
            digest=found.digest,
            running=running,
        )

    def _prepare_each(self, on_change: Callable[[], None]) -> None:
        for spec in self._specs.values():
            if spec.path is None:
                continue
            try:
                self._prepare(spec, spec.path, self._stopping.is_set)
            except CancelledError:
                return
            except ConfigError as error:
                eventlog.note(
                    logger, "prepare_failed", "cannot be prepared: %s", error,
                    level=logging.ERROR, content=spec.name, reason=error,
                )  # fmt: skip
                with self._lock:
                    self._failures[spec.name] = str(error)
            on_change()

    def _prepare(self, spec: ContentSpec, path: Path, cancelled: Callable[[], bool]) -> None:
        with self._lock:
            if spec.name in self._prepared:
                return
        began = time.monotonic()
        try:
            with progress_of(spec.name) as on_progress:
                entry = prepare(path, spec.quality, self._cache, cancelled=cancelled, on_progress=on_progress)
        except SourceError as error:
            raise self._unreadable(spec, error) from None
        content = Prepared(entry, spec.datagram_packets, loop=spec.loop)
        with self._lock:
            self._prepared[spec.name] = content
        duration, took = content.description.period / CLOCK, time.monotonic() - began
        eventlog.note(
            logger, "prepared", "ready: %.1f s of %s", duration, content.description.codecs,
            content=spec.name, duration_s=round(duration, 3), took_s=round(took, 3),
        )  # fmt: skip

    def _unreadable(self, spec: ContentSpec, error: SourceError) -> ConfigError:
        where = f"{self._file}: content '{spec.name}': source: {spec.path}"
        return ConfigError(f"{where}: {error}; give a file that ffplay can play")
