"""A node's session with the bootstrapper.

The node waits for its first layout, and for nothing else: once it knows its place, the bootstrapper
may come and go. One thread connects (with backoff), registers, hands on layouts and sends health.

A refusal before the first layout means that the file does not know this node: that is the user's to
mend, so `wait_for_layout` raises ConfigError with the bootstrapper's text. Later it may be the file that
is being edited, so the thread tries again at an operator's pace, and the node carries on. Only where it
is told that the file names it no more, it is `removed` until it gets a layout again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from mcast import eventlog
from mcast.errors import ConfigError, McastError, UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.net.backoff import Backoff
from mcast.net.connection import Connection, connect
from mcast.net.deadline import Deadline
from mcast.net.handshake import Credentials
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker, wait_readable
from mcast.wire.bootstrap import (
    Health,
    LayoutMessage,
    Links,
    Offer,
    Probe,
    Refused,
    Register,
    Seek,
)
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.health import MAX_REPORTED_EVENTS

logger = logging.getLogger(__name__)

WAITING_LOG_INTERVAL = 10.0
"""Seconds between two lines that say that a node waits."""
SLOW = 1.0
"""Seconds after which a node that has heard nothing at all, not even a refusal, says what it waits for."""

OnLayout: TypeAlias = Callable[[LayoutMessage], None]
OnOffer: TypeAlias = Callable[[Offer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTiming:
    """How long the bootstrapper is waited for, and how often it is told something, in seconds."""

    first_retry: float = 0.25
    """From one attempt to connect to the next; doubled each time up to the last."""
    last_retry: float = 5.0
    refused_retry: float = 5.0
    """To the next attempt after a refusal: an operator's pace."""
    connect_timeout: float = 5.0
    answer_timeout: float = 5.0
    """From the registration to the layout."""
    heartbeat: float = 2.0
    """Without news from the node for so long the last health is sent again, lest the bootstrapper
    takes the node for dead (`bootstrap.SILENT`)."""
    health_pause: float = 0.05
    """Least time between two reports: changes that come together travel together."""


DEFAULT_TIMING = SessionTiming()


