"""Log lines: to stderr, as text for people or as JSON, one object a line, for programs.

Text says who speaks, about which content, what, and behind it the thread, the peer and the request:

    08:15:30.125 INFO    n3: [news] n2 attached below rp > n3 (decide, peer 10.0.0.2:4711, request 19b10378)

A record says what it is about by `extra`: `peer`, `content` and `request` (16 bytes or their hex), and an
event's name and fields (`mcast.eventlog`). A JSON line has all of that at the top level of its object.

What a peer sends (a content's name, say) reaches messages, thread names and tracebacks. So lines are cleaned
as a whole, in one place: control characters are shown by their escapes, and no line can be forged.
Libraries get a logger by name and configure nothing; only `mcast.roles.cli` does.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

JSON_KEYS = ("time", "level", "program", "speaker", "logger", "thread", "message", "event", "exception")
"""What a JSON line says of itself. `peer`, `content`, `request` and an event's fields stand beside it."""

_REQUEST_DIGITS = 8
"""Hex digits of a request id in a line of text: enough to tell the requests of one log apart."""


@dataclass
class _Speaker:
    """Who speaks in this process's lines."""

    name: str


_speaker = _Speaker("mcast")


def speak_as(name: str) -> None:
    """Put another name in front of all lines from now on: a node learns its own after its first lines."""
    _speaker.name = name


@contextlib.contextmanager
def configured(program: str, level: str, style: str) -> Iterator[None]:
    """Send all records of this process to stderr, instead of wherever they went before."""
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(program) if style == "json" else TextFormatter())
    root = logging.getLogger()
    handlers, old_level, speaker = root.handlers[:], root.level, _speaker.name
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    speak_as(program.removeprefix("mcast-"))
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(old_level)
        speak_as(speaker)


def one_line(text: str) -> str:
    """Return the text with everything unprintable as JSON escapes it: one line, and safe on a terminal.

    Inside a JSON string that changes nothing: the escapes stand for the same characters.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class LineFormatter(logging.Formatter):
    """Makes a record one clean line; those below say what stands in it."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(self.line(record))

    def line(self, record: logging.LogRecord) -> str:
        """Return the line as it would be if nobody meant harm."""
        raise NotImplementedError


class TextFormatter(LineFormatter):
    """One line for people, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not record.exc_info:
            return line
        # Indented: the text of an exception may hold line ends, and must not look like a line of the log.
        trace = self.formatException(record.exc_info).splitlines()
        return "\n".join([line, *(f"    {one_line(part)}" for part in trace)])

    def line(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        moment = f"{clock}.{int(record.msecs):03d}"
        return f"{moment} {record.levelname:<7} {_speaker.name}: {self._sentence(record)}"

    def _sentence(self, record: logging.LogRecord) -> str:
        about = _about(record)
        message, content = record.getMessage(), about.get("content")
        if content is not None and not message.startswith(f"[{content}]"):
            message = f"[{content}] {message}"
        behind = [record.threadName or "?"]
        if "peer" in about:
            behind.append(f"peer {about['peer']}")
        if "request" in about:
            behind.append(f"request {str(about['request'])[:_REQUEST_DIGITS]}")
        return f"{message} ({', '.join(behind)})"


class JsonFormatter(LineFormatter):
    """One JSON object a line; the keys are documented in docs/operations.md."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def line(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "program": self._program,
            "speaker": _speaker.name,
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if event := getattr(record, "event", None):
            entry["event"] = event
        entry |= _about(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _about(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record is about: peer, content, request, and the fields of its event."""
    found: dict[str, object] = {}
    for key in ("peer", "content", "request"):
        value = getattr(record, key, None)
        if value is not None:
            found[key] = value.hex() if isinstance(value, bytes) else str(value)
    fields = getattr(record, "fields", None)
    return {**found, **fields} if isinstance(fields, Mapping) else found


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Whoever reads our stderr may go away; that must neither end nor disturb a relay."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
