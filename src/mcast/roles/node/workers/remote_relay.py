"""A content that a worker carries, as the node's decisions see it.

What was ordered is kept, and so are the sockets, which node and worker share. So when a worker dies another
one is given the same orders and the same sockets, and goes on at the lowest number that was still wanted:
what has come meanwhile waits in the sockets, what is missing is asked for above, and neither parents nor
children are told anything. Nobody else has to do with it.

Figures are those that the worker has told last, 100 ms ago at most; of parents and children a second ago.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from mcast.errors import ConfigError, StreamEndedError
from mcast.hostport import IPAddress
from mcast.media.incoming import NOTHING_YET, ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.media.sockets import open_common
from mcast.net.ports import MediaPorts
from mcast.overlay.actions import ConnectionId, Due, UpstreamId
from mcast.roles.node.content_relay import ChildTimes, ContentRelay, Newcomer
from mcast.roles.node.workers import messages
from mcast.roles.node.workers.messages import Figures, Order
from mcast.roles.node.workers.process import WorkerProcess
from mcast.roles.node.workers.values import RelayId, Stand
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState


class _Parent(NamedTuple):
    order: messages.AddParent
    sock: socket.socket


class RemoteRelay(ContentRelay):
    """Hands on what is asked for, and remembers it. For several threads."""

    def __init__(
        self,
        number: RelayId,
        content: str,
        position: Position,
        start: int | None,
        ports: MediaPorts,
        on_unheard: Callable[[UpstreamId], None],
    ) -> None:
        """Give each parent that comes while nobody carries the content to `on_unheard`."""
        super().__init__(content)
        self.number, self._ports, self._on_unheard = number, ports, on_unheard
        wanted = position.next if start is None else start
        self._stand = Stand(number, position, wanted, None, None, NOTHING_YET)
        self._former = NOTHING_YET  # what had come when a worker has died
        self._figures = Figures(number, (), ())
        self._lock = threading.Lock()  # guards all that follows
        self._worker: WorkerProcess | None = None
        self._opening = messages.Open(number, content, position, start)
        self._parents: dict[UpstreamId, _Parent] = {}
        self._children: dict[ConnectionId, Newcomer] = {}
        self._common: dict[IPAddress, socket.socket] = {}
        self._shared: set[IPAddress] = set()  # the worker has the common socket of these
        self._supply: messages.TellState | None = None
        self._last: int | None = None  # the content's last number, once it is over
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<RemoteRelay [{self.content}] {self.position} at {self._worker}>"

    # What is known

    @property
    def upstreams(self) -> tuple[UpstreamId, ...]:
        """Return whom it is to receive from."""
        with self._lock:
            return tuple(self._parents)

    @property
    def worker(self) -> WorkerProcess | None:
        """Return who carries it, if somebody does."""
        return self._worker

    @property
    def is_closed(self) -> bool:
        """Return whether it has ended."""
        return self._is_closed

    @property
    def position(self) -> Position:
        return self._stand.position

    @property
    def wanted(self) -> Position:
        stand = self._stand
        return Position(stand.position.ssrc, stand.wanted)

    def due(self, number: int) -> Due | None:  # noqa: ARG002 -- the one that the worker has told is as good
        stand = self._stand
        return None if stand.due_at is None else Due(stand.wanted, stand.due_at)

    def counters(self) -> ReceiverCounters:
        now = self._stand.counters
        return now if self._former is NOTHING_YET else self._former.plus(now)

    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        return {each.upstream: each.counters for each in self._figures.parents}

    def delay(self) -> float | None:
        return self._stand.delay

    def child_times(self) -> Mapping[ConnectionId, ChildTimes]:
        return {each.key: each.times for each in self._figures.children}

    def on_stand(self, stand: Stand) -> None:
        """Take in how far the worker has come."""
        self._stand = stand

    def on_figures(self, figures: Figures) -> None:
        """Take in what the worker knows of parents and children."""
        self._figures = figures

    # What is asked for

    def add_parent(
        self, upstream: UpstreamId, sock: socket.socket, token: bytes, position: Position, start: int | None,
        answer: float = 0.0,
    ) -> None:  # fmt: skip
        with self._lock:
            if self._is_closed:
                sock.close()
                return
            answer_us = round(answer * 1_000_000)
            order = messages.AddParent(self.number, upstream, token, position, start, answer_us)
            self._order(order, sock)
            self._parents[upstream] = _Parent(order, sock)
            is_heard = self._worker is not None
        if not is_heard:
            self._on_unheard(upstream)

    def remove_parent(self, upstream: UpstreamId) -> None:
        with self._lock:
            parent = self._parents.pop(upstream, None)
            if parent is not None:
                self._order(messages.RemoveParent(self.number, upstream))
                parent.sock.close()

    def take_in(self, newcomer: Newcomer) -> int:
        with self._lock:
            if self._is_closed:
                raise StreamEndedError(f"the stream of '{self.content}' has just ended")
            common = self._common.get(newcomer.local_ip)
            if common is None:
                common = self._common[newcomer.local_ip] = open_common(self._ports, newcomer.local_ip)
            try:
                self._order(messages.TakeIn(self.number, newcomer), *self._common_for(newcomer))
            except OSError as error:
                raise ConfigError(f"no socket can be shared with a worker: {error}") from None
            self._children[newcomer.key] = newcomer
            port: int = common.getsockname()[1]
            return port

    def dismiss(self, child: ConnectionId) -> None:
        with self._lock:
            if self._children.pop(child, None) is not None:
                self._order(messages.Dismiss(self.number, child))

    def tell_state(self, state: FeedState, no_way: bool) -> None:
        with self._lock:
            self._supply = messages.TellState(self.number, state, no_way)
            self._order(self._supply)

    def await_drain(self, last: int) -> None:
        with self._lock:
            self._last = last
            self._order(messages.AwaitDrain(self.number, last))

    def newly_drained(self) -> tuple[ConnectionId, ...]:
        return ()  # the worker posts it

    def ask_to_stop(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._order(messages.Close(self.number))
            self._is_closed = True
            for sock in (*(parent.sock for parent in self._parents.values()), *self._common.values()):
                sock.close()

    def close(self) -> None:
        self.ask_to_stop()

    def share_again(self) -> None:
        """Have the next child bring the common socket of its address again: the worker could not take it."""
        with self._lock:
            self._shared.clear()

    # Who carries it

    def leave_worker(self) -> None:
        """Be carried by nobody: the worker has died."""
        with self._lock:
            self._worker = None
            self._former = self.counters()
            self._stand = replace(self._stand, counters=NOTHING_YET)

    def be_carried_by(self, worker: WorkerProcess) -> None:
        """Begin in a worker, or go on in another one.

        Raises OSError: there are no descriptors for its sockets, and nothing has begun.
        """
        with self._lock:
            self._shared.clear()
            has_begun = self._stand.due_at is not None
            with contextlib.ExitStack() as failing:
                orders = [
                    (order, [failing.enter_context(each.dup()) for each in sockets])
                    for order, sockets in self._orders(self.wanted if has_begun else None)
                ]
                failing.pop_all()
            for order, copies in orders:
                worker.order(order, *copies)
            self._worker = worker

    def _orders(self, onward: Position | None) -> Iterator[tuple[Order, tuple[socket.socket, ...]]]:
        """Yield all that a worker has to be told, to go on at a position if something has come before."""
        opening = self._opening
        if onward is not None:
            opening = replace(opening, position=onward, start=onward.next)
        yield opening, ()
        if self._supply is not None:
            yield self._supply, ()
        for order, sock in self._parents.values():
            if onward is not None:
                order = replace(order, position=onward, start=onward.next)
            yield order, (sock,)
        ports = {each.key: each.port for each in self._figures.children}
        for newcomer in self._children.values():
            if onward is not None:
                newcomer = replace(newcomer, resume=onward, heard_from=ports.get(newcomer.key, 0))
            yield messages.TakeIn(self.number, newcomer), self._common_for(newcomer)
        if self._last is not None:
            yield messages.AwaitDrain(self.number, self._last), ()

    def _order(self, order: Order, *sockets: socket.socket) -> None:
        """Tell the worker, if there is one. With the lock held. Raises OSError: no descriptors."""
        if self._worker is None or self._is_closed:
            return
        try:
            copies = [each.dup() for each in sockets]  # one at most
        except OSError:
            self._shared.clear()  # it may lack a common socket: the next child comes with one again
            raise
        self._worker.order(order, *copies)

    def _common_for(self, newcomer: Newcomer) -> tuple[socket.socket, ...]:
        """Return the common socket at a child's local address, if the worker has none. With the lock held."""
        ip = newcomer.local_ip
        if ip in self._shared:
            return ()
        self._shared.add(ip)
        return (self._common[ip],)
