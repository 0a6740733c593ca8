"""A node's subscription to what is above it: a neighbour, or (at the rendezvous point) a server.

Both are followed alike: connect, ask, and be told a UDP port, a token and a position; they
differ in the words. A thread `follow-CONTENT` does what may wait (connecting, and asking one
server after the other); then the watcher reads the connection, whose end is the stream's end.

    start --thread: connect, STREAM--> PORT: on_port --decider: open_inlet--> media
                                        MISS, failure: on_refused
    after PORT:  PORT: on_port again    STOP, connection lost: on_stop

`leave` is the only way out and may come at any time from the thread that owns the object.
"""

import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from mcast import eventlog
from mcast.errors import McastError, WireError
from mcast.media.receiver import connect_media_socket, open_media_socket
from mcast.net.connection import Connection, PeerGone, connect, say
from mcast.net.deadline import Deadline
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.watcher import Watcher
from mcast.roles.node.flooder import Neighbour
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import TOKEN_SIZE, Miss, MissReason, Port, Stop, StopReason, Stream
from mcast.wire.server import Ready, Send, Sending, SendStatus, ServerStop

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 4.0
"""Seconds: less than the core's FOLLOW_TIMEOUT, so that the reason is told, not just the time."""
SERVER_TIMEOUT = 2.0
"""Seconds for one server to answer before the next best is asked."""
MAX_PATH = 64
"""Nodes in a PORT's path. We hand it on with ourselves added, and it must still fit a frame."""
MAX_NUMBER = 1 << 62
"""Numbers of datagrams begin below: counting on from there never leaves the 64 bits they have."""
MAX_HOPS = 255
"""What the header's byte holds; STREAM's hops are information, and stay there."""


class SubscriptionEvents(Protocol):
    """Whom a subscription tells what happened; called in the watcher's or the follow's thread."""

    def on_port(self, subscription: "Subscription", port: Port) -> None:
        """It has accepted, or tells news."""

    def on_refused(self, subscription: "Subscription", reason: MissReason, text: str) -> None:
        """It has not accepted, or could not be reached."""

    def on_stop(self, subscription: "Subscription", reason: StopReason, last: int | None, text: str) -> None:
        """The stream has ended above."""


class Subscription(ABC):
    """One subscription. `accepted` is there once it has been answered."""

    def __init__(
        self, content: str, request: bytes, ports: MediaPorts, watcher: Watcher, events: SubscriptionEvents,
        on_crash: OnCrash,
    ) -> None:  # fmt: skip
        self.content, self.request = content, request
        self.accepted: Port | None = None
        self.sock: socket.socket | None = None
        self._ports, self._watcher, self._events = ports, watcher, events
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._left = threading.Event()
        self._has_asked = False
        self._is_over = False  # its end has been told
        self._extra = {"content": content, "request": request}
        self._thread = OwnedThread(f"follow-{content}", self._run, on_crash)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def connect_media(self) -> socket.socket:
        """Hand over the UDP socket, connected to the port that PORT named, to whoever receives.

        Raises OSError if there is no way there.
        """
        sock = self.sock
        if sock is None or self.accepted is None or self._connection is None:
            raise RuntimeError(
                f"[{self.content}] there is no media to receive yet, or it is received already"
            )
        connect_media_socket(sock, self._connection.peer.ip, self.accepted.port)
        self.sock = None
        return sock

    def leave(self, reason: StopReason) -> None:
        """End the subscription; nothing more is told after this."""
        self._left.set()
        with self._lock:
            connection = self._connection
        if connection is not None:
            if self._has_asked and not self._is_over:
                self._say_stop(connection, reason)
            connection.close()  # wakes the thread, which may wait for an answer
        self._thread.join()
        if connection is not None:  # now, as the thread may just have had it watched
            self._watcher.unwatch(connection)
        if self.sock is not None:
            self.sock.close()

    def _run(self) -> None:
        try:
            self._follow()
        except (McastError, OSError) as error:
            self._refuse(MissReason.CUT, str(error) or "no answer")

    def _adopt(self, connection: Connection) -> int:
        """Take a connection and open the UDP socket beside it; return how large its buffer is.

        The socket is bound to the connection's local address: media must come to where the
        subscription came from.
        """
        with self._lock:
            self._connection = connection
            if self._left.is_set():
                connection.close()
        if self.sock is not None:
            self.sock.close()
        self.sock, buffer_bytes = open_media_socket(connection.local.ip, self._ports)
        return buffer_bytes

    def _send(self, connection: Connection, message: Message) -> None:
        """Send, unless it has been left. Raises PeerGone.

        Under the lock, so that leave() finds it sent or never to be sent; without waiting: so small
        a message, the first ones on a connection, always finds room.
        """
        with self._lock:
            if self._left.is_set():
                raise PeerGone("it has been left")
            self._has_asked = True
            connection.send(message, timeout=0)

    @property
    def _media_port(self) -> int:
        assert self.sock is not None
        return int(self.sock.getsockname()[1])

    # In the follow's thread first, then in the watcher's

    def _accept(self, port: Port) -> None:
        if self.accepted is None:
            self.accepted = port
        if not self._left.is_set():
            self._events.on_port(self, port)

    def _refuse(self, reason: MissReason, text: str) -> None:
        if not self._ends():
            self._events.on_refused(self, reason, text)

    def _stop(self, reason: StopReason, last: int | None, text: str) -> None:
        if not self._ends():
            self._events.on_stop(self, reason, last, text)

    def _gone(self, reason: str) -> None:
        if self.accepted is None:
            self._refuse(MissReason.GONE, reason)
        else:
            self._stop(StopReason.CUT, None, reason)

    def _ends(self) -> bool:
        """Note that it ends; True if there is nobody to tell, or the end has been told.

        A connection closes behind STOP and MISS: that is no second reason, and must not replace
        the first, as a content that is over is still awaited to its last datagram.
        """
        told, self._is_over = self._is_over, True
        return told or self._left.is_set()

    @abstractmethod
    def _follow(self) -> None:
        """Connect, ask, and have the connection watched."""

    @abstractmethod
    def _say_stop(self, connection: Connection, reason: StopReason) -> None:
        """Tell the peer that this subscription ends, without waiting."""


