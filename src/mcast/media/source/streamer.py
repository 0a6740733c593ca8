"""A content on its way: one thread that hands what is due to the content's fanout.

The thread looks each `pace` seconds. Longer paces make longer trains, which cost every relay less, and are
paid once, here, with as much delay.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from mcast.media.source.pacing import Source
from mcast.net.threads import OnCrash, OwnedThread
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.train import Train

logger = logging.getLogger(__name__)

DEFAULT_PACE = 0.010


class Sink(Protocol):
    """Where trains go: a `Fanout`."""

    def push(self, train: Train) -> None: ...

    def set_state(self, state: FeedState) -> None: ...

    def close(self) -> None: ...


SinkT = TypeVar("SinkT", bound=Sink)


class Streamer(Generic[SinkT]):
    """Owns one content's source and the thread that empties it into the fanout.

    `on_end` is called by that thread when everything was sent, with the number of the last datagram,
    `on_lapse` when the time is over that it was given by `lapse_at`. It runs on until it is stopped.
    """

    def __init__(
        self,
        content: str,
        position: Position,
        source: Source,
        fanout: SinkT,
        *,
        on_end: Callable[["Streamer[SinkT]", int], None],
        on_lapse: Callable[["Streamer[SinkT]"], None],
        on_crash: OnCrash,
        pace: float = DEFAULT_PACE,
    ) -> None:
        self.content, self.ssrc, self.fanout = content, position.ssrc, fanout
        self._source, self._next, self._pace, self._on_end = source, position.next, pace, on_end
        self._on_lapse = on_lapse
        self._lapses_at: float | None = None  # set by any thread
        self._stopping = threading.Event()
        self._ended = False
        self._thread = OwnedThread(f"stream-{content}", self._run, on_crash)

    @property
    def digest(self) -> bytes:
        """Return the digest of the bytes that it sends; empty for a live input."""
        return self._source.digest

    @property
    def position(self) -> Position:
        """The stream and the number of its next datagram."""
        return Position(self.ssrc, self._next)

    @property
    def ended(self) -> bool:
        """Return whether the content was sent to its end."""
        return self._ended

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def lapse_at(self, moment: float | None) -> None:
        """Have `on_lapse` called at a moment (monotonic seconds); None: never."""
        self._lapses_at = moment

    def stop(self) -> None:
        """Send nothing more, close source and fanout. From the thread's own callbacks, too."""
        self._stopping.set()
        self._thread.join()
        self.fanout.close()
        if self._thread.is_current or not self._thread.alive:
            self._source.close()

    def _run(self) -> None:
        tick = time.monotonic()
        is_silent = False
        told: float | None = None
        while not self._stopping.is_set():
            for train in self._source.due(time.monotonic()):
                self._next = train.next
                self.fanout.push(train)
            if self._source.is_silent != is_silent:
                is_silent = not is_silent
                self.fanout.set_state(FeedState.WAITING if is_silent else FeedState.FED)
            if self._source.ended:
                self._ended = True
                logger.info("[%s] sent to the end, last number %d", self.content, self._next - 1)
                self._on_end(self, self._next - 1)
                return
            # A fixed grid, of which missed ticks are left out: how long a look takes adds no delay.
            now = time.monotonic()
            # Only read here: if this thread cleared it, it might clear a newer one.
            lapses_at = self._lapses_at
            if lapses_at is not None and lapses_at != told and lapses_at <= now:
                told = lapses_at
                self._on_lapse(self)
            tick += self._pace * (1 + max(0.0, now - tick) // self._pace)
            self._stopping.wait(tick - now)

    def __repr__(self) -> str:
        return f"Streamer({self.content!r}, {self.position}, {'ended' if self._ended else 'runs'})"
