"""A chain of relays in simulated time: real decisions and real packets, invented wires.

    source --> relay --> relay --> ... --> viewer's playout buffer

Each hop is a parent's side (`Children`, `RtcpSession`) and a child's side (`IncomingStream`), joined by
a link that takes its time and loses datagrams one by one, both ways, by a seeded generator.
"""

import heapq
import itertools
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

from mcast.media.child import Child, ChildLost
from mcast.media.children import Children
from mcast.media.delay import Passage
from mcast.media.feedback import FeedbackReader
from mcast.media.history import History
from mcast.media.incoming import IncomingStream, ReceiverCounters
from mcast.media.parent import ParentEvent
from mcast.media.playout import PlayoutBuffer
from mcast.media.reports import Speaker
from mcast.media.rtcp_session import RtcpSession
from mcast.media.timing import DEFAULT_TIMING
from mcast.media.token_bucket import TokenBucket
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.overlay.events import Feed
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import Origin, ntp_from_unix
from mcast.wire.rtp import CLOCK_RATE, HEADER_SIZE, RtpHeader
from mcast.wire.train import Train
from media.plane.streams import SSRC, follow, push

ADDRESS = ("127.0.0.1", 9)
EPOCH = 1.7e9  # Unix time less the simulation's
PACE = 0.01  # seconds between two trains of the source, as a server's
TICK = 0.02  # the receiver's
FEED = 0.01  # the feedback thread's
BIT_RATE = 5_000_000
PER_DATAGRAM = 7 * 188 * 8
"""Bits that a datagram stands for. Two TS packets of its seven are sent: one alone might be a null packet."""
_TS = b"\x47\x01\x00\x10".ljust(188, b"\xff") * 2
_LOG = RateLimitedLog(logging.getLogger(__name__))


class Clock:
    """Simulated time: what is to happen, and when."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._due, (when, next(self._order), what))

    def each(self, period: float, what: Callable[[], None], offset: float = 0.0) -> None:
        """Have something happen again and again."""

        def again() -> None:
            what()
            self.at(self.now + period, again)

        self.at(self.now + offset, again)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = until


@dataclass
class Link:
    """What lies between a parent and its child."""

    clock: Clock
    random: random.Random
    delay: float  # seconds, one way
    loss: float  # of each datagram, both ways
    back_loss: float | None = None  # of each from the child, where that differs
    jitter: float = 0.0  # seconds by which a datagram may be later
    dead: Callable[[float], bool] = lambda _: False
    sent: int = 0  # datagrams of media from the parent
    back_bytes: int = 0  # RTCP from the child

    def passes(self, *, back: bool = False) -> bool:
        """Return whether a datagram arrives: at the child, or at the parent."""
        loss = self.loss if self.back_loss is None or not back else self.back_loss
        return not self.dead(self.clock.now) and self.random.random() >= loss

    def carry(self, what: Callable[[], None]) -> None:
        """Have something arrive."""
        self.clock.at(self.clock.now + self.delay + self.random.random() * self.jitter, what)


class Wire:
    """Stands for a child's socket at its parent."""

    sock = None  # nothing to close

    def __init__(self, link: Link, deliver: Callable[[bytes, int], None]) -> None:
        self._link, self._deliver = link, deliver

    def send(self, train: Train) -> int:
        self._link.sent += train.count
        passed = [bytes(datagram) for datagram in train.datagrams() if self._link.passes()]
        if passed:
            data, size = b"".join(passed), train.size
            self._link.carry(lambda: self._deliver(data, size))
        return train.count

    def send_packet(self, packet: bytes | memoryview) -> bool:
        data = bytes(packet)
        self._link.sent += data[1] & 127 == 33
        if self._link.passes():
            self._link.carry(lambda: self._deliver(data, len(data)))
        return True


@dataclass
class Reader:
    """Stands for the feedback thread."""

    total: TokenBucket

    def call(self, function: Callable[[], None]) -> None:
        function()

    def hurry(self, now: float) -> None:
        """It never rests."""


