"""The one thread that owns a node's decisions.

Whatever happens in other threads (a packet came, a connection closed, a lease ended) is posted
here as a function of the core and the time. The thread takes them one by one, asks the core,
and does what it says in that order. So the core needs no lock, and actions on one stream never
overtake each other: its relay is open before its first child is accepted.

    watcher, follow-*, media-feedback ... --post--> queue --> core --> actions --> perform

Actions are done at once and never wait for a peer; what may wait (connecting) has a thread of
its own and posts its outcome.
"""

import queue
import time
from collections.abc import Callable, Iterable

from mcast.net.threads import OnCrash, OwnedThread
from mcast.overlay.actions import Action
from mcast.overlay.node_core import NodeCore

TICK = 0.1
"""Seconds between two looks at the clock: deadlines of floods and follows are as exact as this."""
MAX_PENDING = 8192
"""Peers' messages waiting for a decision. Beyond, `offer` refuses and the connection is closed."""

Event = Callable[[NodeCore, float], Iterable[Action]]
"""What happened: a question to the core, asked with the monotonic time in seconds."""


class Decider:
    """Owns the core and the thread `decide`, which alone asks it."""

    def __init__(
        self,
        core: NodeCore,
        perform: Callable[[Action], None],
        on_tick: Callable[[float], None],
        on_crash: OnCrash,
    ) -> None:
        self._core, self._perform, self._on_tick = core, perform, on_tick
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = OwnedThread("decide", self._run, on_crash)

    def start(self) -> None:
        """Begin to take events."""
        self._thread.start()

    def post(self, event: Event) -> None:
        """Hand in what happened inside this process. Never waits."""
        self._events.put(event)

    def offer(self, event: Event) -> bool:
        """Hand in what a peer has sent; False if too much is waiting already."""
        if self._events.qsize() >= MAX_PENDING:
            return False
        self._events.put(event)
        return True

    def stop(self) -> None:
        """Take what was posted before, say goodbye everywhere (`on_shutdown`), and end."""
        self._events.put(None)
        self._thread.join()

    def _run(self) -> None:
        next_tick = time.monotonic()
        while True:
            if (now := time.monotonic()) >= next_tick:
                next_tick = now + TICK
                self._decide(lambda core, when: core.on_time(when))
                self._on_tick(now)
            try:
                event = self._events.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                continue
            if event is None:
                # Decided here, as the last thing: were it posted, a STREAM that comes in behind it
                # would begin a follow that nobody ends.
                self._decide(lambda core, _: core.on_shutdown())
                return
            self._decide(event)

    def _decide(self, event: Event) -> None:
        for action in event(self._core, time.monotonic()):
            self._perform(action)
