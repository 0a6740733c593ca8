"""Where the overlay's random numbers come from: they are handed in, so that a run can be repeated."""

from typing import Protocol


class Chance(Protocol):
    """What `random.Random` offers, of which the decisions need this much."""

    def randbytes(self, n: int, /) -> bytes:
        """Return so many random bytes."""
        ...

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between the two."""
        ...
