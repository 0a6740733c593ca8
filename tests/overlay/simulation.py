"""A discrete-event simulation of an overlay: real `NodeCore`s, invented wires.

Every packet takes a random time, packets of one connection keep their order, and a closed
connection is noticed as late as a packet would be. What a node's shell does with sockets is
done here with a heap of events, so thousands of joins and leaves run in a second.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mcast.overlay import actions as do
from mcast.overlay.node_core import NodeCore
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Start, Stop, StopReason, Stream
from mcast.wire.position import Position

REMAINING_MS = 4000
TICK = 0.1


class Clock:
    """The heap of what is still to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, happen))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.now = end


class Wire:
    """A connection from a child (or an asker) to a node."""

    def __init__(self, net: "Network", node: "SimNode", receive: Callable[[Any], None]) -> None:
        self._net, self._node, self._receive = net, node, receive
        self._up_free = self._down_free = 0.0
        self.open = True
        self.link = node.connected(self)

    def send(self, message: Disc | Stream) -> None:
        self._up(lambda: self._node.received(self.link, message))

    def answer(self, message: Found | Miss | Port | Stop) -> None:
        self._down(lambda: self._receive(message) if self.open else None)

    def close(self) -> None:
        if self.open:
            self.open = False
            self._up(lambda: self._node.disconnected(self.link))

    def _up(self, happen: Callable[[], None]) -> None:
        self._up_free = max(self._up_free, self._net.clock.now + self._net.delay())
        self._net.clock.at(self._up_free, happen)

    def _down(self, happen: Callable[[], None]) -> None:
        self._down_free = max(self._down_free, self._net.clock.now + self._net.delay())
        self._net.clock.at(self._down_free, happen)


@dataclass
class SimUpstream:
    """What a node holds while it follows or streams a content."""

    request: bytes
    via: str | None
    wire: Wire | None


