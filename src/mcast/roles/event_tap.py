"""The events of this process's log, kept for who tells them on: a node's report, the overlay's page.

Whoever logs never waits: an event is put into a bounded queue, whose oldest makes room when nobody takes it.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mcast.wire.codec import Writer
from mcast.wire.health import MAX_EVENT_FIELDS, MAX_REPORTED_EVENTS, EventField, EventReport

MAX_PENDING = 128
"""Events that wait: what a node says while it repairs 32 streams at once."""
MAX_TEXT = 200
"""Characters of a text: an error's explanation may be as long as it likes."""

UNTOLD = frozenset({"node_streams", "node_pruned", "server_choice", "waiting", "pruned"})
"""Events that only repeat what reports tell anyhow."""


@dataclass(frozen=True, slots=True)
class TappedEvent:
    """An event, and when it happened (monotonic seconds)."""

    at: float
    report: EventReport

    def told(self, now: float) -> EventReport:
        """Return it as it is told now."""
        report = self.report
        age_ms = max(0, round((now - self.at) * 1000))
        return EventReport(report.name, report.text, age_ms, report.content, report.fields)


class EventTap(logging.Handler):
    """Takes the events among log records. Safe for all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()  # guards the next
        self._waiting: deque[TappedEvent] = deque(maxlen=MAX_PENDING)

    @property
    def pending(self) -> bool:
        """Return whether there are events that were not taken."""
        return bool(self._waiting)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record, if it is an event."""
        name = getattr(record, "event", None)
        if isinstance(name, str) and name not in UNTOLD:
            event = TappedEvent(self._clock(), _report(name, record))
            with self._lock:
                self._waiting.append(event)

    def take(self, most_bytes: int) -> tuple[EventReport, ...]:
        """Return the oldest events, so many bytes of them at most, but one in any case."""
        taken: list[EventReport] = []
        with self._lock:
            while self._waiting and len(taken) < MAX_REPORTED_EVENTS:
                report = self._waiting[0].told(self._clock())
                most_bytes -= _size(report)
                if taken and most_bytes < 0:
                    break
                self._waiting.popleft()
                taken.append(report)
        return tuple(taken)


@contextlib.contextmanager
def tapped() -> Iterator[EventTap]:
    """Take the events of this process's log, whatever its level lets through to who reads the log."""
    root, ours, tap = logging.getLogger(), logging.getLogger("mcast"), EventTap()
    levels = {handler: handler.level for handler in root.handlers}
    for handler in root.handlers:
        handler.setLevel(max(handler.level, root.level))
    before = ours.level
    ours.setLevel(min(root.level, logging.INFO))
    ours.addHandler(tap)
    try:
        yield tap
    finally:
        ours.removeHandler(tap)
        ours.setLevel(before)
        for handler, level in levels.items():
            handler.setLevel(level)


def _report(name: str, record: logging.LogRecord) -> EventReport:
    fields = getattr(record, "fields", {})
    fields = dict(fields) if isinstance(fields, Mapping) else {}
    content = _told(str(fields.pop("content", "") or ""))
    told = tuple(_field(key, value) for key, value in fields.items())
    return EventReport(name, _told(record.getMessage()), 0, content, told[:MAX_EVENT_FIELDS])


def _field(name: str, value: object) -> EventField:
    match value:
        case bool() | None:
            return EventField(name, "" if value is None else str(value).lower())
        case int() if 0 <= value < 1 << 64:
            return EventField(name, number=value)
        case list():
            between = " > " if name == "path" else ", "
            return EventField(name, _told(between.join(map(str, value))))
        case _:
            return EventField(name, _told(str(value)))


def _told(text: str) -> str:
    """Return the beginning of a text, as UTF-8 can tell it."""
    return text[:MAX_TEXT].encode(errors="replace").decode()


def _size(report: EventReport) -> int:
    writer = Writer()
    report.write(writer)
    return len(writer.data())
