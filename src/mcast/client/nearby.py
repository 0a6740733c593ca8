"""The nearest nodes: asked of the bootstrapper, who says which are up, and measured from here.

    bootstrapper --SEEK, OFFER--> up to 16 nodes --connect to all at once--> round trips --> the nearest

The bootstrapper knows who is up and whose address is like ours; how far each one is, only we can tell. TCP
measures it while it connects.
"""

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mcast.client.options import check_neighbour, check_seconds
from mcast.config.key_file import KeyRing, read_key_file
from mcast.errors import ConfigError, UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.net.backoff import Backoff
from mcast.net.connection import PeerGone, TurnedAway, connect
from mcast.net.deadline import Deadline
from mcast.net.handshake import Credentials
from mcast.net.threads import OwnedThread
from mcast.wire.bootstrap import NamedAddress, Offer, Refused, Seek
from mcast.wire.handshake import Role
from mcast.wire.node import MAX_FURTHER

DEFAULT_PATIENCE = 10.0
"""Seconds until UnreachableError is raised: the bootstrapper, or the first node, may just be starting."""
ANSWER_SECONDS = 3.0
"""For the bootstrapper to answer: a round trip, and a machine that is busy."""
MEASURE_SECONDS = 1.0
"""For nodes to answer. One that takes longer, or whose SYN was lost, is not the nearest."""
KEPT = 1 + MAX_FURTHER
"""Nodes that are returned: the nearest, and as many as a node names to its clients."""
FIRST_PAUSE, LAST_PAUSE = 0.25, 2.0  # seconds until the bootstrapper is asked again


@dataclass(frozen=True, slots=True)
class NearNode:
    """A node that takes clients, and how far it is."""

    name: str
    address: HostPort
    round_trip_ms: float


def nearest_nodes(
    *,
    bootstrap: str,
    content: str = "",
    patience: float = DEFAULT_PATIENCE,
    key_file: Path | None = None,
    stop: threading.Event | None = None,
) -> tuple[NearNode, ...]:
    """Return the nodes that are nearest to this host, the nearest first, five at most and at least one.

    Raises ConfigError, and UnreachableError if nobody is found in time.

    bootstrap: the bootstrapper, as `HOST:PORT`
    content:   what is to be watched: where there are many nodes, those that stream it are told of sooner
    patience:  seconds to look
    key_file:  the key that the overlay's programs share, where they have one
    stop:      setting it ends the search, with UnreachableError
    """
    finder = _Finder(check_neighbour(bootstrap), content, read_key_file(key_file), stop or threading.Event())
    return finder.find(Deadline(check_seconds(patience)))


class _Finder:
    """Asks one bootstrapper, until there is somebody."""

    def __init__(self, bootstrap: HostPort, content: str, keys: KeyRing, stop: threading.Event) -> None:
        self._bootstrap, self._content, self._stop = bootstrap, content, stop
        self._credentials = Credentials(Role.CLIENT, keys)

    def find(self, deadline: Deadline) -> tuple[NearNode, ...]:
        backoff, why = Backoff(FIRST_PAUSE, LAST_PAUSE), ""
        while not deadline.expired and not self._stop.is_set():
            try:
                offered = self._ask(deadline.sooner(ANSWER_SECONDS))
                if near := self._measured(offered, deadline.sooner(MEASURE_SECONDS)):
                    return near
                names = ", ".join(node.name for node in offered)
                why = f"none of its nodes can be reached ({names})" if names else "no node is up"
            except (UnreachableError, WireError) as error:
                if not (why and deadline.expired):  # it was cut short: the answer before tells more
                    why = str(error)
            self._stop.wait(deadline.sooner(backoff.next()).timeout())
        raise UnreachableError(
            f"the bootstrapper at {self._bootstrap} has given no node to join at: {why or 'no time is left'}"
        )

    def _ask(self, deadline: Deadline) -> tuple[NamedAddress, ...]:
        with connect(
            self._bootstrap, deadline, cancel=self._stop, credentials=self._credentials,
            wanted=Role.BOOTSTRAPPER,
        ) as connection:  # fmt: skip
            connection.send(Seek(self._content), deadline)
            try:
                answer = connection.receive(deadline)
            except TimeoutError:
                raise UnreachableError("it does not answer in time") from None
            except TurnedAway:
                raise
            except PeerGone as error:
                raise UnreachableError(f"{error}; one of an older version knows no clients") from None
        if isinstance(answer, Refused):
            raise UnreachableError(answer.text)
        if not isinstance(answer, Offer):
            raise WireError(f"it sent {type(answer).__name__} where nodes were asked for")
        return answer.nodes

    def _measured(self, offered: tuple[NamedAddress, ...], deadline: Deadline) -> tuple[NearNode, ...]:
        """Return who of those can be reached, the nearest first."""
        found: list[NearNode] = []

        def measure(node: NamedAddress) -> None:
            try:
                address = check_neighbour(node.address)
                with connect(address, deadline, cancel=self._stop, credentials=self._credentials) as way:
                    there = HostPort(str(way.peer.ip), way.peer.port)
                    found.append(NearNode(node.name, there, way.round_trip_ms()))
            except (ConfigError, UnreachableError, WireError):
                return  # it is not up, or not reached from here: the others are

        crashed: list[BaseException] = []
        threads = [OwnedThread("measure", partial(measure, node), crashed.append) for node in offered]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if crashed:
            raise crashed[0]
        return tuple(sorted(found, key=lambda each: each.round_trip_ms)[:KEPT])