class SimNode:
    """A `NodeCore` and the world that its shell would see."""

    def __init__(self, net: "Network", name: str) -> None:
        self.net, self.name = net, name
        self.core = NodeCore(Identity.node(name), rendezvous=name == net.rendezvous)
        self.links: dict[int, Wire] = {}
        self.asks: dict[tuple[bytes, str], Wire] = {}
        self.upstreams: dict[str, SimUpstream] = {}
        self.relays: set[str] = set()
        self._next_link = 0

    def connected(self, wire: Wire) -> int:
        self._next_link += 1
        self.links[self._next_link] = wire
        return self._next_link

    def disconnected(self, link: int) -> None:
        if self.links.pop(link, None):
            self.perform(self.core.on_link_gone(link))

    def received(self, link: int, message: Disc | Stream) -> None:
        if link not in self.links:
            return
        if isinstance(message, Disc):
            self.perform(self.core.on_disc(message, link, self.net.clock.now))
        else:
            self.perform(self.core.on_stream(message, link, self.net.clock.now))

    def tick(self) -> None:
        self.perform(self.core.on_time(self.net.clock.now))
        self.net.clock.at(self.net.clock.now + TICK, self.tick)

    def perform(self, actions: Iterable[do.Action]) -> None:
        for action in actions:
            self._perform(action)

    def _perform(self, action: do.Action) -> None:
        match action:
            case do.Reply(link, message):
                self._to(link, message)
            case do.Ask(neighbour, disc):
                self._ask(neighbour, disc)
            case do.CancelAsks(request, neighbours):
                for neighbour in neighbours:
                    self.asks.pop((request, neighbour)).close()
            case do.Follow(content, request, via, hops):
                self._follow(content, request, via, hops)
            case do.OpenRelay(content, _):
                assert content not in self.relays
                self.relays.add(content)
            case do.Accept(link, stream, path, version):
                self._to(link, port(stream, path, self.core.streaming[stream.content].position, version))
            case do.Update(link, content, path, version, cut):
                running = self.core.streaming[content]
                self._to(link, port(running.children[link], path, running.position, version, cut=cut))
            case do.End(link, stop):
                self._to(link, stop)
                self.links.pop(link, None)
            case do.Dismiss():
                pass
            case do.CloseUpstream(content, _):
                self._close_upstream(content)

    def _to(self, link: int, message: Found | Miss | Port | Stop) -> None:
        if wire := self.links.get(link):
            wire.answer(message)

    def _ask(self, neighbour: str, disc: Disc) -> None:
        def answered(message: Found | Miss) -> None:
            del self.asks[disc.request, neighbour]
            if isinstance(message, Found):
                now = self.net.clock.now
                self.perform(self.core.on_found(disc.request, neighbour, message, now))
            else:
                self.perform(self.core.on_miss(disc.request, neighbour, message))

        wire = Wire(self.net, self.net.nodes[neighbour], answered)
        self.asks[disc.request, neighbour] = wire
        wire.send(disc)

    def _follow(self, content: str, request: bytes, via: str | None, hops: int) -> None:
        assert content not in self.upstreams, f"{self.name} would follow {content} twice"
        if via is None:
            self._follow_server(content, request)
            return
        wire = Wire(
            self.net, self.net.nodes[via], lambda message: self._from_upstream(content, wire, message)
        )
        self.upstreams[content] = SimUpstream(request, via, wire)
        wire.send(stream_request(content, request, self.core.me, hops))

    def _follow_server(self, content: str, request: bytes) -> None:
        upstream = self.upstreams[content] = SimUpstream(request, None, None)
        self.net.server_streams += 1
        position = Position(ssrc=self.net.server_streams, next=0)

        def accepted() -> None:
            if self.upstreams.get(content) is upstream:
                asked = stream_request(content, request, self.core.me, 0)
                self.perform(self.core.on_port(content, request, port(asked, (), position, 1)))

        self.net.clock.at(self.net.clock.now + self.net.delay(), accepted)

    def _from_upstream(self, content: str, wire: Wire, message: Port | Miss | Stop) -> None:
        upstream = self.upstreams.get(content)
        if upstream is None or upstream.wire is not wire:
            return
        match message:
            case Port():
                self.perform(self.core.on_port(content, upstream.request, message))
            case Miss():
                self.perform(self.core.on_refused(content, upstream.request, message.reason))
            case Stop():
                self.perform(self.core.on_upstream_end(content, message.reason, message.last))

    def _close_upstream(self, content: str) -> None:
        upstream = self.upstreams.pop(content)
        self.relays.discard(content)
        if upstream.wire is None:
            self.net.server_streams_ended += 1
        else:
            upstream.wire.close()


@dataclass
class SimClient:
    """A client that joins as `mcast-client` does: again after a MISS, at once when it was `busy`."""

    net: "Network"
    number: int
    neighbour: str
    content: str
    state: str = "joining"
    path: tuple[Identity, ...] = ()
    stops: list[StopReason] = field(default_factory=list)
    misses: list[MissReason] = field(default_factory=list)
    joined_at: float | None = None
    _wire: Wire | None = None

    @property
    def identity(self) -> Identity:
        return Identity.client(self.number.to_bytes(16, "big"))

    def join(self) -> None:
        if self.state != "joining":
            return
        self._request = self.net.random.randbytes(16)
        self._wire = Wire(self.net, self.net.nodes[self.neighbour], self._received)
        self._wire.send(
            Disc(request=self._request, source=None, hops=0, content=self.content, port=0,
                 sender=self.identity, remaining_ms=REMAINING_MS)
        )  # fmt: skip

    def leave(self) -> None:
        self.state = "left"
        if self._wire:
            self._wire.close()

    def _received(self, message: Found | Miss | Port | Stop) -> None:
        assert self._wire is not None
        match message:
            case Found():
                self._wire.send(stream_request(self.content, self._request, self.identity, 0))
            case Port():
                self.state, self.path = "streaming", message.path
                self.joined_at = self.net.clock.now
            case Miss():
                self.misses.append(message.reason)
                self._wire.close()
                self._again(message.reason)
            case Stop():
                self.stops.append(message.reason)
                self.leave()

    def _again(self, reason: MissReason) -> None:
        if reason is MissReason.BUSY:
            self.net.clock.at(self.net.clock.now + self.net.random.uniform(0.020, 0.080), self.join)
        elif reason is MissReason.ABSENT or sum(m is not MissReason.BUSY for m in self.misses) >= 3:
            self.state = "failed"
        else:
            self.net.clock.at(self.net.clock.now + 0.1, self.join)


