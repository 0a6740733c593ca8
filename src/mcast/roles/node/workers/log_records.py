"""A worker's log, said by its node: in the node's format, to its stderr, and among its events.

A record crosses as what it says, not as what it was made of: the arguments stay behind.
"""

import json
import logging
from collections.abc import Callable, Mapping

from mcast.eventlog import plain

MAX_BYTES = 60_000
"""Of a record, as JSON: a field of a message holds no more than 65,535."""
MAX_TEXT = 2_000
"""Characters of the message, and of the traceback, of a longer one: JSON takes up to 12 bytes for each."""
_ABOUT = ("peer", "content", "request", "event", "fields")
"""What the records of this project say beside their message."""


class RecordTeller(logging.Handler):
    """Hands the records of this process on, as plain values."""

    def __init__(self, tell: Callable[[Mapping[str, object]], None]) -> None:
        """`tell` must not wait."""
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = _told(record)
            self._tell(told if len(json.dumps(told)) <= MAX_BYTES else _shortened(told))
        except Exception:
            self.handleError(record)


def _told(record: logging.LogRecord) -> dict[str, object]:
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    about = {key: value for key in _ABOUT if (value := getattr(record, key, None)) is not None}
    return {
        "name": record.name,
        "level": record.levelno,
        "created": record.created,
        "thread": record.threadName or "",
        "message": record.getMessage(),
        "trace": trace,
        "about": {key: value if isinstance(value, Mapping) else plain(value) for key, value in about.items()},
    }


def _shortened(told: Mapping[str, object]) -> dict[str, object]:
    """Return the beginning of what a record says, and the end of its traceback; it is no event any more."""
    message, trace = str(told["message"])[:MAX_TEXT], str(told["trace"])[-MAX_TEXT:]
    return {**told, "message": message, "trace": trace, "about": {}}


def say(told: Mapping[str, object], worker: int) -> None:
    """Log a worker's record in this process, if this one's level lets it through."""
    source = logging.getLogger(str(told.get("name", __name__)))
    level = told.get("level")
    if not isinstance(level, int) or not source.isEnabledFor(level):
        return
    message, trace = str(told.get("message", "")), str(told.get("trace", ""))
    record = source.makeRecord(source.name, level, "", 0, "%s", (message,), None)
    created, about = told.get("created"), told.get("about")
    if isinstance(created, float):
        record.created, record.msecs = created, created % 1 * 1000
    record.threadName = f"worker-{worker} {told.get('thread', '')}"
    if trace:
        record.args = (f"{message}\n{trace}",)
    for key, value in about.items() if isinstance(about, Mapping) else ():
        if key in _ABOUT:
            setattr(record, key, value)
    source.handle(record)
