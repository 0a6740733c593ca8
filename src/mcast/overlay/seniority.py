"""Which of several rendezvous points serves: the first in the layout's list that lives.

Each one watches those that stand before it, its *seniors*, on a kept connection on which they say something
five times a second. While a senior lives, a rendezvous point is a standby: for contents that it does not
stream it does what any node does, but as the last resort (root.py), and it never says `absent`. When the last
senior is silent for 0.75 s, its connection is closed, or it says that it is about to end, it serves; when one
comes back, it is a standby again. What it streams by then it streams on: nothing moves.

There is no election, and none is needed. Two that serve at once, on both sides of a cut, join the same
running stream of one server, and so carry the same numbers.
"""

from mcast.overlay.actions import Announce

GRACE_SECONDS = 1.0
"""How long a senior that was never heard may be about to answer: it may be starting, too."""


class Seniority:
    """What one node knows of the rendezvous points before it. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._seniors: tuple[str, ...] = ()
        self._living: set[str] = set()
        self._doubt_until: float | None = None  # those never heard may be about to answer
        self._lost = self._cause = ""  # the senior that was lost last, and how
        self._is_standby: bool | None = None  # as it was said last; None: never, as it has just begun

    def __repr__(self) -> str:
        return f"<Seniority behind {', '.join(self._seniors) or 'nobody'}; {sorted(self._living)} live>"

    def on_layout(self, names: tuple[str, ...], me: str, now: float) -> None:
        """Take in the layout's rendezvous points, of which this node may be one."""
        seniors = names[: names.index(me)] if me in names else ()
        if seniors != self._seniors:
            self._seniors, self._doubt_until = seniors, now + GRACE_SECONDS if seniors else None
            self._living &= set(seniors)

    def on_heard(self, name: str) -> None:
        """Take in that a node says something."""
        if name in self._seniors:
            self._living.add(name)

    def on_lost(self, name: str, cause: str) -> None:
        """Take in that nothing is heard of a node any more, or that it is about to end."""
        if name in self._living:
            self._living.remove(name)
            self._lost, self._cause, self._doubt_until = name, cause, None

    @property
    def due(self) -> float | None:
        """Return when to ask for news, though nothing has happened."""
        return self._doubt_until

    def is_standby(self, now: float) -> bool:
        """Return whether one of those before this node serves, as far as is known."""
        doubted = self._doubt_until is not None and now < self._doubt_until
        return bool(self._living) or (bool(self._seniors) and doubted)

    def news(self, now: float) -> list[Announce] | None:
        """Return what there is to be said if who serves has changed; None if it has not."""
        before, self._is_standby = self._is_standby, self.is_standby(now)
        if self._doubt_until is not None and now >= self._doubt_until:
            self._doubt_until = None
        if self._is_standby is before:
            return None
        if not self._seniors or (before is None and self._is_standby):
            return []
        return [self._given_back() if self._is_standby else self._taken()]

    def _taken(self) -> Announce:
        before = self._lost or self._seniors[-1]
        cause = self._cause or "never heard"
        text = f"this node is the rendezvous point now, in the place of {before}: {cause}"
        return Announce("rendezvous_taken", text, (("before", before), ("cause", cause)))

    def _given_back(self) -> Announce:
        senior = next((name for name in self._seniors if name in self._living), self._seniors[0])
        text = f"{senior} is the rendezvous point again, this node stands by"
        return Announce("rendezvous_given_back", text, (("to", senior),))
