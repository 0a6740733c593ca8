"""A subscription of the rendezvous point at one server: CSND, OK, STOP."""

import threading
import time
from collections.abc import Callable

from mcast.errors import WireError
from mcast.net.connection import Connection, connect, say
from mcast.net.handshake import Credentials
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay.actions import ServerParent, Subscribe
from mcast.peer.decider import Post
from mcast.peer.upstream import CONNECT_TIMEOUT, Resume, Upstream, from_anywhere
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.node import TOKEN_SIZE, MissReason, Port, StopReason
from mcast.wire.server import Ready, Send, Sending, SendStatus, ServerStop

PREPARING_RETRY_MS = 1000
"""When a content is to be asked for again that its server has begun to prepare since it sent its list."""


class ServerUpstream(Upstream):
    """Ask one server for a content, and follow what it streams."""

    def __init__(
        self, subscribe: Subscribe, ports: MediaPorts, watcher: Watcher, post: Post, on_crash: OnCrash,
        *, resume: Resume = from_anywhere, due_at: Callable[[int], float | None] | None = None,
        credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        """`due_at` tells when a number was due, in monotonic seconds, if that is known."""
        super().__init__(subscribe, ports, watcher, post, on_crash, resume=resume)
        if not isinstance(subscribe.parent, ServerParent):
            raise TypeError(f"{subscribe.parent} is no server")
        self._address, self._due_at = subscribe.parent.address, due_at
        self._credentials = credentials

    def _connect(self, cancel: threading.Event) -> Connection:
        return connect(
            self._address, CONNECT_TIMEOUT, cancel=cancel, credentials=self._credentials, wanted=Role.SERVER
        )

    def _request(self, port: int, buffer_bytes: int) -> Message:
        return Send(
            self.content, resume=self.resume, port=port, buffer_bytes=buffer_bytes,
            overdue_ms=self._overdue_ms(),
        )  # fmt: skip

    def _overdue_ms(self) -> int:
        """Return how late the number to resume from is by now: so the stream keeps its clock."""
        if self._due_at is None or self.resume is None or (due := self._due_at(self.resume.next)) is None:
            return 0
        return max(0, round((time.monotonic() - due) * 1000))

    def _on_message(self, message: Message) -> None:
        match message:
            case Sending(SendStatus.PREPARING) if self.accepted is None:
                self._refuse(MissReason.CUT, message.text or "preparing", PREPARING_RETRY_MS)
            case Sending(status) if self.accepted is None and status is not SendStatus.OK:
                self._refuse(MissReason.CUT, f"{status.name.lower()} {message.text}".strip())
            case Sending() if self.accepted is None:
                self._begin(message)
            case ServerStop() if self.accepted is not None:
                self._stop(message.reason, message.last, message.text)
            case ServerStop():  # it took us in and could not feed us
                self._refuse(MissReason.GONE, f"{message.reason.name.lower()} {message.text}".strip())
            case _:
                raise WireError(f"{type(message).__name__} has no place in a subscription")

    def _begin(self, sending: Sending) -> None:
        port = self._port_of(sending)
        say(self._connected, Ready())
        self._accept(port)

    def _port_of(self, sending: Sending) -> Port:
        """Turn the server's answer into the PORT that a neighbour would have sent."""
        if sending.stream is None or len(sending.token) != TOKEN_SIZE:
            raise WireError("CSND: accepted without a stream and a token")
        return Port(
            request=self._subscribe.request, content=self.content, port=sending.port, token=sending.token,
            path=(), stream=sending.stream, version=1,
        )  # fmt: skip

    def _farewell(self, reason: StopReason) -> Message:
        return ServerStop(reason)
