"""Which questions have led nowhere a moment ago, so that they are not asked again for each viewer of a crowd.

Two things are remembered, both bounded, and both for so short a time that what heals is found soon:

    of a walk, per content and neighbour: it had no way, or said nothing. The next walk goes another way
    of a flood that began at a client, per content: nobody had a way. Who asks next is told the same

What a neighbour says of itself (that it is fed with the content and not full) is newer, and makes it void. A
flood is never narrowed down by it: it stays the way that finds whatever there is.
"""

from dataclasses import dataclass

from mcast.wire.node import Disc, Miss

DEAD_END_SECONDS = 5.0
"""How long a neighbour is passed over: more than what each viewer would wait for one that hangs."""
NOWHERE_SECONDS = 0.4
"""How long the end of a flood counts for others, too: less than the least pause of a search
(`mcast.overlay.search.RETRY_PAUSE`), so that who comes again has it asked anew."""
MAX_REMEMBERED = 1024
"""Of each kind; beyond, the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """What has come of a flood that has led nowhere."""

    until: float  # when that is forgotten
    answer: Miss
    hindered: bool  # a neighbour was dead, or has said nothing


class DeadEnds:
    """What one node remembers. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}  # by content and neighbour, the oldest first
        # By content and whether it was the last resort, the oldest first
        self._nowhere: dict[tuple[str, bool], Nowhere] = {}

    def note(self, content: str, neighbour: str, now: float) -> None:
        """Take in that a walk to a content has led nowhere by way of a neighbour."""
        self._until.pop((content, neighbour), None)
        self._until[content, neighbour] = now + DEAD_END_SECONDS
        if len(self._until) > MAX_REMEMBERED:
            del self._until[next(iter(self._until))]

    def forget(self, content: str, neighbour: str) -> None:
        """Take in that there is a way by a neighbour."""
        self._until.pop((content, neighbour), None)
        for last_resort in (False, True):
            self._nowhere.pop((content, last_resort), None)

    def on_news(self) -> None:
        """Take in that there is somebody who was not there to be asked before."""
        self._nowhere.clear()

    def is_one(self, content: str, neighbour: str, now: float) -> bool:
        """Return whether a neighbour is to be passed over on the way to a content."""
        return self._until.get((content, neighbour), now) > now

    def note_nowhere(self, disc: Disc, answer: Miss, now: float, *, hindered: bool) -> None:
        """Take in what has come of a flood."""
        key = disc.content, disc.last_resort
        self._nowhere.pop(key, None)
        self._nowhere[key] = Nowhere(now + NOWHERE_SECONDS, answer, hindered)
        if len(self._nowhere) > MAX_REMEMBERED:
            del self._nowhere[next(iter(self._nowhere))]

    def nowhere(self, disc: Disc, now: float) -> Nowhere | None:
        """Return what has come of such a flood for a content a moment ago; None if there was none."""
        told = self._nowhere.get((disc.content, disc.last_resort))
        return told if told is not None and told.until > now else None
