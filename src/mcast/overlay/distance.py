"""How many links a node says it is from the nearest rendezvous point, so that no two count up each other.

Each node tells its neighbours one more than the least that they tell. When the last way is lost, two that
take each other for the next one would count up, word by word, and all the overlay with them: thousands of
messages at the worst moment. So whoever loses its way believes only those who cannot have theirs by way of
it: who are no farther than it has ever said of itself (the feasibility condition of DUAL and of Babel,
RFC 8966, section 2.4). If there is nobody it says that it knows of no way, until those who relied on it have
heard that, and then begins anew with what is told by then.
"""

from collections.abc import Iterable

MAX_DISTANCE = 32
"""Links. More means that there is no way."""
STANDBY_DISTANCE = 16
"""What a rendezvous point says that stands by and knows of no way: more than any that serves."""
HOLD_SECONDS = 1.0
"""How long neighbours are not believed whose way may lead back here: until all the overlay has heard."""


class Distance:
    """What one node tells. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.told: int | None = None
        self._least: int | None = None  # that it has told since it began (anew); None: nothing
        self._held_until: float | None = None  # as no neighbour is to be believed

    def __repr__(self) -> str:
        return f"<Distance {self.told}, {self._least} at least>"

    def serve(self) -> int:
        """Take in that this node is a rendezvous point at which streams begin; return what it tells."""
        self.told, self._least, self._held_until = 0, 0, None
        return 0

    def update(self, neighbours: Iterable[int], now: float, others: Iterable[int] = ()) -> int | None:
        """Take in what all neighbours tell that know of a way; return what this node tells.

        `others` are the links of ways that do not lead back here, as by the path of a stream.
        """
        if self._held_until is not None and now >= self._held_until:
            self._least = self._held_until = None
        near = [each + 1 for each in neighbours if each < MAX_DISTANCE]
        if self._least is not None:
            near = [each for each in near if each <= self._least + 1]
        if near:
            self._held_until = None
        elif self._least is not None and self._held_until is None:
            self._held_until = now + HOLD_SECONDS
        self.told = min([*near, *others], default=None)
        if self.told is not None:
            self._least = self.told if self._least is None else min(self.told, self._least)
        return self.told
