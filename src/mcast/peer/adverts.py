"""Who tells: what this node streams, and what it is, to the neighbours that watch it.

    core    --Advertise, Introduce--> what is to be told --+
    inbound --WATCH-------------------> watchers ----------+--ADVERT--> each watcher, on its own connection

Changes only: the newest word on each content is told once, so a watcher that is slow costs one entry per
content. Between changes what the node is is said again each 2 s, so that silence is noticed. All of it
happens in the decider's thread and never waits; a watcher that takes nothing loses its connection.
"""

import logging
import queue
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mcast.net.connection import Connection, say
from mcast.net.ratelimit import RateLimitedLog
from mcast.overlay.actions import Advertise, Introduce
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Advert

logger = logging.getLogger(__name__)

KEEPALIVE = 2.0
"""Seconds between two words to a watcher, if nothing changes: 40 bytes each."""
MAX_PER_NEIGHBOUR = 2
"""Connections of one neighbour of the layout: a new one may come before the old one is known to be dead.
Of more the oldest is closed, so that nobody who uses a neighbour's name can keep it out."""
MAX_OTHERS = 64
"""Watchers that the layout does not name (yet): it may reach them before it reaches us."""
MAX_OTHERS_PER_ADDRESS = 8
MAX_DELAY_MS = 0xFFFF
"""What the field holds; a minute is as bad as any more."""
BURST = 64
"""ADVERTs to one watcher at a time: they fit its socket's buffer. The rest follows at the next ticks."""


@dataclass(slots=True, eq=False)
class _Watcher:
    """One who watches, and what it has not been told yet."""

    sender: Identity
    connection: Connection
    untold: dict[str, None]  # contents, in the order of their changes
    said_at: float = 0.0  # what the node is


class Advertiser:
    """Owns the watchers. For the decider's thread, but for `update` and `watch`."""

    def __init__(self, *, takes_clients: bool = True) -> None:
        """`takes_clients`: the neighbours may name this node to their clients."""
        self._self = Advert(takes_clients=takes_clients)
        self._adverts: dict[str, Advert] = {}
        self._neighbours: frozenset[Identity] = frozenset()  # replaced as a whole, by any thread
        self._new: queue.SimpleQueue[tuple[Identity, Connection]] = queue.SimpleQueue()
        self._watchers: list[_Watcher] = []  # the oldest first
        self._log = RateLimitedLog(logger)

    def __repr__(self) -> str:
        return f"<Advertiser of {len(self._adverts)} contents to {len(self._watchers)}>"

    def __len__(self) -> int:
        return len(self._watchers)

    def update(self, neighbours: Iterable[str]) -> None:
        """Take in who is to find room at any time. From any thread."""
        self._neighbours = frozenset(map(Identity.node, neighbours))

    def watch(self, sender: Identity, connection: Connection) -> None:
        """Tell somebody, from the next tick on, what there is to be told. From any thread."""
        self._new.put((sender, connection))

    def advertise(self, news: Advertise) -> None:
        """Tell how this node streams a content: at once whether it is fed, the rest at the next tick.

        A failure changes the paths of a whole subtree several times, and the last one is enough to know.
        """
        before = self._adverts.get(news.content)
        if news.path and len(news.path) <= MAX_PATH:
            self._adverts[news.content] = Advert(
                content=news.content, path=news.path, fed=news.fed,
                delay_ms=_fitting(news.delay_ms), lost_permille=news.lost_permille,
            )  # fmt: skip
        else:  # a longer path nobody could read
            self._adverts.pop(news.content, None)
        after = self._adverts.get(news.content)
        is_urgent = before is None or after is None or before.fed != after.fed
        for watcher in self._watchers:
            watcher.untold[news.content] = None
            if is_urgent:
                _tell(watcher, self._adverts)

    def introduce(self, news: Introduce) -> None:
        """Tell, at the next tick, how far the rendezvous point is."""
        self._self = Advert(distance=news.distance, takes_clients=self._self.takes_clients)
        for watcher in self._watchers:
            watcher.said_at = 0.0

    def on_tick(self, now: float) -> None:
        """Take new watchers in, forget those that are gone, tell what is still to be told."""
        self._watchers = [watcher for watcher in self._watchers if not watcher.connection.closed]
        while not self._new.empty():
            self._admit(*self._new.get())
        for watcher in self._watchers:
            if now >= watcher.said_at + KEEPALIVE:
                watcher.said_at = now
                say(watcher.connection, self._self)
            _tell(watcher, self._adverts)

    def _admit(self, sender: Identity, connection: Connection) -> None:
        if sender in self._neighbours:
            self._replace_oldest(sender)
        elif not self._has_room(connection):
            self._log.info(
                "watchers_refused", "no room for %s, which would watch: it is no neighbour", sender
            )
            connection.close()
            return
        self._watchers.append(_Watcher(sender, connection, dict.fromkeys(self._adverts)))

    def _replace_oldest(self, sender: Identity) -> None:
        before = [watcher for watcher in self._watchers if watcher.sender == sender]
        for watcher in before[: len(before) + 1 - MAX_PER_NEIGHBOUR]:
            watcher.connection.close()
            self._watchers.remove(watcher)

    def _has_room(self, connection: Connection) -> bool:
        others = Counter(w.connection.peer.ip for w in self._watchers if w.sender not in self._neighbours)
        return others.total() < MAX_OTHERS and others[connection.peer.ip] < MAX_OTHERS_PER_ADDRESS


def _fitting(delay_ms: int | None) -> int | None:
    return None if delay_ms is None else min(delay_ms, MAX_DELAY_MS)


def _tell(watcher: _Watcher, adverts: dict[str, Advert]) -> None:
    """Tell a watcher what it has not been told yet, up to BURST contents."""
    for content in list(watcher.untold)[:BURST]:
        del watcher.untold[content]
        say(watcher.connection, adverts.get(content) or Advert(content=content))
