"""Simulated servers, and how the rendezvous point watches them."""

from collections.abc import Callable
from dataclasses import dataclass

from mcast.overlay.actions import ConnectionId
from mcast.overlay.events import Event, ServerListed, ServerLost, ServerMeasured
from mcast.wire.node import StopReason
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.server import ContentInfo
from overlay.sim_media import HISTORY, SimFanout
from overlay.sim_world import PACE, Process, World

LOOK = 0.5
"""Seconds between two PINGs of a monitor."""
PING_TIMEOUT = 5.0
LINGER = 3.0
"""Seconds that a stream outlives its last child, if that was lost."""


@dataclass(frozen=True)
class SimContent:
    """A content of a server: how many numbers it has, and what its bytes are."""

    length: int | None = None  # None: without end
    digest: bytes = bytes(32)


@dataclass(frozen=True)
class Timeline:
    """When the numbers of one stream are due, whichever server emits them."""

    ssrc: int
    begun: float
    digest: bytes

    def due(self, number: int) -> float:
        return self.begun + number * PACE


class Library:
    """The streams that there have been, which servers with the same bytes can go on with."""

    def __init__(self) -> None:
        self._timelines: dict[int, Timeline] = {}

    def __getitem__(self, ssrc: int) -> Timeline:
        return self._timelines[ssrc]

    def begin(self, digest: bytes, now: float) -> Timeline:
        ssrc = len(self._timelines) + 1
        self._timelines[ssrc] = timeline = Timeline(ssrc, now, digest)
        return timeline

    def timeline_of(self, resume: Position | None, digest: bytes) -> Timeline | None:
        """Return the timeline to go on with, if these are the bytes of that stream."""
        timeline = None if resume is None else self._timelines.get(resume.ssrc)
        return timeline if timeline is not None and digest and timeline.digest == digest else None


class SimStreamer:
    """One stream of a server: it emits each number when it is due."""

    def __init__(self, server: "SimServer", name: str, timeline: Timeline, resume: Position | None,
                 emits: bool) -> None:  # fmt: skip
        self.server, self.name, self.ssrc, self._timeline = server, name, timeline.ssrc, timeline
        self.length = server.contents[name].length
        self.fanout = SimFanout(server, self.ssrc, FeedState.FED if emits else FeedState.WAITING)
        if resume is not None:  # what is below is answered from the file
            self.fanout.have.add(max(0, resume.next - HISTORY), resume.next)
        self.is_over = False
        self._last: int | None = None
        self._on_end: dict[ConnectionId, Callable[[StopReason, int | None], None]] = {}
        if emits:
            self._emit()

    @property
    def head(self) -> int:
        return self.fanout.have.next

    def join(self, key: ConnectionId, child: Process, resume: Position | None,
             on_end: Callable[[StopReason, int | None], None]) -> None:  # fmt: skip
        self.fanout.admit(key, child, resume)
        self._on_end[key] = on_end
        if self._last is not None:
            last = self._last
            self.server.world.soon(lambda: on_end(StopReason.END, last))

    def leave(self, key: ConnectionId, *, lost: bool) -> None:
        self.fanout.dismiss(key)
        self._on_end.pop(key, None)
        if not self._on_end:
            self.server.world.clock.after(LINGER if lost else 0.0, self._end_unless_taken)

    def look(self) -> None:
        """Do what is due ten times a second: SRs, leases."""
        for key in self.fanout.look():
            self._on_end[key](StopReason.LEASE, None)
            self.leave(key, lost=True)

    def _end_unless_taken(self) -> None:
        if not self._on_end:
            self.server.ended(self)

    def _emit(self) -> None:
        server = self.server
        if self.is_over or not server.alive:
            return
        if not server.frozen:
            due = int((server.world.now - self._timeline.begun) / PACE + 1e-6) + 1
            end = due if self.length is None else min(due, self.length)
            if end > self.head:
                self.fanout.push(self.head, end)
            if end == self.length:
                self._finish(end - 1)
                return
        server.world.clock.after(server.world.train_seconds, self._emit)

    def _finish(self, last: int) -> None:
        self._last = last
        for on_end in list(self._on_end.values()):
            on_end(StopReason.END, last)


