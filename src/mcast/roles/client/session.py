"""From a subscription to an output, until something ends it.

    subscription --chunks--> here (the main thread) --> output: a file, standard output, a player

It ends when the content is over, the user says so, `--duration` is over, or the output takes no more.
"""

import logging
import threading
import time
from collections.abc import Callable

from mcast import eventlog
from mcast.client import Subscription
from mcast.client.notice import Notice
from mcast.errors import StreamEndedError
from mcast.media.output import Output
from mcast.roles.client.status_line import Status, StatusLine

logger = logging.getLogger(__name__)

STOPPED_BY_USER = "stopped by the user"
CONTENT_OVER = "the content is over"
DURATION_OVER = "the duration is over"
_STEP = 0.1  # seconds between two looks at what may end it
_STATUS_STEP = 0.5


class Session:
    """Takes a joined subscription's chunks to an output."""

    def __init__(
        self,
        content: str,
        subscription: Subscription,
        output: Output,
        stop: threading.Event,
        duration: float | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`stop` is set when the user wants to end; `duration` is in seconds from the first media on.

        `beat` is called ten times a second, as long as what comes is taken to the output.
        """
        self._beat = beat
        self._content, self._subscription, self._output = content, subscription, output
        self._stop, self._duration = stop, duration
        self._status_line = StatusLine()
        self._notice = Notice(content, self._status_line.show)
        self._breaks = 0  # in what has been put out
        self._look_at = 0.0
        self._shown_at, self._shown_bytes = time.monotonic(), 0

    def run(self) -> str:
        """Take what comes until it ends; return why. To be called once.

        Raises StreamEndedError if the stream ends though its content is not over, or if the output fails.
        """
        try:
            reason = self._take()
        except StreamEndedError as error:
            self._note("ended", str(error))
            raise
        finally:
            self._status_line.close()
        if reason == CONTENT_OVER:  # which is an event already
            logger.info("[%s] %s", self._content, self._summary(reason))
        else:
            self._note("left", reason)
        return reason

    def _take(self) -> str:
        while True:
            try:
                chunk = self._subscription.read(_STEP)
            except TimeoutError:
                pass
            else:
                if not chunk:
                    return CONTENT_OVER
                self._put_out(chunk)
            if (reason := self._why_to_leave()) is not None:
                self._leave()
                return reason

    def _why_to_leave(self) -> str | None:
        if self._stop.is_set():
            return STOPPED_BY_USER
        if (now := time.monotonic()) < self._look_at:
            return None
        self._look_at = now + _STEP
        return self._check(now)

    def _check(self, now: float) -> str | None:
        """Look at what ends it beside the user and the stream. Raises StreamEndedError."""
        self._beat()
        ended = self._output.ended()
        if ended is not None and ended.error is not None:
            raise ended.error
        if ended is not None:
            return ended.reason
        if self._duration is not None and self._subscription.statistics().duration_s >= self._duration:
            return DURATION_OVER
        awaited = self._subscription.awaited
        self._notice.look(awaited)
        if self._status_line.enabled and not awaited and now >= self._shown_at + _STATUS_STEP:
            self._status_line.show(self._status(now))
        return None

    def _leave(self) -> None:
        """Leave the stream; what had come by then is still put out."""
        self._subscription.close()
        for chunk in self._subscription:
            self._put_out(chunk)

    def _put_out(self, chunk: bytes) -> None:
        if (breaks := self._subscription.breaks) != self._breaks:
            self._breaks = breaks
            self._output.begin_anew()
        self._output.write(chunk)

    def _status(self, now: float) -> Status:
        figures, seconds = self._subscription.statistics(), now - self._shown_at
        rate = (figures.bytes - self._shown_bytes) * 8 / seconds
        self._shown_at, self._shown_bytes = now, figures.bytes
        return Status(figures.duration_s, rate, figures.buffered_ms, figures.lost_datagrams, figures.path)

    def _note(self, event: str, reason: str) -> None:
        eventlog.note(
            logger, event, "[%s] %s", self._content, self._summary(reason),
            content=self._content, reason=reason,
        )  # fmt: skip

    def _summary(self, reason: str) -> str:
        figures = self._subscription.statistics()
        return f"{reason}: {figures.ts_packets} TS packets, {figures.lost_datagrams} datagrams lost"
