"""Parents to be asked for one content, one after another.

The next one is asked as soon as the last has refused. One that says nothing costs `PATIENCE`: then
the next is asked *beside* it, and the first that accepts is taken. So a hung server delays a viewer
by a second at most, and a slow one that is the only one left is still waited for.

A candidate may have been found by somebody else's question, while another one is asked already. It is asked
under that question's id, as the way beyond it is known by no other.
"""

from collections.abc import Iterable, Sequence

from mcast.overlay.actions import Parent
from mcast.wire.node import Stream

PATIENCE = 1.0
"""Seconds after which a parent that has not answered is doubted: more than two round trips of 400 ms."""
SPARE_PATIENCE = 0.15
"""The same for a spare parent, which is known to stream: half of the viewer's buffer is for the next."""

ALL_ASKED = 3.5
"""Seconds within which all servers of a content have been asked, however many hang: the more servers, the
less time each of them gets. A second is left for the last one's answer
(`mcast.overlay.transitions.SERVER_JOIN_SECONDS`)."""


def of_servers(servers: Sequence[Parent]) -> "Candidates":
    """Return servers to be asked for a stream that a viewer waits for, the best first."""
    return Candidates(servers, min(PATIENCE, ALL_ASKED / max(len(servers), 1)))


class Candidates:
    """The parents that have not been asked yet, and when the last one was."""

    def __init__(self, parents: Iterable[Parent], patience: float = PATIENCE) -> None:
        self._left, self._patience = list(parents), patience
        self._asked: float | None = None
        self._found_by: dict[Parent, Stream] = {}

    def __repr__(self) -> str:
        return f"<Candidates {', '.join(map(str, self._left)) or 'none left'}>"

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, parent: Parent) -> bool:
        return parent in self._left

    def add(self, parent: Parent, stream: Stream) -> None:
        """Take in one more, which the question of somebody has found who asks for the stream now."""
        self._left.append(parent)
        self._found_by[parent] = stream

    def found_by(self, parent: Parent) -> Stream | None:
        """Return whose question has found a candidate, if it was not the one that has found the others."""
        return self._found_by.get(parent)

    @property
    def first(self) -> Parent | None:
        """Return the one that is to be asked next, None if all have been."""
        return self._left[0] if self._left else None

    def take(self, now: float) -> Parent | None:
        """Return the next one, which is asked now; None if all have been asked."""
        self._asked = now
        return self._left.pop(0) if self._left else None

    @property
    def is_unused(self) -> bool:
        """Return whether nobody has ever been asked, and nobody is to be."""
        return not self._left and self._asked is None

    @property
    def due(self) -> float | None:
        """Return when the last one that was asked will have been silent for too long."""
        return None if self._asked is None else self._asked + self._patience

    def hurry(self) -> None:
        """Wait no longer for an answer than for a spare parent's."""
        self._patience = SPARE_PATIENCE

    def is_late(self, now: float) -> bool:
        """Return whether the next one should be asked beside the last, which says nothing."""
        return bool(self._left) and self.is_mute(now)

    def is_mute(self, now: float) -> bool:
        """Return whether the last one that was asked says nothing."""
        return self.due is not None and now >= self.due
