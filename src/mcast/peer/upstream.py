"""One subscription at one parent, from connecting to leaving.

A thread `follow-CONTENT` connects, which may wait, sends the request and ends; then the watcher
reads the connection. What becomes of it is posted under the subscription's `UpstreamId`:

    start --thread: connect, STREAM--> PORT: Accepted --core: Receive--> connect_media
                                        MISS, failure: Refused
    after PORT:  PORT: Accepted again   STOP: Stopped    connection ended: ParentLost
                 nothing heard: ControlSilent, as media may come all the same

`leave` is the only way out and may come at any moment. It does not wait; who has called it sees to
it that `join` is called later, in another thread.

A neighbour and a server are followed alike; they differ in the words. Which parent is asked, for how
long and which one next is not decided here.
"""

import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mcast.errors import McastError, WireError
from mcast.media.token_bucket import TokenBucket
from mcast.net.connection import Connection, PeerGone, connect, say
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread
from mcast.net.watcher import Watcher
from mcast.overlay.actions import NodeParent, Subscribe, UpstreamId
from mcast.overlay.events import Accepted, ControlSilent, Event, ParentLost, Refused, Stopped
from mcast.overlay.further import usable
from mcast.peer.decider import Post
from mcast.peer.flooder import Flooder
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Miss, MissReason, Port, Stop, StopReason, Stream, in_words
from mcast.wire.position import Position

CONNECT_TIMEOUT = 4.0
"""Seconds: less than the core waits for an answer, so that the reason is told, not just the time."""
MAX_HOPS = 255
"""What the header's byte holds; STREAM's hops are information, and stay there."""

MAX_NEWS = 300
"""PORTs of one parent that are taken in within a second, and at once: each is a decision."""

Resume: TypeAlias = Callable[[], Position | None]
"""Tells where to go on; None where nothing of the content is here yet. Any thread may ask."""


def from_anywhere() -> Position | None:
    """Ask for no number in particular."""
    return None


class NoParentError(McastError):
    """The parent that is to be asked is not there (any more)."""


class Upstream(ABC):
    """One subscription. `accepted` is there once the parent has said yes."""

    def __init__(
        self, subscribe: Subscribe, ports: MediaPorts, watcher: Watcher, post: Post, on_crash: OnCrash,
        *, resume: Resume = from_anywhere,
    ) -> None:  # fmt: skip
        """`resume` is asked, when the request is about to leave, for the first number that counts."""
        self.id: UpstreamId = subscribe.upstream
        self.content, self._wanted = subscribe.content, resume
        self.resume: Position | None = None
        self.accepted: Port | None = None
        self.answer_seconds = 0.0  # from the request until it was accepted
        self._subscribe = subscribe
        self._ports, self._watcher, self._post = ports, watcher, post
        self._news = TokenBucket(MAX_NEWS, MAX_NEWS, time.monotonic())
        self._sock: socket.socket | None = None  # the thread's, until it has sent the request
        self._lock = threading.Lock()  # guards the next five
        self._connection: Connection | None = None
        self._left = threading.Event()
        self._has_asked, self._asked_at = False, 0.0
        self._is_over = False  # its end has been posted
        self._thread = OwnedThread(f"follow-{self.content}", self._run, on_crash)

    def __repr__(self) -> str:
        state = "left" if self._left.is_set() else "accepted" if self.accepted else "asking"
        return f"<{type(self).__name__} {self.id} [{self.content}] at {self._subscribe.parent}: {state}>"

    @property
    def start_number(self) -> int | None:
        """Return the number that was asked for, if the parent streams what it is a number of."""
        if self.resume is None or self.accepted is None or self.resume.ssrc != self.accepted.stream.ssrc:
            return None
        return self.resume.next

    def start(self) -> None:
        """Begin to ask. Never waits."""
        self._thread.start()

    def connect_media(self) -> socket.socket:
        """Hand over the UDP socket, connected to the port that PORT named, to whoever receives.

        To be called once, after `Accepted` has been posted. Raises OSError if there is no way there.
        """
        sock = self._sock
        if sock is None or self.accepted is None or self._connection is None:
            raise RuntimeError(f"{self}: there is no media to receive yet, or it is received already")
        connect_media_socket(sock, self._connection.peer.ip, self.accepted.port)
        self._sock = None
        return sock

    def leave(self, reason: StopReason) -> None:
        """Say STOP if there is somebody to hear it, hang up, and post nothing more. Never waits.

        Harmless when repeated. The thread ends soon after; `join` waits for that.
        """
        with self._lock:
            is_first = not self._left.is_set()
            self._left.set()
            connection = self._connection
            says_stop = is_first and self._has_asked and not self._is_over
        if connection is None:
            return
        if says_stop:
            say(connection, self._farewell(reason))
        connection.close()  # the watcher forgets it then; `on_gone` finds that it was left

    def join(self) -> None:
        """Wait, after `leave`, for the thread's end, and close the UDP socket that nobody has taken."""
        self._thread.join()
        if self._sock is not None:
            self._sock.close()

    # In the thread follow-CONTENT

    def _run(self) -> None:
        try:
            connection = self._connect(self._left)
            buffer_bytes = self._adopt(connection)
            self._watcher.watch(connection, self._on_message, self._on_gone)
            self.resume = self._wanted()  # only now: it took seconds to come here, where much is lost
            self._send(connection, self._request(self._media_port, buffer_bytes))
        except NoParentError as error:
            self._refuse(MissReason.GONE, str(error))
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
        try:
            self._sock, buffer_bytes = open_media_socket(connection.local.ip, self._ports)
        except McastError:
            connection.close()
            raise
        return buffer_bytes

    @property
    def _connected(self) -> Connection:
        assert self._connection is not None
        return self._connection

    @property
    def _media_port(self) -> int:
        assert self._sock is not None
        return int(self._sock.getsockname()[1])

    def _send(self, connection: Connection, message: Message) -> None:
        """Send, unless it has been left. Raises PeerGone.

        Under the lock, so that leave() finds it sent or never to be sent; without waiting: so small
        a message, the first one on a connection, always finds room.
        """
        with self._lock:
            if self._left.is_set():
                raise PeerGone("it has been left")
            self._has_asked, self._asked_at = True, time.monotonic()
            connection.send(message, timeout=0)

    # In that thread first, then in the watcher's

    def _accept(self, port: Port) -> None:
        if self._news.left(time.monotonic()) < 1:
            raise WireError(f"it says something new more than {MAX_NEWS} times a second")
        self._news.take(1)
        if self.accepted is None:
            self.accepted, self.answer_seconds = port, time.monotonic() - self._asked_at
            self._watcher.tolerate_silence(self._connected, self._on_silent)
        if not self._left.is_set():
            self._post(Accepted(self.id, port))

    def _refuse(self, reason: MissReason, text: str, retry_ms: int = 0) -> None:
        self._end(Refused(self.id, reason, text, retry_ms))

    def _stop(self, reason: StopReason, last: int | None, text: str) -> None:
        self._end(Stopped(self.id, reason, last, text))

    def _on_gone(self, text: str) -> None:
        if self.accepted is None:
            self._refuse(MissReason.GONE, text)
        elif self._connected.fell_silent:
            self._on_silent()
        else:
            self._end(ParentLost(self.id, text))

    def _on_silent(self) -> None:
        if not self._left.is_set():
            self._post(ControlSilent(self.id))

    def _end(self, event: Event) -> None:
        """Post how it ends, unless that has been posted or nobody wants to know any more.

        A connection closes behind STOP and MISS: that is no second end, and must not replace the
        first, as a content that is over is still awaited to its last datagram.
        """
        with self._lock:
            is_first, self._is_over = not self._is_over, True
        if is_first and not self._left.is_set():
            self._post(event)

    @abstractmethod
    def _connect(self, cancel: threading.Event) -> Connection:
        """Connect to the parent until `cancel` is set. Raises McastError."""

    @abstractmethod
    def _request(self, port: int, buffer_bytes: int) -> Message:
        """Return the message that asks for the subscription."""

    @abstractmethod
    def _on_message(self, message: Message) -> None:
        """Take in what the parent says, in the watcher's thread. Raises WireError."""

    @abstractmethod
    def _farewell(self, reason: StopReason) -> Message:
        """Return the message that ends the subscription."""


