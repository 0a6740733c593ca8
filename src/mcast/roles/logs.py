"""Log lines: to stderr, as text for people or as JSON, one object a line, for machines.

A record may say whom and what it is about by `extra`: `peer`, `content` and `request` (the request's
16 bytes or their hex). In text the content stands in front and the rest behind:

    08:15:30.125 INFO  [news] n2 attached below rp, 3 children (node-10.0.0.2:4711, peer 10.0.0.2:4711)

Libraries get a logger by name and configure nothing; only `mcast.roles.cli` does.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, MutableMapping
from typing import Any, TextIO

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

_REQUEST_DIGITS = 8
"""Hex digits of a request id in a line of text: enough to tell the requests of one log apart."""


class ContextLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that says about each record what it is about; a call's own `extra` goes first."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def about(
    logger: logging.Logger, *, peer: object = None, content: str | None = None, request: bytes | None = None
) -> ContextLogger:
    """Give a logger whose records are about a peer, a content, a request."""
    named = {"peer": peer, "content": content, "request": request}
    return ContextLogger(logger, {key: value for key, value in named.items() if value is not None})


@contextlib.contextmanager
def configured(program: str, level: str, style: str) -> Iterator[None]:
    """Send all records of this process to stderr, instead of wherever they went before."""
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(program) if style == "json" else TextFormatter())
    root = logging.getLogger()
    handlers, old_level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(old_level)


class TextFormatter(logging.Formatter):
    """One line for people, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {self._sentence(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def _sentence(self, record: logging.LogRecord) -> str:
        about = _about(record)
        message, content = one_line(record.getMessage()), about.get("content")
        if content is not None and not message.startswith(f"[{content}]"):
            message = f"[{content}] {message}"
        behind = [record.threadName or "?"]
        if "peer" in about:
            behind.append(f"peer {about['peer']}")
        if "request" in about:
            behind.append(f"request {about['request'][:_REQUEST_DIGITS]}")
        return f"{message} ({', '.join(behind)})"


class JsonFormatter(logging.Formatter):
    """One JSON object a line; the keys are documented in docs/operations.md."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "program": self._program,
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def one_line(text: str) -> str:
    """Make control characters visible: a peer's text must not be able to forge a line of the log."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _about(record: logging.LogRecord) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in ("peer", "content", "request"):
        value = getattr(record, key, None)
        if value is not None:
            found[key] = value.hex() if isinstance(value, bytes) else one_line(str(value))
    return found


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Whoever reads our stderr may go away; that must neither end nor disturb a relay."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
