"""Which of two parents is not needed: the one whose every number the other has brought before.

Two parents of one content feed a child while it changes from one to the other, and nobody knows
beforehand which is the better one. After a while it is seen: one has brought no number first. If both
have, they are as good as each other, and the newer one is the one too many.
"""

from mcast.media.parent import Parent
from mcast.overlay.actions import UpstreamId


class Race:
    """Two parents that both bring media. One thread owns it."""

    __slots__ = ("_began", "_newer", "_older", "_were_new")

    def __init__(self, older: Parent, newer: Parent, now: float) -> None:
        self._older, self._newer, self._began = older, newer, now
        self._were_new = (older.new, newer.new)

    def loser(self, now: float, after: float) -> UpstreamId | None:
        """Return who is outdone, once after each `after` seconds in which something new has come."""
        if now - self._began < after:
            return None
        new = (self._older.new - self._were_new[0], self._newer.new - self._were_new[1])
        self._began, self._were_new = now, (self._older.new, self._newer.new)
        if not any(new):
            return None
        return self._newer.upstream if new[0] else self._older.upstream
