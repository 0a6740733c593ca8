"""The child's side of a content: what reads the sockets of one parent or two.

It hands on each number of the stream at most once, in order of arrival and in trains as long as they
came; it answers with hellos and reports, and tells what becomes of each parent. What it decides is in
incoming.py and parent.py.

A forwarder's thread carries it (forwarder.py): `_read` is called when a parent's socket has something, and
`look` every 20 ms. Parents come and go by requests, which wake that thread: so nobody who changes a parent,
or ends the receiver, waits for it.
"""

import contextlib
import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from mcast.media.buffer_fit import BufferFit
from mcast.media.delay import EndToEnd
from mcast.media.forwarder import Forwarder
from mcast.media.forwarding import Push, ShortWay
from mcast.media.gathering import Gathering
from mcast.media.incoming import IncomingStream, ReceiverCounters
from mcast.media.parent import Parent, ParentCounters, ParentEvent
from mcast.media.reports import Speaker
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.media.way import Doubts, Way
from mcast.net.addresses import endpoint_of
from mcast.net.buffer_limits import RECEIVE_LIMIT, warn_of_limit
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import JOIN_TIMEOUT, OnCrash
from mcast.net.udp import HEARD, RECEIVE_BUFFER, count_dropped, request_receive_buffer
from mcast.overlay.actions import UpstreamId
from mcast.wire.position import Position
from mcast.wire.train import Train

logger = logging.getLogger(__name__)

