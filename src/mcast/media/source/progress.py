"""How far a preparation is: a bar on a terminal, plain log lines elsewhere."""

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
_LOG_EACH = 10.0  # seconds


@contextmanager
def progress_of(name: str, stream: TextIO | None = None) -> Iterator[Callable[[float], None]]:
    """Return a function that takes the fraction that is done, 0 to 1."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Log(name)
        return
    lines = LineWriter(stream)  # a terminal that is stopped (Ctrl-S) must not stop the preparation
    bar = _Bar(name, lines)
    try:
        yield bar
    finally:
        bar.clear()
        lines.close()


class _Log:
    def __init__(self, name: str) -> None:
        self._name, self._next = name, time.monotonic() + _LOG_EACH

    def __call__(self, done: float) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _LOG_EACH
            percent = round(100 * done)
            eventlog.note(
                logger, "preparing", "preparing: %d %%", percent, content=self._name, percent=percent
            )


class _Bar:
    def __init__(self, name: str, lines: LineWriter) -> None:
        self._name, self._lines = name, lines
        self._began, self._next = time.monotonic(), 0.0

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REDRAW
        full = round(done * _WIDTH)
        left = (now - self._began) * (1 / done - 1) if done > 0 else 0.0
        minutes, seconds = divmod(round(left), 60)
        bar = "#" * full + "." * (_WIDTH - full)
        text = f"preparing {self._name} [{bar}] {100 * done:3.0f} %, {minutes}:{seconds:02d} left"
        self._lines.offer(f"\r{text}\x1b[K")

    def clear(self) -> None:
        self._lines.put("\r\x1b[K")
