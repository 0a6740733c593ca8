"""What can repeat is counted always and logged at most once a second."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

LOG_INTERVAL = 1.0
"""Seconds between two lines about the same kind of event."""


class Counters:
    """Named counts that any thread may raise."""

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def add(self, name: str, amount: int = 1) -> int:
        """Raise a count and return its new value."""
        with self._lock:
            self._counts[name] += amount
            return self._counts[name]

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """Return all counts of this moment."""
        with self._lock:
            return dict(self._counts)

    def __repr__(self) -> str:
        return f"Counters({self.snapshot()})"


class RateLimitedLog:
    """Logs each kind of event at most once per interval and adds how many it kept back.

    The kinds are the caller's constants, never anything that a peer sends: each is remembered.
    """

    def __init__(
        self,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        counters: Counters | None = None,
        *,
        interval: float = LOG_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = counters or Counters()
        self._logger, self._interval, self._clock = logger, interval, clock
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._kept_back = Counter[str]()

    def log(
        self, level: int, kind: str, message: str, *args: object, extra: Mapping[str, object] | None = None
    ) -> bool:
        """Count the event, and log it unless its kind was logged a moment ago; return whether."""
        self.counters.add(kind)
        now = self._clock()
        with self._lock:
            if now < self._next.get(kind, now):
                self._kept_back[kind] += 1
                return False
            self._next[kind] = now + self._interval
            more = self._kept_back.pop(kind, 0)
        if more:
            message, args = message + " … and %d more", (*args, more)
        self._logger.log(level, message, *args, extra=extra)
        return True

    def info(self, kind: str, message: str, *args: object, extra: Mapping[str, object] | None = None) -> bool:
        return self.log(logging.INFO, kind, message, *args, extra=extra)

    def warning(
        self, kind: str, message: str, *args: object, extra: Mapping[str, object] | None = None
    ) -> bool:
        return self.log(logging.WARNING, kind, message, *args, extra=extra)

    def flush(self) -> None:
        """Log how much was kept back since the last line of each kind, at the end of a program."""
        with self._lock:
            kept_back, self._kept_back = self._kept_back, Counter[str]()
        for kind, count in kept_back.items():
            self._logger.info("%s: %d more were not logged", kind, count)