class SimServer(Process):
    """Contents, and the streams of them that run."""

    def __init__(self, world: World, address: str, contents: dict[str, SimContent], library: "Library",
                 *, emits: bool) -> None:  # fmt: skip
        super().__init__(world, address)
        self.contents, self._library, self._emits = contents, library, emits
        self.streamers: dict[int, SimStreamer] = {}
        self.refuses = False  # every request for a stream
        self.begun = self.finished = 0
        self._keys = 0
        self._look()

    def info(self) -> tuple[ContentInfo, ...]:
        """Return the list that it sends to who asks."""
        return tuple(
            ContentInfo(name, digest=content.digest, running=self._running(name))
            for name, content in self.contents.items()
        )

    def _running(self, name: str) -> tuple[Position, ...]:
        return tuple(Position(s.ssrc, s.head) for s in self.streamers.values() if s.name == name)

    def stream(self, name: str, resume: Position | None) -> SimStreamer | None:
        """Return the stream that a request leads to: one that runs, or one that begins."""
        if name not in self.contents or self.refuses:
            return None
        if resume is not None and resume.ssrc in self.streamers:
            return self.streamers[resume.ssrc]
        running = [s for s in self.streamers.values() if s.name == name]
        if running and resume is None:
            return running[0]
        return self._begin(name, resume)

    def _begin(self, name: str, resume: Position | None) -> SimStreamer:
        timeline = self._library.timeline_of(resume, self.contents[name].digest)
        if timeline is None or resume is None:
            resume, timeline = None, self._library.begin(self.contents[name].digest, self.world.now)
        streamer = SimStreamer(self, name, timeline, resume, self._emits)
        self.streamers[timeline.ssrc] = streamer
        self.begun += 1
        return streamer

    def next_key(self) -> ConnectionId:
        self._keys += 1
        return self._keys

    def ended(self, streamer: SimStreamer) -> None:
        if not streamer.is_over:
            streamer.is_over = True
            streamer.fanout.is_open = False
            self.finished += 1
            self.streamers.pop(streamer.ssrc, None)

    def _look(self) -> None:
        if self.alive:
            # Without media nobody reports. Where things fail, it is the leases that tell then; where nothing
            # does, none ends.
            if not self.frozen and (self._emits or not self.world.is_steady):
                for streamer in list(self.streamers.values()):
                    streamer.look()
            self.world.clock.after(0.1 if self.streamers else LOOK, self._look)


class Monitor:
    """The rendezvous point's view of one server: its list, its round trip, its silence."""

    def __init__(self, node: Process, address: str, find: Callable[[], SimServer | None],
                 tell: Callable[[Event], None]) -> None:  # fmt: skip
        self._node, self.address, self._find, self._tell = node, address, find, tell
        self._answered = node.world.now
        self._told: list[object] = []
        self._stopped = self._is_lost = False
        self._look()

    def stop(self) -> None:
        self._stopped = True

    def _look(self) -> None:
        if self._stopped or not self._node.alive:
            return
        if not self._node.frozen:
            self._ping()
        self._node.world.clock.after(LOOK, self._look)

    def _ping(self) -> None:
        world, server = self._node.world, self._find()
        link = world.link(self._node.name, self.address)
        if link.control_down_since is not None or (server is not None and server.frozen):
            if world.now - self._answered > PING_TIMEOUT:
                self._lose("no answer")
        elif server is None or not server.alive:
            self._lose("connection refused")
        else:
            self._answered = world.now
            delay = world.delay(link) + world.delay(link)
            world.clock.after(delay, lambda: self._node.takes(lambda: self._on_answer(server, delay)))

    def _lose(self, text: str) -> None:
        self._told = []
        if not self._is_lost:
            self._is_lost = True
            self._tell(ServerLost(self.address, text))

    def _on_answer(self, server: SimServer, delay: float) -> None:
        self._is_lost = False
        info = server.info()
        news: list[object] = [(each.name, each.digest, [s.ssrc for s in each.running]) for each in info]
        if news != self._told:  # heads move all the time, and are no news
            self._told = news
            self._tell(ServerListed(self.address, info))
        self._tell(ServerMeasured(self.address, round(delay * 1e6)))
