"""Who listens: what the neighbours of this node stream, and what they are, as they tell it.

    thread watch-NAME --WATCH--> neighbour --ADVERT--> Advertised, Introduced
                                     '--its end, or silence--> AdvertsLost

One connection and one thread per neighbour, which does nothing but read. A neighbour of a version of before
WATCH closes the connection on it: it is asked again rarely and without a word in the log, and is found by
floods, as ever.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcast.errors import McastError, WireError
from mcast.net.backoff import Backoff
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.handshake import Credentials
from mcast.net.threads import OnCrash, OwnedThread, stop_together
from mcast.overlay.events import Advertised, AdvertsLost, Event, Introduced
from mcast.peer.decider import Post
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Advert, Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTiming:
    """How long a neighbour is waited for, in seconds."""

    silence: float = 6.0
    """Without a word for so long it is taken for dead: it speaks every 2 s (`adverts.KEEPALIVE`)."""
    first_retry: float = 0.25
    """From one attempt to reach a neighbour to the next; doubled each time up to the last."""
    last_retry: float = 5.0
    unknown_retry: float = 30.0
    """To the next attempt at one that has hung up on the question and never told anything.

    Not at who is silent: for a frozen process the system goes on to accept connections.
    """
    connect_timeout: float = 3.0
    every_ms: int = 0
    """It is asked to speak so often; 0: as often as it likes."""


DEFAULT_TIMING = WatchTiming()
SENIOR_TIMING = WatchTiming(silence=0.75, last_retry=1.0, connect_timeout=1.0, every_ms=200)
"""For a rendezvous point whose place this one takes when it dies: a viewer's buffer waits for that.

Three words in a row must be missing: TCP repeats a lost one within 0.25 s, and what it repeats may be lost,
too. That leaves a viewer who waits for a second a quarter of it, for the standby to join the stream and for
those below to find it. A false alarm, at one that stood still for so long, costs nobody anything: two may
serve at once.
"""


class NeighbourWatch:
    """Listens to one neighbour."""

    def __init__(
        self, name: str, address: str, me: Identity, post: Post, offer: Callable[[Event], bool],
        on_crash: OnCrash, timing: WatchTiming = DEFAULT_TIMING, *, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        """Begin to connect. `offer` is handed what the neighbour tells, `post` that it is void."""
        self.name, self.address = name, address
        self.is_senior = timing is SENIOR_TIMING
        self._neighbour, self._me = Identity.node(name), me
        self._post, self._offer, self._timing, self._credentials = post, offer, timing, credentials
        self._backoff = Backoff(timing.first_retry, timing.last_retry)
        self._stopping = threading.Event()  # set under the lock
        self._lock = threading.Lock()
        self._connection: Connection | None = None  # under the lock
        self._has_told = False  # on the present connection
        self._knows_watch = False  # it has told something before
        self._thread = OwnedThread(f"watch-{name}", self._run, on_crash)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<NeighbourWatch {self.name} at {self.address}: {'tells' if self._has_told else 'silent'}>"

    def ask_to_stop(self) -> None:
        """Let the thread begin to end; stop() waits for it."""
        with self._lock:
            self._stopping.set()
            connection = self._connection
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """End the connection and the thread."""
        self.ask_to_stop()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._listen())

    def _listen(self) -> float:
        """Connect and take in what is told, to the end; return the seconds until the next attempt."""
        has_asked = has_hung_up = False
        try:
            with self._connected() as connection:
                connection.send(Watch(sender=self._me, every_ms=self._timing.every_ms))
                has_asked = True
                while True:
                    self._take(connection.receive(self._timing.silence), connection)
        except (McastError, TimeoutError) as error:
            has_hung_up = has_asked and isinstance(error, PeerGone)
            logger.debug("! watching %s at %s: %s", self.name, self.address, error or "it is silent")
        return self._over(has_hung_up=has_hung_up)

    def _connected(self) -> Connection:
        connection = connect(
            self.address, self._timing.connect_timeout, cancel=self._stopping, credentials=self._credentials
        )
        with self._lock:
            self._connection = connection
            if self._stopping.is_set():  # ask_to_stop() has not seen this one
                connection.close()
        return connection

    def _over(self, *, has_hung_up: bool) -> float:
        told, self._has_told = self._has_told, False
        if told:
            self._post(AdvertsLost(self.name))
        elif has_hung_up and not self._knows_watch:
            return self._timing.unknown_retry
        return self._backoff.next()

    def _take(self, message: Message, connection: Connection) -> None:
        if not isinstance(message, Advert):
            raise WireError(f"{self.name} sent {type(message).__name__} where it was to tell what it streams")
        self._has_told = self._knows_watch = True
        self._backoff.reset()
        if not self._offer(self._event_of(message, connection)):
            raise PeerGone("it tells more than can be taken in")

    def _event_of(self, advert: Advert, connection: Connection) -> Event:
        if not advert.content:
            # Where we have reached it, and not where it says: nobody can have clients sent to others.
            clients_at = connection.peer if advert.takes_clients else None
            return Introduced(self.name, advert.distance, clients_at, advert.leaving, advert.full)
        if advert.path and advert.path[-1] != self._neighbour:
            raise WireError(f"{self.name} tells a path to {advert.path[-1]}")
        return Advertised(
            self.name, advert.content, advert.path, advert.fed, advert.delay_ms, advert.lost_permille,
            advert.viewers, advert.full,
        )  # fmt: skip


class NeighbourWatches:
    """Listens to all neighbours of the layout, and to the rendezvous points before this one."""

    def __init__(
        self, me: Identity, post: Post, offer: Callable[[Event], bool], on_crash: OnCrash,
        timing: WatchTiming = DEFAULT_TIMING, *, credentials: Credentials | None = None,
    ) -> None:  # fmt: skip
        self._me, self._post, self._offer, self._on_crash, self._timing = me, post, offer, on_crash, timing
        self._credentials = credentials
        self._watches: dict[str, NeighbourWatch] = {}

    def update(self, neighbours: Mapping[str, str], seniors: Mapping[str, str] | None = None) -> None:
        """Take in who the neighbours are, and where, and the rendezvous points before this one.

        Each is watched once. Waits for the threads of those that are gone.
        """
        before, seniors = self._watches, seniors or {}
        addresses = {**neighbours, **seniors}
        kept = {
            name: watch
            for name, watch in before.items()
            if addresses.get(name) == watch.address and watch.is_senior == (name in seniors)
        }
        self._watches = {
            name: kept.get(name) or self._begin(name, address, is_senior=name in seniors)
            for name, address in addresses.items()
        }
        stop_together(watch for name, watch in before.items() if name not in kept)

    def _begin(self, name: str, address: str, *, is_senior: bool) -> NeighbourWatch:
        timing = SENIOR_TIMING if is_senior else self._timing
        return NeighbourWatch(
            name, address, self._me, self._post, self._offer, self._on_crash, timing,
            credentials=self._credentials,
        )  # fmt: skip

    def stop(self) -> None:
        """End all connections and threads."""
        self.update({})
