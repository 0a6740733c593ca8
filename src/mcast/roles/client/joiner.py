"""How a client comes to a stream: DISC to its nearest neighbour, FOUND, STREAM, PORT.

connect --DISC--> FOUND --STREAM--> PORT: joined, and the connection is the subscription
                    |                 |
                  MISS              MISS
   absent: not found (status 3)
   busy: at once again, under a new request id, after 20 to 80 ms
   anything else: again under a new id, `MAX_TRIES` times, then unreachable (status 4)
"""

import logging
import random
import socket
import threading
import time
import uuid
from dataclasses import dataclass

from mcast.errors import NotFoundError, UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.media.receiver import connect_media_socket, open_media_socket
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.deadline import Deadline
from mcast.net.ports import MediaPorts
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Start, Stop, Stream

logger = logging.getLogger(__name__)

REMAINING_MS = 4000
"""The time a flood may take."""
ANSWER_TIMEOUT = 6.0
"""Seconds until DISC or STREAM must have been answered: a node gives up after 4 or 5 s."""
MAX_TRIES = 3
"""Discoveries that may fail for another reason than `absent` or `busy`."""
BUSY_PAUSE = (0.020, 0.080)
"""Seconds, drawn at random: who collided once should not collide again."""
RETRY_PAUSE = 0.5
"""Seconds before another try; doubled each time."""
CONNECT_RETRY = 0.25
"""Seconds between attempts to connect to the neighbour."""
_STEP = 0.1  # seconds between two looks at the stop event


class Interrupted(Exception):  # noqa: N818 -- no error: the user wants to go
    """The user has ended the program before the stream began."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A subscription: the control connection that it lives on, and what PORT said."""

    connection: Connection
    sock: socket.socket  # UDP, between the connection's two addresses
    port: Port
    request: bytes
    buffer_bytes: int  # the receive buffer that was granted
    began: float  # monotonic seconds when the first DISC of this request went out

    def close(self) -> None:
        """Give it up."""
        self.connection.close()
        self.sock.close()

    @property
    def request_id(self) -> str:
        """Return the request id as people write it."""
        return str(uuid.UUID(bytes=self.request))


class Joiner:
    """Brings one client to one content."""

    def __init__(
        self,
        neighbour: HostPort,
        content: str,
        identity: Identity,
        ports: MediaPorts,
        stop: threading.Event,
        *,
        patience: float,
        start: Start = Start.KEYFRAME,
    ) -> None:
        """`patience`: seconds to keep trying to reach the neighbour, and to get past `busy`."""
        self._neighbour, self._content, self._identity = neighbour, content, identity
        self._ports, self._stop, self._patience, self._start = ports, stop, patience, start

    def join(self) -> Joined:
        """Return the subscription.

        Raises NotFoundError if the content is absent, UnreachableError if nobody answers or no
        way was found in time, Interrupted when the stop event was set.
        """
        deadline, tries = Deadline(self._patience), 0
        while True:
            outcome = self._try()
            if isinstance(outcome, Joined):
                return outcome
            why = f"MISS({outcome.reason.name.lower()}) {outcome.text}".strip()
            logger.info("[%s] %s", self._content, why, extra={"request": outcome.request})
            tries = self._judge(outcome, tries, deadline)

    def _judge(self, miss: Miss, tries: int, deadline: Deadline) -> int:
        """Wait as long as this MISS asks for and return the tries so far, or raise."""
        if miss.reason is MissReason.ABSENT:
            raise NotFoundError(
                f"no server that answers has the content '{self._content}': "
                "is the name right, and its server up?"
            )
        if miss.reason is MissReason.BUSY and not deadline.expired:
            self._pause(random.uniform(*BUSY_PAUSE))
            return tries
        tries += 1
        if tries >= MAX_TRIES or deadline.expired:
            why = f"{miss.reason.name.lower()} {miss.text}".strip()
            times = "1 try" if tries == 1 else f"{tries} tries"
            raise UnreachableError(
                f"no way to the content '{self._content}' through {self._neighbour} in {times} ({why})"
            )
        self._pause(RETRY_PAUSE * 2 ** (tries - 1))
        return tries

    def _try(self) -> Joined | Miss:
        """Go once through discovery and streaming under a new request id."""
        connection, request = self._connect(), uuid.uuid4().bytes
        try:
            outcome = self._discover_and_stream(connection, request)
        except (PeerGone, WireError, OSError) as error:
            text = f"{self._neighbour}: {error or 'no answer'}"
            outcome = Miss(request=request, content=self._content, reason=MissReason.CUT, text=text)
        except BaseException:
            connection.close()
            raise
        if isinstance(outcome, Miss):
            connection.close()
        return outcome

    def _discover_and_stream(self, connection: Connection, request: bytes) -> Joined | Miss:
        began = time.monotonic()
        disc = Disc(request=request, content=self._content, sender=self._identity, remaining_ms=REMAINING_MS)
        connection.send(disc)
        answer = self._receive(connection)
        if isinstance(answer, Miss):
            return answer
        if not isinstance(answer, Found):
            raise WireError(f"{type(answer).__name__} is no answer to DISC")
        logger.debug("< FOUND at %s", answer.sender, extra={"request": request})
        return self._subscribe(connection, request, began)

    def _subscribe(self, connection: Connection, request: bytes, began: float) -> Joined | Miss:
        sock, buffer_bytes = open_media_socket(connection.local.ip, self._ports)
        try:
            connection.send(
                Stream(
                    request=request, content=self._content, port=sock.getsockname()[1], sender=self._identity,
                    buffer_bytes=buffer_bytes, start=self._start,
                )
            )  # fmt: skip
            answer = self._receive(connection)
            if isinstance(answer, Port):
                connect_media_socket(sock, connection.peer.ip, answer.port)
                return Joined(connection, sock, answer, request, buffer_bytes, began)
            if isinstance(answer, Miss):
                sock.close()
                return answer
            if isinstance(answer, Stop):  # it was about to take us in when it ended
                raise PeerGone(f"{answer.reason.name.lower()} {answer.text}".strip())
            raise WireError(f"{type(answer).__name__} is no answer to STREAM")
        except BaseException:
            sock.close()
            raise

    def _connect(self) -> Connection:
        deadline = Deadline(self._patience)  # anew for each try: the one before may have used it up
        while True:
            self._check_stop()
            try:
                return connect(self._neighbour, deadline, cancel=self._stop)
            except UnreachableError as error:
                self._check_stop()
                if deadline.expired or (deadline.timeout() or 0.0) < CONNECT_RETRY:
                    raise UnreachableError(
                        f"{error} (tried for {self._patience:g} s): is mcast-node running there?"
                    ) from None
            self._pause(CONNECT_RETRY)

    def _receive(self, connection: Connection) -> Message:
        deadline = Deadline(ANSWER_TIMEOUT)
        while True:
            self._check_stop()
            try:
                return connection.receive(deadline.sooner(_STEP))
            except TimeoutError:
                deadline.remaining()

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Interrupted
