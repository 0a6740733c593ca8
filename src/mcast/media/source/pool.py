"""The streaming pool: one streamer per content, shared by all that take it.

The first taker starts it with a new SSRC at number 0 (or, when it takes over from a server that failed, with
the SSRC and the number that its children wait for); the last that leaves stops it. So a viewer who comes
after the last has left begins a new stream.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Generic

from mcast import eventlog
from mcast.media.source.catalogue import Catalogue
from mcast.media.source.streamer import DEFAULT_PACE, SinkT, Streamer
from mcast.net.threads import OnCrash
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo

logger = logging.getLogger(__name__)


class StreamingPool(Generic[SinkT]):
    """Owns the streamers. `on_end` is called by a streamer's thread when a content was sent to its end."""

    def __init__(
        self,
        catalogue: Catalogue,
        make_fanout: Callable[[str, Position], SinkT],
        *,
        on_end: Callable[[Streamer[SinkT], int], None],
        on_crash: OnCrash,
        pace: float = DEFAULT_PACE,
        new_ssrc: Callable[[], int] = lambda: secrets.randbits(32),
    ) -> None:
        self._catalogue, self._make_fanout, self._on_end = catalogue, make_fanout, on_end
        self._on_crash, self._pace, self._new_ssrc = on_crash, pace, new_ssrc
        self._lock = threading.Lock()
        self._takers: dict[Streamer[SinkT], int] = {}

    def take(self, content: str, resume: Position | None = None) -> Streamer[SinkT]:
        """Give the content's streamer, started if none runs. Pair with `leave`.

        `resume` is where to begin if none runs; a running one goes on as it is. Raises NotReadyError, and
        ConfigError if a live input lacks ffmpeg or no fanout can be made.
        """
        with self._lock:
            streamer = self._running(content) or self._begin(content, resume)
            self._takers[streamer] = self._takers.get(streamer, 0) + 1
            return streamer

    def leave(self, streamer: Streamer[SinkT]) -> None:
        """Need a streamer no more; the last to leave stops it. Once per `take`."""
        with self._lock:
            left = self._takers.get(streamer, 0) - 1
            if left > 0:
                self._takers[streamer] = left
                return
            known = self._takers.pop(streamer, None) is not None
        if known:  # outside the lock: its thread may be calling back
            streamer.stop()
            _note_end(streamer, "over" if streamer.ended else "nobody takes it any more")

    def contents(self) -> tuple[ContentInfo, ...]:
        """Describe all contents, and the streams that run."""
        with self._lock:
            running = [streamer for streamer in self._takers if not streamer.ended]
        return tuple(
            self._catalogue.describe(name, tuple(s.position for s in running if s.content == name))
            for name in self._catalogue.names
        )

    def close(self) -> None:
        """Stop all streamers."""
        with self._lock:
            streamers, self._takers = list(self._takers), {}
        for streamer in streamers:
            streamer.stop()
            _note_end(streamer, "the server ends")

    def _running(self, content: str) -> Streamer[SinkT] | None:
        assert self._lock.locked()
        return next((s for s in self._takers if s.content == content and not s.ended), None)

    def _begin(self, content: str, resume: Position | None) -> Streamer[SinkT]:
        assert self._lock.locked()
        position = resume or Position(self._new_ssrc(), 0)
        source = self._catalogue.open_source(content, position)
        try:
            fanout = self._make_fanout(content, position)
        except BaseException:
            source.close()
            raise
        streamer = Streamer(
            content,
            position,
            source,
            fanout,
            on_end=self._on_end,
            on_crash=self._on_crash,
            pace=self._pace,
        )
        streamer.start()
        eventlog.note(
            logger, "stream_started", "stream %s started", position,
            content=content, ssrc=position.ssrc, next=position.next,
        )  # fmt: skip
        return streamer

    def __repr__(self) -> str:
        return f"StreamingPool({list(self._takers)})"


def _note_end(streamer: Streamer[SinkT], reason: str) -> None:
    position = streamer.position
    eventlog.note(
        logger, "stream_ended", "stream %s stopped: %s", position, reason,
        content=streamer.content, ssrc=position.ssrc, next=position.next, reason=reason,
    )  # fmt: skip
