"""What a client says of its stream when it ends: `--report FILE`, one JSON object.

Its figures are those of `mcast.Statistics`; docs/operations.md lists them.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcast.client import Statistics
from mcast.errors import ConfigError
from mcast.media.output import Output


@dataclass(slots=True)
class Report:
    """The figures of one client's run, and how it ended."""

    content: str
    playout_latency_ms: int = 0  # --latency
    statistics: Statistics = field(default_factory=Statistics)
    exit_reason: str = ""
    exit_status: int = 0
    outputs: Sequence[Output] = ()

    def write(self, file: Path) -> None:
        """Write the file whole or not at all. Raises ConfigError if it cannot be written."""
        write_whole(file, json.dumps(self.as_dict(), indent=2) + "\n")

    def write_if(self, file: Path | None) -> None:
        """Write the file if one is wanted. Raises ConfigError."""
        if file is not None:
            self.write(file)

    def as_dict(self) -> Mapping[str, Any]:
        """Return what the JSON holds."""
        figures = asdict(self.statistics)
        del figures["buffered_ms"]  # of a moment, not of a run
        return {
            "content": self.content,
            **figures,
            "dropped_bytes": self.statistics.dropped_bytes + sum(output.dropped for output in self.outputs),
            "outputs": [_figures_of(output) for output in self.outputs],
            "playout_latency_ms": self.playout_latency_ms,
            "exit_reason": self.exit_reason,
            "exit_status": self.exit_status,
        }


def _figures_of(output: Output) -> Mapping[str, object]:
    """Return what has become of the bytes that an output was given."""
    return {"name": output.name, "bytes": output.written, "dropped_bytes": output.dropped}


def write_whole(file: Path, text: str) -> None:
    """Write a text file so that nobody ever sees half of it. Raises ConfigError.

    What is no file (/dev/null, a pipe) is written to, not replaced; a symbolic link stays one.
    """
    try:
        if file.exists() and not file.is_file():
            _write_to(file, text)
        else:
            _replace(file.resolve(), text)
    except OSError as error:
        raise ConfigError(f"cannot write the report {file}: {error.strerror or error}") from None


def _write_to(special: Path, text: str) -> None:
    # A pipe that nobody reads is an error, not a wait.
    with os.fdopen(os.open(special, os.O_WRONLY | os.O_NONBLOCK), "w", encoding="utf-8") as file:
        os.set_blocking(file.fileno(), True)
        file.write(text)


def _replace(file: Path, text: str) -> None:
    part = file.parent / f".{file.name}.{os.getpid()}.part"
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