class NeighbourSubscription(Subscription):
    """Follow a neighbour: STREAM, PORT, STOP."""

    def __init__(
        self, content: str, request: bytes, ports: MediaPorts, watcher: Watcher, events: SubscriptionEvents,
        on_crash: OnCrash, *, neighbour: Neighbour, me: Identity, hops: int,
    ) -> None:  # fmt: skip
        super().__init__(content, request, ports, watcher, events, on_crash)
        self._neighbour, self._me, self._hops = neighbour, me, hops

    def _follow(self) -> None:
        connection = self._neighbour.take() or connect(
            self._neighbour.address, CONNECT_TIMEOUT, cancel=self._left
        )
        buffer_bytes = self._adopt(connection)
        self._watcher.watch(connection, self._on_message, self._gone)
        logger.debug("> STREAM to %s", self._neighbour.name, extra=self._extra)
        self._send(
            connection,
            Stream(
                request=self.request, content=self.content, port=self._media_port,
                hops=min(self._hops, MAX_HOPS), sender=self._me, buffer_bytes=buffer_bytes,
            ),
        )  # fmt: skip

    def _on_message(self, message: Message) -> None:
        match message:
            case Port():
                self._accept(_checked(message))
            case Miss() if self.accepted is None:
                self._refuse(message.reason, message.text)
            case Stop() if self.accepted is not None:
                self._stop(message.reason, message.last, message.text)
            case Stop():  # it took us in and could not feed us
                self._refuse(MissReason.GONE, f"{message.reason.name.lower()} {message.text}".strip())
            case _:
                raise WireError(f"{type(message).__name__} has no place in a subscription")

    def _say_stop(self, connection: Connection, reason: StopReason) -> None:
        say(connection, Stop(request=self.request, content=self.content, reason=reason))


class ServerSubscription(Subscription):
    """Follow the best server that has the content: CSND, OK, STOP."""

    def __init__(
        self, content: str, request: bytes, ports: MediaPorts, watcher: Watcher, events: SubscriptionEvents,
        on_crash: OnCrash, *, ranking: Sequence[str],
    ) -> None:  # fmt: skip
        super().__init__(content, request, ports, watcher, events, on_crash)
        self._ranking = ranking

    def _follow(self) -> None:
        refusals = []
        for address in self._ranking:
            try:
                self._ask(address)
                return
            except (McastError, OSError) as error:
                if self._left.is_set():
                    return
                refusals.append(f"server {address}: {error or 'no answer'}")
                logger.warning("[%s] %s", self.content, refusals[-1], extra=self._extra)
        self._refuse(MissReason.CUT, "; ".join(refusals) or "no server has it now")

    def _ask(self, address: str) -> None:
        connection = connect(address, SERVER_TIMEOUT, cancel=self._left)
        try:
            buffer_bytes = self._adopt(connection)
            self._send(connection, Send(self.content, port=self._media_port, buffer_bytes=buffer_bytes))
            port = self._read(connection.receive(Deadline(SERVER_TIMEOUT)))
            self._send(connection, Ready())
        except BaseException:
            connection.close()
            raise
        eventlog.note(
            logger, "serves", "[%s] streams from server %s", self.content, address,
            extra=self._extra, content=self.content, server=address,
        )  # fmt: skip
        self._accept(port)  # before a STOP can come from the watcher
        try:
            self._watcher.watch(connection, self._on_message, self._gone)
        except PeerGone as error:
            self._gone(str(error))

    def _read(self, answer: Message) -> Port:
        """Turn the server's answer into the PORT that a neighbour would have sent."""
        if not isinstance(answer, Sending):
            raise WireError(f"{type(answer).__name__} is no answer to CSND")
        if answer.status is not SendStatus.OK:
            raise McastError(f"{answer.status.name.lower()} {answer.text}".strip())
        if answer.stream is None or len(answer.token) != TOKEN_SIZE:
            raise WireError("CSND: accepted without a stream and a token")
        return _checked(
            Port(
                request=self.request, content=self.content, port=answer.port, token=answer.token, path=(),
                stream=answer.stream, version=1,
            )
        )  # fmt: skip

    def _on_message(self, message: Message) -> None:
        if not isinstance(message, ServerStop):
            raise WireError(f"{type(message).__name__} has no place in a running stream")
        self._stop(message.reason, message.last, message.text)

    def _say_stop(self, connection: Connection, reason: StopReason) -> None:
        say(connection, ServerStop(reason))


def _checked(port: Port) -> Port:
    """Return a PORT whose values we can hand on. Raises WireError."""
    if len(port.path) > MAX_PATH:
        raise WireError(f"PORT: a path of {len(port.path)} nodes, the most is {MAX_PATH}")
    if port.stream.next > MAX_NUMBER:
        raise WireError(f"PORT: a stream at number {port.stream.next}, the highest is {MAX_NUMBER}")
    return port
