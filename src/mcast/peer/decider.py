"""The one thread that owns the decisions of a node or a client.

Whatever happens in other threads (a packet came, a connection closed, a lease ended) is posted
here as an event. The thread takes them one by one, hands each to the core together with the time,
and does what the core says in that order. So the core needs no lock, and actions on one stream never
overtake each other: its relay is open before its first child is accepted.

    watcher, upstreams, feedback ... --post--> queue --> core --> actions --> perform

Actions are done at once and never wait for a peer; what may wait (connecting, joining a thread) has
a thread of its own and posts its outcome.

What has come by the time that something is due is decided first: an answer that was in time counts, however
late this thread gets its turn.

The core is told the time each `TICK`, and besides when it has something due: a repair whose next step
waited for the tick would cost a viewer a tenth of a second at each step.

At the end the core is told that the process leaves, and gets `LEAVE_SECONDS` to hand its children over;
what happens meanwhile is still decided.
"""

import logging
import math
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
"""Seconds between two looks at the clock, for what is due at no time that the core could name."""
LEAVE_SECONDS = 0.8
"""What the core gets for its farewell: more than its children have to go elsewhere
(`overlay.transitions.HANDOVER_SECONDS`), and so little that SIGTERM ends a program within a second: closing
all that a node has open takes some of it, too."""
MAX_AHEAD = 256
"""Events that are decided before the time is told, at most: some ten milliseconds of them. Whoever sends more
must not keep a node from what is due."""
MAX_PENDING = 8192
"""Peers' messages waiting for a decision. Beyond, `offer` refuses and the connection is closed."""

Post: TypeAlias = Callable[[Event], None]
"""Hand in what happened inside this process. Never waits."""


class Core(Protocol):
    """Whoever decides: told what happened and when, it returns what to do."""

    def handle(self, event: Event, now: float, /) -> Sequence[Action]:
        """Return the actions to be done, in their order. `now` is the monotonic time in seconds."""

    @property
    def due(self) -> float | None:
        """When `TimePassed` must be told next, if the ticks are not enough."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left that the process would have to stay for."""


class Trace(Protocol):
    """Where the decisions are written down."""

    def write(self, now: float, event: Event, actions: Sequence[Action], /) -> None:
        """Keep one decision. Never waits."""

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
        leave: float = LEAVE_SECONDS,
    ) -> None:
        """`perform` and `on_tick` are called by the thread `decide`; both must not wait.

        `on_tick(now)` is called each `tick` seconds, after the core has been told the time. `leave` is how
        many seconds the core gets at the end.
        """
        self._core, self._perform, self._on_tick = core, perform, on_tick
        self._trace, self._tick, self._leave = trace, tick, leave
        self._next_tick = self._told_at = 0.0  # the thread's: when the core was last told the time
        self._ahead: int | None = None  # the thread's: events that came before it was time to tell the time
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
        """Take what was posted before, let the core take its leave, and end.

        Returns when the core is idle, `leave` seconds later at most.
        """
        self._events.put(None)
        self._thread.join()
        if self._trace is not None:
            self._trace.close()

    def _run(self) -> None:
        while self._step():
            pass
        # Decided here, behind all that was posted before. What comes in from here on finds a core that
        # begins nothing any more.
        self._decide(Leaving())
        until = time.monotonic() + self._leave
        while not self._core.is_idle and time.monotonic() < until:
            self._step(until)

    def _step(self, until: float = math.inf) -> bool:
        """Decide what is next, or wait for it, until then at most; return False for the word to leave."""
        now, due = time.monotonic(), min(self._next_tick, self._core_due())
        if now < due:
            self._ahead = None
        elif (ahead := self._waiting() if self._ahead is None else self._ahead) > 0:
            self._ahead = ahead - 1
        else:
            self._ahead = None
            self._tell_time(now)
            return True
        try:
            event = self._events.get(timeout=max(0.0, min(due, until) - now))
        except queue.Empty:
            return True
        if event is None:
            return False
        self._decide(event)
        return True

    def _waiting(self) -> int:
        """Return how many events are to be decided before the time is told."""
        return min(self._events.qsize(), MAX_AHEAD)

    def _core_due(self) -> float:
        """Return when the core has to be told the time, between two ticks.

        What is still due although the time has been told since waits for the tick: no mistake there may
        make this loop spin.
        """
        due = self._core.due
        return math.inf if due is None or due <= self._told_at else due

    def _tell_time(self, now: float) -> None:
        self._decide(TimePassed())
        if now >= self._next_tick:
            self._next_tick = now + self._tick
            self._on_tick(now)

    def _decide(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, TimePassed):
            self._told_at = now
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
