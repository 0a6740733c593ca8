"""A node or a client of the simulation: a real `NodeCore`, and what its shell would do with sockets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from mcast.overlay import actions as do
from mcast.overlay import events as ev
from mcast.overlay.actions import LOCAL, ConnectionId, NodeParent, ServerParent, UpstreamId
from mcast.overlay.better_paths import Told
from mcast.overlay.node_core import NodeCore
from mcast.overlay.table import State
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity, IdentityKind
from mcast.wire.node import (
    MAX_FURTHER,
    Disc,
    Found,
    ListContents,
    Miss,
    NodeMessage,
    Port,
    Stop,
    StopReason,
    Stream,
)
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from overlay.sim_adverts import SimAdverts
from overlay.sim_flooder import Call, Flooder
from overlay.sim_media import Inlet, SimFanout, SimReceiver
from overlay.sim_server import Monitor
from overlay.sim_upstream import NodeUpstream, ServerUpstream, SimUpstream
from overlay.sim_world import Process

if TYPE_CHECKING:
    from overlay.simulation import Network, Viewer

TICK = 0.1
LEAVE = 0.9
"""Seconds that a process that ends in order gives its core."""
STEADY_TICK, IDLE_TICK = 0.5, 1.0
"""The same for a node in which nothing goes on, and that takes part in nothing: most ticks lead nowhere."""


@dataclass
class SimRelay:
    """One content at one node: what comes in, who gets it."""

    fanout: SimFanout
    receiver: SimReceiver
    last: int | None = None  # the last number, once children are watched until they have it
    drained: set[ConnectionId] = field(default_factory=set)


class SimNode(Process):
    """A node's or a client's process."""

    def __init__(self, net: "Network", name: str, me: Identity, *, rendezvous: bool = False) -> None:
        super().__init__(net.world, name)
        self.net, self.me = net, me
        self.seed = self.world.random.randbytes(16)
        self.core = NodeCore(me, Random(self.seed), rendezvous=rendezvous)
        self.flooder = Flooder(self, net.process, self.handle)
        self.adverts = SimAdverts(self)
        self.requests = self.news = 0  # messages sent: questions and answers to them, and all others
        self.connections: dict[ConnectionId, Call] = {}
        self.upstreams: dict[UpstreamId, SimUpstream] = {}
        self.relays: dict[str, SimRelay] = {}
        self.viewers: dict[str, Viewer] = {}
        self.said: list[tuple[float, str, dict[str, object]]] = []
        self.steps: list[tuple[float, ev.Event, Sequence[do.Action]]] = []
        self.measured: dict[UpstreamId, Told] = {}
        self._monitors: dict[str, Monitor] = {}
        self.is_leaving = False
        self._next_connection = 0
        self._look_at = 0.0
        self._tick_at = self.world.now + self.world.random.uniform(0, TICK)
        self.world.clock.at(self._tick_at, partial(self._tick, self._tick_at))

    def __repr__(self) -> str:
        return f"<SimNode {self.name}>"

    # What happens to it

    def set_layout(
        self,
        neighbours: Iterable[str],
        servers: Iterable[str] = (),
        *,
        rendezvous: tuple[str, ...] = (),
        joined: bool = False,
    ) -> None:
        """Tell it its place, as the bootstrapper does."""
        around, servers = tuple(neighbours), tuple(servers)
        self.flooder.update(around)
        layout = ev.LayoutChanged(around, servers, rendezvous, self.net.policy, joined)
        self.handle(layout)
        seniors = rendezvous[: rendezvous.index(self.name)] if self.name in rendezvous else ()
        if self.net.adverts and self.me.kind is IdentityKind.NODE:
            self.adverts.update(around, seniors)
        for address in [address for address in self._monitors if address not in servers]:
            self._monitors.pop(address).stop()
        for address in servers:
            if address not in self._monitors:
                find = partial(self.net.server, address)
                self._monitors[address] = Monitor(self, address, find, self.handle)

    def connected(self, call: Call) -> ConnectionId:
        self._next_connection += 1
        self.connections[self._next_connection] = call
        return self._next_connection

    def received(self, connection: ConnectionId, message: NodeMessage) -> None:
        if connection not in self.connections:
            return
        match message:
            case Disc():
                self.handle(ev.DiscReceived(connection, message))
            case ListContents():
                self.handle(ev.ListReceived(connection, message))
            case Stream():
                self.handle(ev.StreamReceived(connection, message))
            case Stop(reason=StopReason.LEAVING):
                self.gone(connection, ev.Departure.LEAVING)
            case Stop():
                self.gone(connection, ev.Departure.UNSUBSCRIBED)

    def gone(self, connection: ConnectionId, how: ev.Departure = ev.Departure.LOST) -> None:
        """Take in that a connection to this node is over."""
        call = self.connections.pop(connection, None)
        if call is not None:
            call.wire.drop()
            self.handle(ev.ConnectionGone(connection, how))

    def count(self, message: NodeMessage) -> None:
        """Take in that this node sends a message."""
        if isinstance(message, Disc | Stream | Found | Miss):
            self.requests += 1
        else:
            self.news += 1

    def stop(self) -> None:
        """End in order, as SIGTERM makes it: when all children have gone elsewhere, or a little later."""
        if self.alive:
            self.is_leaving = True
            self.handle(ev.Leaving())
            self._end_when_idle(self.world.now + LEAVE)

    def _end_when_idle(self, latest: float) -> None:
        if self.alive and (self.core.is_idle or self.world.now >= latest):
            self.die()
        elif self.alive:
            self.world.clock.after(0.02, lambda: self._end_when_idle(latest))

    def die(self) -> None:
        """End at once; the kernel closes the connections."""
        super().die()
        self.flooder.close()
        self.adverts.close()
        for upstream in self.upstreams.values():
            upstream.hang_up()
        for call in self.connections.values():
            call.wire.drop("connection reset")
        for relay in self.relays.values():
            relay.receiver.close()
            relay.fanout.is_open = False
        for monitor in self._monitors.values():
            monitor.stop()

    def handle(self, event: ev.Event) -> None:
        """Ask the core, and do what it says."""
        if not self.alive:
            return
        actions = self.core.handle(event, self.world.now)
        if self.net.records:
            self.steps.append((self.world.now, event, actions))
        for action in actions:
            self._perform(action)
        for watch in self.net.watchers:
            watch(self)
        if self._tick_at <= self.world.now:
            return
        due = self.core.due
        latest = self.world.now + TICK
        if due is not None and due < latest:
            latest = max(due, self.world.now)
        if self._tick_at > latest:
            self._tick_at = latest
            self.world.clock.at(self._tick_at, partial(self._tick, self._tick_at))

    def _tick(self, when: float) -> None:
        if not self.alive or when != self._tick_at:
            return
        if not self.frozen:
            self._tick_at = self.world.now  # due: what is decided now brings no further one
            self.handle(ev.TimePassed())
            if self.net.media and self.world.now >= self._look_at:
                self._look_at = self.world.now + TICK - 1e-9
                self._look()
        # Who is frozen does not do what is due, so that would be due for ever.
        self._tick_at = self.world.now + (TICK if self.frozen else self._pause())
        self.world.clock.at(self._tick_at, partial(self._tick, self._tick_at))

    def _pause(self) -> float:
        due = self.core.due
        return self._steady_pause() if due is None else min(max(due - self.world.now, 0.0), TICK)

    def _steady_pause(self) -> float:
        if self.relays and self.net.media and not (self.net.is_large and self._has_all()):
            return TICK
        if self.core.is_idle:
            return IDLE_TICK
        is_steady = all(branch.state is State.FED for branch in self.core.branches.values())
        return STEADY_TICK if is_steady and not self.flooder.asking else TICK

    def _has_all(self) -> bool:
        return not any(relay.receiver.missing() for relay in self.relays.values())

    def _look(self) -> None:
        for content, relay in list(self.relays.items()):
            for connection in relay.fanout.look():
                relay.fanout.dismiss(connection)
                self._stop_child(connection, content, StopReason.LEASE)
                self.gone(connection)
            relay.receiver.look()
            if self.net.policy.optimise:
                self._measure(relay)
            self._tell_drained(content, relay)

    def _measure(self, relay: SimRelay) -> None:
        for upstream, inlet in relay.receiver.inlets.items():
            before = self.measured.get(upstream, Told())
            told = self.measured[upstream] = before.renewed(inlet.quality())
            if told != before and told.delay_ms is not None:
                self.handle(ev.HopMeasured(upstream, told.delay_ms, told.lost_permille))

    def _tell_drained(self, content: str, relay: SimRelay) -> None:
        if relay.last is not None:
            new = tuple(c for c in relay.fanout.drained(relay.last) if c not in relay.drained)
            if new:
                relay.drained.update(new)
                self.handle(ev.Drained(content, new))

    # What it does

    def _perform(self, action: do.Action) -> None:
        match action:
            case do.Reply(connection, message):
                self._to(connection, message)
            case do.Ask(neighbour, disc) | do.AskList(neighbour, disc):
                self.flooder.ask(neighbour, disc)
            case do.CancelAsks(request, neighbours):
                self.flooder.cancel(request, neighbours)
            case do.Subscribe():
                self._subscribe(action)
            case do.Receive(upstream, content):
                self._receive(upstream, content)
            case do.Leave(upstream, content, reason):
                self._leave(upstream, content, reason)
            case do.CloseRelay(content) | do.BeginAnew(content):
                relay = self.relays.pop(content)
                relay.receiver.close()
                relay.fanout.is_open = False
            case do.Supply(content, state, no_way):
                self.relays[content].fanout.set_supply(state, no_way=no_way)
            case do.Advertise():
                self.adverts.advertise(action)
            case do.Introduce(distance, leaving, full):
                self.adverts.introduce(distance, leaving=leaving, full=full)
            case do.Meet(neighbours):
                self.flooder.meet(tuple(map(str, neighbours)))
            case do.Reach(nodes):
                self.flooder.reach(tuple(node.name for node in nodes))
            case do.Seek(content):
                self.net.bootstrapper.offer(self, content)
            case do.TakeLinks(names):
                self.net.bootstrapper.link(self, names)
            case do.AwaitDrain(content, last):
                self.relays[content].last = last
            case do.Announce(event, _, fields):
                self.said.append((self.world.now, event, dict(fields)))
            case _:
                self._perform_for_child(action)

    def _perform_for_child(self, action: do.Action) -> None:
        match action:
            case do.Accept():
                self._accept(action)
            case do.Update():
                self._update(action)
            case do.End(connection, stop):
                self._end(connection, stop)
            case do.Dismiss(connection, content):
                if content in self.relays:
                    self.relays[content].fanout.dismiss(connection)
            case do.Fail(content, failure):
                self.viewers[content].on_failed(failure)
            case do.Await():
                pass  # for people
            case _:
                raise AssertionError(f"the simulated shell knows no {action}")

    def _to(self, connection: ConnectionId, message: NodeMessage) -> None:
        if call := self.connections.get(connection):
            call.answer(message)

    def _accept(self, accept: do.Accept) -> None:
        connection, stream = accept.connection, accept.stream
        relay = self.relays[stream.content]
        if connection == LOCAL:
            viewer = self.viewers[stream.content]
            viewer.on_path(accept.path, cut=False)
            relay.fanout.viewer = partial(viewer.on_media, relay.fanout.ssrc)
        elif call := self.connections.get(connection):
            if stream.resume is not None and stream.resume.ssrc == relay.receiver.ssrc:
                relay.receiver.reach_back(stream.resume.next)
            relay.fanout.admit(connection, call.caller, stream.resume)
            call.accepted = stream
            self._to(connection, self._port(stream, accept.path, accept.version, accept.further))

    def _port(
        self, stream: Stream, path: do.Path, version: int, further: tuple[Endpoint, ...], *,
        cut: bool = False, no_way: bool = False, leaving: bool = False,
    ) -> Port:  # fmt: skip
        receiver = self.relays[stream.content].receiver
        return Port(request=stream.request, content=stream.content, port=50000, token=bytes(16), path=path,
                    stream=Position(receiver.ssrc, receiver.next), version=version, cut=cut, no_way=no_way,
                    leaving=leaving, further=further[:MAX_FURTHER])  # fmt: skip

    def _update(self, news: do.Update) -> None:
        if news.connection == LOCAL:
            self.viewers[news.content].on_path(news.path, cut=news.cut)
        elif (call := self.connections.get(news.connection)) and call.accepted is not None:
            told = self._port(
                call.accepted, news.path, news.version, news.further, cut=news.cut, no_way=news.no_way,
                leaving=news.leaving,
            )  # fmt: skip
            self._to(news.connection, told)

    def _end(self, connection: ConnectionId, stop: Stop) -> None:
        if stop.content in self.relays:
            self.relays[stop.content].fanout.dismiss(connection)
        if connection == LOCAL:
            self.viewers[stop.content].on_end(stop)
        elif call := self.connections.pop(connection, None):
            call.answer(stop)
            call.wire.drop()

    def _stop_child(self, connection: ConnectionId, content: str, reason: StopReason) -> None:
        self._to(connection, Stop(request=bytes(16), content=content, reason=reason))

    # Parents

    def _subscribe(self, asked: do.Subscribe) -> None:
        assert asked.upstream not in self.upstreams
        relay = self.relays.get(asked.content)
        resume = relay.receiver.wanted if asked.resume and relay else asked.onward
        match asked.parent:
            case NodeParent(name):
                upstream: SimUpstream = NodeUpstream(self, asked, name, resume)
            case ServerParent(address):
                upstream = ServerUpstream(self, asked, address, resume)
        self.upstreams[asked.upstream] = upstream
        upstream.begin()

    def _receive(self, upstream: UpstreamId, content: str) -> None:
        source = self.upstreams[upstream].source
        assert source is not None, f"{self.name} receives from a parent that has not accepted"
        is_first = content not in self.relays
        relay = self.relays.get(content) or self._open(content, source.position.ssrc)
        assert relay.receiver.ssrc == source.position.ssrc, "one relay, two streams"
        if self.net.media:
            resume = self.upstreams[upstream].resume
            inlet = Inlet(upstream, self, relay.receiver, source.process, source.fanout, source.key,
                          self.upstreams[upstream].answer, next=(resume or source.position).next)  # fmt: skip
            if resume is not None and resume.ssrc == relay.receiver.ssrc:
                relay.receiver.start_at(resume.next)  # whatever is lost of the very first is missed
            relay.receiver.add(inlet)
        elif not is_first:
            self.world.soon(lambda: self._count_as_fed(upstream))

    def _count_as_fed(self, upstream: UpstreamId) -> None:
        """Without media, whoever takes this node in feeds it, and its word is all there is."""
        for feed in (ev.Feed.FED, ev.Feed.WAITING):
            if upstream in self.upstreams:
                self.handle(ev.FeedChanged(upstream, feed))

    def _open(self, content: str, ssrc: int) -> SimRelay:
        fanout = SimFanout(
            self, ssrc, FeedState.WAITING, reach_back=lambda number: receiver.reach_back(number)
        )
        receiver = SimReceiver(self, ssrc, fanout.push, self.handle)
        relay = self.relays[content] = SimRelay(fanout, receiver)
        if (viewer := self.viewers.get(content)) is not None and viewer.state == "watching":
            fanout.viewer = partial(viewer.on_media, ssrc)  # it has begun anew
        return relay

    def _leave(self, upstream: UpstreamId, content: str, reason: StopReason) -> None:
        self.upstreams.pop(upstream).leave(reason)
        if relay := self.relays.get(content):
            relay.receiver.remove(upstream)
