"""What a server has: its contents, and how far each one is prepared.

A content that cannot be prepared harms no other one: it is listed as failed, with the reason, and tried
again when its file has changed (or has appeared) and stays as it is for a moment: a file that is still
being copied would fail again and again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mcast import eventlog
from mcast.errors import ConfigError, McastError
from mcast.media.cancelling import Cancelled, CancelledError, never
from mcast.media.source.cache import Cache, FileIdentity, identity_of
from mcast.media.source.cache_upkeep import clean
from mcast.media.source.complaints import SourceError
from mcast.media.source.live_inputs import LiveInputs
from mcast.media.source.pacing import PreparedSource, Source
from mcast.media.source.prepare import CLOCK, check, is_prepared, prepare
from mcast.media.source.prepared import Prepared
from mcast.media.source.progress import READING, progress_of
from mcast.media.source.server_config import ContentSpec
from mcast.net.threads import OnCrash, OwnedThread
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, Readiness, SendStatus

logger = logging.getLogger(__name__)

LOOK_EACH = 1.0
"""Seconds between two looks at the files of failed contents; one that changed must then rest as long."""
CLEAN_EACH = 86_400.0
"""Seconds between two clean-ups of the cache."""
MAX_REASON = 120  # bytes of a failed content's reason in the list
MAX_NAMED = 5
"""Contents that are not ready and that the line of state names: it is read in a terminal."""
TELL_EACH = 1.0
"""Seconds between two news of how far a preparation is."""


class NotReadyError(McastError):
    """A content cannot be sent now; status and text are for the answer to CSND."""

    def __init__(self, status: SendStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class _Content:
    """One content and what has become of it. Fields but `spec` change under the catalogue's lock."""

    spec: ContentSpec
    prepared: Prepared | None = None
    percent: int | None = None  # done, while it is being prepared
    failure: str = ""  # why it could not be prepared: where, what, and how to mend it
    reason: str = ""  # the same in short, for the list
    failed_file: FileIdentity | None = None  # the file as it was then; None: there was none
    changed_file: FileIdentity | None = None  # the file as it was at the last look, if other than then

    @property
    def is_pending(self) -> bool:
        """Return whether there is something to prepare that has not been tried."""
        return self.spec.path is not None and self.prepared is None and not self.failure

    def fail(self, why: str, reason: str, file: FileIdentity | None) -> None:
        self.failure, self.reason, self.failed_file, self.changed_file = why, reason, file, file

    def is_worth_a_try(self) -> bool:
        """Return whether the file of a failed content has changed, and rested since the last look."""
        if not self.failure or self.spec.path is None:
            return False
        before, self.changed_file = self.changed_file, identity_of(self.spec.path)
        return self.changed_file is not None and self.changed_file == before != self.failed_file


