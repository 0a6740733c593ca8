"""An overlay inside the test's process: real nodes and servers, contents made on the fly, viewers."""

import contextlib
import itertools
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self, cast

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.config.networks import PRIVATE, Networks
from mcast.hostport import HostPort
from mcast.media.receiver import Receiver
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.pacing import Source
from mcast.media.source.pool import LINGER
from mcast.media.timing import DEFAULT_TIMING
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.roles.node.program import NodeProgram
from mcast.roles.server.guard import Guard
from mcast.roles.server.program import OPEN, ServerProgram
from mcast.wire.bootstrap import Health, LayoutMessage, Links, NamedAddress, NodeKind, Seek
from mcast.wire.health import StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, Port, Stop, StopReason, Stream
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, SendStatus
from mcast.wire.train import Train, make_trains
from media.plane.streams import datagram
from roles.partners import M, Peer, found, read

RATE = 200  # datagrams a second
KEYFRAMES = 20  # datagrams from one to the next
LOCALHOST = HostPort("127.0.0.1", 0)
_viewers = itertools.count(1)


def turn_away(sock: socket.socket) -> None:
    """Have a media socket talk to nobody: its peer hears nothing of it any more, not even a BYE."""
    sock.connect(("127.0.0.1", 9))


class Ticker(Source):
    """A content of one packet per datagram; it ends after `length` of them."""

    def __init__(self, position: Position, length: int | None) -> None:
        self._ssrc, self._next, self._length = position.ssrc, position.next, length
        self._began = time.monotonic() - position.next / RATE

    @property
    def ended(self) -> bool:
        return self._length is not None and self._next >= self._length

    def due(self, now: float) -> list[Train]:
        end = int((now - self._began) * RATE) + 1
        end = end if self._length is None else min(end, self._length)
        first, self._next = self._next, max(end, self._next)
        return make_trains(
            first,
            (datagram(number, key=number % KEYFRAMES == 0, packets=1, ssrc=self._ssrc)
             for number in range(first, self._next)),
        )  # fmt: skip

    def close(self) -> None:
        """There is nothing to close."""


class Contents:
    """A server's catalogue: endless contents, ones with an end, and ones that are not ready."""

    def __init__(self, *endless: str, **lengths: int) -> None:
        self.lengths: dict[str, int | None] = {**dict.fromkeys(endless), **lengths}
        self.preparing: set[str] = set()
        self.changed: Callable[[], None] = lambda: None
        self.make_source: Callable[[Position, int | None], Source] = Ticker

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.lengths)

    def start(self, on_change: Callable[[], None], _on_crash: OnCrash) -> None:
        self.changed = on_change

    def stop(self) -> None:
        """There is nothing to stop."""

    def digest(self, _name: str) -> bytes:
        return b""

    def describe(self, name: str, running: tuple[Position, ...]) -> ContentInfo:
        return ContentInfo(name=name, running=running)

    def open_source(self, name: str, position: Position) -> Source:
        if name in self.preparing:
            raise NotReadyError(SendStatus.PREPARING, "preparing half of it")
        if name not in self.lengths:
            raise NotReadyError(SendStatus.ABSENT, f"there is no content '{name}' here")
        return self.make_source(position, self.lengths[name])

    def catalogue(self) -> Catalogue:
        return cast(Catalogue, self)


class Viewer:
    """A client as the test wants it: it speaks the node protocol, and takes media or does not."""

    def __init__(self, node: NodeProgram | HostPort, content: str, request: bytes | None = None) -> None:
        number = next(_viewers)
        self.content, self.request = content, request or number.to_bytes(16, "big")
        self.identity = Identity.client((1000 + number).to_bytes(16, "big"))
        self.connection = connect(node.address if isinstance(node, NodeProgram) else node, PATIENCE)
        self.resume: Position | None = None  # where it says that another parent has left it
        self.trains: list[Train] = []
        self.crash = Recorder()
        self._receiver: Receiver | None = None
        self._sock: socket.socket | None = None

    def ask(self) -> None:
        self.connection.send(Disc(request=self.request, content=self.content, sender=self.identity,
                                  remaining_ms=4000))  # fmt: skip

    def subscribe(self, hops: int = 0) -> None:
        self.connection.send(
            Stream(
                request=self.request, content=self.content, sender=self.identity, hops=hops,
                resume=self.resume,
            )
        )  # fmt: skip

    def next(self, kind: type[M]) -> M:
        return read(self.connection, kind)

    def join(self) -> Port:
        """Go all the way; the answers must be FOUND and PORT."""
        self.ask()
        self.next(Found)
        self.subscribe()
        return self.next(Port)

    def join_somehow(self) -> Port:
        """The same, but try again after a MISS: servers and neighbours are just being met."""
        while True:
            self.ask()
            answer = self.connection.receive(PATIENCE)
            if isinstance(answer, Found):
                self.subscribe()
                answer = self.connection.receive(PATIENCE)
            if isinstance(answer, Port):
                return answer
            assert isinstance(answer, Miss), answer
            self.request = (int.from_bytes(self.request, "big") + 2**64).to_bytes(16, "big")

    def receive(self, port: Port) -> Self:
        """Begin to take media."""
        self._sock, _ = open_media_socket(self.connection.local.ip, MediaPorts())
        connect_media_socket(self._sock, self.connection.peer.ip, port.port)
        self._receiver = Receiver(
            self.content,
            port.stream,
            "viewer",
            lambda train, *_: self.trains.append(train),
            Recorder(),
            self.crash,
        )
        self._receiver.add_parent(0, self._sock, port.token, port.stream)
        self._receiver.start()
        return self

    def watch(self) -> Self:
        """Join, and wait until media has come."""
        self.receive(self.join_somehow())
        wait_until(lambda: self.trains, "media")
        return self

    def fall_silent(self) -> None:
        """Say nothing more, as if killed: no report, no BYE."""
        assert self._sock is not None
        turn_away(self._sock)

    def ended(self) -> StopReason | None:
        """Wait for the parent's STOP and the closing behind it; None if there was no STOP."""
        reason = None
        while True:
            try:
                message = self.connection.receive(PATIENCE)
            except PeerGone:
                return reason
            if isinstance(message, Stop):
                reason = message.reason
            else:
                assert isinstance(message, Port)

    def expect_end(self) -> None:
        """Read until the connection ends."""
        with contextlib.suppress(PeerGone):
            while True:
                self.connection.receive(PATIENCE)

    def leave(self) -> None:
        self.connection.close()
        if self._receiver is not None:
            self._receiver.stop()
        assert self.crash.calls == []


