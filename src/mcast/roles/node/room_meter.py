"""What this node is able to do: measured once a second, and told to the decisions when it has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mcast.media.incoming import ReceiverCounters
from mcast.overlay.events import RateMeasured, Strained
from mcast.peer.decider import Post

INTERVAL = 1.0
"""Seconds between two looks."""
WINDOW = 4
"""Looks over which a rate is taken: longer than a GOP, whose keyframe is a burst."""
NEWS = 0.1
"""A rate is told when it has changed by so much."""
STRAINED_LOOKS = 3
"""A crowd that joins takes a second or two, and passes."""
STRAINED, RELIEVED = 0.8, 0.6
"""The share of its time for which a thread that forwards has the processor: at 1 it cannot keep up."""
# The other sign of it, where a processor is shared: media has come, and a socket's buffer had no room for it.


class Relays(Protocol):
    """What is measured of the contents."""

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        """Yield what has come of each content so far."""
        ...


class Threads(Protocol):
    """What is measured of the threads that forward."""

    def busy_seconds(self) -> tuple[float, ...]:
        """Return how long each of them has had the processor."""
        ...


@dataclass(slots=True)
class _Content:
    """What has come of a content: bytes at some moments, the oldest first; and the rate that was told."""

    looks: list[tuple[float, int]] = field(default_factory=list)
    told: int = 0
    dropped: int | None = None  # at the last look

    def look(self, now: float, count: int) -> int:
        """Return the rate of the last seconds in bit/s, 0 as long as it is not known."""
        self.looks = [*self.looks[-WINDOW:], (now, count)]
        (began, before), (ended, after) = self.looks[0], self.looks[-1]
        return int((after - before) * 8 / (ended - began)) if ended > began else 0

    def has_dropped(self, dropped: int) -> bool:
        """Return whether anything was dropped since the last look."""
        before, self.dropped = self.dropped, dropped
        return before is not None and dropped > before


class RoomMeter:
    """Measures a node. For the decider's thread."""

    def __init__(self, relays: Relays, threads: Threads, post: Post) -> None:
        self._relays, self._threads, self._post = relays, threads, post
        self._contents: dict[str, _Content] = {}
        self._busy: tuple[float, tuple[float, ...]] = (0.0, ())
        self._strained_looks, self._is_strained = 0, False
        self._has_dropped = False  # a content has, since the last look
        self._next = 0.0

    def on_tick(self, now: float) -> None:
        """Look at all, if it is time to."""
        if now < self._next:
            return
        self._next = now + INTERVAL
        self._look_at_contents(now)
        self._look_at_threads(now)

    def _look_at_contents(self, now: float) -> None:
        present: Mapping[str, ReceiverCounters] = dict(self._relays.counters())
        for name in self._contents.keys() - present.keys():
            self._contents.pop(name)
            self._post(RateMeasured(name, 0))
        self._has_dropped = False
        for name, counters in present.items():
            content = self._contents.setdefault(name, _Content())
            self._has_dropped |= content.has_dropped(counters.dropped)
            rate = content.look(now, counters.bytes)
            if abs(rate - content.told) > NEWS * content.told:
                content.told = rate
                self._post(RateMeasured(name, rate))

    def _look_at_threads(self, now: float) -> None:
        then, before = self._busy
        self._busy = now, self._threads.busy_seconds()
        if now <= then:
            return
        pairs = zip(before, self._busy[1], strict=False)  # one that is new has done nothing yet
        share = max(((later - earlier) / (now - then) for earlier, later in pairs), default=0.0)
        if self._has_dropped:
            share = 1.0  # it could not keep up, whatever else has had the processor
        self._strained_looks = self._strained_looks + 1 if share > STRAINED else 0
        is_strained = self._strained_looks >= STRAINED_LOOKS or (self._is_strained and share > RELIEVED)
        if is_strained != self._is_strained:
            self._is_strained = is_strained
            self._post(Strained(is_strained))
