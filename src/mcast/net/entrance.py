"""Where those wait who have connected and have not yet said anything that counts.

One thread reads all of them, so one who says nothing costs a descriptor and no thread. Whoever
knows the key, where there is one, and has sent a first whole message of the right protocol is handed on
with it. The others have a time, and their number a bound of which one source cannot take all (`shares`):
while somebody fills the entrance, it is its own connections that give way.

Those who are ready are taken in turn, one of each source, so a crowd from one address does not
stand in front of a viewer elsewhere.

A node's neighbours and viewers keep a warm connection that says nothing until they have a question. To be
closed costs them nothing: they connect again. So a long time to the first message is right there.
"""

import logging
import os
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mcast import eventlog
from mcast.errors import WireError
from mcast.hostport import IPAddress
from mcast.net.connection import Connection, PeerGone
from mcast.net.handshake import Answering, Credentials, HandshakeError, keyless, wrong_program
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker
from mcast.shares import Source, WaitingRoom, source_of
from mcast.wire.frame import MAX_BODY, MAX_NODE_BODY, Message, Protocol, protocol_of
from mcast.wire.handshake import NONCE_SIZE, Greeting, HandshakePacket, Refusal, Role

logger = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Connections that wait at a time: 2 KB each, and up to 16 KB where a first message is half here."""
FIRST_MESSAGE = 5.0
"""Seconds to prove a key, and to the first message where no connection has a reason to be silent."""
FIRST_QUESTION = 120.0
"""Seconds to the first message of a connection that is kept warm: longer than most viewers think, and a
mere reconnect for those who think longer."""
LOOK = 0.5
"""Seconds between two looks at whose time is over."""
MAX_READY = 64
"""Connections served before others that have become ready meanwhile are looked for."""

_PROTOCOLS = {Role.BOOTSTRAPPER: Protocol.BOOTSTRAP, Role.NODE: Protocol.NODE, Role.SERVER: Protocol.SERVER}
_PROGRAMS = {protocol: role for role, protocol in _PROTOCOLS.items()}


def nobody(_ip: IPAddress) -> bool:
    """Favour nobody."""
    return False


def anybody(_connection: Connection) -> str | None:
    """Let in whoever comes."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who gets in to a program."""

    credentials: Credentials
    first_message: float = FIRST_MESSAGE
    is_favoured: Callable[[IPAddress], bool] = nobody
    """Whether an address is one of the layout's: some room is kept for it."""
    objection: Callable[[Connection], str | None] = anybody
    """Why a connection gets no answer, for this program's log; None if it does."""
    most: int = MAX_WAITING

    @property
    def here(self) -> Role:
        return self.credentials.role


@dataclass(eq=False, slots=True)
class _Guest:
    connection: Connection
    source: Source
    answering: Answering | None  # None: no key is asked for
    until: float
    began: float = field(default_factory=time.monotonic)


