"""How long an answer takes: smoothed as TCP does it (RFC 6298, section 2), from samples that may be odd.

Asking too early costs a number in a NACK, and the parent answers it once per round trip; asking
too late costs the viewer the datagram. So an answer is waited for less long than RFC 6298 says, and what
was slow for a moment (a crowd that joined, a process that had to wait) is soon forgotten.
"""

GAIN = 1 / 8
GAIN_DOWN = 1 / 2
"""Of a sample that is less than half of what was thought: no trembling, but something that has passed."""
VARIATION_GAIN = 1 / 4
DEFAULT_ROUND_TRIP = 0.05
"""Seconds, as long as it has not been measured."""
MIN_PATIENCE = 0.02
"""Seconds that an answer is given at least: it waits at the parent until its thread has its turn."""
LEAST_MARGIN, MOST_MARGIN = 0.25, 1.0
"""What an answer may be late, in round trips: a fourth of one where they vary little, one at most."""
LONGEST_ROUND_TRIP = 10.0
"""More makes no sense: a clock was set, or the answer is to something else."""


class RoundTrip:
    """One peer's round trip, in seconds. One thread changes it; others may read `smoothed`."""

    __slots__ = ("_variation", "smoothed")

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0

    def __repr__(self) -> str:
        return f"<RoundTrip {self.smoothed} +- {self._variation}>"

    @property
    def patience(self) -> float:
        """Return how long an answer is to be waited for."""
        if self.smoothed is None:
            return max(DEFAULT_ROUND_TRIP * (1 + LEAST_MARGIN), MIN_PATIENCE)
        margin = min(max(4 * self._variation, LEAST_MARGIN * self.smoothed), MOST_MARGIN * self.smoothed)
        return max(self.smoothed + margin, MIN_PATIENCE)

    def note(self, sample: float) -> None:
        """Take in a measurement; what cannot be one is ignored."""
        if not 0 <= sample < LONGEST_ROUND_TRIP:
            return
        if self.smoothed is None:
            self.smoothed, self._variation = sample, sample / 2
            return
        self._variation += VARIATION_GAIN * (abs(self.smoothed - sample) - self._variation)
        self.smoothed += (GAIN_DOWN if 2 * sample < self.smoothed else GAIN) * (sample - self.smoothed)
