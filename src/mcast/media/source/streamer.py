"""A content on its way: what hands what is due to the content's fanout, looked at by a pacer's thread."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from mcast.media.source.pacer import Pacer
from mcast.media.source.pacing import Source
from mcast.net.threads import JOIN_TIMEOUT, OnCrash
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.train import Train

logger = logging.getLogger(__name__)

DEFAULT_PACE = 0.010


class Sink(Protocol):
    """Where trains go: a `Fanout`."""

    def push(self, train: Train) -> None: ...

    def set_state(self, state: FeedState) -> None: ...

    def close_soon(self) -> None: ...

    def close(self) -> None: ...


SinkT = TypeVar("SinkT", bound=Sink)


class Streamer(Generic[SinkT]):
    """Owns one content's source, and has it emptied into the fanout by the thread of a pacer.

    `on_end` is called by that thread when everything was sent, with the number of the last datagram,
    `on_lapse` when the time is over that it was given by `lapse_at`. It runs on until it is stopped.
    Without a `pacer` it has one of its own, which looks each `pace` seconds: the thread "stream-<content>".
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
        pacer: Pacer | None = None,
    ) -> None:
        self.content, self.ssrc, self.fanout = content, position.ssrc, fanout
        self._source, self._next, self._on_end = source, position.next, on_end
        self._on_lapse = on_lapse
        self._lapses_at: float | None = None  # set by any thread
        self._is_alone = pacer is None
        self._pacer = Pacer(f"stream-{content}", pace, on_crash) if pacer is None else pacer
        self._stopping = self._is_started = self._is_halted = self._ended = False
        self._over = threading.Event()  # the pacer looks at it no more
        self._lock = threading.Lock()
        self._is_source_closed = False  # with the lock
        self._is_fanout_closed = False
        self._is_silent = False  # the thread's, as what follows
        self._lapsed: float | None = None  # the moment that was told

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
        self._pacer.carry(self)
        self._is_started = True

    def lapse_at(self, moment: float | None) -> None:
        """Have `on_lapse` called at a moment (monotonic seconds); None: never."""
        self._lapses_at = moment

    def ask_to_stop(self) -> None:
        """Begin to end, without waiting: so many streamers end side by side, before each one's `stop`."""
        self._stopping = True
        self._pacer.wake()

    def halt(self) -> None:
        """Send nothing more, and begin to close the fanout: many close theirs side by side, as above."""
        self.ask_to_stop()
        if self._is_alone:
            self._pacer.stop()
        elif self._is_started and not self._pacer.is_current and not self._over.wait(JOIN_TIMEOUT):
            logger.error("[%s] the streamer has not ended within %.1f s", self.content, JOIN_TIMEOUT)
        self.fanout.close_soon()
        self._is_halted = True

    def stop(self) -> None:
        """Send nothing more, close source and fanout. From the thread's own callbacks, too."""
        if not self._is_halted:
            self.halt()
        self.fanout.close()
        # First this, then the look at `_over`. `finish` does it the other way round, so one of them closes.
        self._is_fanout_closed = True
        if self._over.is_set() or self._pacer.is_current or not self._is_started:
            self._close_source()

    # In the pacer's thread

    def look(self, now: float) -> bool:
        """Send what is due; return whether there may be more."""
        if self._stopping or self._ended:
            return False
        for train in self._source.due(now):
            self._next = train.next
            self.fanout.push(train)
        if self._source.is_silent != self._is_silent:
            self._is_silent = not self._is_silent
            self.fanout.set_state(FeedState.WAITING if self._is_silent else FeedState.FED)
        if self._source.ended:
            self._ended = True
            logger.info("[%s] sent to the end, last number %d", self.content, self._next - 1)
            self._on_end(self, self._next - 1)
            return False
        # Only read here: if this thread cleared it, it might clear a newer one.
        lapses_at = self._lapses_at
        if lapses_at is not None and lapses_at != self._lapsed and lapses_at <= now:
            self._lapsed = lapses_at
            self._on_lapse(self)
        return True

    def finish(self) -> None:
        """Be looked at no more.

        A source that this thread has waited for (ffmpeg) is ended here, so that many end side by side. A
        prepared one is the archive behind the fanout, and outlives it.
        """
        if self._source.waits:
            self._close_source()
        self._over.set()
        if self._is_fanout_closed:  # `stop` has not waited for so long
            self._close_source()

    def _close_source(self) -> None:
        with self._lock:
            is_first, self._is_source_closed = not self._is_source_closed, True
        if is_first:
            self._source.close()

    def __repr__(self) -> str:
        return f"Streamer({self.content!r}, {self.position}, {'ended' if self._ended else 'runs'})"
