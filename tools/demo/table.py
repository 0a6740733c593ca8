"""The demonstration's result: a line for each client."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.check import ffprobe_streams

_COLUMNS = (
    "client",
    "content",
    "path",
    "join ms",
    "picture ms",
    "seconds",
    "TS packets",
    "lost",
    "dup",
    "order",
    "CC",
    "result",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What was found about one client."""

    client: str
    content: str
    recording: Path
    report: Path
    problems: list[str]

    @property
    def complete(self) -> bool:
        return not self.problems

    def row(self) -> tuple[str, ...]:
        """Return the cells of its line."""
        figures = self._figures()
        return (
            self.client,
            self.content,
            " > ".join(figures.get("path", [])) or "-",
            _number(figures.get("join_ms")),
            _number(figures.get("first_keyframe_ms")),
            f"{figures.get('duration_s', 0):.1f}",
            _number(figures.get("ts_packets")),
            _number(figures.get("lost_datagrams")),
            _number(figures.get("duplicate_datagrams")),
            _number(figures.get("reordered_datagrams")),
            _number(figures.get("continuity_errors")),
            f"complete, {self._streams()}" if self.complete else "NOT COMPLETE",
        )

    def _figures(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.report.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def _streams(self) -> str:
        streams = ffprobe_streams(self.recording)
        return " + ".join(f"{stream['codec_name']} {stream['nb_read_packets']}" for stream in streams)


def table(results: list[Result]) -> str:
    """Draw the table."""
    rows = [_COLUMNS, *(result.row() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _number(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else "-"