CALM_LOOK = 0.1
"""Seconds between two looks at a stream that flows, unless a report is due: with many contents they would
be a sixth of what a node does."""


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A parent and the socket that is connected to it."""

    parent: Parent
    sock: socket.socket
    way: Way
    dropped_before: int  # of another process, which has read this socket and died

    @property
    def dropped(self) -> int:
        """Return how many times it had no room for what came, since it is read here."""
        return max(0, count_dropped(self.sock) - self.dropped_before)


@dataclass(frozen=True, slots=True)
class _Add:
    """A request: hear this parent, too."""

    upstream: UpstreamId
    sock: socket.socket
    token: bytes
    position: Position
    start: int | None
    answer: float


@dataclass(frozen=True, slots=True)
class _Remove:
    """A request: leave this parent."""

    upstream: UpstreamId


@dataclass(frozen=True, slots=True)
class _ReachBack:
    """A request: want the stream from this lower number on."""

    number: int


class Receiver:
    """Owns the sockets of one content's parents."""

    def __init__(
        self,
        content: str,
        position: Position,
        cname: str,
        on_train: Push,
        on_parent: Callable[[UpstreamId, ParentEvent], None],
        on_crash: OnCrash,
        *,
        on_outdone: Callable[[UpstreamId], None] | None = None,
        start: int | None = None,
        repair: bool = True,
        timing: Timing = DEFAULT_TIMING,
        forwarder: Forwarder | None = None,
        gather: float = 0.0,
        end_to_end: EndToEnd | None = None,
    ) -> None:
        """Expect a stream: `position` is what the first parent's PORT says of it.

        The callbacks are called by the forwarder's thread; an event of a parent may still come when it
        has just been removed. `on_outdone` is told, every 2 s while there are two parents that bring media,
        which of them is not needed. `start` is the first number that counts, None where that is the first
        to come. Without a `forwarder` it has one of its own, with the thread "forward-<content>".
        With `gather` trains are held for so many seconds, to be handed on as longer ones. `end_to_end` is for
        who wants to hand on the server's clock.
        """
        self.content = content
        self._cname, self._ssrc = cname, random.getrandbits(32)
        self._on_train, self._on_parent, self._on_outdone = on_train, on_parent, on_outdone
        self._take = self._hold if gather else on_train
        self._stream = IncomingStream(
            position, start=start, repair=repair, timing=timing, wall=time.time, end_to_end=end_to_end
        )
        self._gathering = Gathering(gather)
        self._will_hand_on = False  # the thread's: `_on_due` is called when what is held is due
        self._look_at = 0.0  # the thread's: until then a stream that flows needs no look
        self._lines: tuple[_Line, ...] = ()  # the thread's
        self._stopping = False  # set by any thread
        self._over = threading.Event()  # nothing is read any more, all sockets are closed
        self._lock = threading.Lock()
        self._requests: deque[_Add | _Remove | _ReachBack] = deque()  # changed with the lock held
        self._known: set[UpstreamId] = set()  # with the lock: parents that are not to be removed
        self._finished = False  # with the lock: what comes is closed
        self._dropped = 0  # the thread's: by sockets that are closed
        self._fit = BufferFit()  # the thread's
        self._doubts, self._garbage, self._log = Doubts(), 0, RateLimitedLog(logger)  # the thread's
        self._is_alone = forwarder is None
        self._forwarder = Forwarder(f"forward-{content}", on_crash) if forwarder is None else forwarder
        self._short_way = ShortWay(self._stream, self._forwarder.receive, self._take)
        self._is_carried = False

    def __repr__(self) -> str:
        return f"<Receiver {self.content} {self._stream!r}>"

    def __enter__(self) -> "Receiver":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What has come

    @property
    def position(self) -> Position:
        """Return the stream, and the number after the highest."""
        return Position(self._stream.ssrc, self._stream.reception.next)

    @property
    def wanted(self) -> Position:
        """Return the stream, and the lowest number still wanted: where another parent is to go on.

        Before anything has come that is the position of the first parent.
        """
        return Position(self._stream.ssrc, self._stream.reception.wanted)

    @property
    def doubt(self) -> str:
        """Return what seems to be wrong with the way from a parent, for people; or nothing."""
        return self._doubts.present

    @property
    def muteness(self) -> str:
        """Return what it means, for people, that no parent has been heard so far; nothing if one has."""
        told = [line.way.muteness for line in self._lines]
        return told[0] if told and all(told) else ""

    def delay(self) -> float | None:
        """Return the seconds from the server to here, by its clock and ours; None if not known."""
        return self._stream.delay(time.monotonic())

    def counters(self) -> ReceiverCounters:
        """Describe what has come so far."""
        dropped = self._dropped + sum(line.dropped for line in self._lines)
        return replace(self._stream.counters(), dropped=dropped)

    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        """Describe what each parent has brought; one that was just added is there in a moment."""
        return self._stream.parents()

    # What others ask for, from any thread; nothing of this waits for a peer or for the thread

    def add_parent(
        self,
        upstream: UpstreamId,
        sock: socket.socket,
        token: bytes,
        position: Position,
        *,
        start: int | None = None,
        answer: float = 0.0,
    ) -> None:
        """Receive from a parent, too. The socket is connected to it, and the receiver's from now on.

        `position` is what its PORT says, which took `answer` seconds, `start` what its STREAM asked to go on
        from. Raises ValueError (the socket is still the caller's): another stream, or this id is taken.
        """
        if position.ssrc != self._stream.ssrc:
            raise ValueError(f"a parent of {position} for the stream {self.position}")
        with self._lock:
            if upstream in self._known:
                raise ValueError(f"there is an upstream {upstream} already")
            if self._finished:
                sock.close()
                return
            self._known.add(upstream)
            self._requests.append(_Add(upstream, sock, token, position, start, answer))
        self._forwarder.wake()

    def remove_parent(self, upstream: UpstreamId) -> None:
        """Leave a parent: the thread says BYE and closes the socket soon. Harmless when repeated."""
        with self._lock:
            if upstream not in self._known:
                return
            self._known.remove(upstream)
            self._requests.append(_Remove(upstream))
        self._forwarder.wake()

    def reach_back(self, number: int) -> None:
        """Ask for what lies between a number and the start as well, if that is not too long ago."""
        with self._lock:
            self._requests.append(_ReachBack(number))
        self._forwarder.wake()

    def start(self) -> None:
        """Be carried: it says hello at once. Raises NoThreadError."""
        self._forwarder.carry(self)
        self._is_carried = True

    def ask_to_stop(self) -> None:
        """Have the thread say BYE, and close all sockets. stop() waits for it."""
        self._stopping = True
        self._forwarder.wake()

    def stop(self) -> None:
        """End, and wait for that. Harmless when repeated, and from the thread itself."""
        self.ask_to_stop()
        if not self._is_carried:  # nobody else closes what is open
            self.finish()
        elif not self._forwarder.is_current and not self._over.wait(JOIN_TIMEOUT):
            logger.error("[%s] the receiver has not ended within %.1f s", self.content, JOIN_TIMEOUT)
        if self._is_alone:
            self._forwarder.stop()

    # The thread

    def look(self, now: float) -> bool:
        """Do what was asked for and what is due; return whether to be carried on.

        Of a stream that flows by the short way there is nothing to find out but ten times a second.
        """
        if self._stopping:
            return False
        if self._requests:
            self._do_requests()
        elif now < self._look_at and self._stream.flows(now):
            return True
        has_followed, flows = self._stream.settle(), self._stream.flows(now)
        if self._fit.look(self._stream.bytes, now):
            for line in self._lines:
                self._make_room(line.sock)
        for line in self._lines:
            if has_followed:  # from the only parent
                line.way.on_media(now, line.parent.lost)
            if not flows or line.parent.is_due(now):
                self._do_due(line, now)
        self._look_at = min([now + CALM_LOOK, *(line.parent.report_due for line in self._lines)])
        loser = self._stream.outdone(now)
        if loser is not None and self._on_outdone is not None:
            self._on_outdone(loser)
        return True

    def _read(self, line: _Line) -> None:
        """Receive once from a parent, and hand on what is new."""
        came = self._short_way.forward(line.sock)
        if came is not None:  # hardly ever
            self._go_the_long_way(line, *came)

    def _go_the_long_way(self, line: _Line, data: bytes | None, size: int, now: float) -> None:
        """Take in what is not the next train, or finds the stream or the parent not as they should be."""
        stream, parent = self._stream, line.parent
        if data is None:
            parent.refused(now)
        elif data:
            trains = stream.receive(parent, data, size, now)
            line.way.on_received(data, size, parent.lost, now)
            self._note_garbage(line)
            for train in trains:
                self._take(train, train.count, now)
        if parent.has_news or stream.reception.missing:  # all else can wait for the next look
            self._do_due(line, now)

    def _note_garbage(self, line: _Line) -> None:
        """Log that a parent has sent what cannot be read, if it has."""
        if (garbage := self._stream.garbage) != self._garbage:
            self._garbage = garbage
            text = "ignored what came from %s: garbage, %d datagrams so far"
            self._log.info("garbage", text, line.way.address, garbage, extra={"content": self.content})

    def _hold(self, train: Train, count: int, now: float) -> None:
        """Hold a train to hand it on with more, and what is to go on now at once."""
        del count  # it will be another one
        self._hand_on(self._gathering.take(train, now), now)
        self._await_due()

    def _await_due(self) -> None:
        due = self._gathering.due
        if due < float("inf") and not self._will_hand_on:
            self._will_hand_on = True
            self._forwarder.call_at(due, self._on_due)

    def _on_due(self) -> None:
        """Hand on what has been held for long enough."""
        self._will_hand_on, now = False, time.monotonic()
        if now >= self._gathering.due:  # else a later train is held by now
            self._hand_on(self._gathering.flush(), now)
        self._await_due()

    def _hand_on(self, trains: Iterable[Train], now: float) -> None:
        for train in trains:
            self._on_train(train, train.count, now)

    def _do_due(self, line: _Line, now: float) -> None:
        packet = self._stream.on_time(line.parent, now)
        self._judge_way(line)  # before anybody hears of an end that it may explain
        for event in line.parent.events():
            self._on_parent(line.parent.upstream, event)
        if packet is not None:
            _send(line.sock, packet, HEARD if line.parent.lives else 0)

    def _judge_way(self, line: _Line) -> None:
        if complaint := self._doubts.judge(line.way, line.parent.state, line.parent.lost):
            logger.warning("%s", complaint, extra={"content": self.content})

    def _do_requests(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            if isinstance(request, _Add):
                self._do_due(self._add(request), time.monotonic())  # the hello
            elif isinstance(request, _ReachBack):
                self._stream.reach_back(request.number, time.monotonic())
            else:
                for line in self._lines:
                    if line.parent.upstream == request.upstream:
                        self._leave(line)

    def _add(self, request: _Add) -> _Line:
        speaker = Speaker(self._ssrc, self._cname, request.token)
        parent = self._stream.add(
            request.upstream, speaker, request.position, time.monotonic(), request.start, request.answer
        )
        way = Way(_peer_of(request.sock), time.monotonic())
        line = _Line(parent, request.sock, way, count_dropped(request.sock))
        if self._fit.size > RECEIVE_BUFFER:  # else it was asked for when the socket was opened
            self._make_room(line.sock)
        self._lines = (*self._lines, line)
        self._forwarder.watch(line.sock, partial(self._read, line))
        return line

    def _make_room(self, sock: socket.socket) -> None:
        """Have a socket hold what the stream's rate needs; say so if the system grants less."""
        granted = request_receive_buffer(sock, self._fit.size)
        if granted < self._fit.needed:
            warn_of_limit(RECEIVE_LIMIT, granted, self._fit.needed)

    def _leave(self, line: _Line) -> None:
        """Say BYE to a parent, and close its socket."""
        self._lines = tuple(other for other in self._lines if other is not line)
        self._stream.remove(line.parent.upstream)
        self._forwarder.forget(line.sock)
        _send(line.sock, line.parent.goodbye(time.monotonic()))
        self._dropped += line.dropped
        line.sock.close()

    def finish(self) -> None:
        """Leave all parents, and take no more. In the thread, or where nothing carries it."""
        with self._lock:
            self._finished = True
        for request in self._requests:
            if isinstance(request, _Add):
                self._add(request)  # it is left in a moment: it hears BYE and no hello
        self._requests.clear()
        self._hand_on(self._gathering.flush(), time.monotonic())
        for line in self._lines:
            self._leave(line)
        self._over.set()


def _peer_of(sock: socket.socket) -> str:
    """Return HOST:PORT of the parent that a socket is connected to."""
    with contextlib.suppress(OSError):
        return str(endpoint_of(sock.getpeername()))
    return "the parent"


def _send(sock: socket.socket, packet: bytes, flags: int = 0) -> None:
    with contextlib.suppress(OSError):  # refused, no route: the next receive, or silence, tells
        sock.send(packet, socket.MSG_DONTWAIT | flags)
