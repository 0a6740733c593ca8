"""Tells what a stream waits for: at once where it is shown, and in the log if it lasts."""

import logging
import time
from collections.abc import Callable

from mcast import eventlog

logger = logging.getLogger(__name__)

LOG_AFTER = 1.0
"""Seconds: a stream that has just been joined waits for its first media, too, and nobody wants to know."""
LOG_EACH = 10.0
"""Seconds between two log lines while it waits: the server logs as often how far a preparation is."""


class Notice:
    """Looks, again and again, at what one content's stream waits for."""

    def __init__(
        self,
        content: str,
        show: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`show` is given each text at once."""
        self._content, self._show, self._clock = content, show, clock
        self._log_at: float | None = None  # None: it waits for nothing

    def look(self, awaited: str) -> None:
        """Take in what it waits for now, in words; empty: for nothing."""
        if not awaited:
            self._log_at = None
            return
        now = self._clock()
        self._show(f"{self._content}: waiting: {awaited}")
        if self._log_at is None:
            self._log_at = now + LOG_AFTER
        elif now >= self._log_at:
            self._log_at = now + LOG_EACH
            eventlog.note(
                logger, "waiting", "[%s] waiting: %s", self._content, awaited,
                content=self._content, reason=awaited,
            )  # fmt: skip
