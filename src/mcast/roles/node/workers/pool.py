"""The workers of a node, and which of them carries which content.

A content belongs to one worker, and stays there. It is given to the one with the fewest, of those that are
not busy, and of several to the one that has taken the least processor time; when a worker dies, to another
one at once. While there is none it waits, and the decisions hear that its parents are silent: so children are
told, and the overlay heals.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from mcast.eventlog import note
from mcast.media.child import ChildLost
from mcast.net.deadline import Deadline
from mcast.net.threads import stop_together
from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import Drained, Feed, FeedChanged, Outdone
from mcast.overlay.room import BUSY_SHARE
from mcast.roles.node.content_relay import CarrierUse, Listeners, RelayHost
from mcast.roles.node.own_process import MediaSettings
from mcast.roles.node.workers import messages
from mcast.roles.node.workers.log_records import say
from mcast.roles.node.workers.process import Ears, WorkerProcess
from mcast.roles.node.workers.remote_relay import RemoteRelay
from mcast.roles.node.workers.values import RelayId
from mcast.roles.pulse import Call
from mcast.wire.position import Position

logger = logging.getLogger(__name__)

START_SECONDS = 2.0
"""How long a node waits for its workers before it takes anybody in: those that are at work already would get
all contents of the first crowd."""

RETRY_SECONDS = 1.0
"""From one try to hand a content to a worker to the next, where this process had no descriptors for it."""

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Burden:
    """What a worker has to do."""

    contents: int
    cpu_seconds: float  # so far
    is_at_work: bool = True  # one that is still being started comes last
    is_busy: bool = False  # it has little time for more


def least(burdens: Iterable[tuple[W, Burden]]) -> W | None:
    """Return who is to carry the next content; None if there is nobody."""
    chosen = min(
        burdens,
        key=lambda pair: (not pair[1].is_at_work, pair[1].is_busy, pair[1].contents, pair[1].cpu_seconds),
        default=None,
    )
    return None if chosen is None else chosen[0]


class WorkerPool(RelayHost):
    """Owns the workers. `open` is for one thread at a time."""

    def __init__(self, count: int, settings: MediaSettings, listeners: Listeners) -> None:
        self._settings, self._listeners = settings, listeners
        # What the node's own log would let through, its events included.
        level = logging.getLogger("mcast").getEffectiveLevel()
        begin = messages.Begin(
            settings.cname, settings.forward_threads, round(settings.gather * 1_000_000),
            settings.max_bit_rate, level,
        )  # fmt: skip
        ears = Ears(self._on_up, self._on_fact, self._on_down)
        self._workers = tuple(
            WorkerProcess(number, begin, ears, listeners.on_crash) for number in range(1, count + 1)
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards the next, and who carries what
        self._relays: dict[RelayId, RemoteRelay] = {}
        self._retry_at = math.inf  # when those are handed over again that could not be

    def __repr__(self) -> str:
        return f"<WorkerPool {self._workers}, {len(self._relays)} relays>"

    # What the node asks for

    def start(self) -> None:
        for worker in self._workers:
            worker.start()
        deadline = Deadline(START_SECONDS)
        for worker in self._workers:
            worker.wait_at_work(deadline)

    def open(self, content: str, position: Position, start: int | None) -> RemoteRelay:
        relay = RemoteRelay(
            next(self._numbers), content, position, start, self._settings.ports, self._say_silent
        )
        with self._lock:
            # Those that have been closed are forgotten here, so that a relay need not know of this object.
            self._relays = {number: each for number, each in self._relays.items() if not each.is_closed}
            self._relays[relay.number] = relay
            self._carry(relay)
        return relay

    def uses(self) -> tuple[CarrierUse, ...]:
        with self._lock:
            relays = [relay for relay in self._relays.values() if not relay.is_closed]
        return tuple(
            CarrierUse(
                worker.cpu_seconds, frozenset(relay.content for relay in relays if relay.worker is worker)
            )
            for worker in self._workers
        )

    def others_load(self) -> tuple[float, int]:
        workers = self._workers
        return sum(worker.cpu_seconds for worker in workers), sum(worker.memory_kb for worker in workers)

    @property
    def vital_threads(self) -> tuple[Call, ...]:
        return ()  # of a worker that hangs its process takes care

    def stop(self) -> None:
        stop_together(self._workers)

    # What workers tell: each in its own thread

    def _on_up(self, _worker: WorkerProcess) -> None:
        self._carry_those_left()

    def _carry_those_left(self) -> None:
        with self._lock:
            self._retry_at = math.inf
            for relay in self._relays.values():
                if relay.worker is None:
                    self._carry(relay)

    def _on_down(self, worker: WorkerProcess) -> int:
        with self._lock:
            orphans = [
                relay for relay in self._relays.values() if relay.worker is worker and not relay.is_closed
            ]
            for relay in orphans:
                relay.leave_worker()
            for relay in orphans:
                self._carry(relay)
        return len(orphans)

    def _on_fact(self, worker: WorkerProcess, fact: messages.Fact) -> None:
        match fact:
            case messages.Stands():
                for stand in fact.stands:
                    if (relay := self._relays.get(stand.relay)) is not None:
                        relay.on_stand(stand)
                if time.monotonic() >= self._retry_at:
                    self._carry_those_left()
            case messages.Figures(number):
                if (relay := self._relays.get(number)) is not None:
                    relay.on_figures(fact)
            case messages.FeedChanged(upstream, feed, quiet_ms):
                self._listeners.post(FeedChanged(upstream, feed, quiet_ms))
            case messages.Outdone(upstream):
                self._listeners.post(Outdone(upstream))
            case messages.Drained(content, children):
                self._listeners.post(Drained(content, children))
            case messages.ChildGone(child, how):
                self._listeners.on_child_lost(child, how)
            case messages.NoSocket(number, child):
                if (relay := self._relays.get(number)) is not None:
                    relay.share_again()
                self._listeners.on_child_lost(child, ChildLost.NO_SOCKET)
            case messages.CaughtUp(child):
                self._listeners.on_child_caught_up(child)
            case messages.Line(record):
                say(record, worker.number)

    def _carry(self, relay: RemoteRelay) -> None:
        """Give a content to a worker, if there is one. With the lock held."""
        up = (worker for worker in self._workers if worker.is_up)
        worker = least((each, self._burden(each)) for each in up)
        if relay.is_closed:
            return
        if worker is not None:
            try:
                relay.be_carried_by(worker)
            except OSError as error:
                logger.error("[%s] cannot be handed to worker %d: %s", relay.content, worker.number, error)
                self._retry_at = time.monotonic() + RETRY_SECONDS
            else:
                note(
                    logger, "content_carried", "[%s] carried by worker %d", relay.content, worker.number,
                    content=relay.content, worker=worker.number,
                )  # fmt: skip
                return
        for upstream in relay.upstreams:
            self._say_silent(upstream)

    def _say_silent(self, upstream: UpstreamId) -> None:
        """Have it decided what is to become of a content that nobody receives."""
        self._listeners.post(FeedChanged(upstream, Feed.SILENT))

    def _burden(self, worker: WorkerProcess) -> Burden:
        contents = sum(relay.worker is worker and not relay.is_closed for relay in self._relays.values())
        is_busy = worker.share >= BUSY_SHARE
        return Burden(contents, worker.cpu_seconds, worker.is_at_work, is_busy)
