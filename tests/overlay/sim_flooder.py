"""Connections of simulated nodes, and those that are kept to the neighbours."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from mcast.overlay.actions import ConnectionId
from mcast.overlay.events import Answered, Event, RoundTripMeasured, Unasked
from mcast.wire.node import ContentsPage, Disc, Found, ListContents, Miss, NodeMessage, Stream
from overlay.sim_world import Process, Wire, connect

if TYPE_CHECKING:
    from overlay.sim_node import SimNode

MAX_IDLE = 4


def _nothing(_: object) -> None:
    return


class Call:
    """A connection from one node (or client) to another, as its caller sees it."""

    def __init__(self, caller: "SimNode", callee: "SimNode") -> None:
        self.caller, self.callee = caller, callee
        self.on_message: Callable[[NodeMessage], None] = _nothing
        self.on_gone: Callable[[str], None] = _nothing
        self.accepted: Stream | None = None  # by the callee: the subscription
        self.wire = Wire(
            caller, callee, lambda text: self.on_gone(text), lambda: callee.gone(self.connection)
        )
        self.connection: ConnectionId = callee.connected(self)

    def send(self, message: NodeMessage) -> None:
        self.caller.count(message)
        self.wire.ask(lambda: self.callee.received(self.connection, message))

    def answer(self, message: NodeMessage) -> None:
        self.callee.count(message)
        self.wire.answer(lambda: self.on_message(message))


class Flooder:
    """A node's warm connections, and the questions that are asked on them."""

    def __init__(
        self, node: "SimNode", find: Callable[[str], Process | None], post: Callable[[Event], None]
    ) -> None:
        self._node, self._find, self._post = node, find, post
        self._names: tuple[str, ...] = ()
        self._met: tuple[str, ...] = ()  # whom a client asks beside its neighbours
        self._idle: dict[str, list[Call]] = {}
        self.asking: dict[tuple[bytes, str], Call | None] = {}  # None: it is being connected

    def update(self, names: tuple[str, ...]) -> None:
        """Take in who the neighbours are, and connect to the new ones."""
        new = [name for name in names if name not in self._names]
        for name in [name for name in self._names if name not in names]:
            for call in self._idle.pop(name, []):
                call.wire.hang_up()
            for request in [request for request, asked in self.asking if asked == name]:
                self._lost(request, name, "no neighbour any more")
        self._names = names
        for name in new:
            self.connect(name, partial(self._rest, name), _nothing)

    def meet(self, addresses: tuple[str, ...]) -> None:
        """Let these be asked, too."""
        self._met = addresses

    def reach(self, names: tuple[str, ...]) -> None:
        """Connect to these, too."""
        new = [name for name in names if name not in self._met]
        self._met = names
        for name in new:
            self.connect(name, partial(self._rest, name), _nothing)

    def connect(self, name: str, connected: Callable[[Call], None], failed: Callable[[str], None]) -> None:
        def done(process: Process) -> None:
            connected(Call(self._node, process))  # type: ignore[arg-type]
            seconds = self._node.world.most_delay
            if self._node.net.policy.optimise or self._node.world.is_steady:
                seconds = 2 * self._node.world.link(self._node.name, process.name).media_delay
            self._post(RoundTripMeasured(name, seconds * 1000))

        if name in self._names or name in self._met:
            # Whatever it is called here, it is one host at the end of one link.
            host = self._node.net.name_of(name)
            connect(self._node, partial(self._find, host), host, done, failed)
        else:
            self._node.world.soon(lambda: failed(f"{name} is no neighbour any more"))

    def take(self, name: str) -> Call | None:
        """Give an idle connection away."""
        calls = self._idle.get(name)
        return calls.pop() if calls else None

    def ask(self, name: str, disc: Disc | ListContents) -> None:
        self.asking[disc.request, name] = None
        if (call := self.take(name)) is not None:
            self._ask_on(name, disc, call)
        else:
            self.connect(name, partial(self._ask_on, name, disc), partial(self._lost, disc.request, name))

    def cancel(self, request: bytes, names: Iterable[str]) -> None:
        for name in names:
            call = self.asking.pop((request, name), None)
            if call is not None:
                call.wire.hang_up()

    def close(self) -> None:
        for call in [*(call for calls in self._idle.values() for call in calls), *self.asking.values()]:
            if call is not None:
                call.wire.hang_up()
        self._idle, self.asking = {}, {}

    def _ask_on(self, name: str, disc: Disc | ListContents, call: Call) -> None:
        if (disc.request, name) not in self.asking:  # cancelled meanwhile
            self._rest(name, call)
            return
        self.asking[disc.request, name] = call
        call.on_message = partial(self._on_answer, name, disc.request, call)
        call.on_gone = partial(self._lost, disc.request, name)
        call.send(disc)

    def _on_answer(self, name: str, request: bytes, call: Call, message: NodeMessage) -> None:
        assert isinstance(message, Found | Miss | ContentsPage), (
            f"{self._node.name} was told {message} by {name}"
        )
        if self.asking.pop((request, name), None) is not None:
            self._rest(name, call)
            self._post(Answered(name, message))

    def _rest(self, name: str, call: Call) -> None:
        """Keep a connection for the next question, or for a subscription."""
        calls = self._idle.setdefault(name, [])
        if len(calls) >= MAX_IDLE or name not in (*self._names, *self._met):
            call.wire.hang_up()
            return
        call.on_message = _nothing
        call.on_gone = lambda _: calls.remove(call) if call in calls else None
        calls.append(call)

    def _lost(self, request: bytes, name: str, text: str) -> None:
        if (request, name) in self.asking:
            del self.asking[request, name]
            self._post(Unasked(name, request, text))