class Catalogue:
    """All contents of one server file.

    Files are prepared by `prepare_all`, or one after the other by a thread between `start` and `stop`.
    `on_change` is called by that thread whenever the list has changed.
    """

    def __init__(
        self, contents: Sequence[ContentSpec], file: Path, cache: Cache, *, cache_days: float | None = None
    ) -> None:
        """Hold what a file lists; entries of the cache that nobody used for `cache_days` are removed."""
        self._file, self._cache, self._cache_days = file, cache, cache_days
        self._clean_at = 0.0  # monotonic
        self._on_change: Callable[[], None] = lambda: None
        self._on_crash: OnCrash = lambda _: None
        self._lock = threading.Lock()  # for the contents
        self._contents = {spec.name: _Content(spec) for spec in contents}
        self._live_inputs = LiveInputs()
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread: OwnedThread | None = None

    @property
    def names(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._contents)

    def check(self, cancelled: Cancelled = never) -> None:
        """Look at every source, without encoding anything, and note which ones cannot be used.

        Raises ConfigError if that leaves nothing to serve.
        """
        for content in self._all():
            path = content.spec.path
            before = identity_of(path) if path else None
            try:
                self._check(content.spec, cancelled)
            except CancelledError:
                return
            except SourceError as error:
                self._fail(content, error, before)
        failures = self._failures()
        if failures and len(failures) == len(self._contents):
            raise self._summary(failures)

    def prepare_all(self, cancelled: Cancelled = never) -> bool:
        """Prepare all that can be; tell whether nothing was left when it was cancelled.

        Raises ConfigError that names what could not be prepared, after all others are.
        """
        for content in self._all():
            if content.is_pending and not self._try(content, cancelled):
                return False
        if failures := self._failures():
            raise self._summary(failures)
        return True

    def clean_cache(self) -> None:
        """Remove what nobody used for long from the cache, once a day."""
        now = time.monotonic()
        if self._cache_days is None or self._stopping.is_set() or now < self._clean_at:
            return
        self._clean_at = now + CLEAN_EACH
        freed = clean(self._cache.directory, self._cache_days)
        if freed.entries or freed.leftovers:
            logger.info(
                "cache: removed %d contents that nobody used for %g days and %d leftovers, %.1f MB",
                *(freed.entries, self._cache_days, freed.leftovers, freed.bytes / 1e6),
            )

    def start(self, on_change: Callable[[], None], on_crash: OnCrash) -> None:
        """Prepare in the background; contents that are ready can be taken meanwhile."""
        self._on_change, self._on_crash = on_change, on_crash
        self._live_inputs.follow(self._specs(), on_crash)
        self._thread = OwnedThread("prepare", self._keep_preparing, on_crash)
        self._thread.start()

    def reload(self, contents: Sequence[ContentSpec]) -> None:
        """Take over a list that was read anew. What has failed is tried again; what runs, runs on.

        Raises ConfigError if a live input cannot be read: then the list stays as it was.
        """
        self._live_inputs.follow(contents, self._on_crash)
        with self._lock:
            old, self._contents = self._contents, {}
            for spec in contents:
                known = old.get(spec.name)
                keeps = known is not None and known.spec == spec and not known.failure
                self._contents[spec.name] = old.pop(spec.name) if keeps else _Content(spec)
        for content in old.values():
            self._retire(content)
        self._wake.set()
        self._on_change()

    def stop(self) -> None:
        """Cancel what is being prepared, close all contents. No streamer may use them any more."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._live_inputs.stop()
        with self._lock:
            contents, self._contents = self._contents, {}
        for content in contents.values():
            self._retire(content)

    def digest(self, name: str) -> bytes:
        """Return the digest of a content; empty for live inputs and what is not ready."""
        found = self.prepared(name)
        return found.digest if found else b""

    def prepared(self, name: str) -> Prepared | None:
        """Return a content that is ready."""
        with self._lock:
            content = self._contents.get(name)
            return content.prepared if content else None

    def open_source(self, name: str, position: Position) -> Source:
        """Begin to play a content at a position. Raises NotReadyError, ConfigError if ffmpeg is missing."""
        with self._lock:
            content = self._contents.get(name)
            if content is None:
                raise NotReadyError(SendStatus.ABSENT, f"there is no content '{name}' here")
            if content.spec.path is None:
                if self._live_inputs.is_over(content.spec):
                    raise NotReadyError(SendStatus.ERROR, f"'{name}' is over: standard input has ended")
                return self._live_inputs.open(content.spec, position)
            if content.prepared is not None:
                return PreparedSource(content.prepared, position, time.monotonic())
            if content.failure:
                raise NotReadyError(SendStatus.ERROR, content.failure)
            raise NotReadyError(SendStatus.PREPARING, _progress(content))

    def describe(self, name: str, running: tuple[Position, ...]) -> ContentInfo:
        """Describe a content for the rendezvous point."""
        with self._lock:
            content = self._contents.get(name)
            if content is None:  # the file was read again a moment ago
                return ContentInfo(name=name, format="removed", running=running)
            if content.spec.path is None:
                return ContentInfo(name=name, format="live", running=running)
            if content.prepared is not None:
                return _describe(content.spec, content.prepared, running)
            state, readiness = _progress(content), Readiness.PREPARING
            if content.failure:
                state, readiness = f"failed: {_short(content.reason)}", Readiness.FAILED
            return ContentInfo(
                name=name, format=state, loop=content.spec.loop, running=running, readiness=readiness
            )

    def state(self) -> str:
        """Return, in a line, how many contents can be taken, and what is the matter with the others."""
        with self._lock:
            others = {
                name: f"failed: {_short(content.reason)}" if content.failure else _progress(content)
                for name, content in self._contents.items()
                if content.failure or content.is_pending
            }
            ready = f"{len(self._contents) - len(others)} of {len(self._contents)} contents are ready"
        return "; ".join([ready, *(f"{name}: {state}" for name, state in others.items())][: MAX_NAMED + 1])

    def _specs(self) -> list[ContentSpec]:
        return [content.spec for content in self._all()]

    def _all(self) -> list[_Content]:
        with self._lock:
            return list(self._contents.values())

    def _failures(self) -> dict[str, str]:
        return {content.spec.name: content.failure for content in self._all() if content.failure}

    def _summary(self, failures: dict[str, str]) -> ConfigError:
        if len(failures) == 1:
            return ConfigError(next(iter(failures.values())))
        names = ", ".join(f"'{name}'" for name in failures)
        first = next(iter(failures.values()))
        return ConfigError(f"{self._file}: cannot be prepared: {names}; the first because of: {first}")

    def _check(self, spec: ContentSpec, cancelled: Cancelled) -> None:
        if spec.path is None:
            self._live_inputs.check(spec)
            return
        with progress_of(spec.name, doing=READING) as show:
            is_ready = is_prepared(
                spec.path, spec.quality, self._cache, cancelled, spec.wish, on_progress=show
            )
        if not is_ready:
            check(spec.path, spec.quality, spec.wish, cancelled)

    def _keep_preparing(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            for content in self._all():
                if content.is_worth_a_try():
                    logger.info("[%s] its file has changed: trying again", content.spec.name)
                    with self._lock:
                        content.failure = content.reason = ""
                if content.is_pending:
                    self._try(content, partial(self._is_gone, content))
            self.clean_cache()  # now that what is needed is in use
            self._wake.wait(LOOK_EACH)

    def _is_gone(self, content: _Content) -> bool:
        """Return whether a content is no more in the list, which was read anew."""
        with self._lock:
            return self._contents.get(content.spec.name) is not content

    def _try(self, content: _Content, cancelled: Cancelled) -> bool:
        """Prepare one content, or note why that is not possible; tell whether it was not cancelled."""
        assert content.spec.path is not None
        before = identity_of(content.spec.path)
        try:
            self._prepare(content, content.spec.path, cancelled)
        except CancelledError:
            return False
        except ConfigError as error:
            self._fail(content, error, before)
        self._on_change()
        return True

    def _prepare(self, content: _Content, path: Path, cancelled: Cancelled) -> None:
        spec, began = content.spec, time.monotonic()

        def is_cancelled() -> bool:
            return cancelled() or self._stopping.is_set()

        def open_entry(entry: Path) -> Prepared:
            return Prepared(entry, spec.datagram_packets, loop=spec.loop, cancelled=is_cancelled)

        with progress_of(spec.name) as show:
            make = partial(
                prepare,
                path,
                spec.quality,
                self._cache,
                cancelled=is_cancelled,
                on_progress=_Report(content, show, self._on_change),
                wish=spec.wish,
            )
            entry = make()
            try:
                ready = open_entry(entry)
            except ConfigError:
                if entry.exists():
                    raise
                # Another server has cleaned up between our two looks.
                ready = open_entry(make())
        with self._lock:
            is_wanted = self._contents.get(spec.name) is content
            if is_wanted:
                content.prepared = ready
        if not is_wanted:  # the file was read again meanwhile
            ready.release()
            return
        duration, took = ready.description.period / CLOCK, time.monotonic() - began
        eventlog.note(
            logger, "prepared", "ready: %.1f s of %s", duration, ready.description.codecs,
            content=spec.name, duration_s=round(duration, 3), took_s=round(took, 3),
        )  # fmt: skip

    def _fail(self, content: _Content, error: ConfigError, file: FileIdentity | None) -> None:
        reason = full = str(error)
        if isinstance(error, SourceError):
            where = f"{self._file}: content '{content.spec.name}': source: {content.spec.path}"
            full = f"{where}: {error}; {error.mend}"
        eventlog.note(
            logger, "prepare_failed", "cannot be prepared: %s", full,
            level=logging.ERROR, content=content.spec.name, reason=full,
        )  # fmt: skip
        with self._lock:
            content.fail(full, reason, file)

    def _retire(self, content: _Content) -> None:
        if content.prepared is not None:
            content.prepared.release()


class _Report:
    """Notes how far a preparation is, for the terminal, and now and then for the rendezvous point."""

    def __init__(
        self, content: _Content, show: Callable[[float], None], on_change: Callable[[], None]
    ) -> None:
        self._content, self._show, self._on_change = content, show, on_change
        self._next = 0.0

    def __call__(self, done: float) -> None:
        self._show(done)
        percent = int(100 * done)
        if percent == self._content.percent or (now := time.monotonic()) < self._next:
            return
        self._content.percent, self._next = percent, now + TELL_EACH
        self._on_change()


def _short(reason: str) -> str:
    """Return what fits into the list, which is one frame for all contents."""
    text = "".join(char if char.isprintable() else "?" for char in reason)
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


def _progress(content: _Content) -> str:
    return "preparing" if content.percent is None else f"preparing {content.percent} %"


def _describe(spec: ContentSpec, prepared: Prepared, running: tuple[Position, ...]) -> ContentInfo:
    about = prepared.description
    return ContentInfo(
        name=spec.name,
        format=about.codecs,
        duration_ms=about.period * 1_000 // CLOCK,
        bit_rate=prepared.bit_rate,
        frame_rate_milli=about.frame_rate_milli,
        width=about.width,
        height=about.height,
        loop=spec.loop,
        digest=prepared.digest,
        running=running,
    )