class Entrance:
    """Owns one thread, and the connections that wait."""

    def __init__(
        self,
        name: str,
        rules: Rules,
        on_ready: Callable[[Connection], None],
        log: RateLimitedLog,
        on_crash: OnCrash,
    ) -> None:
        """`on_ready` is handed a connection whose first message waits to be read; it must not wait."""
        self._rules, self._on_ready, self._log = rules, on_ready, log
        self._selector, self._waker = selectors.DefaultSelector(), Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._lock = threading.Lock()  # guards the next, and what is registered
        self._waiting: WaitingRoom[_Guest] = WaitingRoom(rules.most)
        self._guests: dict[_Guest, None] = {}
        self._stopping = threading.Event()
        self._thread = OwnedThread(f"{name}-entrance", self._run, on_crash)

    def __len__(self) -> int:
        return len(self._waiting)

    def __repr__(self) -> str:
        return f"Entrance({self._thread.name!r}, {self._waiting!r})"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and close whatever waits."""
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        for guest in tuple(self._guests):
            self._dismiss(guest)
        self._selector.close()
        self._waker.close()

    # In the thread that accepts

    def enter(self, connection: Connection) -> None:
        """Let a connection wait, or turn it away. Never waits."""
        ip = connection.peer.ip
        if (objection := self._rules.objection(connection)) is not None:
            self._turn_away(connection, objection, "your address may ask nothing here")
            return
        guest = self._guest(connection, ip)
        connection.is_greeting = True
        connection.limit_frames(MAX_NODE_BODY)
        try:
            if guest.answering is not None:
                connection.send(guest.answering.challenge, timeout=0)
            admitted, gives_way = self._admit(guest, favoured=self._rules.is_favoured(ip))
        except PeerGone:
            self._log.counters.add("gone_before_start")
            return
        if not admitted:
            self._turn_away(
                connection, f"{self._rules.most} wait for their first message already", "too many wait"
            )
        if gives_way is not None:
            self._crowd_out(gives_way)

    def make_room(self) -> bool:
        """Send away one who waits, as the system has no descriptor left; return whether there was one."""
        with self._lock:
            guest = self._waiting.oldest_of_the_most()
        if guest is not None:
            self._crowd_out(guest)
        return guest is not None

    def _guest(self, connection: Connection, ip: IPAddress) -> _Guest:
        credentials = self._rules.credentials
        if credentials.keys:
            answering, limit = Answering(credentials, os.urandom(NONCE_SIZE)), FIRST_MESSAGE
        else:
            answering, limit = None, self._rules.first_message
        return _Guest(connection, source_of(ip), answering, time.monotonic() + limit)

    def _admit(self, guest: _Guest, *, favoured: bool) -> tuple[bool, _Guest | None]:
        with self._lock:
            is_first = not self._guests
            entry = self._waiting.enter(guest, guest.source, favoured=favoured)
            if entry.admitted:
                try:
                    guest.connection.hold()
                except PeerGone:
                    self._waiting.leave(guest)
                    raise
                self._guests[guest] = None
                self._selector.register(guest.connection, selectors.EVENT_READ, guest)
        if is_first:  # otherwise the thread looks at their times already
            self._waker.wake()
        return entry.admitted, entry.gives_way

    def _crowd_out(self, guest: _Guest) -> None:
        waited = time.monotonic() - guest.began
        self._log.info(
            "crowded_out", "closed %s, silent for %.1f s: its address holds too many connections",
            guest.connection.peer, waited,
        )  # fmt: skip
        self._dismiss(guest)

    # In the entrance's own thread

    def _run(self) -> None:
        next_look = time.monotonic() + LOOK
        while not self._stopping.is_set():
            ready = self._selector.select(LOOK if self._guests else None)
            self._waker.drain()
            guests = [key.data for key, _ in ready if key.data is not None]
            for guest in in_turn(guests)[:MAX_READY]:
                if self._stopping.is_set():
                    return
                self._serve(guest)
            if (now := time.monotonic()) >= next_look:
                next_look = now + LOOK
                self._end_overdue(now)

    def _serve(self, guest: _Guest) -> None:
        if guest not in self._guests:
            return  # crowded out meanwhile
        try:
            for message in guest.connection.poll_messages():
                if self._is_ready(guest, message):
                    self._hand_on(guest, message)
                    return
        except HandshakeError as error:
            self._refuse(guest, error)
        except WireError as error:
            peer = guest.connection.peer
            self._log.warning("bad_frames", "%s breaks the protocol: %s", peer, error, extra={"peer": peer})
            self._dismiss(guest)
        except PeerGone as error:
            self._gone(guest, error)

    def _is_ready(self, guest: _Guest, message: Message) -> bool:
        """Return whether a message is the one that is waited for. Raises HandshakeError, PeerGone."""
        here, answering = self._rules.here, guest.answering
        if answering is not None and not answering.done:
            if (answer := answering.on_message(message)) is not None:
                guest.connection.send(answer, timeout=0)
                guest.until = time.monotonic() + self._rules.first_message
            return False
        if isinstance(message, Greeting) and message.wanted is here:
            raise keyless(here)
        if isinstance(message, HandshakePacket):
            raise wrong_program(here, message.wanted if isinstance(message, Greeting) else here)
        if (protocol := protocol_of(message)) is not _PROTOCOLS[here]:
            raise wrong_program(here, _PROGRAMS[protocol])
        return True

    def _hand_on(self, guest: _Guest, message: Message) -> None:
        connection = guest.connection
        try:
            connection.hold()  # so that forgetting it here does not give the descriptor back
        except PeerGone:
            self._forget(guest)
            return
        try:
            if self._forget(guest):
                connection.is_greeting = False
                connection.limit_frames(MAX_BODY)
                connection.unread(message)
                self._on_ready(connection)
        finally:
            connection.release()

    def _end_overdue(self, now: float) -> None:
        for guest in tuple(self._guests):
            peer = guest.connection.peer
            if guest.until <= now:
                self._log.info("silent_peers", "%s said nothing in time", peer, extra={"peer": peer})
                self._dismiss(guest)
            elif guest.connection.frame_time_left() == 0.0:
                text = "its first frame is not complete in time"
                self._log.warning(
                    "bad_frames", "%s breaks the protocol: %s", peer, text, extra={"peer": peer}
                )
                self._dismiss(guest)

    def _refuse(self, guest: _Guest, error: HandshakeError) -> None:
        self._turn_away(guest.connection, str(error), error.refusal)
        self._dismiss(guest)

    def _gone(self, guest: _Guest, error: PeerGone) -> None:
        if guest.answering is not None and not guest.answering.done:
            text = "it hung up when a key was asked for: was it started with the overlay's --key-file?"
            self._turn_away(guest.connection, text, None)
        else:
            self._log.counters.add("gone")
            logger.debug("! %s", error, extra={"peer": guest.connection.peer})
        self._dismiss(guest)

    # In any of them

    def _turn_away(self, connection: Connection, reason: str, told: str | None) -> None:
        """Say why, here and there, and hang up."""
        peer = connection.peer
        extra = eventlog.event_extra("refused", whom=peer, reason=reason)
        self._log.warning("refused", "refused %s: %s", peer, reason, extra=extra)
        if told is not None:
            try:
                connection.send(Refusal(told), timeout=0)
            except PeerGone as error:
                logger.debug("! %s was not told why: %s", peer, error)
        connection.close()

    def _dismiss(self, guest: _Guest) -> None:
        if self._forget(guest):
            guest.connection.close()

    def _forget(self, guest: _Guest) -> bool:
        """Take somebody off the lists; return whether it was on them."""
        with self._lock:
            self._waiting.leave(guest)
            if guest not in self._guests:
                return False
            del self._guests[guest]
            self._selector.unregister(guest.connection)
        guest.connection.release()
        return True


def in_turn(guests: Iterable[_Guest]) -> list[_Guest]:
    """Return them in the order to be served: the first of each source, then the second of each, and so on."""
    seen = Counter[Source]()
    turns: list[tuple[int, _Guest]] = []
    for guest in guests:
        turns.append((seen[guest.source], guest))
        seen[guest.source] += 1
    return [guest for _, guest in sorted(turns, key=lambda turn: turn[0])]
