"""An HTTP service with bounds: one thread accepts, and one answers per connection.

    http-accept --accepted--> a place? --yes--> http-PEER: reads, is answered by the program, sends
                                 '--no--> 503, closed, counted

A viewer costs only itself: a request has its time and its size, who does not take in time what he has asked
for is cut, and no address but this machine's own can have all places. `Access` decides who may ask at all,
before the program is asked.
"""

import contextlib
import logging
import socket
import threading
from collections import deque
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Self

from mcast.hostport import HostPort, IPAddress
from mcast.net.addresses import peer_ip
from mcast.net.binding import listen
from mcast.net.deadline import Deadline
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.threads import JOIN_TIMEOUT, NoThreadError, OnCrash, OwnedThread
from mcast.net.waker import wait_readable
from mcast.shares import UNCOUNTED, Shares, Source, source_of
from mcast.web.access import REALM, Access
from mcast.web.connection import Answer, ViewerConnection
from mcast.web.request import Request, RequestError
from mcast.web.response import Response, error_answer, ranged

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
"""Connections at a time: a browser has up to six, a player one."""
MAX_REFUSED = 32
"""Connections beyond, kept open for a while so that their viewers can read why."""
METHODS = "GET, HEAD, OPTIONS"
_FULL = RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: try again soon", retry_after=5)
_PAUSE = 0.05  # seconds to wait when the system has no descriptors left, instead of spinning


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a service listens, and who may ask it what."""

    address: HostPort
    access: Access
    cors: bool = False  # pages of other origins may have what is public
    most: int = MAX_CONNECTIONS


class Service:
    """Owns the listening sockets, the thread that accepts, and a thread per connection.

    `answer` is called by the connections' threads, many at a time, for GET and HEAD alone.
    """

    def __init__(self, settings: Settings, answer: Answer, on_crash: OnCrash) -> None:
        """Listen at once: raise ConfigError if the address cannot be used.

        Raise UnreachableError if it is a name, and no name server answers.
        """
        self._settings, self._program = settings, answer
        self.counters = Counters()
        self._log = RateLimitedLog(logger, self.counters)
        self._lock = threading.Lock()  # guards the next two
        self._shares = Shares(settings.most)
        self._connections: dict[ViewerConnection, OwnedThread] = {}
        self._refused: deque[ViewerConnection] = deque()  # whose answer may still be on its way
        self._stopping = threading.Event()
        self._thread = OwnedThread("http-accept", self._run, on_crash)
        self._sockets = listen(settings.address, on_crash)
        host, port, *_ = self._sockets[0].getsockname()
        self.address = HostPort(host, port)
        """The address of the first socket, with its real port."""

    def __repr__(self) -> str:
        return f"<Service {self.address}, {len(self._connections)} connections>"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        with self._lock:
            return len(self._connections)

    def stop(self) -> None:
        """Accept no more, end all connections, and wait for their threads. Harmless when repeated."""
        self._stopping.set()
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # ENOTCONN: it was never started, or is closed
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for sock in self._sockets:
            sock.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.close()
        deadline = Deadline(JOIN_TIMEOUT)
        for thread in connections.values():
            thread.join(deadline.timeout() or 0.0)
        while self._refused:
            self._refused.popleft().release()

    # Accepting

    def _run(self) -> None:
        by_descriptor = {sock.fileno(): sock for sock in self._sockets}
        while not self._stopping.is_set():
            for descriptor in wait_readable(list(by_descriptor), Deadline(None)):
                self._accept(by_descriptor[descriptor])

    def _accept(self, listening: socket.socket) -> None:
        if self._stopping.is_set():
            return
        try:
            sock, _ = listening.accept()
        except OSError as error:
            self._log.warning("accept_failed", "cannot accept connections: %s", error.strerror)
            self._stopping.wait(_PAUSE)
            return
        try:
            connection = ViewerConnection(sock, peer_ip(sock), self.answer, cors=self._settings.cors)
        except OSError:  # it has gone already
            sock.close()
            return
        self._serve(connection)

    def _serve(self, connection: ViewerConnection) -> None:
        thread = OwnedThread(
            f"http-{connection.peer}",
            lambda: self._attend(connection),
            lambda error: logger.error("a connection's thread crashed", exc_info=error),
        )
        if not self._take_place(connection, thread):
            self._refuse(connection, "too many connections")
            return
        try:
            thread.start()
        except NoThreadError as error:
            self._give_place_back(connection)
            self._refuse(connection, str(error))

    def _refuse(self, connection: ViewerConnection, why: str) -> None:
        self._log.warning("http_refused", "refused %s: %s", connection.peer, why)
        connection.refuse(_FULL)
        self._refused.append(connection)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popleft().release()

    def _attend(self, connection: ViewerConnection) -> None:
        try:
            if why := connection.run():
                self._log.info("http_cut", "cut the viewer at %s: %s", connection.peer, why)
        finally:
            self._give_place_back(connection)

    def _take_place(self, connection: ViewerConnection, thread: OwnedThread) -> bool:
        with self._lock:
            if is_room := self._shares.take(_counted_under(connection.peer)):
                self._connections[connection] = thread
        return is_room

    def _give_place_back(self, connection: ViewerConnection) -> None:
        with self._lock:
            del self._connections[connection]
            self._shares.give_back(_counted_under(connection.peer))

    # Answering: called by the connections' threads

    def answer(self, request: Request) -> Response:
        """Answer whoever may ask. Raises RequestError, and nothing else."""
        if request.method == "OPTIONS":
            return self._options()
        access = self._settings.access
        try:
            cookie = access.check(request)
        except RequestError as error:
            if error.status is not HTTPStatus.UNAUTHORIZED:
                raise
            self.counters.add("http_without_key")
            return error_answer(request, error).having(WWW_Authenticate=REALM)
        response = self._allowed(replace(request, key=access.password(request)))
        if access.keys:
            response = response.for_one_viewer()
        return response if cookie is None else response.having(Set_Cookie=cookie)

    def _options(self) -> Response:
        """Tell a browser, before it asks for a page of another origin, what it may send (CORS)."""
        response = Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": METHODS}, is_public=True)
        if self._settings.cors:
            return response.having(
                Access_Control_Allow_Methods=METHODS, Access_Control_Allow_Headers="Authorization, Range"
            )
        return response

    def _allowed(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            error = RequestError(
                HTTPStatus.METHOD_NOT_ALLOWED, "all that is served here is read-only: use GET"
            )
            return error_answer(request, error).having(Allow=METHODS)
        response = self._asked(request)
        known = request.headers.get("if-none-match", "")
        if (tag := response.headers.get("ETag")) and (tag in known or known.strip() == "*"):
            return replace(response, body=b"", status=HTTPStatus.NOT_MODIFIED)
        return ranged(request, response)

    def _asked(self, request: Request) -> Response:
        try:
            return self._program(request)
        except RequestError:
            raise
        except Exception as error:
            self.counters.add("http_crashed")
            logger.exception("unexpected %s while answering %s", type(error).__name__, request.path)
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours: see the log") from None


def _counted_under(peer: IPAddress) -> Source:
    """Return what a viewer is counted under: a proxy on this machine stands for many."""
    return UNCOUNTED if peer.is_loopback else source_of(peer)