class BootstrapSession:
    """Owns one thread and its connection to the bootstrapper."""

    def __init__(
        self,
        address: HostPort,
        register: Register,
        on_crash: OnCrash,
        *,
        on_layout: OnLayout | None = None,
        rng: random.Random | None = None,
        timing: SessionTiming = DEFAULT_TIMING,
        credentials: Credentials | None = None,
    ) -> None:
        """`on_layout` is called in the session's thread with each layout that differs from the last."""
        self._address, self._register, self._timing = address, register, timing
        self._credentials = credentials
        self._backoff = Backoff(timing.first_retry, timing.last_retry, rng)
        self._log = RateLimitedLog(logger, interval=WAITING_LOG_INTERVAL)
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._waker = Waker()
        self._thread = OwnedThread("bootstrap-session", self._run, on_crash)
        self._calling = threading.Lock()  # while `on_layout` is called
        self._connection: Connection | None = None  # the thread's; others close it
        self._lock = threading.Lock()  # guards the nine below
        self._on_layout = on_layout
        self._on_offer: OnOffer | None = None
        self._question: Seek | None = None
        self._links: Links | None = None
        self._layout: LayoutMessage | None = None
        self._delivered: LayoutMessage | None = None
        self._health: Health | None = None
        self._refusal: str | None = None
        self._awaited = f"waiting for the bootstrapper at {address}"
        self._answered = threading.Event()
        self._removed = threading.Event()
        self._was_known = self._has_said_why = False
        self._connected = threading.Event()
        self._connections = 0  # so far; the thread's

    @property
    def connected(self) -> bool:
        """Return whether the bootstrapper has answered on the present connection."""
        return self._connected.is_set()

    def ready(self) -> int | None:
        """Return the number of the connection that would carry a report at once; None if there is none.

        Who reports only then knows that no report is overtaken, and when somebody listens who knows nothing.
        """
        with self._lock:
            return self._connections if self._health is None and self.connected else None

    @property
    def awaited(self) -> str:
        """Return, in a line, what the session waits for; empty while the bootstrapper is there."""
        with self._lock:
            return self._awaited

    @property
    def removed(self) -> bool:
        """Return whether the layout has named this node, and does not any more."""
        return self._removed.is_set()

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Close the connection, and let the thread end, without waiting for it."""
        self._stop.set()
        self._waker.wake()
        if (connection := self._connection) is not None:
            connection.close()  # a bootstrapper that is frozen may not be reading

    def stop(self) -> None:
        """Close the session; idempotent. No callback runs afterwards."""
        self.ask_to_stop()
        self._thread.join()
        self._waker.close()

    def wait_for_layout(
        self, stop: threading.Event, look: Callable[[], None] = lambda: None
    ) -> LayoutMessage | None:
        """Wait, as long as it takes, for a layout; None if `stop` is set before it comes.

        It says so after a second. Meanwhile `look` is called ten times a second. To be called
        again when the node is removed. Raise ConfigError if the bootstrapper refuses this node.
        """
        slow = Deadline(SLOW)
        while not self._answered.wait(0.1):
            if stop.is_set():
                return None
            if slow.expired and not self._has_said_why:
                self._say_waiting("no answer yet")
            look()
        with self._lock:
            if self._layout is None:
                raise ConfigError(f"the bootstrapper at {self._address} refuses this node: {self._refusal}")
            self._delivered = self._layout
            return self._layout

    def follow(self, on_layout: OnLayout | None, on_offer: OnOffer | None = None) -> None:
        """Have each further layout handed to `on_layout`, those since `wait_for_layout` included.

        `on_offer` gets the nodes that the bootstrapper offers. None: nobody is told any more, and who is just
        being told is waited for.
        """
        with self._calling, self._lock:
            self._on_layout, self._on_offer = on_layout, on_offer
        self._waker.wake()

    def say(self, message: Health | Seek | Links) -> None:
        """Tell the bootstrapper something; never waits.

        Of reports that come together the last one travels, with the events of all. A question is asked now
        or never: without a bootstrapper nobody answers it. Links that were chosen are said anew on each
        connection.
        """
        with self._lock:
            match message:
                case Health():
                    untold = self._health.events if self._health is not None else ()
                    events = (*untold, *message.events)[-MAX_REPORTED_EVENTS:]
                    self._health = replace(message, events=events)
                case Seek():
                    self._question = message
                case Links():
                    self._links, self._register = message, replace(self._register, links=message.links)
        self._waker.wake()

    def __repr__(self) -> str:
        return f"BootstrapSession({self._address}, {'connected' if self.connected else 'not connected'})"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as self._connection:
                    _Dialogue(self, self._connection).run()
                pause = 0.0
            except _RefusedError as refusal:
                pause = self._refused(refusal.refused)
            except (UnreachableError, WireError, ConfigError) as error:
                pause = self._failed(error)
            finally:
                self._connected.clear()
            self._stop.wait(pause)

    def _connect(self) -> Connection:
        return connect(
            self._address, self._timing.connect_timeout, cancel=self._stop,
            credentials=self._credentials, wanted=Role.BOOTSTRAPPER,
        )  # fmt: skip

    def _refused(self, refused: Refused) -> float:
        with self._lock:
            self._refusal = refused.text
            self._awaited = f"the bootstrapper refuses this node: {refused.text}"
            if refused.removed and self._layout is not None:
                self._layout = self._delivered = None
                self._answered.clear()
                self._removed.set()
        if not self._was_known:
            self._answered.set()
        self._log.warning("refused", "the bootstrapper refuses this node: %s", refused.text)
        return self._timing.refused_retry

    def _failed(self, error: McastError) -> float:
        if self._stop.is_set():
            return 0.0
        with self._lock:
            self._awaited = f"waiting for the bootstrapper at {self._address}: {error}"
        if self._connected.is_set():
            eventlog.note(
                logger, "bootstrapper_lost", "lost the bootstrapper, carrying on without it: %s", error,
                level=logging.WARNING, address=self._address, reason=error,
            )  # fmt: skip
        elif self._layout is None:
            self._say_waiting(error)
        else:
            self._log.info("waiting", "still without the bootstrapper at %s: %s", self._address, error)
        return self._backoff.next()

    def _say_waiting(self, reason: McastError | str) -> None:
        # Under two names, so that neither line keeps the other back.
        kind = "waiting" if isinstance(reason, McastError) else "slow"
        self._has_said_why = True
        awaited = eventlog.event_extra("bootstrapper_awaited", address=self._address, reason=reason)
        self._log.info(kind, "waiting for the bootstrapper at %s: %s", self._address, reason, extra=awaited)

    # What the dialogue, in the session's thread, asks and tells:

    def _registration(self) -> Register:
        with self._lock:
            self._links = self._question = None  # what is chosen stands in it, what is asked is out of date
            return self._register

    def _take_words(self) -> list[Seek | Links]:
        """Return what else is to be said to the bootstrapper now."""
        with self._lock:
            words, self._question, self._links = (self._links, self._question), None, None
        return [word for word in words if word is not None]

    def _take_health(self) -> Health | None:
        """Return the news since the last time, None if there is none."""
        with self._lock:
            health, self._health = self._health, None
            return health

    def _uptime_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)

    def _new_layout(self, layout: LayoutMessage) -> None:
        if not self._connected.is_set():
            self._backoff.reset()
            self._connections += 1
            self._connected.set()
            logger.info(
                "the bootstrapper at %s knows this node as %s (%s, %d neighbours)",
                self._address,
                layout.name,
                layout.kind.name.lower(),
                len(layout.neighbours),
            )
        with self._lock:
            self._layout, self._was_known, self._awaited = layout, True, ""
            self._removed.clear()
            if not layout.joined:
                self._register = replace(self._register, links=())
        self._answered.set()

    def _new_offer(self, offer: Offer) -> None:
        with self._lock:
            on_offer = self._on_offer
        if on_offer is not None:
            on_offer(offer)

    def _hand_on_layout(self) -> None:
        with self._calling:
            with self._lock:
                layout, before, on_layout = self._layout, self._delivered, self._on_layout
                if layout is None or on_layout is None:
                    return
                self._delivered = layout
            if before is None or replace(before, version=layout.version) != layout:
                on_layout(layout)


class _RefusedError(McastError):
    """The bootstrapper has answered Refused."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.text)
        self.refused = refused


