"""A subscription of the rendezvous point at one server: CSND, OK, STOP."""

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from mcast.errors import WireError
from mcast.net.connection import Connection, connect, say
from mcast.net.handshake import Credentials
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Due, ServerParent, Subscribe
from mcast.peer.decider import Post
from mcast.peer.upstream import CONNECT_TIMEOUT, Resume, Upstream, from_anywhere
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.node import TOKEN_SIZE, MissReason, Port, StopReason, in_words
from mcast.wire.position import Position
from mcast.wire.server import Ready, Send, Sending, SendStatus, ServerStop

OnDue: TypeAlias = Callable[[Position], Due | None]
"""Tells when a number of the stream to resume was due; None where nothing is known."""

PREPARING_RETRY_MS = 1000
"""When a content is to be asked for again that its server has begun to prepare since it sent its list."""


def not_known(_: Position) -> None:
    """Know of no number when it was due."""


class ServerUpstream(Upstream):
    """Ask one server for a content, and follow what it streams."""

    def __init__(
        self, subscribe: Subscribe, ports: MediaPorts, watcher: Watcher, post: Post, on_crash: OnCrash,
        *, resume: Resume = from_anywhere, due: OnDue = not_known, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        """`due` tells when a number of the stream to resume was due, if that is known: it keeps its clock."""
        super().__init__(subscribe, ports, watcher, post, on_crash, resume=resume)
        if not isinstance(subscribe.parent, ServerParent):
            raise TypeError(f"{subscribe.parent} is no server")
        self._address, self._digest, self._due = subscribe.parent.address, subscribe.parent.digest, due
        self._credentials = credentials

    def _connect(self, cancel: threading.Event) -> Connection:
        return connect(
            self._address, CONNECT_TIMEOUT, cancel=cancel, credentials=self._credentials, wanted=Role.SERVER
        )

    def _request(self, port: int, buffer_bytes: int) -> Message:
        overdue_ms, number = self._overdue(self.resume) if self.resume is not None else (0, None)
        return Send(
            self.content, resume=self.resume, port=port, buffer_bytes=buffer_bytes, overdue_ms=overdue_ms,
            due=number,
        )  # fmt: skip

    def _overdue(self, resume: Position) -> tuple[int, int | None]:
        """Return how long ago a number was due, and which, if it is not the one to resume from."""
        due = self._due(resume)
        if due is None:
            return 0, None
        late_ms = round((time.monotonic() - due.at) * 1000)
        return max(0, late_ms), None if due.number == resume.next else due.number

    def _on_message(self, message: Message) -> None:
        match message:
            case Sending(SendStatus.PREPARING) if self.accepted is None:
                self._refuse(MissReason.CUT, message.text or "preparing", PREPARING_RETRY_MS)
            case Sending(status) if self.accepted is None and status is not SendStatus.OK:
                self._refuse(MissReason.CUT, in_words(status, message.text))
            case Sending() if self.accepted is None:
                self._begin(message)
            case ServerStop() if self.accepted is not None:
                self._stop(message.reason, message.last, message.text)
            case ServerStop():  # it took us in and could not feed us
                self._refuse(MissReason.GONE, in_words(message.reason, message.text))
            case _:
                raise WireError(f"{type(message).__name__} has no place in a subscription")

    def _begin(self, sending: Sending) -> None:
        port = self._port_of(sending)
        if self._digest and sending.digest and sending.digest != self._digest:
            self._refuse(MissReason.GONE, "its file has changed since it was listed")
            return
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
