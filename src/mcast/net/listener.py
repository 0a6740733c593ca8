"""A TCP listener: one thread accepts, one thread per connection handles, unless its handler never waits.

With `rules`, those who come wait at the `Entrance` until they have said something that counts, and no
handler is spent on them before. The number of handlers is bounded, and one source cannot have them all. Who
comes when there is none for it is refused by closing, counted and logged; so a flood of connections costs its
sender more than us.

A handler may be given anything by its peer. PeerGone, WireError and TimeoutError end the
connection and are counted; any other exception is our bug: it is logged with its traceback and ends
that one connection only.
"""

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from mcast import eventlog
from mcast.errors import McastError, WireError
from mcast.hostport import HostPort, parse_address
from mcast.net.binding import listen
from mcast.net.connection import Connection, PeerGone
from mcast.net.deadline import Deadline
from mcast.net.entrance import Entrance, Rules
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.threads import JOIN_TIMEOUT, NoThreadError, OnCrash, OwnedThread
from mcast.net.waker import wait_readable
from mcast.shares import Shares, source_of
from mcast.wire.endpoint import Endpoint

logger = logging.getLogger(__name__)

MAX_HANDLERS = 512
"""Handlers at a time: 20 KB each when idle; a node's longest lasts 4 s (a discovery's time)."""

_PAUSE = 0.05
"""Seconds to wait when the system has no descriptors left, instead of spinning."""

Handler: TypeAlias = Callable[[Connection], None]


class Listener:
    """Owns the listening sockets, the accepting thread, and a thread per connection handled."""

    def __init__(
        self,
        address: HostPort | str,
        handle: Handler,
        on_crash: OnCrash,
        *,
        name: str = "listener",
        max_handlers: int = MAX_HANDLERS,
        counters: Counters | None = None,
        rules: Rules | None = None,
        waits: bool = True,
    ) -> None:
        """Bind at once: raise ConfigError if the address cannot be used (it names the port).

        Raise UnreachableError if it is a name, and no name server answers.

        Without `rules` a handler is called as soon as somebody has connected. One that never `waits`, as it
        only hands the connection to another owner, needs no thread: a new one costs nearly as much as all the
        rest that is done for a short connection.

        The handler's connection is closed when it returns, unless it has called `detach()`. An
        empty host and `::` listen on every address, IPv4 and IPv6; a name on all it stands for.
        """
        self._handle, self._name, self._max_handlers = handle, name, max_handlers
        self.counters = counters or Counters()
        self._log = RateLimitedLog(logger, self.counters)
        self._lock = threading.Lock()  # guards the next two
        self._shares = Shares(max_handlers)
        self._handlers: dict[Connection, OwnedThread] = {}
        self._stopping = threading.Event()
        self._rules, self._waits = rules, waits
        self._thread = OwnedThread(f"{name}-accept", self._run, on_crash)
        self._sockets = listen(parse_address(address) if isinstance(address, str) else address, on_crash)
        self._entrance = Entrance(name, rules, self._dispatch, self._log, on_crash) if rules else None
        host, port, *_ = self._sockets[0].getsockname()
        self.address = HostPort(host, port)
        """The address of the first socket, with its real port."""

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def handlers(self) -> int:
        """The number of connections in work."""
        with self._lock:
            return len(self._handlers)

    @property
    def waiting(self) -> int:
        """The number of connections that have said nothing that counts."""
        return len(self._entrance) if self._entrance is not None else 0

    def start(self) -> None:
        if self._entrance is not None:
            self._entrance.start()
        self._thread.start()

    def stop(self) -> None:
        """Accept no more, close the connections in work, wait for their handlers; idempotent."""
        self._stopping.set()
        for sock in self._sockets:
            # Wakes poll() and accept(); close() alone would leave them blocked. ENOTCONN: it was
            # never started, or is closed.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for sock in self._sockets:
            sock.close()
        if self._entrance is not None:
            self._entrance.stop()
        with self._lock:
            handlers = dict(self._handlers)
        for connection in handlers:
            if not connection.detached:
                connection.close()
        deadline = Deadline(JOIN_TIMEOUT)
        for thread in handlers.values():
            thread.join(deadline.timeout() or 0.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._stopping.is_set() else f"{self.handlers} handlers"
        return f"Listener({self._name!r}, {state})"

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
            # ECONNABORTED and the like are the peer's business; without descriptors wait for some.
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                self._log.warning("accept_failed", "cannot accept connections: %s", error.strerror)
                if self._entrance is None or not self._entrance.make_room():
                    self._stopping.wait(_PAUSE)
            return
        try:
            connection = Connection(sock, self._log)
        except PeerGone:
            self.counters.add("gone_before_start")
            return
        if self._entrance is not None:
            self._entrance.enter(connection)
        else:
            self._dispatch(connection)

    def _dispatch(self, connection: Connection) -> None:
        if self._waits:
            self._start_handler(connection)
            return
        self.counters.add("connections")
        try:
            self._handle_here(connection)
        except Exception as error:
            self._blame(connection, error)

    def _start_handler(self, connection: Connection) -> None:
        thread = OwnedThread(
            f"{self._name}-{connection.peer}",
            lambda: self._serve(connection),
            lambda error: self._blame(connection, error),
        )
        if not self._take_place(connection, thread):
            self._refuse(connection, f"all {self._max_handlers} handlers are busy, or all of its share")
            return
        try:
            thread.start()
        except NoThreadError as error:
            self._give_place_back(connection)
            self._refuse(connection, str(error))
        else:
            self.counters.add("connections")

    def _refuse(self, connection: Connection, reason: str) -> None:
        refusal = eventlog.event_extra("refused", whom=connection.peer, reason=reason)
        self._log.warning("refused", "refused %s: %s", connection.peer, reason, extra=refusal)
        connection.close()

    def _serve(self, connection: Connection) -> None:
        try:
            self._handle_here(connection)
        finally:
            self._give_place_back(connection)

    def _handle_here(self, connection: Connection) -> None:
        try:
            self._handle(connection)
        finally:
            if not connection.detached:
                connection.close()

    def _take_place(self, connection: Connection, thread: OwnedThread) -> bool:
        ip = connection.peer.ip
        favoured = self._rules is not None and self._rules.is_favoured(ip)
        with self._lock:
            if is_room := self._shares.take(source_of(ip), favoured=favoured):
                self._handlers[connection] = thread
        return is_room

    def _give_place_back(self, connection: Connection) -> None:
        with self._lock:
            del self._handlers[connection]
            self._shares.give_back(source_of(connection.peer.ip))

    def _blame(self, connection: Connection, error: BaseException) -> None:
        extra: dict[str, Endpoint] = {"peer": connection.peer}
        if isinstance(error, WireError):
            self._log.warning("bad_frames", "%s breaks the protocol: %s", connection.peer, error, extra=extra)
        elif isinstance(error, TimeoutError):
            self._log.info("silent_peers", "%s said nothing in time", connection.peer, extra=extra)
        elif isinstance(error, PeerGone):
            self.counters.add("gone")
            logger.debug("! %s", error, extra=extra)
        elif isinstance(error, McastError):
            self._log.warning("failed", "%s: %s", connection.peer, error, extra=extra)
        else:
            logger.error("the handler of %s crashed", connection.peer, exc_info=error, extra=extra)
            self.counters.add("crashed_handlers")
