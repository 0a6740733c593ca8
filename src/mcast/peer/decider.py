"""The one thread that owns the decisions of a node or a client.

Whatever happens in other threads (a packet came, a connection closed, a lease ended) is posted
here as an event. The thread takes them one by one, hands each to the core together with the time,
and does what the core says in that order. So the core needs no lock, and actions on one stream never
overtake each other: its relay is open before its first child is accepted.

    watcher, upstreams, feedback ... --post--> queue --> core --> actions --> perform

Actions are done at once and never wait for a peer; what may wait (connecting, joining a thread) has
a thread of its own and posts its outcome.
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from mcast.net.threads import OnCrash, OwnedThread
from mcast.overlay.actions import Action
from mcast.overlay.events import Event, Leaving, TimePassed
from mcast.peer.brief import brief

logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the clock: the core's deadlines are as exact as this."""
MAX_PENDING = 8192
"""Peers' messages waiting for a decision. Beyond, `offer` refuses and the connection is closed."""

Post: TypeAlias = Callable[[Event], None]
"""Hand in what happened inside this process. Never waits."""


class Core(Protocol):
    """Whoever decides: told what happened and when, it returns what to do."""

    def handle(self, event: Event, now: float, /) -> Sequence[Action]:
        """Return the actions to be done, in their order. `now` is the monotonic time in seconds."""


class Trace(Protocol):
    """Where the decisions are written down."""

    def write(self, now: float, event: Event, actions: Sequence[Action], /) -> None:
        """Keep one decision."""

    def flush(self) -> None:
        """Let readers see what was kept."""

    def close(self) -> None:
        """End the trace. Nothing is written afterwards."""


class Decider:
    """Owns the core, the trace and the thread `decide`, which alone uses them."""

    def __init__(
        self,
        core: Core,
        perform: Callable[[Action], None],
        on_crash: OnCrash,
        *,
        on_tick: Callable[[float], None],
        trace: Trace | None = None,
        tick: float = TICK,
    ) -> None:
        """`perform` and `on_tick` are called by the thread `decide`; both must not wait.

        `on_tick(now)` is called each `tick` seconds, after the core has been told the time.
        """
        self._core, self._perform, self._on_tick = core, perform, on_tick
        self._trace, self._tick = trace, tick
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = OwnedThread("decide", self._run, on_crash)

    def start(self) -> None:
        """Begin to take events; those that were posted before, too."""
        self._thread.start()

    def post(self, event: Event) -> None:
        """Hand in what happened inside this process. Never waits."""
        self._events.put(event)

    def offer(self, event: Event) -> bool:
        """Hand in what a peer has sent; return False if too much is waiting already."""
        if self._events.qsize() >= MAX_PENDING:
            return False
        self._events.put(event)
        return True

    def stop(self) -> None:
        """Take what was posted before, tell the core that the process is leaving, and end."""
        self._events.put(None)
        self._thread.join()
        if self._trace is not None:
            self._trace.close()

    def _run(self) -> None:
        next_tick = time.monotonic()
        while True:
            if (now := time.monotonic()) >= next_tick:
                next_tick = now + self._tick
                self._on_time(now)
            try:
                event = self._events.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                continue
            if event is None:
                # Decided here, as the last thing: were it posted, a STREAM that comes in behind it
                # would begin a subscription that nobody ends.
                self._decide(Leaving())
                return
            self._decide(event)

    def _on_time(self, now: float) -> None:
        self._decide(TimePassed())
        self._on_tick(now)
        if self._trace is not None:
            self._trace.flush()

    def _decide(self, event: Event) -> None:
        now = time.monotonic()
        actions = self._core.handle(event, now)
        if self._trace is not None:
            self._trace.write(now, event, actions)
        if logger.isEnabledFor(logging.DEBUG):
            _narrate(event, actions)
        for action in actions:
            self._perform(action)


def _narrate(event: Event, actions: Sequence[Action]) -> None:
    if actions or not isinstance(event, TimePassed):  # ten times a second, mostly for nothing
        logger.debug("< %s", brief(event))
    for action in actions:
        logger.debug("> %s", brief(action))
