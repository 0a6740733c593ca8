"""The subscriptions of simulated nodes at neighbours and at servers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mcast.overlay import actions as do
from mcast.overlay import events as ev
from mcast.overlay.actions import ConnectionId
from mcast.wire.node import Miss, MissReason, NodeMessage, Port, Stop, StopReason, Stream
from mcast.wire.position import Position
from overlay.sim_flooder import Call
from overlay.sim_media import SimFanout
from overlay.sim_server import LINGER, SimServer, SimStreamer
from overlay.sim_world import Process, Wire, connect

if TYPE_CHECKING:
    from overlay.sim_node import SimNode


@dataclass(frozen=True)
class Source:
    """Where the media of an upstream that has accepted comes from."""

    process: Process
    fanout: Callable[[], SimFanout | None]
    key: ConnectionId
    position: Position


class SimUpstream:
    """One subscription. It tells how it ends once, and nothing after `leave`."""

    def __init__(self, node: "SimNode", asked: do.Subscribe, resume: Position | None) -> None:
        self.node, self.asked, self.resume = node, asked, resume
        self._asked_at = node.world.now
        self.answer = 0.0  # seconds until it was accepted
        self.source: Source | None = None
        self._left = self._is_over = False

    @property
    def source_process(self) -> Process | None:
        return None if self.source is None else self.source.process

    def begin(self) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        raise NotImplementedError

    def say_stop(self, reason: StopReason) -> None:
        raise NotImplementedError

    def leave(self, reason: StopReason) -> None:
        self._left = True
        if not self._is_over:
            self.say_stop(reason)
        self.hang_up()

    def tell(self, event: ev.Event) -> None:
        if not self._left:
            self.node.handle(event)

    def over(self, event: ev.Event) -> None:
        if not self._is_over:
            self._is_over = True
            self.tell(event)

    def accept(self, source: Source, port: Port) -> None:
        if self.source is None:
            self.source, self.answer = source, self.node.world.now - self._asked_at
        self.tell(ev.Accepted(self.asked.upstream, port))

    def refuse(self, reason: MissReason, text: str) -> None:
        self.over(ev.Refused(self.asked.upstream, reason, text))

    def lose(self, text: str) -> None:
        if self.source is None:
            self.refuse(MissReason.GONE, text)
        else:
            self.over(ev.ParentLost(self.asked.upstream, text))


class NodeUpstream(SimUpstream):
    """A subscription at a neighbour."""

    def __init__(self, node: "SimNode", asked: do.Subscribe, name: str, resume: Position | None) -> None:
        super().__init__(node, asked, resume)
        self._name = name
        self._call: Call | None = None

    def begin(self) -> None:
        if (warm := self.node.flooder.take(self._name)) is not None:
            self._connected(warm)
        else:
            self.node.flooder.connect(self._name, self._connected, partial(self.refuse, MissReason.CUT))

    def _connected(self, call: Call) -> None:
        if self._left:
            call.wire.hang_up()
            return
        self._call, asked = call, self.asked
        call.on_message, call.on_gone = self._on_message, self.lose
        call.send(
            Stream(request=asked.request, content=asked.content, sender=self.node.me,
                   hops=min(asked.hops, 255), port=40000, resume=self.resume, start=asked.start)
        )  # fmt: skip

    def _on_message(self, message: NodeMessage) -> None:
        match message:
            case Port():
                self._on_port(message)
            case Miss():
                self.refuse(message.reason, message.text)
            case Stop() if self.source is None:
                self.refuse(MissReason.GONE, message.reason.name)
            case Stop():
                self.over(ev.Stopped(self.asked.upstream, message.reason, message.last, message.text))

    def _on_port(self, port: Port) -> None:
        assert self._call is not None
        parent, content = self._call.callee, self.asked.content

        def fanout() -> SimFanout | None:
            relay = parent.relays.get(content) if parent.alive else None
            return relay.fanout if relay is not None and relay.fanout.ssrc == port.stream.ssrc else None

        self.accept(Source(parent, fanout, self._call.connection, port.stream), port)

    def say_stop(self, reason: StopReason) -> None:
        if self._call is not None:
            self._call.send(Stop(request=self.asked.request, content=self.asked.content, reason=reason))

    def hang_up(self) -> None:
        if self._call is not None:
            self._call.wire.hang_up()


class ServerUpstream(SimUpstream):
    """A subscription at a server."""

    def __init__(self, node: "SimNode", asked: do.Subscribe, address: str, resume: Position | None) -> None:
        super().__init__(node, asked, resume)
        self._address = address
        self._key: ConnectionId = 0
        self._streamer: SimStreamer | None = None
        self._wire: Wire | None = None
        self._said_stop = False

    def begin(self) -> None:
        find = partial(self.node.net.server, self._address)
        connect(self.node, find, self._address, self._connected, partial(self.refuse, MissReason.CUT))

    def _connected(self, process: Process) -> None:
        assert isinstance(process, SimServer)
        if self._left:
            return
        self._wire = Wire(self.node, process, self.lose, lambda: self._server_leaves(lost=True))
        self._wire.ask(lambda: self._csnd(process))

    def _csnd(self, server: SimServer) -> None:
        """At the server: begin to stream, or refuse."""
        streamer = server.stream(self.asked.content, self.resume)
        if streamer is None:
            self._say(partial(self.refuse, MissReason.GONE, f"{self._address}: no such content"))
            return
        self._streamer, self._key = streamer, server.next_key()
        streamer.join(self._key, self.node, self.resume, self._server_ends)
        position = Position(streamer.ssrc, streamer.head)
        source = Source(server, partial(_fanout_of, streamer), self._key, position)
        answer = Port(request=self.asked.request, content=self.asked.content, port=50000, token=bytes(16),
                      path=(), stream=position, version=1)  # fmt: skip
        self._say(partial(self.accept, source, answer))

    def _say(self, deliver: Callable[[], None]) -> None:
        assert self._wire is not None
        self._wire.answer(deliver)

    def _server_ends(self, reason: StopReason, last: int | None) -> None:
        assert self._wire is not None
        self._say(lambda: self.over(ev.Stopped(self.asked.upstream, reason, last)))
        self._wire.drop()
        # Who was told of the end may still ask for its last numbers again.
        self.node.world.clock.after(LINGER, lambda: self._server_leaves(lost=False))

    def _server_leaves(self, *, lost: bool) -> None:
        if self._streamer is not None:
            self._streamer.leave(self._key, lost=lost)
            self._streamer = None

    def say_stop(self, reason: StopReason) -> None:
        if self._wire is not None:
            self._wire.ask(lambda: self._server_leaves(lost=reason is StopReason.LEAVING))

    def hang_up(self) -> None:
        if self._wire is not None:
            self._wire.hang_up()


def _fanout_of(streamer: SimStreamer) -> SimFanout | None:
    is_open = streamer.server.alive and not streamer.is_over
    return streamer.fanout if is_open else None
