"""The connections that others have made to this node, numbered so that the core can name them."""

import itertools
import threading
from dataclasses import dataclass

from mcast.net.connection import Connection
from mcast.overlay.actions import ConnectionId
from mcast.wire.node import Port, Stream

MAX_INBOUND = 8192
"""Connections at a time. Beyond, a new one is closed, counted and logged."""


@dataclass(slots=True, eq=False)
class Inbound:
    """One connection, and the subscription that lives on it if there is one."""

    number: ConnectionId
    connection: Connection
    asking: bool = False  # a DISC or STREAM that has not been answered: the next must wait
    stream: Stream | None = None  # asked for
    port: Port | None = None  # the newest answer


class InboundConnections:
    """Numbers connections. Safe for all threads."""

    def __init__(self, most: int = MAX_INBOUND) -> None:
        self._most, self._lock = most, threading.Lock()
        self._numbers = itertools.count(1)
        self._links: dict[ConnectionId, Inbound] = {}

    def __len__(self) -> int:
        return len(self._links)

    def add(self, connection: Connection) -> Inbound | None:
        """Give the connection a number; None if there is no room."""
        with self._lock:
            if len(self._links) >= self._most:
                return None
            link = Inbound(next(self._numbers), connection)
            self._links[link.number] = link
            return link

    def get(self, number: ConnectionId) -> Inbound | None:
        """Return a link, None if it has been removed."""
        return self._links.get(number)

    def remove(self, number: ConnectionId) -> Inbound | None:
        """Forget a link and return it; the caller closes it. None if it has been removed."""
        with self._lock:
            return self._links.pop(number, None)

    def remove_all(self) -> list[Inbound]:
        """Forget all links and return them."""
        with self._lock:
            links, self._links = list(self._links.values()), {}
        return links
