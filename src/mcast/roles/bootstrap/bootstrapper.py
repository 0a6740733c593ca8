"""The bootstrapper's work: registrations, sessions, changes of the layout, health.

A node has one session. When another process comes under a name that has one, the older session is probed:
after a crash or a change of address it may look alive for seconds. If it says anything within PROBE_TIMEOUT
it keeps the name, and the newcomer is refused before it listens anywhere; else the newcomer has the name. A
client that asks where it may join (it begins with Seek) is told, and has no session.

A name is given to who calls from one of its addresses in the layout, or from the bootstrapper's own host.
Where the layout is open, others join beside it (newcomers.py), and one other address may not take all names
of the file: it has a share. Who asks for nodes beyond its links is offered some that are up (offers.py).

That a session has ended says nothing about the node's streams, so nothing else follows from it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeAlias

from mcast import eventlog
from mcast.config.layout import Layout, NodeSpec
from mcast.errors import McastError, WireError
from mcast.hostport import HostPort, IPAddress
from mcast.monitoring.registry import NodeStatus, Registry
from mcast.monitoring.view import View
from mcast.net.connection import Connection, PeerGone, say
from mcast.net.entrance import Rules
from mcast.net.handshake import Credentials
from mcast.net.listener import Listener
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.task_thread import TaskThread
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.roles.bootstrap.identification import Identification
from mcast.roles.bootstrap.newcomers import Newcomers
from mcast.roles.bootstrap.notes import note_arrival, note_change, note_elsewhere
from mcast.roles.bootstrap.offers import Offers
from mcast.shares import UNCOUNTED, Source, share_of, source_of
from mcast.wire.bootstrap import Health, LayoutMessage, Links, Offer, Probe, Refused, Register, Seek
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.health import EventReport

logger = logging.getLogger(__name__)

KEYLESS = Credentials(Role.BOOTSTRAPPER)

OnEvents: TypeAlias = Callable[[str, Iterable[EventReport]], None]
"""Told the name of a node, and what has happened there."""

REGISTER_TIMEOUT = 5.0
"""Seconds until a newcomer, which occupies a handler, must have said who it is."""

SEND_TIMEOUT = 2.0
"""Seconds that a node may take to accept a layout; a slower one has to connect again. Nobody waits."""

PROBE_TIMEOUT = 1.0
"""Seconds for the older process of a name to say that it is there: a round trip and a hiccup."""

SILENT = 10.0
"""Seconds without a report from a node, which sends one every 1 to 2 s: it is suspended or cut off."""

ASK_PAUSE = 0.5
"""Seconds in which one node is offered others once, and chooses neighbours once: it does so more rarely."""


@dataclass(eq=False, slots=True)
class _Session:
    name: str
    connection: Connection
    instance: bytes
    source: Source  # which its place counts for
    unlisted: bool  # it is not named to clients
    # Held while a layout goes out, so that an older one never overtakes a newer one.
    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: LayoutMessage | None = None
    heard: threading.Event = field(default_factory=threading.Event)  # since it was probed
    offered_at: float = -math.inf  # the watcher's, like the next
    linked_at: float = -math.inf


class Bootstrapper:
    """Owns the listener, the watcher and the sessions of the nodes."""

    def __init__(
        self, layout: Layout, source: str, address: HostPort, on_crash: OnCrash,
        *, credentials: Credentials = KEYLESS, on_events: OnEvents = lambda _name, _events: None,
    ) -> None:  # fmt: skip
        """Bind the address at once; `on_events` must not wait.

        Raises ConfigError if it cannot be used, UnreachableError if it is a name that no name server tells.
        """
        self._on_events = on_events
        self.counters = Counters()
        self._log = RateLimitedLog(logger, self.counters)
        self._source = source  # the layout's file, for refusals
        self._identification = Identification(source)
        self._lock = threading.Lock()  # guards the six below; never held while sending
        self._file, self._version = layout, 1
        self._newcomers = Newcomers(layout)
        self._offers = Offers()
        self._registry = Registry()
        self._sessions: dict[str, _Session] = {}
        self._watcher = Watcher(on_crash, counters=self.counters)
        self._deliveries = TaskThread("deliver-layouts", on_crash)  # as a delivery may lead to others
        rules = Rules(
            credentials=credentials, first_message=REGISTER_TIMEOUT, is_favoured=self._is_of_the_layout
        )
        try:
            self._listener = Listener(
                address, self._handle, on_crash, name="bootstrap", counters=self.counters, rules=rules
            )
        except McastError:
            self._watcher.stop()
            raise

    @property
    def address(self) -> HostPort:
        """Return where it listens, with the real port."""
        return self._listener.address

    def start(self) -> None:
        self._watcher.start()
        self._deliveries.start()
        self._listener.start()

    def stop(self) -> None:
        self._identification.give_up()
        self._listener.stop()
        self._watcher.stop()
        self._deliveries.stop()
        self._log.flush()

    def change_layout(self, layout: Layout) -> None:
        """Put a new layout in force and tell the nodes whose place has changed."""
        with self._lock:
            self._file, self._version = layout, self._version + 1
            self._offers.changed()
            settled = self._newcomers.change_file(layout)
            sessions = list(self._sessions.values())
        for session in sessions:
            if session.name in settled:
                # The node goes on, and registers again: whether it may is then for the new file to say.
                self._end(session, "the layout says anew where it is")
            else:
                self._deliver(session)

    def end_silent_sessions(self) -> None:
        """Close the sessions of nodes that are silent for too long. To be called about once a second."""
        with self._lock:
            silent = self._registry.silent(time.monotonic(), SILENT)
            sessions = [self._sessions[status.name] for status in silent if status.name in self._sessions]
        for session in sessions:
            self._end(session, f"nothing heard for {SILENT:g} s")

    def call(self, function: Callable[[], None]) -> None:
        """Have the thread that hears all nodes do something. Never waits."""
        self._watcher.call(function)

    def nodes(self) -> dict[str, NodeStatus]:
        """Return the nodes that are up at this moment."""
        return dict(self.view().nodes)

    def view(self) -> View:
        """Return the layout, with those who have joined, and the nodes that are up at this moment."""
        with self._lock:
            return View(self._newcomers.layout, self._registry.snapshot(), time.monotonic())

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
        if isinstance(register, Seek):
            self._offer_client(connection, register.content)
            return
        if not isinstance(register, Register):
            raise WireError(f"a node begins with Register, not with {type(register).__name__}")
        with self._lock:
            file = self._file
        node = self._identification.find(file, register, connection)
        if isinstance(node, str):
            self._refuse(connection, node)
            return
        source = self._source_of(connection)
        session = _Session(node.name, connection, register.instance, source, register.unlisted)
        if (problem := self._lack_of_room(session, node)) is not None:
            self._refuse(connection, problem)
            return
        while (older := self._admit(session, node, register.links)) is not None:
            if self._answers(older):
                self._refuse(connection, _taken(session, older))
                return
            self._dismiss(older, f"another process has registered as '{node.name}' from {connection.peer}")
        connection.detach()
        try:
            self._watcher.watch(
                connection,
                lambda message: self._heard(session, message),
                lambda reason: self._end(session, reason),
            )
        except PeerGone as error:
            self._end(session, str(error))
        else:
            self._deliver(session)

    def _refuse(self, connection: Connection, reason: str) -> None:
        refusal = eventlog.event_extra("refused", whom=connection.peer, reason=reason)
        self._log.warning("refused_nodes", "refused %s: %s", connection.peer, reason, extra=refusal)
        connection.send(Refused(reason), SEND_TIMEOUT)

    def _is_of_the_layout(self, ip: IPAddress) -> bool:
        return bool(self._file.find_by_address(ip))  # no look-up of names: it must not wait

    def _source_of(self, connection: Connection) -> Source:
        ip = connection.peer.ip
        is_here = ip.is_loopback or ip == connection.local.ip
        return UNCOUNTED if is_here or self._is_of_the_layout(ip) else source_of(ip)

    def _lack_of_room(self, session: _Session, node: NodeSpec) -> str | None:
        """Return why there is no room for a session, of the file or a newcomer; None if there is."""
        with self._lock:
            if node.name not in self._file.nodes:
                return self._newcomers.lack_of_room(node)
            if session.source != UNCOUNTED and self._is_too_much(session):
                return f"too many nodes have registered from {session.connection.peer.ip}"
            return None

    def _is_too_much(self, session: _Session) -> bool:
        """Return whether a session would be one more than its address may have, where names are scarce."""
        assert self._lock.locked()
        nodes = self._file.nodes
        taken = [each for name, each in self._sessions.items() if name in nodes]
        if session.name in self._sessions or len(taken) < len(nodes) // 2:
            return False
        return sum(each.source == session.source for each in taken) >= share_of(len(nodes))

    def _admit(self, session: _Session, node: NodeSpec, links: Iterable[str]) -> _Session | None:
        """Put a session in force; return the one of another process that is in its way, if there is one."""
        peer = session.connection.peer
        with self._lock:
            older = self._sessions.get(session.name)
            if older is not None and older.instance != session.instance and not older.connection.closed:
                return older
            self._sessions[session.name] = session
            before = self._registry.join(session.name, session.instance, str(peer), time.monotonic())
            affected = self._newcomers.join(node, links)
            self._changed(affected)
            is_elsewhere = self._newcomers.is_elsewhere(session.name)
        note_arrival(session.name, peer, session.instance, before)
        if is_elsewhere and affected:
            note_elsewhere(session.name, node.address)
        self._inform(affected - {session.name})  # it is told by who called
        if older is not None:
            older.connection.close()  # of the same process, which has connected anew
        return None

    def _answers(self, session: _Session) -> bool:
        """Return whether a session's process says that it is there. Waits for that."""
        session.heard.clear()
        say(session.connection, Probe())
        return session.heard.wait(PROBE_TIMEOUT)

    def _deliver(self, session: _Session) -> None:
        """Send a node its place, unless it has been sent before. Waits for nobody."""
        with session.lock:
            with self._lock:
                layout, version = self._newcomers.layout, self._version
            if is_listed := layout.find_by_name(session.name) is not None:
                message = layout.message(session.name, version)
                if session.sent is None or replace(session.sent, version=version) != message:
                    self._send(session, message)
        if not is_listed:
            logger.warning("%s is up and no longer in the layout", session.name)
            self._dismiss(session, f"'{session.name}' is no longer in {self._source}", removed=True)

    def _send(self, session: _Session, message: LayoutMessage) -> None:
        assert session.lock.locked()
        connection = session.connection
        try:
            if self._watcher.push(connection, connection.encoded(message), SEND_TIMEOUT):
                session.sent = message  # who is not watched yet is told when it is
        except PeerGone as error:
            logger.debug("! %s has not got its new place: %s", session.name, error)

    def _deliver_to(self, sessions: Iterable[_Session]) -> None:
        for session in sessions:
            self._deliver(session)

    def _changed(self, affected: Collection[str]) -> None:
        """Note that who is up, or linked to whom, has changed."""
        assert self._lock.locked()
        self._offers.changed()
        self._version += bool(affected)

    def _inform(self, names: Collection[str]) -> None:
        """Tell nodes their new places, in another thread."""
        with self._lock:
            sessions = [self._sessions[name] for name in names if name in self._sessions]
        if sessions:
            self._deliveries.post(lambda: self._deliver_to(sessions))

    def _dismiss(self, session: _Session, reason: str, *, removed: bool = False) -> None:
        say(session.connection, Refused(reason, removed))
        self._end(session, reason)

    def _heard(self, session: _Session, message: Message) -> None:
        """Take in what a node says. In the watcher's thread."""
        session.heard.set()
        match message:
            case Health():
                self._take_health(session, message)
            case Seek(content):
                self._offer(session, content)
            case Links(names):
                self._link(session, names)
            case _:
                raise WireError(f"a node does not send {type(message).__name__}")

    def _offer(self, session: _Session, content: str) -> None:
        now = time.monotonic()
        if now < session.offered_at + ASK_PAUSE:
            return
        session.offered_at = now
        with self._lock:
            usable = self._offers.usable(self._newcomers, self._registry.snapshot(), now)
        found = usable.for_node(session.name, session.connection.peer.ip, content)
        logger.debug("= %s is offered %s", session.name, ", ".join(each.name for each in found) or "nobody")
        say(session.connection, Offer(found))

    def _offer_client(self, connection: Connection, content: str) -> None:
        with self._lock:
            usable = self._offers.usable(self._newcomers, self._registry.snapshot(), time.monotonic())
            unlisted = {name for name, session in self._sessions.items() if session.unlisted}
        found = usable.for_client(connection.peer.ip, content, unlisted)
        connection.send(Offer(found), SEND_TIMEOUT)

    def _link(self, session: _Session, names: tuple[str, ...]) -> None:
        now = time.monotonic()
        if now < session.linked_at + ASK_PAUSE:
            return
        session.linked_at = now
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return
            affected = self._newcomers.choose(session.name, names)
            self._changed(affected)
        if affected:
            eventlog.note(
                logger, "node_linked", "%s has chosen its neighbours: %s", session.name, ", ".join(names),
                node=session.name, neighbours=names,
            )  # fmt: skip
        self._inform(affected)

    def _take_health(self, session: _Session, message: Health) -> None:
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return
            changes = self._registry.heard(session.name, message, time.monotonic())
        self._on_events(session.name, message.events)
        for change in changes:
            note_change(session.name, change)
        self.counters.add("health")  # last: who has seen it counted finds the rest in the log

    def _end(self, session: _Session, reason: str) -> None:
        session.connection.close()
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return  # a newer one has taken its place
            del self._sessions[session.name]
            self._registry.leave(session.name)
            affected = self._newcomers.leave(session.name)
            self._changed(affected)
        self._inform(affected)
        eventlog.note(
            logger, "node_lost", "%s is gone: %s", session.name, reason,
            extra={"peer": session.connection.peer}, node=session.name, reason=reason,
        )  # fmt: skip


def _taken(newcomer: _Session, older: _Session) -> str:
    name, peer = older.name, older.connection.peer
    if peer.ip == newcomer.connection.peer.ip:
        runs = f"mcast-node runs here already, as '{name}'"
    else:
        runs = f"another process is '{name}' already, the one at {peer}"
    return f"{runs}: stop it first, or start this one under another --name"
