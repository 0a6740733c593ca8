"""What mcast's programs say, read by a program: the events in their logs, never their sentences.

A log of `--log-format json` has a JSON object on each line (docs/operations.md, "Logs"). Beside them there
may be other lines: the one that tells why a program failed, a player's complaints, a stream written to
standard output. They are passed over.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

JSON_LOGS = ("--log-format", "json")
"""The options that make a program's log readable here."""

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: its name, and all that its line says."""

    name: str
    line: Mapping[str, JsonValue]

    def text(self, field: str) -> str:
        """Return a field that is a text. Raises KeyError, or TypeError if it is something else."""
        value = self.line[field]
        return value if isinstance(value, str) else self._complain(field)

    def number(self, field: str) -> int:
        """Return a field that is a whole number. Raises as `text` does."""
        value = self.line[field]
        return value if isinstance(value, int) and not isinstance(value, bool) else self._complain(field)

    def names(self, field: str) -> list[str]:
        """Return a field that is a list of texts, such as a path. Raises as `text` does."""
        value = self.line[field]
        if not isinstance(value, list):
            self._complain(field)
        return [each if isinstance(each, str) else self._complain(field) for each in value]

    def holds(self, fields: Mapping[str, JsonValue]) -> bool:
        """Return whether all these fields have these values."""
        return all(self.line.get(name) == value for name, value in fields.items())

    def _complain(self, field: str) -> NoReturn:
        raise TypeError(f"event '{self.name}': field '{field}' is {self.line[field]!r}")


class EventLog:
    """The events of one growing file; each look reads only what has come since the last one."""

    def __init__(self, file: Path, start: int = 0) -> None:
        """Begin at an offset in bytes: what stands before it is somebody else's."""
        self.file = file
        self._offset, self._rest = start, b""
        self._events: list[LoggedEvent] = []

    def read(self) -> list[LoggedEvent]:
        """Return all events so far, the oldest first; none while there is no file."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
            self._offset += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            self._events += events_in(lines)
        return self._events

    def find(self, name: str, after: int = 0, **fields: JsonValue) -> LoggedEvent | None:
        """Return the first event of that name with these fields behind the first `after` events."""
        found = (event for event in self.read()[after:] if event.name == name and event.holds(fields))
        return next(found, None)

    def __len__(self) -> int:
        return len(self.read())


def read_events(file: Path) -> list[LoggedEvent]:
    """Return the events of a log, the oldest first."""
    return EventLog(file).read()


def events_in(lines: list[bytes]) -> Iterator[LoggedEvent]:
    """Yield the events of some lines, whatever else stands among them."""
    for line in lines:
        entry = entry_in(line) if b'"event"' in line else None
        if entry is not None and isinstance(name := entry.get("event"), str):
            yield LoggedEvent(name, entry)


def entry_in(line: bytes) -> dict[str, JsonValue] | None:
    """Return what a line of a JSON log says, None if it is none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
