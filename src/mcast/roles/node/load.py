"""What a node takes of its host: CPU time, and memory; its workers' included."""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_STATM = Path("/proc/self/statm")

Others: TypeAlias = Callable[[], tuple[float, int]]
"""Returns what other processes of the same program have taken: processor seconds so far, and kB of memory."""


LOOKS = 5
"""Moments that are remembered of the seconds over which a share is told."""


class Share:
    """How much of a core was used in the last seconds, by what has been used in all at some moments."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looks: deque[tuple[float, float]] = deque()  # when, and how much so far; the oldest first

    def note(self, now: float, used: float) -> None:
        """Take in how many seconds of processor time have been used so far."""
        if len(self._looks) > 1 and now - self._looks[-2][0] < self._seconds / LOOKS:
            self._looks.pop()  # a newer one says as much
        self._looks.append((now, used))
        while len(self._looks) > 2 and self._looks[1][0] <= now - self._seconds:
            self._looks.popleft()

    @property
    def of_a_core(self) -> float:
        """Return the share, of all of these seconds: what was before the first look counts as nothing."""
        if not self._looks:
            return 0.0
        (began, before), (ended, after) = self._looks[0], self._looks[-1]
        return (after - before) / max(ended - began, self._seconds)


def alone() -> tuple[float, int]:
    """Know of no other process."""
    return 0.0, 0


class ProcessLoad:
    """Looks at this process, and those that belong to it, from time to time."""

    def __init__(self, others: Others = alone) -> None:
        self._others = others
        self._then, self._used = time.monotonic(), time.process_time() + others()[0]

    def look(self, now: float) -> tuple[int, int]:
        """Return the thousandths of one core used since the last look, and the kB held in memory."""
        seconds_of_others, kb_of_others = self._others()
        used = time.process_time() + seconds_of_others - self._used
        seconds = now - self._then
        self._then, self._used = now, self._used + used
        return round(1000 * used / seconds) if seconds > 0 else 0, resident_kb() + kb_of_others


def resident_kb() -> int:
    """Return how much memory this process holds; 0 where that cannot be known."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_KB
    except (OSError, ValueError, IndexError):  # a system without /proc
        return 0
