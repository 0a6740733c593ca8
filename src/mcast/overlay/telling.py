"""What a node tells its neighbours of the contents that it streams: changes only, and figures not too often.

By which path it is fed, whether it is, whether anybody watches below, and that no more children are taken in,
others build on: that is told at once. How long that path takes, how many are lost on it and how many viewers
are below may change all the time, and at each node of a path by what its neighbour has told. So they are told
at most each `FIGURES_SECONDS`; the first delay that is known, at once. That there is room again is in no
hurry, either.
"""

import math
from collections.abc import Mapping

from mcast.overlay.actions import Advertise, Announce
from mcast.overlay.better_paths import Told

ROOM_SECONDS = 2.0
"""Since a node has said that it is full, until it says that it is no more: where viewers come and go that
changes with each of them, and who is told so too late only asks another one."""
FIGURES_SECONDS = 2.0
"""As often as a node says something to its neighbours anyway; less than half of what makes a way better."""


class Telling:
    """What one node has told. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._last: dict[str, Advertise] = {}
        self._told_at: dict[str, float] = {}
        self._was_full_at = -math.inf
        self._full_since: float | None = None  # as was said

    def figures(self, content: str) -> Told:
        """Return how the path of a content is, as it was told last."""
        last = self._last.get(content)
        return Told() if last is None else Told(last.delay_ms, last.lost_permille)

    def is_full(self, full: bool, now: float) -> bool:
        """Return whether neighbours are to be told that the whole node is full: a while longer than it is."""
        if full:
            self._was_full_at = now
        return now < self._was_full_at + ROOM_SECONDS

    def of_room(self, is_full: bool, why: str, now: float) -> list[Announce]:
        """Say that the whole node is full, or no more, as neighbours are told."""
        since, is_said = self._full_since, self._full_since is not None
        if is_full == is_said:
            return []
        self._full_since = now if is_full else None
        if since is None:
            return [Announce("node_full", f"takes no more children: {why}", (("reason", why),))]
        after_ms = round((now - since) * 1000)
        return [
            Announce("node_has_room", f"takes children again, after {after_ms} ms", (("after_ms", after_ms),))
        ]

    def news(self, present: Mapping[str, Advertise], now: float) -> list[Advertise]:
        """Return what is to be told now, of all that is streamed here."""
        news = [advert for advert in present.values() if self._is_due(advert, now)]
        gone = [Advertise(content, (), False) for content in self._last if content not in present]
        for advert in news:
            self._last[advert.content], self._told_at[advert.content] = advert, now
        for advert in gone:
            del self._last[advert.content], self._told_at[advert.content]
        return [*news, *gone]

    def _is_due(self, advert: Advertise, now: float) -> bool:
        last = self._last.get(advert.content)
        if last is None or last == advert:
            return last is None
        is_first_figure = last.delay_ms is None and advert.delay_ms is not None
        before, after = (last.path, last.fed, last.viewers > 0), (advert.path, advert.fed, advert.viewers > 0)
        if before != after or is_first_figure or (advert.full and not last.full):
            return True
        return now >= self._told_at[advert.content] + FIGURES_SECONDS
