"""Which server the rendezvous point takes: the one with the least metric.

Every server is measured all the time with PING (one request, one response). Of the last
`WINDOW` measurements of a server

    delay    the newest round trip
    latency  their average
    jitter   their variation: the mean difference between one measurement and the next
    metric   0.6 x latency + 0.4 x jitter

all in microseconds. The window slides, so that a server that became slow is left alone for
the next stream and one that recovered is taken again; streams that run move only where that is wished
(server_moves.py).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

WINDOW = 20
"""Measurements that count. At one every 250 ms the choice follows a change within 5 s."""

LATENCY_WEIGHT, JITTER_WEIGHT = 0.6, 0.4


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the last PINGs to one server say, in microseconds."""

    delay_us: int
    latency_us: int
    jitter_us: int

    @property
    def metric(self) -> float:
        """Return the figure that servers are compared by; less is better."""
        return LATENCY_WEIGHT * self.latency_us + JITTER_WEIGHT * self.jitter_us

    def __str__(self) -> str:
        return (
            f"delay {self.delay_us} us, latency {self.latency_us} us, "
            f"jitter {self.jitter_us} us, metric {self.metric:.0f}"
        )


class PingWindow:
    """The last round trips to one server."""

    def __init__(self, size: int = WINDOW) -> None:
        self._delays: deque[int] = deque(maxlen=size)

    def add(self, delay_us: int) -> None:
        """Take in one more measurement."""
        self._delays.append(delay_us)

    def measurement(self) -> Measurement | None:
        """Return what the window says, or None before the first measurement."""
        if not self._delays:
            return None
        steps = [abs(later - earlier) for earlier, later in pairwise(self._delays)]
        jitter = sum(steps) / len(steps) if steps else 0.0
        return Measurement(self._delays[-1], round(sum(self._delays) / len(self._delays)), round(jitter))


def ranked(servers: Mapping[str, Measurement]) -> list[str]:
    """Return the servers' names, the best first; equal ones by name, so that a choice repeats."""
    return sorted(servers, key=lambda name: (servers[name].metric, name))
