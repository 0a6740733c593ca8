"""The last events of the whole overlay, numbered as they have come in: the nodes' and the bootstrapper's."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from threading import Lock

from mcast.media.token_bucket import TokenBucket
from mcast.monitoring.documents import Json
from mcast.web.ring import FellBehind, Ring
from mcast.wire.health import EventReport

MAX_EVENTS = 2_000
"""Events that are kept: an hour of a busy overlay, and a megabyte."""
BURST = 200
"""Events of one node that are taken at a time: what it says when fifty streams heal at once."""
RATE = 10.0
"""Events a second that it may say beyond: one that never stops leaves room for the others'."""
MAX_SOURCES = 4_096
"""Nodes whose share is remembered: beyond, all begin anew."""
MAX_KINDS = 256
"""Names of events that are counted: a node may make names up."""


class EventStore:
    """Numbers events from 1 on. Safe for all threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix time."""
        self._clock = clock
        self.epoch = secrets.token_hex(8)
        """Another one wherever numbers have begun anew: who follows asks from 0 on again."""
        self._ring: Ring[Json] = Ring(MAX_EVENTS)
        self._lock = Lock()  # guards what follows, and the order of numbers
        self._counts: Counter[str] = Counter()
        self._shares: dict[str, TokenBucket] = {}

    @property
    def last(self) -> int:
        """Return the number of the newest event; 0 before the first."""
        return self._ring.head

    def add(self, source: str, reports: Iterable[EventReport]) -> None:
        """Take in what a node has told, or the bootstrapper itself (`source` is empty)."""
        now = self._clock()
        with self._lock:
            for report in reports:
                if source and not self._may_say_more(source, now):
                    return
                self._ring.append(_document(self._ring.head + 1, source, report, now))
                if report.name in self._counts or len(self._counts) < MAX_KINDS:
                    self._counts[report.name] += 1

    def _may_say_more(self, source: str, now: float) -> bool:
        if source not in self._shares and len(self._shares) >= MAX_SOURCES:
            self._shares.clear()
        share = self._shares.setdefault(source, TokenBucket(RATE, BURST, now))
        if share.left(now) < 1:
            return False
        share.take(1)
        return True

    def since(self, number: int) -> list[Json]:
        """Return the events behind this number, as far as they are kept; 0: all of these."""
        while True:
            try:
                return self._ring.read(max(number, self._ring.tail), 0.0)
            except FellBehind:  # the oldest has just made room
                continue

    def counts(self) -> dict[str, int]:
        """Return how often each event has come."""
        with self._lock:
            return dict(self._counts)


def _document(number: int, source: str, report: EventReport, now: float) -> Json:
    moment = datetime.fromtimestamp(max(0.0, now - report.age_ms / 1000), UTC)
    fields = {each.name: each.text if each.number is None else each.number for each in report.fields}
    return {
        "number": number,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "node": source or None,
        "event": report.name,
        "content": report.content or None,
        "text": report.text,
        "fields": fields,
    }
