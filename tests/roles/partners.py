"""Who stands at the other end in the tests of the programs: peers that do what the test says."""

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterator
from typing import TypeVar

from helpers import PATIENCE, wait_until
from mcast.errors import McastError
from mcast.hostport import HostPort
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.deadline import Deadline
from mcast.net.waker import wait_readable
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Stop, StopReason, Stream, Watch
from mcast.wire.position import Position

M = TypeVar("M", bound=Message)

RP, N1, N2 = (Identity.node(name) for name in ("rp", "n1", "n2"))
VIEWER = Identity.client(b"viewer----------")
TOKEN = b"t" * 16
_requests = itertools.count(1_000_000)  # never the id of a Viewer


class Peer:
    """Somebody who listens; the test takes the connections and reads and answers itself."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        host, _, port = address.rpartition(":")
        self._listening = socket.create_server((host, int(port)))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._taken: list[Connection] = []
        self.watched_by: Connection | None = None

    @property
    def taken(self) -> tuple[Connection, ...]:
        """Return all connections that were accepted."""
        return tuple(self._taken)

    @property
    def is_called(self) -> bool:
        """Return whether somebody has connected, and was not accepted yet."""
        return bool(wait_readable([self._listening.fileno()], Deadline(0)))

    def accept(self, timeout: float = PATIENCE) -> Connection:
        self._listening.settimeout(timeout)
        sock, _ = self._listening.accept()
        sock.settimeout(None)
        connection = Connection(sock)
        self._taken.append(connection)
        return connection

    def accept_warm(self) -> Connection:
        """Take the two connections that a node makes to a neighbour; return the one for requests."""
        made = [self.accept(), self.accept()]
        waiting = wait_readable([each.fileno() for each in made], Deadline(PATIENCE))
        (watching,) = [each for each in made if each.fileno() in waiting]
        self.watched_by = watching
        assert isinstance(watching.receive(PATIENCE), Watch)
        return next(each for each in made if each is not watching)

    def question(self, kind: type[M], timeout: float = PATIENCE) -> tuple[Connection, M]:
        """Wait for a message of this kind on any connection, made already or yet to come.

        A node keeps connections warm: on which of them it asks is its own affair. That it would watch us
        is no question.
        """
        deadline = Deadline(timeout)
        while True:
            alive = [connection for connection in self._taken if not connection.closed]
            waiting = wait_readable([self._listening.fileno(), *(each.fileno() for each in alive)], deadline)
            assert waiting, f"no {kind.__name__} came"
            if self._listening.fileno() in waiting:
                self.accept()
            for connection in alive:
                if connection.fileno() in waiting:
                    for message in self._heard(connection):
                        if isinstance(message, Watch):
                            continue
                        assert isinstance(message, kind), message
                        return connection, message

    def _heard(self, connection: Connection) -> list[Message]:
        try:
            return list(connection.poll_messages())
        except PeerGone:
            connection.close()
            return []

    def stop_listening(self) -> None:
        """Refuse what comes from here on; what was accepted lives."""
        self._listening.close()

    def close(self) -> None:
        self._listening.close()
        for connection in self._taken:
            connection.close()


def read(connection: Connection, kind: type[M]) -> M:
    """Give the next message, which must be of this kind."""
    message = connection.receive(PATIENCE)
    assert isinstance(message, kind), message
    return message


def reached(address: HostPort) -> Connection:
    """Connect to a program as soon as it listens."""
    found: list[Connection] = []

    def reach() -> bool:
        try:
            found.append(connect(address, 1.0))
        except McastError:
            return False
        return True

    wait_until(reach, f"{address} to listen", timeout=30)
    return found[0]


@contextlib.contextmanager
def silent_address() -> Iterator[str]:
    """Give an address where a connect is never answered: its backlog is full, so SYNs are dropped."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            assert sock.connect_ex(listening.getsockname()) == errno.EINPROGRESS
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def new_request() -> bytes:
    return next(_requests).to_bytes(16, "big")


def disc(content: str = "news", request: bytes | None = None) -> Disc:
    return Disc(request=request or new_request(), content=content, sender=VIEWER, remaining_ms=4000)


def stream_of(disc: Disc, port: int = 0) -> Stream:
    return Stream(request=disc.request, content=disc.content, sender=disc.sender, port=port)


def found(asked: Disc, sender: Identity = RP) -> Found:
    return Found(request=asked.request, content=asked.content, sender=sender)


def miss(asked: Disc | Stream, reason: MissReason, text: str = "") -> Miss:
    return Miss(request=asked.request, content=asked.content, reason=reason, text=text)


def port_for(
    asked: Stream,
    *,
    path: tuple[Identity, ...] = (RP,),
    port: int = 9,
    version: int = 1,
    ssrc: int = 7,
    token: bytes = TOKEN,
) -> Port:
    return Port(
        request=asked.request,
        content=asked.content,
        port=port,
        token=token,
        path=path,
        stream=Position(ssrc, 0),
        version=version,
    )


def stop_for(asked: Stream, reason: StopReason, last: int | None = None, text: str = "") -> Stop:
    return Stop(request=asked.request, content=asked.content, reason=reason, last=last, text=text)
