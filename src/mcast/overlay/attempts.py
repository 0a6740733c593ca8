"""When a parent that says nothing is asked anew, attempt after attempt (renewal.py, knocking.py)."""

from dataclasses import dataclass


@dataclass(slots=True)
class Attempts:
    """Of one content at one node. Times are monotonic seconds."""

    due: float = 0.0
    wait: float = 0.0  # from an attempt that fails to the next one

    def put_off(self, now: float, longest_wait: float) -> None:
        """Take in that an attempt has failed: each wait is twice as long as the last, up to a bound."""
        self.due = now + self.wait
        self.wait = min(2 * self.wait, longest_wait)


@dataclass(slots=True)
class Renewal(Attempts):
    """The same on a new connection, in the place of one that is silent."""

    silent_at: float = 0.0
