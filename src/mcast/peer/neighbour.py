"""One neighbour: the connections to it, and the questions it is asked.

One idle connection is kept warm, because a fresh TCP connect costs a round trip at best and seconds
where packets are lost. A request takes a connection for itself alone: its answer needs no number, and
closing the connection cancels it. After the answer it is idle again.

    warm thread --connect--> idle --ask--> asking --FOUND, MISS, CONTENTS--> idle
                              |              '--cancel--> closed (a stranger's: when its time is over)
                              '--take--> owned by an Upstream

A question that finds no idle connection waits for one: the next that is made or becomes idle.
All waiting is done by the watcher; a thread `warm-NAME` per neighbour only connects.
"""

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from mcast.errors import McastError, WireError
from mcast.net.backoff import Backoff
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.handshake import Credentials
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.watcher import Watcher
from mcast.overlay.events import Answered, RoundTripMeasured, Unasked
from mcast.overlay.further import usable
from mcast.peer.decider import Post
from mcast.wire.frame import Message
from mcast.wire.node import ContentsPage, Disc, Found, ListContents, Miss, RequestId

logger = logging.getLogger(__name__)

Question: TypeAlias = Disc | ListContents

MAX_IDLE = 4
"""Idle connections kept to one neighbour; a burst of floods opens more and lets them go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlooderTiming:
    """How long a neighbour is waited for, in seconds."""

    first_retry: float = 0.25
    """From one attempt to reach a neighbour to the next; doubled each time up to the last."""
    last_retry: float = 5.0
    short_life: float = 1.0
    """A connection that the neighbour closes sooner, without an answer, was no success: else
    one who accepts and hangs up (no room, not mcast) would be called without a pause."""
    connect_timeout: float = 3.0
    """Of one attempt: three SYNs."""
    hurries: bool = True
    """A question is a reason to try at once, and what was given away is replaced before the next question.
    Else a question that comes between two attempts is given up at once."""
    late: float = 0.0
    """How long an answer for which nobody waits any more still shows that a node runs there. A lost datagram,
    or a moment in which all turn to it, delays an answer by more than a question lasts."""


DEFAULT_TIMING = FlooderTiming()
FURTHER_TIMING = FlooderTiming(
    first_retry=10.0, last_retry=10.0, short_life=math.inf, hurries=False, late=2.0
)
"""For addresses that we were only told of, by a parent or the bootstrapper: who has not answered as a node
does is dialled at most once in 5 s (`Backoff` halves at most), whether he refuses, says nothing or hangs up.
So nobody can have many clients hammer at a stranger."""


@dataclass(slots=True)
class _Asking:
    """A request that one connection is busy with."""

    question: Question
    connection: Connection
    until: float | None = None
    """Set when it is cancelled: nobody waits for the answer, but until then it proves who gives it."""


class Neighbour:
    """One neighbour: its address, its idle connections and the questions it is asked."""

    def __init__(
        self, name: str, address: str, watcher: Watcher, post: Post, on_crash: OnCrash,
        timing: FlooderTiming = DEFAULT_TIMING, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        """Begin to connect. `post` is handed Answered, Unasked and RoundTripMeasured."""
        self.name, self.address = name, address
        self._watcher, self._post, self._timing = watcher, post, timing
        self._credentials = credentials
        self._backoff, self._missed = Backoff(timing.first_retry, timing.last_retry), False
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._asking: dict[bytes, _Asking] = {}
        self._queue: deque[Question] = deque()  # bounded by the floods that the core allows
        self._newest: Connection | None = None  # until it has answered
        self._newest_at = 0.0
        self._is_proven = False
        self._snub: str | None = None  # why the newest was closed at once
        self._resting: str | None = None  # why it cannot be asked before the next attempt
        self._wanted = threading.Event()
        self._stopping = threading.Event()  # set under the lock
        self._thread = OwnedThread(f"warm-{name}", self._keep_warm, on_crash)
        self._thread.start()

    def ask(self, question: Question) -> None:
        """Send a DISC or a LIST; what comes back, or that nothing can, is posted."""
        with self._lock:
            reason = f"{self.name} is no neighbour any more" if self._stopping.is_set() else self._resting
            if reason is None:
                self._queue.append(question)
        if reason is not None:
            self._unasked(question, reason)
        else:
            self._ask_next()

    def cancel(self, request: RequestId) -> None:
        """Let the neighbour know that its answer is not wanted any more: hang up.

        Not on a stranger at once: even late his answer shows that a node runs there.
        """
        with self._lock:
            self._queue = deque(each for each in self._queue if each.request != request)
            asking = self._asking.get(request)
            if is_tried := asking is not None and asking.connection is self._newest and self._is_tried:
                asking.until, self._resting = time.monotonic() + self._timing.late, "no answer"
            elif asking is not None:
                del self._asking[request]
        if is_tried:
            self._drop_queued("no answer")
        elif asking is not None:
            self._close(asking.connection)
        self._wanted.set()

    def take(self) -> Connection | None:
        """Give an idle connection away for good; return None if there is none."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
                if connection is self._newest:
                    self._newest = None
            self._wanted.set()
            if connection is None or self._watcher.unwatch(connection):
                return connection

    def ask_to_stop(self) -> None:
        """Let the thread begin to end; stop() waits for it."""
        with self._lock:
            self._stopping.set()
        self._wanted.set()

    def stop(self) -> None:
        """Close all connections, post that what is asked still cannot be, and end the thread."""
        self.ask_to_stop()
        self._thread.join()
        with self._lock:
            asking = list(self._asking.values())
            connections = [*self._idle, *(each.connection for each in asking)]
            unanswered = [*self._queue, *(each.question for each in asking if each.until is None)]
            self._idle, self._asking, self._queue = [], {}, deque()
        for connection in connections:
            self._watcher.unwatch(connection)
            connection.close()
        for question in unanswered:
            self._unasked(question, f"{self.name} is no neighbour any more")

    def _keep_warm(self) -> None:
        while True:
            self._wanted.clear()  # before looking: whatever comes from here on sets it again
            if self._stopping.is_set():
                return
            if self._is_tried or (not self._queue and (self._idle or self._has_enough)):
                if not self._wanted.wait(self._late_seconds()):
                    self._give_up()
                continue
            try:
                self._check_snub()
                self._welcome(
                    connect(
                        self.address, self._timing.connect_timeout, cancel=self._stopping,
                        credentials=self._credentials,
                    )
                )  # fmt: skip
            except McastError as error:
                self._failed(str(error))

    @property
    def _is_tried(self) -> bool:
        """Return whether a stranger has been dialled and is still to show that a node runs there."""
        return self._newest is not None and not self._timing.hurries

    @property
    def _has_enough(self) -> bool:
        """Return whether one connection has been made and used, and more are made for questions only."""
        return self._is_proven and not self._timing.hurries

    def _late_seconds(self) -> float | None:
        """Return how long a stranger may still answer late; None if nothing is cancelled."""
        with self._lock:
            until = [asking.until for asking in self._asking.values() if asking.until is not None]
        return max(0.0, min(until) - time.monotonic()) if until else None

    def _give_up(self) -> None:
        """Hang up on a stranger who has not answered even late."""
        now = time.monotonic()
        with self._lock:
            silent = [each for each in self._asking.values() if each.until is not None and each.until <= now]
            for asking in silent:
                del self._asking[asking.question.request]
                self._newest, self._snub = None, "no answer"
        for asking in silent:
            self._close(asking.connection)

    def _close(self, connection: Connection) -> None:
        # Unwatched first: that we hang up is not to be taken for the neighbour's doing.
        self._watcher.unwatch(connection)
        connection.close()

    def _check_snub(self) -> None:
        with self._lock:
            snub, self._snub = self._snub, None
        if snub is not None:
            raise PeerGone(snub)

    def _failed(self, reason: str) -> None:
        if not self._missed and not self._stopping.is_set():
            logger.info("waiting for neighbour %s: %s", self.name, reason)
            self._missed = True
        if self._timing.hurries:
            self._drop_queued(reason)
            self._wanted.wait(self._backoff.next())  # a question, too, is a reason to try at once
        else:
            self._rest(reason)

    def _rest(self, reason: str) -> None:
        with self._lock:
            self._resting = reason
        self._drop_queued(reason)
        self._stopping.wait(self._backoff.next())
        with self._lock:
            self._resting = None

    def _welcome(self, connection: Connection) -> None:
        logger.log(
            logging.INFO if self._missed else logging.DEBUG,
            "= warm connection to %s at %s", self.name, self.address, extra={"peer": self.name},
        )  # fmt: skip
        self._missed = False
        self._measure(connection)
        with self._lock:  # watched and idle at once: in between it could be taken, or be lost
            self._watcher.watch(
                connection,
                lambda message: self._on_message(connection, message),
                lambda reason: self._lost(connection, reason),
            )
            self._idle.append(connection)
            self._newest, self._newest_at = connection, time.monotonic()
        self._ask_next()

    def _ask_next(self) -> None:
        """Put waiting questions on idle connections; without one, wake the thread to make one."""
        while True:
            with self._lock:
                if not self._queue or not self._idle:
                    break
                question, connection = self._queue.popleft(), self._idle.pop()
                self._asking[question.request] = _Asking(question, connection)
            try:
                connection.send(question, timeout=0)
            except PeerGone as error:
                self._lost(connection, str(error))
        self._wanted.set()

    def _on_message(self, connection: Connection, message: Message) -> None:
        if not isinstance(message, Found | Miss | ContentsPage):
            raise WireError(f"{self.name} sent {type(message).__name__} where FOUND or MISS was asked")
        with self._lock:
            asking = self._asking.get(message.request)
            if asking is None or asking.connection is not connection:
                if self._is_given_up(connection):
                    return  # the answer has crossed our cancel()
                raise WireError(f"{self.name} answers a question that it was not asked")
            del self._asking[message.request]
            self._proven(connection)
            if keep := len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
        self._measure(connection)
        if not keep:
            self._watcher.unwatch(connection)
            connection.close()
        if isinstance(message, Miss):
            message = replace(message, further=usable(message.further, connection.peer.ip))
        if asking.until is None:
            self._post(Answered(self.name, message))
        self._ask_next()

    def _measure(self, connection: Connection) -> None:
        if (round_trip_ms := connection.round_trip_ms()) > 0.0:  # 0: it is closed already
            self._post(RoundTripMeasured(self.name, round_trip_ms))

    def _is_given_up(self, connection: Connection) -> bool:
        assert self._lock.locked()
        asked = (asking.connection for asking in self._asking.values())
        return connection not in self._idle and connection not in asked

    def _proven(self, connection: Connection) -> None:
        """Note that the neighbour is well."""
        assert self._lock.locked()
        if connection is self._newest:
            self._newest = self._resting = None
        self._is_proven = True
        self._backoff.reset()

    def _lost(self, connection: Connection, reason: str) -> None:
        connection.close()
        with self._lock:
            if connection is self._newest and time.monotonic() - self._newest_at < self._timing.short_life:
                self._newest, self._snub = None, reason
            elif connection is self._newest:
                self._proven(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            lost = [asking for asking in self._asking.values() if asking.connection is connection]
            for asking in lost:
                del self._asking[asking.question.request]
        self._wanted.set()
        for asking in lost:
            if asking.until is None:
                self._unasked(asking.question, f"{self.name} ({self.address}): {reason}")

    def _drop_queued(self, reason: str) -> None:
        with self._lock:
            queued, self._queue = self._queue, deque()
        for question in queued:
            self._unasked(question, reason)

    def _unasked(self, question: Question, text: str) -> None:
        self._post(Unasked(self.name, question.request, text))

    def __repr__(self) -> str:
        return (
            f"<Neighbour {self.name} at {self.address}: {len(self._idle)} idle, {len(self._asking)} asking>"
        )
