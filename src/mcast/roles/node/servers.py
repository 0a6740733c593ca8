"""The rendezvous point's view of the servers: what they have and how far away they are, as it is told.

Per server one thread, `server-HOST:PORT`, holds two connections: one for the list (WAKE, then
CONT whenever the list changes), read by the watcher, and one for the PINGs alone, so that a long
list does not delay a measurement. All that comes is posted: ServerListed, ServerMeasured, and ServerLost
once per outage. A server that does not answer is tried again with backoff.
"""

import itertools
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mcast.errors import McastError, WireError
from mcast.eventlog import note
from mcast.net.backoff import Backoff
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.deadline import Deadline
from mcast.net.handshake import Credentials
from mcast.net.threads import OnCrash, OwnedThread, stop_together
from mcast.net.watcher import Watcher
from mcast.overlay.events import Event, ServerListed, ServerLost, ServerMeasured
from mcast.peer.decider import Post
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.server import Contents, Ping, Wake

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorTiming:
    """How often a server is measured, and how long it is waited for, in seconds."""

    ping_interval: float = 0.25
    """From one measurement to the next, or as long as the server takes to answer."""
    ping_timeout: float = 5.0
    """Until a server counts as gone: links of 1 s and a full queue exist (see the lab)."""
    list_timeout: float = 5.0
    """Until a server must have sent its list."""
    first_retry: float = 0.25
    """From one attempt to reach a server to the next; doubled each time up to the last."""
    last_retry: float = 1.0
    """Where it is the only one all streams wait for its list, and end after `--give-up`."""


DEFAULT_TIMING = MonitorTiming()


class ServerMonitor:
    """Watches one server."""

    def __init__(
        self, address: str, watcher: Watcher, post: Post, on_crash: OnCrash,
        timing: MonitorTiming = DEFAULT_TIMING, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        """Begin to connect."""
        self.address = address
        self._watcher, self._post, self._timing = watcher, post, timing
        self._credentials = credentials
        self._backoff = Backoff(timing.first_retry, timing.last_retry)
        self._listed = False  # on the present connection
        self._names: list[str] | None = None  # of the contents, as they were last logged
        self._lost_told = False  # and nothing else since
        self._stopping = threading.Event()  # set under the lock
        self._lock = threading.Lock()
        self._connections: list[Connection] = []  # those of the present attempt; under the lock
        self._thread = OwnedThread(f"server-{address}", self._run, on_crash)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<ServerMonitor {self.address}: {'does not answer' if self._lost_told else 'is asked'}>"

    def ask_to_stop(self) -> None:
        """Close the connections, so that the thread begins to end."""
        with self._lock:
            self._stopping.set()
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def stop(self) -> None:
        """Close the connections and end the thread. Nothing is posted afterwards."""
        self.ask_to_stop()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._attend()
            except (McastError, TimeoutError) as error:
                self._lost(str(error) or "no answer")
            self._stopping.wait(self._backoff.next())

    def _attend(self) -> None:
        """Tell the list and the measurements for as long as the server answers."""
        with self._lock:
            self._connections, self._listed = [], False
        with self._connect() as lists:
            self._watcher.watch(lists, self._on_message, lambda _: lists.close())
            try:
                lists.send(Wake())
                with self._connect() as pings:
                    self._measure(pings, lists)
            finally:
                self._watcher.unwatch(lists)  # no list may come in behind _lost()

    def _connect(self) -> Connection:
        connection = connect(
            self.address, self._timing.ping_timeout, cancel=self._stopping,
            credentials=self._credentials, wanted=Role.SERVER,
        )  # fmt: skip
        with self._lock:
            self._connections.append(connection)
            if self._stopping.is_set():  # stop() has not seen this one
                connection.close()
        return connection

    def _on_message(self, message: Message) -> None:
        if not isinstance(message, Contents):
            raise WireError(f"server {self.address} sent {type(message).__name__} instead of its list")
        self._listed = True
        self._tell(ServerListed(self.address, message.contents))
        names = sorted(info.name for info in message.contents)
        if names != self._names:
            self._names = names
            note(
                logger, "server_listed", "[%s] contents: %s", self.address, ", ".join(names) or "none",
                server=self.address, contents=names,
            )  # fmt: skip

    def _measure(self, pings: Connection, lists: Connection) -> None:
        timing = self._timing
        list_due = Deadline(timing.list_timeout)
        for nonce in itertools.count():
            sent = time.monotonic_ns()
            pings.send(Ping(nonce))
            self._await_reply(pings, nonce)
            self._tell(ServerMeasured(self.address, (time.monotonic_ns() - sent) // 1000))
            if self._listed:  # all is well
                self._backoff.reset()
            left = timing.ping_interval - (time.monotonic_ns() - sent) / 1e9
            if lists.closed:
                how = "nothing is heard on" if lists.fell_silent else "it closed"
                raise PeerGone(f"{how} the connection for its list")
            if list_due.expired and not self._listed:
                raise TimeoutError(f"no list within {timing.list_timeout:g} s")
            if self._stopping.wait(max(0.0, left)):
                return

    def _await_reply(self, pings: Connection, nonce: int) -> None:
        answer = pings.receive(Deadline(self._timing.ping_timeout))
        if not isinstance(answer, Ping) or not answer.reply or answer.nonce != nonce:
            raise WireError(f"server {self.address} sent {answer} instead of the answer to PING {nonce}")

    def _tell(self, event: Event) -> None:
        if not self._stopping.is_set():
            self._lost_told = False
            self._post(event)

    def _lost(self, text: str) -> None:
        if not self._lost_told and not self._stopping.is_set():
            self._lost_told, self._names = True, None
            self._post(ServerLost(self.address, text))
            note(
                logger, "server_lost", "[%s] server does not answer: %s", self.address, text,
                level=logging.WARNING, server=self.address, reason=text,
            )  # fmt: skip


class ServerMonitors:
    """The monitors of all servers that the layout gives the rendezvous point."""

    def __init__(
        self, watcher: Watcher, post: Post, on_crash: OnCrash, timing: MonitorTiming = DEFAULT_TIMING,
        *, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        self._watcher, self._post, self._on_crash, self._timing = watcher, post, on_crash, timing
        self._credentials = credentials
        self._monitors: dict[str, ServerMonitor] = {}

    def update(self, addresses: Iterable[str]) -> None:
        """Take in the layout. Waits for the threads of servers that are gone from it."""
        wanted = dict.fromkeys(addresses)  # each once
        self._replace({each: self._monitors.get(each) or self._monitor(each) for each in wanted})

    def stop(self) -> None:
        """End all monitors."""
        self._replace({})

    def _monitor(self, address: str) -> ServerMonitor:
        return ServerMonitor(
            address, self._watcher, self._post, self._on_crash, self._timing, self._credentials
        )

    def _replace(self, monitors: dict[str, ServerMonitor]) -> None:
        """Put others in force, and stop those that are not among them."""
        before, self._monitors = self._monitors, monitors
        stop_together(monitor for address, monitor in before.items() if address not in monitors)
