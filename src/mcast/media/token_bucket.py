"""How fast something may go: a token bucket, told the time."""


class TokenBucket:
    """So many units a second, and at most `burst` of them saved up. Begins full."""

    __slots__ = ("_left", "_then", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._then = burst, now

    def left(self, now: float) -> float:
        """Return how many units may be taken; negative while there is a debt."""
        if now > self._then:
            self._left = min(self.burst, self._left + (now - self._then) * self.rate)
            self._then = now
        return self._left

    def take(self, units: float) -> None:
        """Take units; more than were left is a debt that time pays."""
        self._left -= units

    def note_loss(self, units: float) -> None:
        """Take in that so many units have not left, or not arrived; it means nothing here."""
