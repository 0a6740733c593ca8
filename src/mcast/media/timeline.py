"""When a datagram is due at the output: RTP time + least transit of the last 30 s + latency.

Transit is arrival minus RTP time, each on its own clock: a constant offset plus what the network
added. The least of it is the path at its best, so the sum is a constant latency behind the source
however the network trembles, and a slow drift between the two clocks is followed.

A datagram is never held for longer than the latency after its arrival. While a new viewer is
catching up, the least transit falls with each train, and what was held is past its time at once.
"""

from collections import deque

from mcast.wire.rtp import CLOCK_RATE

WINDOW_SECONDS = 30.0
"""Longer than any burst of congestion, short enough to follow the drift of two clocks (0.1 ms/s)."""

_HALF = 1 << 31
_FULL = 1 << 32


class Timeline:
    """One stream's times. Times are monotonic seconds, `ticks` unwrapped RTP time."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self._ticks: int | None = None
        # (arrival, transit), both growing: the first is the least of the window.
        self._transits: deque[tuple[float, float]] = deque()

    @property
    def least_transit(self) -> float | None:
        """Return the least transit of the window, None before anything has come."""
        return self._transits[0][1] if self._transits else None

    def unwrap(self, timestamp: int) -> int:
        """Return the ticks that a 32-bit timestamp stands for: those nearest to the last."""
        if self._ticks is None:
            self._ticks = timestamp
        self._ticks += ((timestamp - self._ticks + _HALF) % _FULL) - _HALF
        return self._ticks

    def note(self, ticks: int, now: float) -> None:
        """Take in an arrival."""
        transit = now - ticks / CLOCK_RATE
        transits = self._transits
        while transits and transits[-1][1] >= transit:
            transits.pop()
        transits.append((now, transit))
        while transits[0][0] < now - WINDOW_SECONDS:
            transits.popleft()

    def due(self, ticks: int, arrival: float) -> float:
        """Return when a datagram goes out that arrived then."""
        latest = arrival + self.latency
        if not self._transits:
            return latest
        return min(ticks / CLOCK_RATE + self._transits[0][1] + self.latency, latest)
