"""`--trace FILE`: every decision of a process as one line of JSON, so that it can be replayed.

The first line says whose decisions they are; each further one holds the time, the event and the
actions. A thread of its own writes the file, so the decider never waits for a disk that hangs, nor for the
reader of a FIFO. What finds no room meanwhile is left out, and a line in its place says so.
"""

import errno
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcast.errors import ConfigError
from mcast.net.line_writer import LineWriter
from mcast.overlay.actions import Action
from mcast.overlay.events import Event
from mcast.overlay.trace import left_out, step

logger = logging.getLogger(__name__)

MAX_WAITING = 16 * 1024 * 1024
"""Bytes that wait to be written: a busy node decides for minutes meanwhile."""
CLOSE_SECONDS = 0.1
"""How long the end waits until what is queued is written. The whole program is to end within a second."""


class TraceWriter:
    """Writes one trace file. A disk that is full ends the trace, never the process."""

    def __init__(self, path: Path, header: Mapping[str, object]) -> None:
        """Begin the file anew. Raises ConfigError if it cannot be written."""
        self._path, self._has_ended = path, False
        try:
            with os.fdopen(_opened(path), "w", encoding="utf-8") as file:
                os.write(file.fileno(), _line(header).encode())
                os.set_blocking(file.fileno(), True)
                self._lines = LineWriter(
                    file, name="trace", max_waiting=MAX_WAITING, left_out=self._left_out, on_error=self._end
                )
        except OSError as error:
            raise _unusable(path, error) from None

    def write(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        """Keep one decision. Never waits."""
        if not self._has_ended:
            self._lines.put(_line(step(now, event, actions)))

    def close(self) -> None:
        """End the file. Harmless when repeated."""
        if not self._lines.close(CLOSE_SECONDS) and not self._has_ended:
            logger.warning("--trace: %s: the end is missing, as nobody reads it", self._path)
        self._has_ended = True

    def _left_out(self, count: int) -> str:
        logger.warning(
            "--trace: %s: %d decisions were left out: it is not written in time", self._path, count
        )
        return _line(left_out(count))

    def _end(self, error: Exception) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        logger.error("--trace: %s ends here: %s", self._path, why)


def _opened(path: Path) -> int:
    """Open the file. Raises OSError at once where nobody reads a FIFO, instead of waiting for a reader."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)


def _unusable(path: Path, error: OSError) -> ConfigError:
    why = error.strerror or error
    if error.errno == errno.ENXIO:
        why = "nobody reads this FIFO: start its reader first"
    return ConfigError(f"--trace: cannot write {path}: {why}")


def _line(entry: Mapping[str, object]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"