class ProcessorClock:
    """The processor time of this process, as if so much of a core were used."""

    def __init__(self) -> None:
        self._then, self._used, self._share = time.monotonic(), 0.0, 0.1

    def __call__(self) -> float:
        now = time.monotonic()
        self._used += self._share * (now - self._then)
        self._then = now
        return self._used

    def use(self, share: float) -> None:
        self()
        self._share = share


class World:
    """Starts programs and viewers, and ends them all."""

    def __init__(self, crash: Recorder) -> None:
        self.crash, self.health = crash, dict[str, list[Health]]()
        self.timing = DEFAULT_TIMING  # of the nodes to come
        self._all = contextlib.ExitStack()
        self._ended: list[NodeProgram | ServerProgram] = []

    def server(
        self, contents: Contents, *, linger: float = LINGER, rendezvous: Networks | None = None
    ) -> ServerProgram:
        guard = Guard(PRIVATE, "server.toml", rendezvous)
        server = ServerProgram(
            contents.catalogue(), LOCALHOST, MediaPorts(), 0.01, self.crash, linger=linger,
            rules=replace(OPEN, is_favoured=guard.is_rendezvous), disbelief=guard.disbelief,
        )  # fmt: skip
        server.start()
        self._all.callback(self.end, server)
        return server

    def node(
        self, name: str, servers: tuple[str, ...] = (), /, **neighbours: NodeProgram | str
    ) -> NodeProgram:
        """Start a node; the one called rp is the rendezvous point."""
        layout = LayoutMessage(
            name,
            NodeKind.RENDEZVOUS if name == "rp" else NodeKind.OVERLAY,
            "127.0.0.1:0",
            neighbours=tuple(
                NamedAddress(other, where if isinstance(where, str) else str(where.address))
                for other, where in neighbours.items()
            ),
            servers=servers,
        )
        told = self.health[name] = []

        def say(message: Health | Seek | Links) -> None:
            if isinstance(message, Health):
                told.append(message)

        node = NodeProgram(layout, LOCALHOST, MediaPorts(), say, lambda: 1, self.crash, timing=self.timing)
        node.start(layout)
        self._all.callback(self.end, node)
        return node

    def end(self, program: NodeProgram | ServerProgram) -> None:
        """Stop a program, once."""
        if program not in self._ended:
            self._ended.append(program)
            program.stop()

    def viewer(self, node: NodeProgram | HostPort, content: str, request: bytes | None = None) -> Viewer:
        viewer = Viewer(node, content, request)
        self._all.callback(viewer.leave)
        return viewer

    def line(self, contents: Contents, length: int = 1) -> list[NodeProgram]:
        """Start a server, the rendezvous point, and nodes one behind the other."""
        nodes = [self.node("rp", (str(self.server(contents).address),))]
        for number in range(1, length + 1):
            above = {"rp" if number == 1 else f"n{number - 1}": nodes[-1]}
            nodes.append(self.node(f"n{number}", **above))
        return nodes

    def wait_idle(self) -> None:
        """Wait until no node streams anything."""
        for name, told in self.health.items():
            wait_until(lambda told=told: told and not told[-1].streams, f"{name} streams nothing")  # type: ignore[misc]

    def close(self) -> None:
        self._all.close()


def streams_of(world: World, name: str) -> tuple[StreamHealth, ...]:
    """Return what a node told last of its streams."""
    told = world.health[name]
    return told[-1].streams if told else ()


def events_of(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    """Return the fields of each event of a name that was logged."""
    return [r.__dict__["fields"] for r in caplog.records if getattr(r, "event", "") == name]


def children_left(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    """Return which children have left and why, as the log says."""
    return [(fields["child"], fields["reason"]) for fields in events_of(caplog, "child_left")]


def layout_of(name: str, **neighbours: str) -> LayoutMessage:
    """Make an overlay node's layout."""
    found = tuple(NamedAddress(other, address) for other, address in neighbours.items())
    return LayoutMessage(name, NodeKind.OVERLAY, "127.0.0.1:0", neighbours=found)


def follow_at_peer(world: World, peer: Peer) -> tuple[Viewer, Stream, Connection]:
    """Have a node n1 follow the test itself; return its viewer, the STREAM, and its connection."""
    viewer = world.viewer(world.node("n1", rp=peer.address), "news")
    warm = peer.accept_warm()
    viewer.ask()
    asked = read(warm, Disc)
    warm.send(found(asked))
    viewer.next(Found)
    viewer.subscribe()
    above, followed = peer.question(Stream)
    return viewer, followed, above