class Sender:
    """The parent's side of a content: the server's, unless it is told what the server's clock says."""

    def __init__(self, clock: Clock, origin: Callable[[float], Origin | None] | None = None) -> None:
        self._clock, self._passage = clock, Passage()
        self.children = Children("news", History(0), _LOG)
        self.lost: list[ChildLost] = []
        self.reader = Reader(TokenBucket(50e6, 2.5e6, clock.now))
        self.rtcp = RtcpSession(
            "news", SSRC, self.children, cast(FeedbackReader, self.reader), MediaPorts(), _LOG,
            on_lost=lambda _, why: self.lost.append(why), cname="parent", offload=True, timing=DEFAULT_TIMING,
            wall=lambda: clock.now + EPOCH, origin=origin or self._own_clock,
        )  # fmt: skip
        clock.each(DEFAULT_TIMING.quiet_report, lambda: self.rtcp.report_due(clock.now))
        clock.each(DEFAULT_TIMING.look, lambda: self.rtcp.check_leases(clock.now))
        clock.each(FEED, lambda: self.children.feed(self.reader.total, clock.now))

    def admit(self, link: Link, deliver: Callable[[bytes, int], None], *, resume: int | None = None) -> bytes:
        """Take in a child; return its token."""
        now, key = self._clock.now, len(self.children) + 1
        child = Child(
            key=key, identity=f"c{key}", token=key.to_bytes(16, "big"), local_ip=ip_address("127.0.0.1"),
            peer_ip=ip_address("127.0.0.1"), start=Start.KEYFRAME,
            lease_until=now + DEFAULT_TIMING.first_hello,
            resume=None if resume is None else Position(SSRC, resume),
            pace=TokenBucket(400, 64, now),
        )  # fmt: skip
        child.sender, child.address = cast(TrainSender, Wire(link, deliver)), ADDRESS
        self.children.add(child)
        return child.token

    def push(self, train: Train) -> None:
        self._passage.note(train.last_timestamp(), self._clock.now)
        push(self.children, train, self._clock.now)

    def _own_clock(self, now: float) -> Origin | None:
        passing = self._passage.at(now)
        return None if passing is None else Origin(ntp_from_unix(now + EPOCH), passing)

    def hear(self, packet: bytes) -> None:
        self.rtcp.on_packet(packet, ADDRESS, self._clock.now)


class Descendant:
    """The child's side of a content: one parent, or two. Its clock is `fast` by so many seconds."""

    def __init__(self, clock: Clock, on_train: Callable[[Train], None], fast: float = 0.0) -> None:
        self._clock, self._on_train = clock, on_train
        self.stream = IncomingStream(Position(SSRC, 0), start=0, wall=lambda: clock.now + EPOCH + fast)
        self.told: list[tuple[int, Feed, float]] = []
        self.outdone: list[int] = []
        self._lines: dict[int, Callable[[], None]] = {}
        clock.each(TICK, self._tick, offset=TICK / 3)

    def join(self, upstream: int, sender: Sender, link: Link, *, resume: int = 0) -> None:
        """Subscribe at a parent, as of now."""
        token = sender.admit(link, lambda data, size: receive(data, size), resume=resume)
        speaker = Speaker(upstream + 7, "child", token)
        parent = self.stream.add(upstream, speaker, Position(SSRC, resume), self._clock.now, resume)

        def receive(data: bytes, size: int) -> None:
            if upstream not in self._lines:
                return
            train = follow(self.stream, data, size, self._clock.now)
            if train is not None:  # the short way, which nearly all takes
                self._on_train(train)
                return
            for train in self.stream.receive(parent, data, size, self._clock.now):
                self._on_train(train)
            due()

        def due() -> None:
            packet = self.stream.on_time(parent, self._clock.now)
            self._note(upstream, parent.events())
            if packet is not None:
                link.back_bytes += len(packet) + 28
                if link.passes(back=True):
                    link.carry(lambda: sender.hear(packet))

        self._lines[upstream] = due
        due()

    def leave(self, upstream: int) -> None:
        """Hear no more of a parent."""
        del self._lines[upstream]
        self.stream.remove(upstream)

    def _tick(self) -> None:
        self.stream.settle()
        for due in list(self._lines.values()):
            due()
        loser = self.stream.outdone(self._clock.now)
        if loser is not None:
            self.outdone.append(loser)

    def _note(self, upstream: int, events: Sequence[ParentEvent]) -> None:
        self.told += [(upstream, event.kind, event.at) for event in events]


