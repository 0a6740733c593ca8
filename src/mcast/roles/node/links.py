"""The connections that others have made to this node, numbered so that the core can name them."""

import itertools
import threading
from dataclasses import dataclass

from mcast.net.connection import Connection
from mcast.overlay.actions import LinkId
from mcast.wire.node import Port, Stream

MAX_LINKS = 8192
"""Connections at a time. Beyond, a new one is closed, counted and logged."""


@dataclass(slots=True, eq=False)
class Link:
    """One connection, and the subscription that lives on it if there is one."""

    number: LinkId
    connection: Connection
    asking: bool = False  # a DISC or STREAM that has not been answered: the next must wait
    stream: Stream | None = None  # asked for
    port: Port | None = None  # the newest answer


class Links:
    """Numbers connections. Safe for all threads."""

    def __init__(self, most: int = MAX_LINKS) -> None:
        self._most, self._lock = most, threading.Lock()
        self._numbers = itertools.count(1)
        self._links: dict[LinkId, Link] = {}

    def __len__(self) -> int:
        return len(self._links)

    def add(self, connection: Connection) -> Link | None:
        """Give the connection a number; None if there is no room."""
        with self._lock:
            if len(self._links) >= self._most:
                return None
            link = Link(next(self._numbers), connection)
            self._links[link.number] = link
            return link

    def get(self, number: LinkId) -> Link | None:
        """Return a link, None if it has been removed."""
        return self._links.get(number)

    def remove(self, number: LinkId) -> Link | None:
        """Forget a link and return it; the caller closes it. None if it has been removed."""
        with self._lock:
            return self._links.pop(number, None)

    def remove_all(self) -> list[Link]:
        """Forget all links and return them."""
        with self._lock:
            links, self._links = list(self._links.values()), {}
        return links
