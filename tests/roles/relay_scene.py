"""A relay between real parents (fanouts) and real children (receivers), here or in a worker process."""

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from helpers import Recorder
from mcast.media.receiver import Receiver
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.task_thread import TaskThread
from mcast.overlay.actions import Accept
from mcast.overlay.events import Drained, Feed, FeedChanged
from mcast.peer.upstream import Upstream
from mcast.roles.node.content_relay import ContentRelay, Listeners, Newcomer, RelayHost
from mcast.roles.node.inbound import Inbound, InboundConnections
from mcast.roles.node.own_process import MediaSettings, OwnProcess
from mcast.roles.node.relays import RelayDb, admit
from mcast.wire.node import Port, Stream
from mcast.wire.position import Position
from mcast.wire.train import Train
from media.plane.parts import LOCAL, Family
from media.plane.streams import SSRC
from peers import tcp_pair
from roles.partners import RP, TOKEN, VIEWER, disc, port_for, stream_of

MakeHost: TypeAlias = Callable[[MediaSettings, Listeners], RelayHost]

KEY = 1000
"""Under which the node is a child of the first parent; of the next ones, the numbers after it."""


@dataclass
class GrantedUpstream:
    """An upstream that has accepted."""

    id: int
    accepted: Port
    sock: socket.socket
    content: str = "news"
    resume: Position | None = None
    answer_seconds: float = 0.0

    @property
    def start_number(self) -> int | None:
        return None if self.resume is None else self.resume.next

    def connect_media(self) -> socket.socket:
        connect_media_socket(self.sock, LOCAL, self.accepted.port)
        return self.sock


@dataclass
class Posted:
    """Takes what is posted, in lists by kind."""

    feeds: list[tuple[int, Feed]] = field(default_factory=list)
    drained: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, event: object) -> None:
        if isinstance(event, FeedChanged):
            self.feeds.append((event.upstream, event.feed))
        else:
            assert isinstance(event, Drained)
            self.drained.append(event.connections)


class Scene:
    """A parent or more, a relay, and the children that it gets."""

    def __init__(self, above: Family, make_host: MakeHost = OwnProcess) -> None:
        self.above, self.posted, self.lost, self.reaped = above, Posted(), Recorder(), Recorder()
        self.reaper = TaskThread("reaper", above.crash)
        self.reaper.start()
        settings = MediaSettings("n1", MediaPorts(), timing=above.timing)
        self.host = make_host(settings, Listeners(self.posted, self.lost, Recorder(), above.crash))
        self.host.start()
        self.db = RelayDb(self.host, self.reaper, self.posted)
        self._open = contextlib.ExitStack()
        self._links = 0

    @property
    def relay(self) -> ContentRelay:
        relay = self.db.get("news")
        assert relay is not None
        return relay

    def receive(self, upstream: int = 1, resume: Position | None = None) -> None:
        """Have the relay fed by the parent, which may be so more than once."""
        granted = self.granted(upstream, resume)
        try:
            self.db.receive(cast(Upstream, granted))
        except OSError:
            granted.sock.close()
            raise

    def granted(self, upstream: int, resume: Position | None) -> GrantedUpstream:
        sock, buffer_bytes = open_media_socket(LOCAL, MediaPorts())
        port = self._admit(upstream, resume, buffer_bytes)
        accepted = port_for(stream_of(disc()), ssrc=SSRC, port=port, token=self.token(upstream))
        return GrantedUpstream(upstream, accepted, sock, resume=resume)

    def _admit(self, upstream: int, resume: Position | None, buffer_bytes: int) -> int:
        """Be taken in by the parent; return its port."""
        return self.above.fanout.admit(
            KEY + upstream, "n1", LOCAL, LOCAL, self.token(upstream), resume=resume, buffer_bytes=buffer_bytes
        )

    def token(self, upstream: int) -> bytes:
        return bytes([upstream]) * len(TOKEN)

    def link(self) -> Inbound:
        connection, _ = self._open.enter_context(tcp_pair())
        self._links += 1
        nobody = cast(InboundConnections, None)  # nothing is read
        return Inbound(nobody, self._links, connection)

    def child(self, resume: Position | None = None) -> tuple[Port, list[Train]]:
        """Add a child; return what it was answered and where its media appears."""
        link, trains = self.link(), list[Train]()
        sock, granted = open_media_socket(LOCAL, MediaPorts())
        asked = Stream(request=bytes(16), content="news", sender=VIEWER, buffer_bytes=granted,
                       resume=resume)  # fmt: skip
        answer = admit(self.relay, link, Accept(1, asked, (RP,), 3))
        connect_media_socket(sock, LOCAL, answer.port)
        start = None if resume is None else resume.next
        receiver = Receiver(
            "news",
            answer.stream,
            "child",
            lambda train, *_: trains.append(train),
            Recorder(),
            self.above.crash,
            start=start,
        )
        receiver.add_parent(0, sock, answer.token, answer.stream, start=start)
        receiver.start()
        self._open.callback(receiver.stop)
        return answer, trains

    def close(self) -> None:
        """End all; those below have ended before."""
        self._open.close()
        for content in self.db:
            self.db.close(content)
        self.reaper.stop()
        self.host.stop()


class Below(Scene):
    """The same, where the relay of another scene is the parent."""

    def __init__(self, upper: Scene) -> None:
        super().__init__(upper.above)
        self._upper = upper

    def _admit(self, upstream: int, resume: Position | None, buffer_bytes: int) -> int:
        newcomer = Newcomer(
            KEY + upstream, "n2", LOCAL, LOCAL, self.token(upstream), resume=resume, buffer_bytes=buffer_bytes
        )
        return self._upper.relay.take_in(newcomer)
