"""The short way of a train through a node: from recvmsg(2) to sendmmsg(2), in the thread that reads it.

    forward   receives it, and proves that it is what nearly all are: the next train of a stream of which
              nothing lacks, from its only parent, who feeds it
    push      keeps it in the history, under the lock, and sends it by the plan to all live children

That is all there is to read. Whatever else comes or happens takes the long way, which means the same: gaps,
repairs, a second parent, RTCP and garbage in receiver.py and incoming.py; late trains and full sockets in
children.py. What a train means for the parent is found out at the next look at the clock
(`IncomingStream.settle`).

A client has the first half, and its playback in the place of `push`; a server's streamer the second.
"""

import socket
import time
from collections.abc import Callable
from typing import TypeAlias

from mcast.media.child import Child
from mcast.media.children import Children
from mcast.media.incoming import IncomingStream
from mcast.wire.burst import run_length
from mcast.wire.train import MAX_TRAIN_DATAGRAMS, NULL_DATAGRAM, Train

STEADY_GAP = 0.05
"""Seconds between two trains that are too few to learn a rhythm from: see `Timing.suspect` and `rhythm`."""

Push: TypeAlias = Callable[[Train, int, float], None]
"""Takes a train, how many datagrams it holds, and when it came."""
Came: TypeAlias = tuple[bytes | None, int, float]
"""What one receive gave: bytes, in segments of this size, at this time; None if the socket was refused."""


class ShortWay:
    """One receiver's, in its thread."""

    __slots__ = ("_clock", "_push", "_receive", "_stream")

    def __init__(
        self,
        stream: IncomingStream,
        receive: Callable[[socket.socket], tuple[bytes, int]],
        push: Push,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hand on by `push` what of a stream comes in order."""
        self._stream, self._receive, self._push, self._clock = stream, receive, push, clock

    def forward(self, sock: socket.socket) -> Came | None:
        """Receive once and hand on the next train; or take in nothing, and return what has come instead."""
        try:
            data, size = self._receive(sock)
        except BlockingIOError:
            return None
        except OSError:  # the parent's port is closed, or a filter refuses us; told once, then forgotten
            return None, 0, self._clock()
        now, stream = self._clock(), self._stream
        reception, gap = stream.reception, now - stream.new_at
        first = reception.next
        if (
            stream.steady is None  # there are two parents, or something lacks, or the parent is not sure
            or gap > STEADY_GAP  # who has been silent is looked at
            or gap > stream.longest_gap
            or size == NULL_DATAGRAM
            or not (count := run_length(data, size, first & 0xFFFF, stream.ssrc))
        ):
            return data, size, now
        reception.next = first + count
        reception.received += count
        stream.bytes += len(data)
        stream.new_at = now
        stream.followed = train = Train(first, size, data)
        self._push(train, count, now)
        return None


def push(children: Children, train: Train, count: int, now: float) -> None:
    """Keep a train, and send it to all live children. Never blocks; for the stream's one thread only."""
    if count > MAX_TRAIN_DATAGRAMS:  # a card's GRO merges up to 64, if they are small
        for part in train.parts():
            push(children, part, part.count, now)
        return
    first, history, front = train.first, children.history, children.front
    with children.lock:
        children.epoch += 1  # odd: until it is even again, no socket that the plan may name is closed
        plan = children.live.plan(now)
        is_late = first < history.head and history.tail < history.head
        if is_late:
            children.keep_late(train, now)
        else:
            history.append(train, first + count, now)
            _, datagrams, octets = front.done
            front.promised = (first + count, datagrams + count, octets + len(train.data))
    children.last_push = now
    if is_late:
        children.send_late(plan, train, now)
    else:
        children.newest, alone = train, plan.alone
        for group in plan.groups:
            served = group.sender.send(train)  # one call for all of them
            if served < len(group.children):
                alone = (*alone, *group.children[served:])
                children.see_why(group, served, train, now)
        stalled: list[tuple[Child, int]] = []
        for child in alone:
            sent = child.sender.send(train)  # type: ignore[union-attr]  # live: it has a sender
            if sent < count:
                stalled.append((child, sent))
        front.done = front.promised
        if stalled:
            children.fall_back(train, stalled, now)
    children.epoch += 1
