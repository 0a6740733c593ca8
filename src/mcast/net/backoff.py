"""How long to wait before trying again."""

import random


class Backoff:
    """Pauses that double from `first` to `last` seconds, each less a random part.

    The random part (up to half) keeps a hundred nodes that lost the same peer from coming back in step.
    """

    def __init__(self, first: float, last: float, rng: random.Random | None = None) -> None:
        self._first, self._last, self._rng = first, last, rng or random.Random()
        self._pause = first

    def next(self) -> float:
        """Return the seconds to wait now; the next pause is twice as long."""
        pause, self._pause = self._pause, min(self._pause * 2, self._last)
        return pause * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the first pause, after a success."""
        self._pause = self._first
