"""What this node is able to do: measured twice a second, and told to the decisions when it matters.

**The rate of a content** is that of its last seconds, without its first ones: a node that has just joined is
sent what its parent has in its history at a multiple of the rate. Until it is known what others have told
counts (`mcast.overlay.room`).

**How busy a process is** that carries contents: the processor time of *all* its threads together, as they
share one interpreter. A forwarding thread at 0.6 and one that reads reports at 0.4 leave nothing, and so do
four at a quarter each. What threads do without the interpreter's lock (a part of each system call) counts,
too, so a process with several forwarding threads is called busy a little early.

**What was dropped**: media has come, and a socket's buffer had no room for it. Where a processor is shared
with others that is the only sign, as a process that does not get it uses none.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mcast.media.incoming import ReceiverCounters
from mcast.overlay.events import CarrierLoad, LoadMeasured, RateMeasured
from mcast.overlay.room import BUSY_SHARE
from mcast.peer.decider import Post
from mcast.roles.node.content_relay import CarrierUse
from mcast.roles.node.load import Share

INTERVAL = 0.5
"""Seconds between two looks. A crowd may double what a process has to do in a second."""
SETTLED = 3.0
"""Seconds from the first media of a content until its rate is measured: eight seconds of history, sent at
four times the rate, are caught up with."""
WINDOW = 4.0
"""Seconds over which a rate is taken: longer than a GOP, whose keyframe is a burst."""
NEWS = 0.1
"""A rate is told when it has changed by so much."""
LEAST_WINDOW = 1.0
"""The same at the least, right after it has settled."""
SHARE_SECONDS = 3.0
"""Over which it is told how busy a process is. A crowd of a thousand that joins takes all of it for two
seconds, which pass: what each costs from then on is a fraction of that."""
DROPPING_SECONDS, DROPPING_LOOKS = 10.0, 3
"""A process is strained that drops at so many looks within so many seconds: one hiccup is seen by two."""
CALM_SECONDS = 3.0
"""Until what was dropped is forgotten, once nothing more is."""


class Relays(Protocol):
    """What is measured of the contents."""

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        """Yield what has come of each content so far."""
        ...


class Carriers(Protocol):
    """What is measured of the processes that carry contents."""

    def uses(self) -> tuple[CarrierUse, ...]:
        """Return what each has taken so far, in an order that stays."""
        ...


@dataclass(slots=True)
class _Content:
    """What has come of a content: bytes at some moments, the oldest first; and the rate that was told."""

    began: float | None = None
    looks: deque[tuple[float, int]] = field(default_factory=deque)
    told: int = 0
    dropped: int | None = None  # at the last look

    def look(self, now: float, count: int) -> int:
        """Return the rate of the last seconds in bit/s, 0 as long as it is not known."""
        if self.began is None and count:
            self.began = now
        if self.began is None or now < self.began + SETTLED:
            return 0
        self.looks.append((now, count))
        while now - self.looks[0][0] > WINDOW:
            self.looks.popleft()
        began, before = self.looks[0]
        return int((count - before) * 8 / (now - began)) if now >= began + LEAST_WINDOW else 0

    def has_dropped(self, dropped: int) -> bool:
        """Return whether anything was dropped since the last look."""
        before, self.dropped = self.dropped, dropped
        return before is not None and dropped > before


class _Process:
    """How it is with one process that carries contents."""

    def __init__(self) -> None:
        self._share = Share(SHARE_SECONDS)
        self._dropped: deque[float] = deque()  # the moments at which that was seen
        self._is_strained = False

    def look(self, seconds: float, now: float, *, has_dropped: bool) -> tuple[float, bool]:
        """Take in what it has used so far; return its share of a core, and whether it is strained."""
        self._share.note(now, seconds)
        while self._dropped and now - self._dropped[0] > DROPPING_SECONDS:
            self._dropped.popleft()
        if has_dropped:
            self._dropped.append(now)
        self._is_strained = self._judge(now)
        return self._share.of_a_core, self._is_strained

    def _judge(self, now: float) -> bool:
        if self._is_strained and now - self._dropped[-1] >= CALM_SECONDS:
            self._dropped.clear()
        return len(self._dropped) >= (1 if self._is_strained else DROPPING_LOOKS)


class RoomMeter:
    """Measures a node. For the decider's thread."""

    def __init__(self, relays: Relays, carriers: Carriers, post: Post) -> None:
        self._relays, self._carriers, self._post = relays, carriers, post
        self._contents: dict[str, _Content] = {}
        self._processes: list[_Process] = []
        self._was_busy = False  # as was told last
        self._next = 0.0

    def on_tick(self, now: float) -> None:
        """Look at all, if it is time to."""
        if now < self._next:
            return
        self._next = now + INTERVAL
        dropping = self._look_at_contents(now)
        self._look_at_processes(dropping, now)

    def _look_at_contents(self, now: float) -> set[str]:
        """Tell the rates that have changed; return the contents of which something was dropped."""
        present: Mapping[str, ReceiverCounters] = dict(self._relays.counters())
        for name in self._contents.keys() - present.keys():
            self._contents.pop(name)
            self._post(RateMeasured(name, 0))
        dropping: set[str] = set()
        for name, counters in present.items():
            content = self._contents.setdefault(name, _Content())
            if content.has_dropped(counters.dropped):
                dropping.add(name)
            rate = content.look(now, counters.bytes)
            if abs(rate - content.told) > NEWS * content.told:
                content.told = rate
                self._post(RateMeasured(name, rate))
        return dropping

    def _look_at_processes(self, dropping: set[str], now: float) -> None:
        """Tell how busy each is, as long as one is."""
        uses = self._carriers.uses()
        self._processes += [_Process() for _ in uses[len(self._processes) :]]
        loads = tuple(
            self._load(process, use, dropping, now)
            for process, use in zip(self._processes, uses, strict=False)
        )
        is_busy = any(load.share >= BUSY_SHARE or load.is_strained for load in loads)
        if is_busy or self._was_busy:
            self._post(LoadMeasured(loads if is_busy else ()))
        self._was_busy = is_busy

    def _load(self, process: _Process, use: CarrierUse, dropping: set[str], now: float) -> CarrierLoad:
        contents = tuple(sorted(self._contents if use.contents is None else use.contents))
        has_dropped = not dropping.isdisjoint(contents)
        share, is_strained = process.look(use.seconds, now, has_dropped=has_dropped)
        return CarrierLoad(contents, round(share, 3), is_strained)
