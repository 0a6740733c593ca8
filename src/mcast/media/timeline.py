"""When a datagram is due at the output: RTP time + least transit of the last 30 s + latency.

Transit is arrival minus RTP time, each on its own clock: a constant offset plus what the network
added. The least of it is the path at its best, so the sum is a constant latency behind the source
however the network trembles, and a slow drift between the two clocks is followed.

A datagram is never held for longer than the latency after its arrival. While a new viewer is
catching up, the least transit falls with each train, and what was held is past its time at once.

When the stream comes by another way, the least transit of the old one says nothing any more: on a longer
way everything would be as much too late, and the wait for holes as much shorter. So it begins anew.
But the output does not jump: it follows by 1 % of the time that passes, which nobody hears or sees. Pure.
"""

from collections import deque

from mcast.wire.rtp import CLOCK_RATE

WINDOW_SECONDS = 30.0
"""Longer than any burst of congestion, short enough to follow the drift of two clocks (0.1 ms/s)."""

MAX_DRIFT = 0.01
"""Seconds per second by which the output's delay follows the way of the stream."""

_HALF = 1 << 31
_FULL = 1 << 32


class Timeline:
    """One stream's times. Times are monotonic seconds, `ticks` unwrapped RTP time."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self._ticks: int | None = None
        # (arrival, transit), both growing: the first is the least of the window.
        self._transits: deque[tuple[float, float]] = deque()
        self._followed: float | None = None  # the least transit that counts, after a change of way
        self._then = 0.0  # when that was moved last

    @property
    def least_transit(self) -> float | None:
        """Return the least transit, None before anything has come."""
        if self._followed is not None:
            return self._followed
        return self._transits[0][1] if self._transits else None

    def change_way(self, now: float) -> None:
        """Take in that the stream comes by another way from now on."""
        self._followed, self._then = self.least_transit, now
        self._transits.clear()

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
        if self._followed is not None:
            self._follow(transits[0][1], now)

    def due(self, ticks: int, arrival: float) -> float:
        """Return when a datagram goes out that arrived then."""
        latest = arrival + self.latency
        least = self.least_transit
        return latest if least is None else min(ticks / CLOCK_RATE + least + self.latency, latest)

    def _follow(self, least: float, now: float) -> None:
        """Move the transit that counts towards the least one that there is."""
        assert self._followed is not None
        step = (now - self._then) * MAX_DRIFT
        self._followed += min(max(least - self._followed, -step), step)
        self._then = now
