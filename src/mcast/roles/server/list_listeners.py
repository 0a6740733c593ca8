"""Who hears a server's list: on a connection with WAKE it is told by CONT at once, and whenever it changes.

A list may be long, so an errand writes it. Nothing waits for who does not read: the watcher sends a list as
its reader takes it.
"""

import threading
from collections.abc import Callable, Iterable

from mcast.errors import WireError
from mcast.hostport import IPAddress
from mcast.net.connection import Connection, PeerGone
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.task_thread import TaskThread
from mcast.net.watcher import Watcher
from mcast.roles.server.guard import note_refusal
from mcast.shares import Shares, source_of
from mcast.wire.frame import Message, encode
from mcast.wire.server import ContentInfo, Contents, Wake

LIST_TIMEOUT = 5.0
"""Seconds that a peer may take to accept the list; the others do not wait for it."""
MAX_LISTENERS = 256
"""Connections that want to know the list. Beyond, or beyond its share for one address, one is closed."""


class ListListeners:
    """Owns the connections on which the list was asked for. Safe for all threads."""

    def __init__(
        self, contents: Callable[[], tuple[ContentInfo, ...]], watcher: Watcher, errands: TaskThread,
        is_favoured: Callable[[IPAddress], bool], log: RateLimitedLog,
    ) -> None:  # fmt: skip
        """`contents` is the list as it is now. For an address that `is_favoured` some room is kept."""
        self._contents, self._watcher, self._errands = contents, watcher, errands
        self._is_favoured, self._log = is_favoured, log
        self._lock = threading.Lock()  # for what follows
        self.places = Shares(MAX_LISTENERS)
        self._listeners: set[Connection] = set()
        self._untold: set[Connection] = set()  # those of them that are to be told
        self._is_tell_posted = False  # the errand that tells them waits for its turn

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, connection: Connection) -> None:
        """Tell a connection the list from now on, if there is room. For a handler. Raises PeerGone."""
        ip = connection.peer.ip
        with self._lock:
            if is_room := self.places.take(source_of(ip), favoured=self._is_favoured(ip)):
                self._listeners.add(connection)
        if not is_room:
            text = f"too many ask for it: {MAX_LISTENERS}, or a quarter of that from one address"
            note_refusal(self._log, "listeners", "the list", connection, text)
            return
        try:
            self._watcher.watch(
                connection,
                lambda message: self._on_message(connection, message),
                lambda _: self._forget(connection),
            )
        except PeerGone:
            self._forget(connection)
            raise
        connection.detach()
        self._tell_soon([connection])

    def tell(self) -> None:
        """Send the list, which has changed, to all. Never waits."""
        with self._lock:
            listeners = tuple(self._listeners)
        self._tell_soon(listeners)

    def close(self) -> None:
        """Hang up on all. For the end, when nobody is added any more."""
        with self._lock:
            listeners = tuple(self._listeners)
        for connection in listeners:
            self._watcher.unwatch(connection)
            connection.close()

    def _on_message(self, connection: Connection, message: Message) -> None:
        if not isinstance(message, Wake):
            raise WireError(f"{type(message).__name__} has no place where the list is asked for")
        self._tell_soon([connection])

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            if connection in self._listeners:
                self._listeners.remove(connection)
                self.places.give_back(source_of(connection.peer.ip))
            self._untold.discard(connection)

    def _tell_soon(self, listeners: Iterable[Connection]) -> None:
        """Tell some the list, as it is when their turn comes.

        However often they ask, one errand waits and each of them stands in it once.
        """
        with self._lock:
            self._untold.update(listeners)
            is_first, self._is_tell_posted = not self._is_tell_posted, True
        if is_first:
            self._errands.post(self._tell)

    def _tell(self) -> None:
        # In one thread alone: so a newer list is never followed by an older one.
        with self._lock:
            untold, self._untold, self._is_tell_posted = self._untold, set(), False
        contents = Contents(self._contents())  # what changes from here on is another errand
        try:
            frame = encode(contents)
        except ValueError as error:
            self._log.warning("unsendable", "the list cannot be sent: %s", error)
            return
        for connection in untold:
            self._watcher.push(connection, frame, LIST_TIMEOUT)
