"""`--trace FILE`: every decision of a process as one line of JSON, so that it can be replayed.

The first line says whose decisions they are; each further one holds the time, the event and the
actions. The file is written by the decider's thread alone.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mcast.errors import ConfigError
from mcast.overlay.actions import Action
from mcast.overlay.events import Event
from mcast.overlay.trace import step

logger = logging.getLogger(__name__)


class TraceWriter:
    """Writes one trace file. A disk that is full ends the trace, never the process."""

    def __init__(self, path: Path, header: Mapping[str, object]) -> None:
        """Begin the file anew. Raises ConfigError if it cannot be written."""
        self._path, self._failed = path, False
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            self._file.write(_line(header))
            self._file.flush()
        except OSError as error:
            self._drop()
            raise _unusable(path, error) from None

    def write(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        """Keep one decision."""
        self._try(lambda: self._file.write(_line(step(now, event, actions))))

    def flush(self) -> None:
        """Let readers see what was kept."""
        self._try(self._file.flush)

    def close(self) -> None:
        """End the file."""
        self._try(self._file.close)

    def _try(self, do: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            do()
        except OSError as error:
            self._failed = True
            logger.error("--trace: %s ends here: %s", self._path, error.strerror or error)
            self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(OSError):  # what is buffered still cannot be written either
            self._file.close()


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"--trace: cannot write {path}: {error.strerror or error}")


def _line(entry: Mapping[str, object]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"
