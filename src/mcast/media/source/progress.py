"""How far long work is: a bar on a terminal, plain log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from mcast import eventlog
from mcast.net.line_writer import LineWriter

logger = logging.getLogger(__name__)

_WIDTH = 30
_REDRAW = 0.1  # seconds
_LOG_AFTER, _LOG_EACH = 1.0, 10.0  # seconds

PREPARING, READING = "preparing", "reading"
"""What is done to a content; only the first is an event."""


@contextmanager
def progress_of(
    name: str, stream: TextIO | None = None, *, doing: str = PREPARING
) -> Iterator[Callable[[float], None]]:
    """Return a function that takes the fraction that is done, 0 to 1."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Log(name, doing)
        return
    lines = LineWriter(stream)  # a terminal that is stopped (Ctrl-S) must not stop the work
    bar = _Bar(f"{doing} {name}", lines)
    try:
        yield bar
    finally:
        bar.clear()
        lines.close()


class _Log:
    def __init__(self, name: str, doing: str) -> None:
        self._name, self._doing, self._next = name, doing, time.monotonic() + _LOG_AFTER

    def __call__(self, done: float) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _LOG_EACH
            percent = round(100 * done)
            if self._doing == PREPARING:
                eventlog.note(
                    logger, "preparing", "preparing: %d %%", percent, content=self._name, percent=percent
                )
            else:
                logger.info("[%s] %s: %d %%", self._name, self._doing, percent)


class _Bar:
    def __init__(self, what: str, lines: LineWriter) -> None:
        self._what, self._lines = what, lines
        self._began, self._next = time.monotonic(), 0.0

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REDRAW
        full = round(done * _WIDTH)
        bar = "#" * full + "." * (_WIDTH - full)
        self._lines.offer(f"\r{self._what} [{bar}] {100 * done:3.0f} %{self._left(now, done)}\x1b[K")

    def _left(self, now: float, done: float) -> str:
        if not done:
            return ""  # nothing to judge by
        minutes, seconds = divmod(round((now - self._began) * (1 / done - 1)), 60)
        return f", {minutes}:{seconds:02d} left"

    def clear(self) -> None:
        self._lines.put("\r\x1b[K")
