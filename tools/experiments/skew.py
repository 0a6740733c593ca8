"""How far apart several clients show the same moment of a content.

A client's report holds about once a second which RTP timestamp went out when (Unix seconds; all nodes share
one clock). Between two of them the output goes on evenly, so the time for any timestamp is interpolated.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from mcast.wire.rtp import CLOCK_RATE

WRAP = 1 << 32
STEP = 0.25  # seconds of the content between two comparisons

OutputTimes = Sequence[tuple[int, float]]  # RTP timestamp, Unix seconds


class Spread(NamedTuple):
    """One client: how long behind the earliest it shows the same moment, in seconds."""

    least: float
    mean: float
    most: float


def media_times(times: OutputTimes, origin: int) -> list[tuple[float, float]]:
    """Turn RTP timestamps into seconds after `origin`; they may wrap."""
    half = WRAP // 2
    return [(((rtp - origin + half) % WRAP - half) / CLOCK_RATE, unix) for rtp, unix in times]


def shown_at(times: Sequence[tuple[float, float]], moment: float) -> float | None:
    """Return when a moment of the content was shown; None outside of what was noted."""
    place = bisect_left(times, (moment, 0.0))
    if not times or place == len(times) or moment < times[0][0]:
        return None
    if times[place][0] == moment:
        return times[place][1]
    (early, from_time), (late, to_time) = times[place - 1], times[place]
    return from_time + (to_time - from_time) * (moment - early) / (late - early)


def behind_the_first(clients: Mapping[str, OutputTimes], since: float) -> dict[str, list[float]]:
    """Compare all clients at each moment that all have shown, after `since` (Unix seconds).

    Gives for each client how long after the earliest one it showed each of these moments.
    """
    origin = next((times[0][0] for times in clients.values() if times), 0)
    known = {
        name: [point for point in media_times(times, origin) if point[1] >= since]
        for name, times in clients.items()
    }
    behind: dict[str, list[float]] = {name: [] for name in clients}
    if not all(known.values()):
        return behind
    first, last = max(t[0][0] for t in known.values()), min(t[-1][0] for t in known.values())
    for number in range(int((last - first) / STEP) + 1):
        shown = {name: shown_at(times, first + number * STEP) for name, times in known.items()}
        present = {name: at for name, at in shown.items() if at is not None}
        if len(present) == len(known):
            earliest = min(present.values())
            for name, at in present.items():
                behind[name].append(at - earliest)
    return behind


def spreads(behind: Mapping[str, Sequence[float]]) -> dict[str, Spread]:
    return {
        name: Spread(min(values), sum(values) / len(values), max(values))
        for name, values in behind.items()
        if values
    }


def widest(behind: Mapping[str, Sequence[float]]) -> float:
    """Return how far the latest client is behind the earliest, in seconds, at most of the moments.

    By each one's median: at some moment the machine may stand still, and delays one client alone.
    """
    return max((median(values) for values in behind.values() if values), default=float("nan"))
