"""Log lines: to stderr, as text for people, for the journal, or as JSON, one object a line, for programs.

Text says who speaks, about which content, what, and behind it the thread, the peer and the request:

    08:15:30.125 INFO    n3: [news] n2 attached below rp > n3 (decide, peer 10.0.0.2:4711, request 19b10378)

The journal (sd-daemon(3)) has a clock of its own, and takes each line's priority from its head:

    <6>n3: [news] n2 attached below rp > n3 (decide, peer 10.0.0.2:4711, request 19b10378)

A record says what it is about by `extra`: `peer`, `content` and `request` (16 bytes or their hex), and an
event's name and fields (`mcast.eventlog`). A JSON line has all of that at the top level of its object.

What a peer sends (a content's name, say) reaches messages, thread names and tracebacks. So lines are cleaned
as a whole, in one place: control characters are shown by their escapes, and no line can be forged.
Libraries get a logger by name and configure nothing; only `mcast.roles.cli` does.

Who logs never waits. A line is formatted where it is said, as what it is about may change at any moment
(the speaker's name, an object in its arguments); then it is queued, and a thread of its own writes it.
"""

import contextlib
import json
import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mcast.net.line_writer import LineWriter

LEVELS = ("debug", "info", "warning", "error")
TEXT, JSON, JOURNALD = FORMATS = ("text", "json", "journald")
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Those of syslog, by level."""
JOURNAL_STREAM = "JOURNAL_STREAM"
"""The environment's word for which file is the journal's: DEVICE:INODE, by systemd."""

JSON_KEYS = ("time", "level", "program", "speaker", "logger", "thread", "message", "event", "exception")
"""What a JSON line says of itself. `peer`, `content`, `request` and an event's fields stand beside it."""

_REQUEST_DIGITS = 8
"""Hex digits of a request id in a line of text: enough to tell the requests of one log apart."""


@dataclass
class _Voice:
    """Who speaks in this process's lines, and what takes them."""

    name: str = "mcast"
    is_in_journal: bool = False  # who reads takes a line's priority from its head
    writer: LineWriter | None = None


_voice = _Voice()


def speak_as(name: str) -> None:
    """Put another name in front of all lines from now on: a node learns its own after its first lines."""
    _voice.name = name


def last_word(program: str, message: str) -> str:
    """Return the line, its end included, that tells why a program has failed."""
    head = f"<{PRIORITIES[logging.ERROR]}>" if _voice.is_in_journal else ""
    return f"{head}{program}: error: {one_line(message)}\n"


def is_journal(stream: TextIO | None) -> bool:
    """Return whether what is written to a stream goes to systemd's journal."""
    if stream is None or not is_file(stream):
        return False
    found = os.fstat(stream.fileno())
    return os.environ.get(JOURNAL_STREAM) == f"{found.st_dev}:{found.st_ino}"


def is_file(stream: TextIO | None) -> bool:
    """Return whether a stream has a descriptor of its own: a closed one has none, nor has a test's."""
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):
        return False


def writer() -> LineWriter | None:
    """Return what writes to stderr without making anybody wait; None outside a program."""
    return _voice.writer


@contextlib.contextmanager
def written_to_stderr() -> Iterator[LineWriter]:
    """Have a thread write what this process says; at the end it gets some time to finish."""
    with contextlib.ExitStack() as undo:
        # Whoever has closed descriptor 2 before us wants to hear nothing.
        own = LineWriter(sys.stderr or undo.enter_context(Path(os.devnull).open("w")))
        undo.callback(own.close)
        undo.callback(setattr, _voice, "writer", _voice.writer)
        undo.callback(setattr, _voice, "is_in_journal", _voice.is_in_journal)
        _voice.writer, _voice.is_in_journal = own, is_journal(sys.stderr)
        yield own


@contextlib.contextmanager
def configured(program: str, level: str, style: str | None, lines: LineWriter) -> Iterator[None]:
    """Send all records of this process to a writer, instead of wherever they went before.

    `style` is one of FORMATS; None: what fits whoever reads, which `written_to_stderr` has found out.
    """
    style = style or (JOURNALD if _voice.is_in_journal else TEXT)
    _voice.is_in_journal = style == JOURNALD
    handler = _QueueHandler(lines, _formatter(style, program))
    root = logging.getLogger()
    handlers, old_level, speaker = root.handlers[:], root.level, _voice.name
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    speak_as(program.removeprefix("mcast-"))
    lines.left_out = handler.left_out
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(old_level)
        speak_as(speaker)


def _formatter(style: str, program: str) -> "LineFormatter":
    match style:
        case "json":
            return JsonFormatter(program)
        case "journald":
            return JournalFormatter()
        case _:
            return TextFormatter()


def one_line(text: str) -> str:
    """Return the text with everything unprintable as JSON escapes it: one line, and safe on a terminal.

    Inside a JSON string that changes nothing: the escapes stand for the same characters.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class LineFormatter(logging.Formatter, ABC):
    """Makes a record one clean line; those below say what stands in it."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(self.line(record))

    @abstractmethod
    def line(self, record: logging.LogRecord) -> str:
        """Return the line as it would be if nobody meant harm."""


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
        return f"{moment} {record.levelname:<7} {_voice.name}: {self._sentence(record)}"

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


class JournalFormatter(TextFormatter):
    """The same for the journal: each line with its priority, a traceback's too, and without a clock."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"<{PRIORITIES.get(record.levelno, PRIORITIES[logging.INFO])}>"
        return "\n".join(f"{head}{line}" for line in super().format(record).splitlines())

    def line(self, record: logging.LogRecord) -> str:
        return f"{_voice.name}: {self._sentence(record)}"


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
            "speaker": _voice.name,
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


class _QueueHandler(logging.Handler):
    """Makes records lines, and queues them."""

    def __init__(self, lines: LineWriter, formatter: LineFormatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:
            line = self.format(_own_record("cannot format the line '%s': %r", str(record.msg), error))
        self._lines.put(f"{line}\n")

    def left_out(self, count: int) -> str:
        """Return the line that stands for those which found no room."""
        text = "%d lines were left out here: nobody read them in time"
        return f"{self.format(_own_record(text, count))}\n"


def _own_record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, args, None)