def begin(upstream: Upstream, post: Post) -> None:
    """Start an upstream; where the system gives no thread for it, that is as if its parent had refused."""
    try:
        upstream.start()
    except NoThreadError as error:
        post(Refused(upstream.id, MissReason.CUT, str(error)))


class NeighbourUpstream(Upstream):
    """A subscription at a neighbour: STREAM, PORT, STOP."""

    def __init__(
        self, subscribe: Subscribe, ports: MediaPorts, watcher: Watcher, post: Post, on_crash: OnCrash,
        *, flooder: Flooder, me: Identity, resume: Resume = from_anywhere,
    ) -> None:  # fmt: skip
        super().__init__(subscribe, ports, watcher, post, on_crash, resume=resume)
        if not isinstance(subscribe.parent, NodeParent):
            raise TypeError(f"{subscribe.parent} is no neighbour")
        self._name = subscribe.parent.name
        self._flooder, self._me = flooder, me

    def _connect(self, cancel: threading.Event) -> Connection:
        if (warm := self._flooder.take(self._name)) is not None:
            return warm
        if (address := self._flooder.address(self._name)) is None:  # the layout has changed since FOUND
            raise NoParentError(f"{self._name} is no neighbour any more")
        return connect(address, CONNECT_TIMEOUT, cancel=cancel, credentials=self._flooder.credentials)

    def _request(self, port: int, buffer_bytes: int) -> Message:
        asked = self._subscribe
        return Stream(
            request=asked.request, content=asked.content, port=port, hops=min(asked.hops, MAX_HOPS),
            sender=self._me, resume=self.resume, buffer_bytes=buffer_bytes, start=asked.start,
        )  # fmt: skip

    def _on_message(self, message: Message) -> None:
        match message:
            case Port():
                told_at = self._connected.peer.ip
                self._accept(replace(message, further=usable(message.further, told_at)))
            case Miss() if self.accepted is None:
                self._refuse(message.reason, message.text, message.retry_ms)
            case Stop() if self.accepted is not None:
                self._stop(message.reason, message.last, message.text)
            case Stop():  # it took us in and could not feed us
                self._refuse(MissReason.GONE, in_words(message.reason, message.text))
            case _:
                raise WireError(f"{type(message).__name__} has no place in a subscription")

    def _farewell(self, reason: StopReason) -> Message:
        return Stop(request=self._subscribe.request, content=self.content, reason=reason)
