"""The rendezvous point's view of the servers: what they have, how they are, which one is best.

Per server one thread, `server-HOST:PORT`, holds two connections: one for the list (WAKE, then
CONT whenever the list changes), read by the watcher, and one for the PINGs alone, so that a long
list does not delay a measurement. A server that does not answer is tried again with backoff;
meanwhile it has no figures and no contents, so nobody is sent there.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable

from mcast import eventlog
from mcast.errors import McastError, WireError
from mcast.net.backoff import Backoff
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.deadline import Deadline
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.watcher import Watcher
from mcast.overlay.choice import Figures, PingWindow, ranked
from mcast.wire.frame import Message
from mcast.wire.server import ContentInfo, Contents, Ping, Wake

logger = logging.getLogger(__name__)

PING_INTERVAL = 0.25
"""Seconds from one measurement to the next, or as long as the server takes to answer."""
PING_TIMEOUT = 5.0
"""Seconds until a server counts as gone: links of 1 s and a full queue exist (see the lab)."""
LIST_TIMEOUT = 5.0
"""Seconds until a server must have sent its list."""
FIRST_RETRY, LAST_RETRY = 0.25, 5.0
"""Seconds between attempts to reach a server: doubled from the first to the last."""
BENEFIT_OF_DOUBT = 10.0
"""Seconds that a server which has never answered makes the list of contents uncertain."""


class ServerMonitor:
    """One server: its list of contents and its figures, kept up to date."""

    def __init__(
        self, address: str, watcher: Watcher, on_change: Callable[[], None], on_crash: OnCrash
    ) -> None:
        self.address = address
        self._watcher, self._on_change = watcher, on_change
        self._lock = threading.Lock()
        self._window = PingWindow()
        self._contents: dict[str, ContentInfo] | None = None
        self._listed = False  # on the present connection
        self._began = time.monotonic()
        self._backoff, self._log = Backoff(FIRST_RETRY, LAST_RETRY), RateLimitedLog(logger)
        self._missed = False
        self._stopping = threading.Event()  # set under the lock
        self._connections: list[Connection] = []  # those of the present attempt; under the lock
        self._thread = OwnedThread(f"server-{address}", self._run, on_crash)
        self._thread.start()

    @property
    def contents(self) -> dict[str, ContentInfo]:
        """Return what the server has, by name; nothing while it does not answer."""
        return self._contents or {}

    @property
    def doubtful(self) -> bool:
        """Tell whether it has not answered yet, and was asked only a short time ago."""
        return self._contents is None and time.monotonic() - self._began < BENEFIT_OF_DOUBT

    def figures(self) -> Figures | None:
        """Return what was measured; None while it does not answer."""
        with self._lock:
            return self._window.figures()

    def ask_to_stop(self) -> None:
        """Close the connections, so that the thread begins to end."""
        with self._lock:
            self._stopping.set()
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def stop(self) -> None:
        """Close the connections and end the thread."""
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
        """Keep the list and the figures up to date for as long as the server answers."""
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
        connection = connect(self.address, PING_TIMEOUT, cancel=self._stopping)
        with self._lock:
            self._connections.append(connection)
            if self._stopping.is_set():  # stop() has not seen this one
                connection.close()
        return connection

    def _on_message(self, message: Message) -> None:
        if not isinstance(message, Contents):
            raise WireError(f"server {self.address} sent {type(message).__name__} instead of its list")
        before, self._contents = self._contents, {info.name: info for info in message.contents}
        self._listed = True
        if before is None or before.keys() != self._contents.keys():
            listed = sorted(self._contents)
            eventlog.note(
                logger, "server_listed", "[%s] contents: %s", self.address, ", ".join(listed) or "none",
                server=self.address, contents=listed,
            )  # fmt: skip
        self._on_change()

    def _measure(self, pings: Connection, lists: Connection) -> None:
        list_due = Deadline(LIST_TIMEOUT)
        for nonce in itertools.count():
            sent = time.monotonic_ns()
            pings.send(Ping(nonce))
            self._await_reply(pings, nonce)
            with self._lock:
                self._window.add((time.monotonic_ns() - sent) // 1000)
            if self._listed:  # all is well
                self._backoff.reset()
                self._missed = False
            left = PING_INTERVAL - (time.monotonic_ns() - sent) / 1e9
            if lists.closed:
                raise PeerGone("it closed the connection for its list")
            if list_due.expired and not self._listed:
                raise TimeoutError(f"no list within {LIST_TIMEOUT:g} s")
            if self._stopping.wait(max(0.0, left)):
                return

    def _await_reply(self, pings: Connection, nonce: int) -> None:
        answer = pings.receive(Deadline(PING_TIMEOUT))
        if not isinstance(answer, Ping) or not answer.reply or answer.nonce != nonce:
            raise WireError(f"server {self.address} sent {answer} instead of the answer to PING {nonce}")

    def _lost(self, reason: str) -> None:
        known = self._contents is not None
        with self._lock:
            self._window = PingWindow()
        self._contents = {} if known or not self.doubtful else None
        if self._stopping.is_set():
            return
        if not self._missed:
            lost = eventlog.event_extra("server_lost", server=self.address, reason=reason)
            self._log.warning("lost", "[%s] server does not answer: %s", self.address, reason, extra=lost)
            self._missed = True
        self._on_change()


class Servers:
    """All servers that the layout gives the rendezvous point."""

    def __init__(self, watcher: Watcher, on_change: Callable[[], None], on_crash: OnCrash) -> None:
        self._watcher, self._on_change, self._on_crash = watcher, on_change, on_crash
        # Replaced as a whole and never changed, as it is read by other threads than the one that
        # calls update().
        self._monitors: dict[str, ServerMonitor] = {}

    def update(self, addresses: Iterable[str]) -> None:
        """Take in the layout."""
        wanted = dict.fromkeys(addresses)  # each once
        self._replace({each: self._monitors.get(each) or self._monitor(each) for each in wanted})
        self._on_change()

    def _monitor(self, address: str) -> ServerMonitor:
        return ServerMonitor(address, self._watcher, self._on_change, self._on_crash)

    def _replace(self, monitors: dict[str, ServerMonitor]) -> None:
        """Put others in force, and stop those that are not among them."""
        before, self._monitors = self._monitors, monitors
        gone = [monitor for address, monitor in before.items() if address not in monitors]
        for monitor in gone:
            monitor.ask_to_stop()
        for monitor in gone:
            monitor.stop()

    def offers(self) -> tuple[frozenset[str], str]:
        """Return the contents that some server has, and why there may be more (or nothing)."""
        monitors = list(self._monitors.values())
        contents = frozenset(name for monitor in monitors for name in monitor.contents)
        doubtful = [monitor.address for monitor in monitors if monitor.doubtful]
        return contents, f"server {', '.join(doubtful)} has not answered yet" if doubtful else ""

    def ranking(self, content: str) -> list[str]:
        """Return the servers that have a content, the best first, and log why."""
        having = {a: m.figures() for a, m in self._monitors.items() if content in m.contents}
        measured = {address: figures for address, figures in having.items() if figures is not None}
        order = [*ranked(measured), *sorted(set(having) - set(measured))]
        for place, address in enumerate(order, 1):
            figures = having[address]
            eventlog.note(
                logger, "server_choice", "[%s] server choice %d: %s: %s",
                content, place, address, figures or "not measured yet",
                content=content, place=place, server=address,
                delay_us=figures and figures.delay_us, latency_us=figures and figures.latency_us,
                jitter_us=figures and figures.jitter_us, metric=figures and round(figures.metric),
            )  # fmt: skip
        return order

    def figures(self) -> dict[str, Figures]:
        """Return what was measured, by server."""
        known = {address: monitor.figures() for address, monitor in self._monitors.items()}
        return {address: figures for address, figures in known.items() if figures is not None}

    def stop(self) -> None:
        """End all monitors."""
        self._replace({})
