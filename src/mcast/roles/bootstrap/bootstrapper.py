"""The bootstrapper's work: registrations, sessions, changes of the layout, health.

A node has one session. Of two processes with one name the later one wins: after a crash or a change of
address the old connection may look alive for seconds, but the new process is the one that is there.
The other one is told why, and its connection is closed.

That a session has ended says nothing about the node's streams, so nothing else follows from it.
"""

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from mcast import eventlog
from mcast.config.layout import Layout
from mcast.errors import ConfigError, WireError
from mcast.hostport import HostPort
from mcast.net.connection import Connection, PeerGone
from mcast.net.listener import Listener
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.roles.bootstrap.identification import Identification
from mcast.roles.bootstrap.registry import Change, NodeStatus, Registry
from mcast.wire.bootstrap import Health, LayoutMessage, Refused, Register
from mcast.wire.frame import Message

logger = logging.getLogger(__name__)

REGISTER_TIMEOUT = 5.0
"""Seconds until a newcomer, which occupies a handler, must have said who it is."""

SEND_TIMEOUT = 2.0
"""Seconds that a node may take to accept a layout; a slower one has to connect again."""

SILENT = 10.0
"""Seconds without a report from a node, which sends one every 1 to 2 s: it is suspended or cut off."""


@dataclass(eq=False, slots=True)
class _Session:
    name: str
    connection: Connection
    instance: bytes
    # Held while a layout goes out, so that an older one never overtakes a newer one.
    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: LayoutMessage | None = None


class Bootstrapper:
    """Owns the listener, the watcher and the sessions of the nodes."""

    def __init__(self, layout: Layout, source: str, address: HostPort, on_crash: OnCrash) -> None:
        """Bind the address at once. Raises ConfigError if it cannot be used."""
        self.counters = Counters()
        self._log = RateLimitedLog(logger, self.counters)
        self._source = source  # the layout's file, for refusals
        self._identification = Identification(source)
        self._lock = threading.Lock()  # guards the four below; never held while sending
        self._layout, self._version = layout, 1
        self._registry = Registry()
        self._sessions: dict[str, _Session] = {}
        self._watcher = Watcher(on_crash, counters=self.counters)
        try:
            self._listener = Listener(
                address, self._handle, on_crash, name="bootstrap", counters=self.counters
            )
        except ConfigError:
            self._watcher.stop()
            raise

    @property
    def address(self) -> HostPort:
        """Return where it listens, with the real port."""
        return self._listener.address

    def start(self) -> None:
        self._watcher.start()
        self._listener.start()

    def stop(self) -> None:
        self._identification.give_up()
        self._listener.stop()
        self._watcher.stop()
        self._log.flush()

    def change_layout(self, layout: Layout) -> None:
        """Put a new layout in force and tell the nodes whose place has changed."""
        with self._lock:
            self._layout, self._version = layout, self._version + 1
            sessions = list(self._sessions.values())
        for session in sessions:
            try:
                self._deliver(session)
            except PeerGone as error:
                logger.debug("! %s has not got its new place: %s", session.name, error)

    def end_silent_sessions(self) -> None:
        """Close the sessions of nodes that are silent for too long. To be called about once a second."""
        with self._lock:
            silent = self._registry.silent(time.monotonic(), SILENT)
            sessions = [self._sessions[status.name] for status in silent if status.name in self._sessions]
        for session in sessions:
            self._end(session, f"nothing heard for {SILENT:g} s")

    def nodes(self) -> dict[str, NodeStatus]:
        """Return the nodes that are up at this moment."""
        with self._lock:
            return self._registry.snapshot()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _handle(self, connection: Connection) -> None:
        """Serve one newcomer. In a thread of the listener."""
        register = connection.receive(REGISTER_TIMEOUT)
        if not isinstance(register, Register):
            raise WireError(f"a node begins with Register, not with {type(register).__name__}")
        with self._lock:
            layout = self._layout
        node = self._identification.find(layout, register, connection.peer)
        if isinstance(node, str):
            refusal = eventlog.event_extra("refused", whom=connection.peer, reason=node)
            self._log.warning("refused_nodes", "refused %s: %s", connection.peer, node, extra=refusal)
            connection.send(Refused(node), SEND_TIMEOUT)
            return
        session = _Session(node.name, connection, register.instance)
        connection.detach()
        self._admit(session)
        try:
            self._deliver(session)
            self._watcher.watch(
                connection,
                lambda message: self._heard(session, message),
                lambda reason: self._end(session, reason),
            )
        except PeerGone as error:
            self._end(session, str(error))

    def _admit(self, session: _Session) -> None:
        peer = session.connection.peer
        with self._lock:
            old = self._sessions.get(session.name)
            self._sessions[session.name] = session
            before = self._registry.join(session.name, session.instance, str(peer), time.monotonic())
        self._note_arrival(session, before)
        if old is not None:
            self._dismiss(old, f"another process has registered as '{session.name}' from {peer}")

    def _note_arrival(self, session: _Session, before: NodeStatus | None) -> None:
        name, peer = session.name, session.connection.peer
        if before is None:
            eventlog.note(
                logger, "node_registered", "%s is up", name, extra={"peer": peer}, node=name, address=peer
            )
        elif before.instance == session.instance:
            logger.debug("= %s has come back on a new connection", name, extra={"peer": peer})
        else:
            eventlog.note(
                logger, "node_replaced", "another process is %s now, it was the one at %s", name, before.peer,
                level=logging.WARNING, extra={"peer": peer}, node=name, address=peer, before=before.peer,
            )  # fmt: skip

    def _deliver(self, session: _Session) -> None:
        """Send a node its place, unless it has been sent before. Raises PeerGone."""
        with session.lock:
            with self._lock:
                layout, version = self._layout, self._version
            if layout.find_by_name(session.name) is None:
                logger.warning("%s is up and no longer in the layout", session.name)
                self._dismiss(session, f"'{session.name}' is no longer in {self._source}")
                return
            message = layout.message(session.name, version)
            if session.sent is None or replace(session.sent, version=version) != message:
                session.connection.send(message, SEND_TIMEOUT)
                session.sent = message

    def _dismiss(self, session: _Session, reason: str) -> None:
        try:
            session.connection.send(Refused(reason), SEND_TIMEOUT)
        except PeerGone as error:
            logger.debug("! %s was not told why: %s", session.name, error)
        self._end(session, reason)

    def _heard(self, session: _Session, message: Message) -> None:
        """Take in a node's report. In the watcher's thread."""
        if not isinstance(message, Health):
            raise WireError(f"a node sends Health, not {type(message).__name__}")
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return
            changes = self._registry.heard(session.name, message, time.monotonic())
        self.counters.add("health")
        for change in changes:
            _note_change(session.name, change)

    def _end(self, session: _Session, reason: str) -> None:
        session.connection.close()
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return  # a newer one has taken its place
            del self._sessions[session.name]
            self._registry.leave(session.name)
        eventlog.note(
            logger, "node_lost", "%s is gone: %s", session.name, reason,
            extra={"peer": session.connection.peer}, node=session.name, reason=reason,
        )  # fmt: skip


def _note_change(name: str, change: Change) -> None:
    stream = change.now
    if stream is None:
        eventlog.note(logger, "node_pruned", "%s", change.text, content=change.content, node=name)
        return
    eventlog.note(
        logger, "node_streams", "%s", change.text,
        content=change.content, node=name, path=stream.path, children=stream.children, fed=stream.fed,
    )  # fmt: skip
