"""One budget of time over several steps."""

import time
from collections.abc import Callable


class Deadline:
    """A moment on the monotonic clock; None seconds is never."""

    __slots__ = ("_clock", "_moment")

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moment = None if seconds is None else clock() + seconds

    @classmethod
    def of(cls, limit: "Deadline | float | None") -> "Deadline":
        """Return a deadline, made from seconds from now unless it is one already."""
        return limit if isinstance(limit, Deadline) else cls(limit)

    @property
    def expired(self) -> bool:
        """Whether the moment has come."""
        return self._moment is not None and self._clock() >= self._moment

    def timeout(self) -> float | None:
        """Return the seconds left, never below 0; None for ever."""
        return None if self._moment is None else max(0.0, self._moment - self._clock())

    def remaining(self) -> float | None:
        """Return the seconds left; None for ever. Raise TimeoutError when there are none."""
        left = self.timeout()
        if left is not None and left <= 0.0:
            raise TimeoutError("the time for this is over")
        return left

    def sooner(self, seconds: float | None) -> "Deadline":
        """Return the earlier of this deadline and so many seconds from now."""
        left = self.timeout()
        if seconds is None or (left is not None and left <= seconds):
            return self
        return Deadline(seconds, self._clock)

    def __repr__(self) -> str:
        left = self.timeout()
        return "Deadline(never)" if left is None else f"Deadline({left:.3f} s left)"
