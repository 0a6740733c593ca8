"""How much is tried: what a quick run can bear, many times that under a fuzzing profile of Hypothesis."""

from hypothesis import settings

EFFORT = max(1, settings().max_examples // 100)
"""So many times the seeds of the quick run are tried, others each time."""
TIMEOUT = 120 * EFFORT
"""Seconds for one test."""


def seeds(count: int) -> range:
    """Return the seeds to try, where a quick run tries `count`."""
    return range(count * EFFORT)
