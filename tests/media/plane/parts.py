"""Parents and their children with real sockets on the loopback, for tests."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from helpers import PATIENCE, wait_until
from mcast.media.child import ChildLost, ChildSnapshot, ChildState
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.history import DEFAULT_BOUNDS, HistoryBounds
from mcast.media.parent import ParentEvent
from mcast.media.receiver import Receiver
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.addresses import IPAddress
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.threads import CrashBox
from mcast.net.udp import TrainSender
from mcast.overlay.actions import ConnectionId, UpstreamId
from mcast.overlay.events import Feed
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.train import Train
from media.plane.path import Path
from media.plane.streams import SSRC, numbers_of

LOCAL = ip_address("127.0.0.1")
PATIENT = Timing(
    suspect=PATIENCE,
    silence=PATIENCE,
    start_silence=PATIENCE,
    repair=PATIENCE,
    lease=PATIENCE,
    first_hello=PATIENCE,
)
"""Nobody is taken for lost, and nothing given up, because the machine is busy."""

_keys = itertools.count()


@dataclass
class Viewer:
    """A child: its receiver and what it has got."""

    key: ConnectionId
    receiver: Receiver
    paths: list[Path] = field(default_factory=list)
    trains: list[Train] = field(default_factory=list)
    told: list[tuple[UpstreamId, Feed]] = field(default_factory=list)
    outdone: list[UpstreamId] = field(default_factory=list)
    next: int = -1  # the number after the highest

    @property
    def states(self) -> list[Feed]:
        """Return what became of its parents, in order."""
        return [state for _, state in self.told]

    @property
    def lost(self) -> int:
        """Return how many datagrams it misses."""
        return self.receiver.counters().lost

    def numbers(self) -> list[int]:
        """Return what has arrived, in order of arrival."""
        return numbers_of(list(self.trains))

    def take_train(self, item: Train) -> None:
        """Keep what has arrived."""
        self.trains.append(item)
        self.next = max(self.next, item.next)

    def take_event(self, upstream: UpstreamId, event: ParentEvent) -> None:
        """Remember an event."""
        self.told.append((upstream, event.kind))


def _has(viewer: Viewer, number: int) -> bool:
    return viewer.next >= number


class Family:
    """A fanout, its reader, and children that can be added."""

    def __init__(
        self,
        start: int = 0,
        *,
        bounds: HistoryBounds = DEFAULT_BOUNDS,
        offload: bool = True,
        rate: int = 10**9,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.crash, self.timing = CrashBox(threading.Event()), timing
        self.lost: list[tuple[ConnectionId, ChildLost]] = []
        self.caught_up: list[ConnectionId] = []
        self.reader = FeedbackReader(self.crash, catch_up_bit_rate=rate)
        self.reader.start()
        self.fanout = Fanout(
            "news",
            Position(SSRC, start),
            self.reader,
            MediaPorts(),
            on_lost=lambda key, why: self.lost.append((key, why)),
            on_caught_up=self.caught_up.append,
            bounds=bounds,
            offload=offload,
            timing=timing,
        )
        self.viewers: list[Viewer] = []  # that have joined here first

    def token(self, key: int) -> bytes:
        """Return a child's token."""
        return key.to_bytes(16, "big")

    def join(
        self,
        *,
        start: Start = Start.KEYFRAME,
        resume: Position | None = None,
        local: IPAddress = LOCAL,
        peer: IPAddress = LOCAL,
        within: Callable[[Callable[[], None]], None] = lambda action: action(),
        repair: bool = False,
        running: bool = True,
        buffer_bytes: int | None = None,
        path: Callable[[bytes], int] | None = None,
    ) -> Viewer:
        """Add a child at `peer` to the parent at `local`; `path` puts a Path with these losses in between.

        `within` opens the child's socket elsewhere.
        """
        viewer: Viewer
        receiver = Receiver(
            "news",
            self.fanout.position,
            f"child{next(_keys)}",
            lambda item, *_: viewer.take_train(item),
            lambda upstream, event: viewer.take_event(upstream, event),
            self.crash,
            on_outdone=lambda upstream: viewer.outdone.append(upstream),
            start=resume.next if resume is not None and resume.ssrc == SSRC else None,
            repair=repair,
            timing=self.timing,
        )
        viewer = Viewer(next(_keys), receiver)
        self.viewers.append(viewer)
        self.adopt(viewer, 0, start=start, resume=resume, local=local, peer=peer, within=within,
                   buffer_bytes=buffer_bytes, path=path)  # fmt: skip
        if running:
            receiver.start()
        return viewer

    def adopt(
        self,
        viewer: Viewer,
        upstream: UpstreamId,
        *,
        start: Start = Start.KEYFRAME,
        resume: Position | None = None,
        local: IPAddress = LOCAL,
        peer: IPAddress = LOCAL,
        within: Callable[[Callable[[], None]], None] = lambda action: action(),
        buffer_bytes: int | None = None,
        path: Callable[[bytes], int] | None = None,
    ) -> None:
        """Become a parent of a child."""
        key, opened = viewer.key, list[tuple[socket.socket, int]]()
        within(lambda: opened.append(open_media_socket(peer, MediaPorts())))
        sock, granted = opened[0]
        port = self.fanout.admit(
            key,
            f"child{key}",
            local,
            peer,
            self.token(key),
            resume=resume,
            start=start,
            buffer_bytes=granted if buffer_bytes is None else buffer_bytes,
        )
        if path is not None:
            viewer.paths.append(Path((str(local), port), path))
            port = viewer.paths[-1].port
        connect_media_socket(sock, local, port)
        same = resume is not None and resume.ssrc == SSRC
        viewer.receiver.add_parent(
            upstream, sock, self.token(key), self.fanout.position,
            start=resume.next if resume is not None and same else None,
        )  # fmt: skip

    def child(self, viewer: Viewer) -> ChildSnapshot:
        """Return the parent's view of a child."""
        return next(child for child in self.fanout.children() if child.key == viewer.key)

    def wait_live(self, *viewers: Viewer) -> None:
        """Wait until children are live."""
        for viewer in viewers or tuple(self.viewers):
            wait_until(partial(self._is_live, viewer), f"{viewer.key} is live")

    def _is_live(self, viewer: Viewer) -> bool:
        return self.child(viewer).state is ChildState.LIVE

    def wait_next(self, number: int, *viewers: Viewer) -> None:
        """Wait until children have got what is just below a number."""
        for viewer in viewers or tuple(self.viewers):
            wait_until(partial(_has, viewer, number), f"{viewer.key} at {number}")

    def sender(self, viewer: Viewer) -> TrainSender:
        """Return the parent's socket to a child."""
        child = self.fanout._children.by_token(self.token(viewer.key))
        assert child is not None
        assert child.sender is not None
        return child.sender

    def close(self) -> None:
        """End everything; a crash of any thread fails the test."""
        for viewer in self.viewers:
            viewer.receiver.stop()
            for path in viewer.paths:
                path.close()
        self.fanout.close()
        self.reader.stop()
        if self.crash.error is not None:
            raise self.crash.error


@contextlib.contextmanager
def family(
    start: int = 0,
    *,
    bounds: HistoryBounds = DEFAULT_BOUNDS,
    offload: bool = True,
    rate: int = 10**9,
    timing: Timing = DEFAULT_TIMING,
) -> Iterator[Family]:
    """Run a parent for the length of a test."""
    made = Family(start, bounds=bounds, offload=offload, rate=rate, timing=timing)
    try:
        yield made
    finally:
        made.close()


class Pusher:
    """Pushes trains at their media time (`speed` times as fast) from a thread of its own."""

    def __init__(self, fanout: Fanout, trains: list[Train], speed: float = 1.0, rate: int = 1000) -> None:
        self._fanout, self._trains, self._speed, self._rate = fanout, trains, speed, rate
        self._thread = threading.Thread(target=self._run, name="pusher")
        self._thread.start()

    def _run(self) -> None:
        begin, first = time.monotonic(), self._trains[0].first
        for item in self._trains:
            due = begin + (item.first - first) / self._rate / self._speed
            time.sleep(max(0.0, due - time.monotonic()))
            self._fanout.push(item)

    def join(self) -> None:
        """Wait until all is pushed."""
        self._thread.join(60)
        assert not self._thread.is_alive()
