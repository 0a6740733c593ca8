"""The streaming pool: the streams that run, each shared by all that take it.

A stream is known by its content and its SSRC. Who takes a content without naming a stream gets the one
that runs, or a new one from number 0. Who goes on elsewhere (a rendezvous point whose server has failed,
a standby) names the stream and the number that it waits for:

    the content is    a stream of that SSRC runs    else
    prepared          join it                       begin it here, with that SSRC, at that number
    a live input      join it                       join the one that runs, or begin a new SSRC

because a prepared content is the same bytes under the same numbers on every server with its digest,
while a live input has no past and only one present.

A list that is read anew may give a content other bytes. A stream that runs keeps its own, for those who have
it and for who names it; nobody else joins it.

Who begins streams of one content again and again may not keep others from theirs: when half of those that
there may be run, each asker has its share of them.

The last that leaves stops a stream, but not if a taker was *lost* a moment ago: then the stream runs on
for `linger` seconds, or there would be nothing for a standby or an orphan to join.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic

from mcast import eventlog
from mcast.media.carriers import Carriers
from mcast.media.history import Archive
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.pacer import Pacer
from mcast.media.source.pacing import NOT_OVERDUE, Overdue, PreparedSource
from mcast.media.source.streamer import DEFAULT_PACE, SinkT, Streamer
from mcast.net.threads import NoThreadError, OnCrash
from mcast.shares import UNCOUNTED, Source, is_within_share
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, SendStatus

logger = logging.getLogger(__name__)

LINGER = 3.0
"""Seconds that a stream outlives the loss of a taker. An orphan is sure after 0.3 s, leaves the repair to
its parent for 1 s, and may then have to search."""
STREAM_THREADS = 1
"""The most that carry prepared contents, if the operator says nothing else; a live input has its own."""
MAX_STREAMS = 8
"""Streams of one content at a time: one for each part of a broken network, and some. Beyond, or beyond its
share for one asker: FULL."""
_LEAST_BEGUN = 2  # streams that an asker may begin, be they scarce

MakeFanout = Callable[[str, Position, Archive | None], SinkT]


@dataclass(slots=True)
class _Use:
    """Who needs a stream, and until when it runs without anybody (monotonic seconds)."""

    begun_by: Source
    takers: int = 0
    kept_until: float = float("-inf")


class StreamingPool(Generic[SinkT]):
    """Owns the streamers.

    A streamer's thread calls `on_end` when a content was sent to its end, and `on_lapse` when nobody has
    come for a stream whose taker was lost. After either, `expire` is to be called in another thread.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        make_fanout: MakeFanout[SinkT],
        *,
        on_end: Callable[[Streamer[SinkT], int], None],
        on_lapse: Callable[[Streamer[SinkT]], None],
        on_crash: OnCrash,
        pace: float = DEFAULT_PACE,
        threads: int = STREAM_THREADS,
        linger: float = LINGER,
        new_ssrc: Callable[[], int] = lambda: secrets.randbits(32),
        reap: Callable[[Callable[[], None]], None] = lambda task: task(),
    ) -> None:
        """`reap` has something done that waits for a stream's end; without one the caller waits."""
        self._catalogue, self._make_fanout = catalogue, make_fanout
        self._on_end, self._on_lapse, self._on_crash = on_end, on_lapse, on_crash
        self._pace, self._linger, self._new_ssrc = pace, linger, new_ssrc
        self._reap = reap
        self._pacers = Carriers(lambda number: Pacer(f"stream-{number}", pace, on_crash), threads)
        self._lock = threading.Lock()
        self._uses: dict[Streamer[SinkT], _Use] = {}  # the oldest first

    def take(
        self, content: str, resume: Position | None = None, *, overdue: Overdue = NOT_OVERDUE,
        source: Source = UNCOUNTED,
    ) -> Streamer[SinkT]:  # fmt: skip
        """Return a streamer of the content, started if need be. Pair with `leave`.

        `resume` names a stream and the number to go on at; `overdue` says how late that is; `source` is who
        has a share of what may be begun, UNCOUNTED is held to none. Raises NotReadyError, and ConfigError if
        a live input lacks ffmpeg or no fanout can be made.
        """
        with self._lock:
            streamer = self._join(content, resume)
            if streamer is None:
                self._check_room(content, source)
                streamer = self._begin(content, resume, overdue)
                self._uses[streamer] = _Use(source)
            self._uses[streamer].takers += 1
            streamer.lapse_at(None)
            return streamer

    def leave(self, streamer: Streamer[SinkT], *, lost: bool = False) -> None:
        """Need a streamer no more; once per `take`. The last to leave stops it.

        `lost`: the taker has not given it up, it is gone; somebody may go on in its place.
        """
        with self._lock:
            use = self._uses.get(streamer)
            if use is None:
                return
            use.takers = max(0, use.takers - 1)
            if lost:
                use.kept_until = time.monotonic() + self._linger
        self.expire(streamer)

    def expire(self, streamer: Streamer[SinkT]) -> None:
        """Stop a streamer, unless somebody takes it or its time is not over."""
        with self._lock:
            use = self._uses.get(streamer)
            if use is None or use.takers:
                return
            if not streamer.ended and time.monotonic() < use.kept_until:
                streamer.lapse_at(use.kept_until)
                logger.info("[%s] stream %s runs on for a while: a taker was lost",
                            streamer.content, streamer.position)  # fmt: skip
                return
            del self._uses[streamer]
        # Outside the lock: its thread may be calling back.
        streamer.ask_to_stop()
        why = "over" if streamer.ended else "nobody takes it any more"
        self._reap(lambda: _end(streamer, why))

    def contents(self) -> tuple[ContentInfo, ...]:
        """Describe all contents, and the streams that run."""
        with self._lock:
            running = [streamer for streamer in self._uses if not streamer.ended]
        return tuple(
            self._catalogue.describe(name, _positions(running, name, self._catalogue.digest(name)))
            for name in self._catalogue.names
        )

    def close(self) -> None:
        """Stop all streamers."""
        with self._lock:
            streamers, self._uses = list(self._uses), {}
        for streamer in streamers:
            streamer.ask_to_stop()
        for streamer in streamers:
            streamer.halt()
        for streamer in streamers:
            _end(streamer, "the server ends")
        self._pacers.stop()

    def _running(self, content: str) -> list[Streamer[SinkT]]:
        assert self._lock.locked()
        return [streamer for streamer in self._uses if streamer.content == content and not streamer.ended]

    def _is_prepared(self, content: str) -> bool:
        return bool(self._catalogue.digest(content))

    def _join(self, content: str, resume: Position | None) -> Streamer[SinkT] | None:
        running = self._running(content)
        if resume is not None:
            # Whatever the file is by now: this stream's bytes are its streamer's.
            same = next((streamer for streamer in running if streamer.ssrc == resume.ssrc), None)
            if same is not None or self._is_prepared(content):
                return same
        # Rather one that is taken: then all rendezvous points carry the same numbers.
        digest = self._catalogue.digest(content)
        running = [streamer for streamer in running if streamer.digest == digest]
        return max(running, key=lambda streamer: self._uses[streamer].takers > 0, default=None)

    def _check_room(self, content: str, source: Source) -> None:
        running = self._running(content)
        own = sum(self._uses[streamer].begun_by == source for streamer in running)
        is_modest = is_within_share(MAX_STREAMS, len(running), own, _LEAST_BEGUN)
        if len(running) >= MAX_STREAMS or not (source == UNCOUNTED or is_modest):
            text = f"{MAX_STREAMS} streams of '{content}' run already, or a quarter of that for one address"
            raise NotReadyError(SendStatus.FULL, text)

    def _begin(self, content: str, resume: Position | None, overdue: Overdue) -> Streamer[SinkT]:
        if resume is None or not self._is_prepared(content):
            resume, overdue = Position(self._new_ssrc(), 0), NOT_OVERDUE
        return self._start(content, resume, overdue)

    def _start(self, content: str, position: Position, overdue: Overdue) -> Streamer[SinkT]:
        source = self._catalogue.open_source(content, position)
        archive = None
        if isinstance(source, PreparedSource):
            source.set_back(overdue)
            archive = source.read
        try:
            fanout = self._make_fanout(content, position, archive)
        except BaseException:
            source.close()
            raise
        streamer = Streamer(
            content,
            position,
            source,
            fanout,
            on_end=self._on_end,
            on_lapse=self._on_lapse,
            on_crash=self._on_crash,
            pace=self._pace,
            pacer=None if source.waits else self._pacers.pick(),
        )
        try:
            streamer.start()
        except NoThreadError as error:
            streamer.stop()
            raise NotReadyError(SendStatus.FULL, f"no more streams can be sent: {error}") from None
        eventlog.note(
            logger, "stream_started", "stream %s started", position,
            content=content, ssrc=position.ssrc, next=position.next,
        )  # fmt: skip
        return streamer

    def __repr__(self) -> str:
        return f"StreamingPool({list(self._uses)})"


def _positions(running: Iterable[Streamer[SinkT]], content: str, digest: bytes) -> tuple[Position, ...]:
    """Return a content's streams, but none of the bytes that it had before its file changed."""
    return tuple(s.position for s in running if s.content == content and s.digest == digest)


def _end(streamer: Streamer[SinkT], reason: str) -> None:
    streamer.stop()
    position = streamer.position
    eventlog.note(
        logger, "stream_ended", "stream %s stopped: %s", position, reason,
        content=streamer.content, ssrc=position.ssrc, next=position.next, reason=reason,
    )  # fmt: skip
