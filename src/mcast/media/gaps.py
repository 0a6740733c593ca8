"""When a stream has stood still: the longest times between two new datagrams, and when each began. Pure."""

MOST = 8
"""Gaps that are remembered: who knows when something failed finds the one that it cost."""

Gap = tuple[float, float]
"""When it began, in monotonic seconds, and how many seconds it lasted."""


class Gaps:
    """Notes arrivals. Not thread-safe."""

    def __init__(self) -> None:
        self._newest: float | None = None  # when something new has come last
        self._kept: list[Gap] = []  # the longest first
        self._least = 0.0  # what a gap must exceed to be kept

    def note(self, now: float) -> None:
        """Take in that something new has come."""
        if self._newest is not None and now - self._newest > self._least:
            self._kept = _longest(self._kept, (self._newest, now - self._newest))
            self._least = self._kept[-1][1] if len(self._kept) == MOST else 0.0
        self._newest = now

    def longest(self, until: float | None = None) -> list[Gap]:
        """Return the longest gaps, the longest first; with the open one, `until` then, if that counts."""
        if self._newest is None or until is None or until <= self._newest:
            return [*self._kept]
        return _longest(self._kept, (self._newest, until - self._newest))


def _longest(gaps: list[Gap], another: Gap) -> list[Gap]:
    return sorted([*gaps, another], key=lambda gap: -gap[1])[:MOST]