class _Dialogue:
    """One connection of a session, from the registration to its end."""

    def __init__(self, session: BootstrapSession, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self._timing = session._timing
        self._answer_by = Deadline(self._timing.answer_timeout)
        self._last_health = Health(uptime_ms=0)
        self._pause = Deadline(0.0)  # no report before
        self._heartbeat = Deadline(self._timing.heartbeat)  # a report then at the latest

    def run(self) -> None:
        """Talk until the session is stopped. Raise UnreachableError, WireError or a refusal."""
        session, connection = self._session, self._connection
        connection.send(session._registration())
        with connection.held():
            while not session._stop.is_set():
                self._wait()
                for message in connection.poll_messages():
                    self._heard(message)
                connection.check_frame_time()
                session._hand_on_layout()
                if session.connected:
                    for word in session._take_words():
                        connection.send(word)
                    self._report()
                elif self._answer_by.expired:
                    raise UnreachableError(f"it does not answer within {self._timing.answer_timeout:g} s")

    def _wait(self) -> None:
        until = self._heartbeat if self._session.connected else self._answer_by
        if not self._pause.expired:
            until = until.sooner(self._pause.timeout())
        waker = self._session._waker
        wait_readable(
            [self._connection.fileno(), waker.fileno()], until.sooner(self._connection.frame_time_left())
        )
        waker.drain()

    def _heard(self, message: Message) -> None:
        match message:
            case LayoutMessage():
                self._session._new_layout(message)
            case Refused():
                raise _RefusedError(message)
            case Offer():
                self._session._new_offer(message)
            case Probe():
                self._heartbeat = self._pause = Deadline(0.0)
            case _:
                raise WireError(f"a bootstrapper does not send {type(message).__name__}")

    def _report(self) -> None:
        if not self._pause.expired:
            return
        news = self._session._take_health()
        if news is None and not self._heartbeat.expired:
            return
        self._connection.send(news or replace(self._last_health, uptime_ms=self._session._uptime_ms()))
        if news is not None:
            # Without what is told once: what has happened, and the catalogue.
            self._last_health = replace(news, events=(), catalogue=None)
        self._pause = Deadline(self._timing.health_pause)
        self._heartbeat = Deadline(self._timing.heartbeat)
