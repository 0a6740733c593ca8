"""The parent's side of a content: its history and its children.

Used alike by a server's streamer and a node's relay. Per local address there is a UDP socket to
which unknown children say hello; per child a socket of its own, bound to the same address and port
and connected to the child, so that media leaves from where the child expects it and a queue that
fills is that child's alone.

A child is first admitted (over its control connection, by TCP, which has proven its IP address),
and gets media only after a hello (rtcp_session.py). Which thread does what:

    push, set_state    the stream's one thread
    tick               the feedback thread, which also hears the children
    everything else    any thread
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from mcast.errors import StreamEndedError
from mcast.media.catch_up import MIN_CATCH_UP_RATE
from mcast.media.child import Child, ChildSnapshot, OnCaughtUp, OnLost, first_burst
from mcast.media.children import Children
from mcast.media.delay import Passage
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarding import Push, push
from mcast.media.history import DEFAULT_BOUNDS, Archive, History, HistoryBounds
from mcast.media.repair import ReachBack
from mcast.media.reports import Supply
from mcast.media.rtcp_session import RtcpSession
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import IPAddress
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.overlay.actions import ConnectionId
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState, Origin, ntp_from_unix
from mcast.wire.train import Train

FEED_SECONDS = 0.01
"""How often a child that catches up is fed: 19 datagrams each time at 5 Mbit/s."""

logger = logging.getLogger(__name__)


class Fanout:
    """Feeds one content's children. `on_lost` and `on_caught_up` are called by the feedback thread."""

    def __init__(
        self,
        content: str,
        position: Position,
        reader: FeedbackReader,
        ports: MediaPorts,
        *,
        on_lost: OnLost,
        on_caught_up: OnCaughtUp = lambda _: None,
        cname: str = "mcast",
        bounds: HistoryBounds = DEFAULT_BOUNDS,
        archive: Archive | None = None,
        offload: bool = True,
        timing: Timing = DEFAULT_TIMING,
        origin: Callable[[float], Origin | None] | None = None,
        reach_back: ReachBack | None = None,
    ) -> None:
        """Begin at a position; `cname` names this host in RTCP, `offload` may switch UDP_SEGMENT off.

        `origin` tells what the server's clock says, None says that this host is the server.
        `archive` makes every datagram below the head; it may be asked until `close` has returned.
        `reach_back` asks above, where there is somebody, for what a child lacks from before the position.
        """
        self.content, self._ssrc = content, position.ssrc
        self.counters = Counters()
        self._reader, self._timing, self._on_caught_up = reader, timing, on_caught_up
        self._passage = None if origin is not None else Passage()
        log = RateLimitedLog(logger, self.counters)
        self._children = Children(content, History(position.next, bounds, archive), log)
        self.forward: Push = partial(push, self._children)  # as `push`, for a relay, who knows the rest
        self._rtcp = RtcpSession(
            content, position.ssrc, self._children, reader, ports, log,
            on_lost=on_lost, origin=origin or self._own_clock, cname=cname, offload=offload, timing=timing,
            reach_back=reach_back,
        )  # fmt: skip
        self._lock = threading.Lock()  # admission and closing
        self._closed = False
        self._next_look = self._next_report = self._next_report_to_all = 0.0  # the feedback thread's
        reader.call(lambda: reader.attach(self))

    def __repr__(self) -> str:
        return f"<Fanout {self.content} {self.position}, {len(self._children)} children>"

    @property
    def position(self) -> Position:
        """Return the stream and the number of its next datagram."""
        return Position(self._ssrc, self._children.head)

    @property
    def supply(self) -> FeedState:
        """Return what the children are told of this host's own supply."""
        return self._rtcp.supply.state

    def due_at(self, number: int) -> float | None:
        """Return when a number was due, in monotonic seconds; None before anything has been pushed."""
        return self._children.due_at(number)

    def children(self) -> tuple[ChildSnapshot, ...]:
        """Describe the children."""
        return tuple(child.snapshot() for child in self._children.children())

    def drained(self, last: int) -> frozenset[ConnectionId]:
        """Return the children that have everything up to the number `last`, by their own reports.

        One that has never said hello is not among them, nor one whose reports do not come.
        """
        return self._children.drained(last, time.monotonic())

    def admit(
        self,
        key: ConnectionId,
        identity: str,
        local_ip: IPAddress,
        peer_ip: IPAddress,
        token: bytes,
        *,
        resume: Position | None = None,
        start: Start = Start.KEYFRAME,
        buffer_bytes: int = 0,
        heard_from: int = 0,
    ) -> int:
        """Expect a child's hello at `local_ip`, from `peer_ip`; return the UDP port there.

        One that has said hello before, from the port `heard_from`, is fed at once. Replaces what had the
        same key. Raises ConfigError if no port is free, StreamEndedError if the fanout is closed.
        """
        now, burst = time.monotonic(), first_burst(buffer_bytes)
        child = Child(
            key=key,
            identity=identity,
            token=token,
            local_ip=local_ip,
            peer_ip=peer_ip,
            start=start,
            resume=resume if resume is not None and resume.ssrc == self._ssrc else None,
            lease_until=now + self._timing.first_hello,
            pace=TokenBucket(MIN_CATCH_UP_RATE, burst, now),
        )
        with self._lock:
            if self._closed:
                raise StreamEndedError(f"the stream of '{self.content}' has just ended")
            port = self._rtcp.port_at(local_ip)
            self._children.add(child)
        self._reader.hurry(now)  # its hello is on its way
        if heard_from:
            self._reader.call(partial(self._rtcp.welcome, child, heard_from))
        self._reader.wake()
        return port

    def adopt(self, local_ip: IPAddress, sock: socket.socket) -> None:
        """Have this common socket at a local address: another process has opened it."""
        self._rtcp.adopt(local_ip, sock)

    def push(self, train: Train) -> None:
        """Keep a train and send it to all that are live. Never blocks; for the stream's one thread only."""
        now = time.monotonic()
        if self._passage is not None:
            self._passage.note(train.last_timestamp(), now)
        self.forward(train, train.count, now)

    def dismiss(self, key: ConnectionId, reason: str = "") -> bool:
        """Send nothing more to a child; return whether there was one."""
        child = self._children.remove(key)
        if child is None:
            return False
        logger.debug("[%s] %s dismissed: %s", self.content, child.identity, reason)
        self._reader.wake()
        return True

    def set_state(self, state: FeedState, no_way: bool = False) -> None:
        """Tell the children, at once if it is news, how this host itself is fed. For one thread only.

        `no_way` tells, while it is cut off, that no other parent was found.
        """
        told = self._rtcp.supply
        if (state, no_way) != (told.state, told.no_way):
            since = told.since if state is told.state else time.monotonic()
            self._rtcp.tell_supply(Supply(state, since, no_way))

    def close_soon(self) -> None:
        """Begin to close, without waiting: so many fanouts close side by side. Harmless when repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._reader.call(self._close)

    def close(self) -> None:
        """Dismiss all children and close all sockets. Harmless when repeated."""
        self.close_soon()
        self._reader.call(lambda: None, wait=True)  # what was to be done before is done then

    # In the feedback thread

    def _own_clock(self, now: float) -> Origin | None:
        """Return which RTP time leaves this server when, by its own clock."""
        passing = None if self._passage is None else self._passage.at(now)
        return None if passing is None else Origin(ntp_from_unix(time.time()), passing)

    @property
    def catching_up(self) -> int:
        """Return how many children are to be fed soon."""
        return self._children.catching_up

    def tick(self, now: float) -> float:
        """Do what is due (called by the reader); return when the next thing is."""
        if now >= self._next_look:
            self._next_look = _next_on_grid(now, self._timing.look)
            self._rtcp.check_leases(now)
            self._reader.total.note_live(self._children.take_live_bytes(), now)
            for key in self._children.take_caught_up():
                self._on_caught_up(key)
        if now >= self._next_report:
            self._report(now)
        self._release()
        due = min(self._next_look, self._next_report)
        if not self.catching_up:
            return due
        self._children.feed(self._reader.total, now)
        return min(due, now + FEED_SECONDS)

    def _report(self, now: float) -> None:
        """Send the SRs that are due, and find out when to look again."""
        children, timing = self._children, self._timing
        quiet_from = children.last_push + timing.quiet
        pressing = now > quiet_from or children.catching_up > 0
        if pressing or now >= self._next_report_to_all:
            self._next_report_to_all = now + timing.look
            self._rtcp.report_due(now)
        since = now if pressing else quiet_from
        next_report = _next_on_grid(since, timing.quiet_report)
        self._next_report = next_report if len(children) else self._next_look

    def _close(self) -> None:
        for child in self._children.children():
            self._children.remove(child.key)
        # What a stream leaves behind refers to itself in circles (callbacks): Python's collector, which comes
        # rarely, would find it after minutes, with 8 s of media each.
        self._children.forget_media()
        self._rtcp.close()
        self._release()

    def _release(self) -> None:
        """Close the sockets of children that are gone; when all are and no more come, be called no more."""
        if self._children.release(self._reader.close) and self._closed:
            self._reader.detach(self)


def _next_on_grid(now: float, step: float) -> float:
    """Return the next moment on a grid that all contents share: so their thread wakes up once for all."""
    return (now // step + 1) * step