@dataclass
class Source:
    """Sends a stream of a constant rate."""

    clock: Clock
    push: Callable[[Train], None]
    bit_rate: int = BIT_RATE
    next: int = 0
    ends: float = float("inf")
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock.now
        self.clock.each(PACE, self._send)

    def _send(self) -> None:
        rate = self.bit_rate / PER_DATAGRAM
        count = int((min(self.clock.now, self.ends) - self._began) * rate) + 1 - self.next
        if count > 0 and self.clock.now < self.ends:
            first, self.next = self.next, self.next + count
            stamps = range(first, self.next)
            data = b"".join(self._datagram(number, rate) for number in stamps)
            self.push(Train(first, HEADER_SIZE + len(_TS), data))

    def _datagram(self, number: int, rate: float) -> bytes:
        ticks = int(number * CLOCK_RATE / rate) & 0xFFFF_FFFF
        return RtpHeader(number & 0xFFFF, ticks, SSRC).pack() + _TS


@dataclass(frozen=True)
class Result:
    """What a chain has done."""

    sent: int
    missing: int  # that did not go out at the viewer
    counters: tuple[ReceiverCounters, ...]  # of each hop's child
    surplus: tuple[float, ...]  # datagrams that each link carried beyond those of the stream, as a share
    back: tuple[float, ...]  # bit/s of RTCP from each child
    states: tuple[tuple[Feed, ...], ...]  # what each child was told of its parent


def run_chain(
    seed: int, hops: int, *, loss: float, latency: float, seconds: float, round_trip: float = 0.02,
    bit_rate: int = BIT_RATE, jitter: float = 0.0, dead: Callable[[int, float], bool] = lambda *_: False,
) -> Result:  # fmt: skip
    """Stream through a chain. `dead(hop, seconds)` tells when a link drops everything."""
    clock = Clock()
    began, playout = clock.now, PlayoutBuffer(latency * 1000, 0)
    links, children = list[Link](), list[Descendant]()
    source_side = sender = Sender(clock)
    for hop in range(hops):
        link = Link(
            clock, random.Random(seed * 1000 + hop), round_trip / 2, loss, jitter,
            dead=lambda now, hop=hop: dead(hop, now - began),  # type: ignore[misc]
        )  # fmt: skip
        is_last = hop == hops - 1
        below = Sender(clock)
        child = Descendant(clock, (lambda train: playout.push(train, clock.now)) if is_last else below.push)
        child.join(0, sender, link)
        links.append(link)
        children.append(child)
        sender = below

    def pop() -> None:
        playout.pop(clock.now)

    clock.each(PACE, pop)
    clock.run(clock.now + 0.5)  # the hellos have come
    source = Source(clock, source_side.push, bit_rate, ends=began + 0.5 + seconds)
    clock.run(began + 0.5 + seconds + latency + 1.0)
    playout.flush(source.next - 1)
    took = seconds + 1.5 + latency
    return Result(
        source.next, playout.counters().lost, tuple(child.stream.counters() for child in children),
        tuple(link.sent / source.next - 1 for link in links),
        tuple(link.back_bytes * 8 / took for link in links),
        tuple(tuple(state for _, state, _ in child.told) for child in children),
    )  # fmt: skip
