"""How the hop from each parent is: measured once a second, and told to the decisions when it has changed."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mcast.media.parent import ParentCounters
from mcast.overlay.actions import UpstreamId
from mcast.overlay.better_paths import Quality, Told
from mcast.overlay.events import HopMeasured
from mcast.peer.decider import Post

INTERVAL = 1.0
"""Seconds between two looks."""
WINDOW = 5
"""Looks over which losses are counted: thousands of datagrams, so that one loss is no news."""


class Relays(Protocol):
    """What is measured."""

    def parents(self) -> Iterable[Mapping[UpstreamId, ParentCounters]]:
        """Return what the parents of each content have brought."""


@dataclass(slots=True)
class _Hop:
    """What has come from one parent, look by look: numbers, and those that were skipped."""

    looks: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=WINDOW + 1))
    told: Told = field(default_factory=Told)

    def look(self, counters: ParentCounters) -> Quality | None:
        """Return how the hop is, None if that is not known yet."""
        self.looks.append((counters.next, counters.skipped))
        (first, skipped_then), (last, skipped) = self.looks[0], self.looks[-1]
        if counters.round_trip_ms is None:
            return None
        lost = 1000 * (skipped - skipped_then) // (last - first) if last > first else 0
        return Quality(counters.round_trip_ms / 2, lost)


class HopMeter:
    """Measures all parents of a node. For the decider's thread."""

    def __init__(self, relays: Relays, post: Post) -> None:
        self._relays, self._post = relays, post
        self._hops: dict[UpstreamId, _Hop] = {}
        self._next = 0.0

    def on_tick(self, now: float) -> None:
        """Look at all parents, if it is time to."""
        if now < self._next:
            return
        self._next = now + INTERVAL
        present = {upstream: each for parents in self._relays.parents() for upstream, each in parents.items()}
        self._hops = {upstream: self._hops.get(upstream) or _Hop() for upstream in present}
        for upstream, counters in present.items():
            self._look(upstream, counters)

    def _look(self, upstream: UpstreamId, counters: ParentCounters) -> None:
        hop = self._hops[upstream]
        told = hop.told.renewed(hop.look(counters))
        if told != hop.told and told.delay_ms is not None:
            hop.told = told
            self._post(HopMeasured(upstream, told.delay_ms, told.lost_permille))