class Network:
    """Nodes, links, clients and the one clock."""

    def __init__(
        self,
        links: Iterable[tuple[str, str]],
        *,
        rendezvous: str = "rp",
        contents: Iterable[str] = ("news",),
        seed: int = 0,
        most_delay: float = 0.02,
    ) -> None:
        self.random, self.clock, self._most_delay = Random(seed), Clock(), most_delay
        self.rendezvous, self.contents = rendezvous, frozenset(contents)
        self.server_streams = self.server_streams_ended = 0
        links = list(links)
        names = sorted({rendezvous, *(name for link in links for name in link)})
        self.nodes = {name: SimNode(self, name) for name in names}
        self.clients: list[SimClient] = []
        self._set_up(links)

    def _set_up(self, links: list[tuple[str, str]]) -> None:
        for name, node in self.nodes.items():
            around = {b if a == name else a for a, b in links if name in (a, b)} - {name}
            node.core.set_neighbours(dict.fromkeys(self.random.sample(sorted(around), len(around)), 1.0))
            node.tick()
        self.nodes[self.rendezvous].core.set_offers(self.contents)

    def delay(self) -> float:
        return self.random.uniform(0.0001, self._most_delay)

    def client(self, neighbour: str, content: str = "news", *, after: float = 0.0) -> SimClient:
        client = SimClient(self, len(self.clients) + 1, neighbour, content)
        self.clients.append(client)
        self.clock.at(self.clock.now + after, client.join)
        return client

    def run(self, seconds: float) -> None:
        self.clock.run(seconds)

    # What must hold

    def check_trees(self) -> None:
        """One copy per link, no loops, every parent knows its child: to be asked when all is quiet."""
        for content in self.contents:
            self._check_tree(content)

    def _check_tree(self, content: str) -> None:
        streaming = {n for n, node in self.nodes.items() if content in node.core.streaming}
        assert streaming == {n for n, node in self.nodes.items() if content in node.relays}
        assert streaming == {n for n, node in self.nodes.items() if content in node.upstreams}
        for name in streaming:
            upstream = self.nodes[name].upstreams[content]
            running = self.nodes[name].core.streaming[content]
            assert running.children, f"{name} streams {content} to nobody"
            assert [str(i) for i in running.path] == self._way_up(name, content)
            if upstream.via is not None:
                assert upstream.wire is not None
                assert upstream.wire.link in self.nodes[upstream.via].core.streaming[content].children
        children = sum(len(self.nodes[n].core.streaming[content].children) for n in streaming)
        viewers = [c for c in self.clients if c.content == content and c.state == "streaming"]
        assert children == len(viewers) + len(streaming - {self.rendezvous})

    def _way_up(self, name: str, content: str) -> list[str]:
        way = [name]
        while (via := self.nodes[way[-1]].upstreams[content].via) is not None:
            assert via not in way, f"a loop: {way} and again {via}"
            way.append(via)
        return way[::-1]

    def check_empty(self) -> None:
        """Nothing is left of any stream, follow or question."""
        for node in self.nodes.values():
            assert not node.core.streaming
            assert not node.upstreams, f"{node.name} still follows {list(node.upstreams)}"
            assert not node.relays
            assert not node.asks, f"{node.name} still asks {list(node.asks)}"
        assert self.server_streams == self.server_streams_ended


def stream_request(content: str, request: bytes, sender: Identity, hops: int) -> Stream:
    return Stream(request=request, source=None, hops=hops, content=content, port=40000, sender=sender,
                  resume=None, buffer_bytes=0, start=Start.KEYFRAME)  # fmt: skip


def port(
    asked: Stream, path: tuple[Identity, ...], position: Position, version: int, *, cut: bool = False
) -> Port:
    return Port(request=asked.request, source=None, hops=asked.hops, content=asked.content, port=50000,
                token=bytes(16), path=path, stream=position, version=version, cut=cut)  # fmt: skip
