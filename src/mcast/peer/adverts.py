"""Who tells: what this node streams, and what it is, to the neighbours that watch it.

    core    --Advertise, Introduce--> what is to be told --+
    inbound --WATCH-------------------> watchers ----------+--ADVERT--> each watcher, on its own connection

Changes only: the newest word on each content is told once, so a watcher that is slow costs one entry per
content. Between changes what the node is is said again every 2 s, so that silence is noticed. All of it
happens in the decider's thread and never waits; a watcher that takes nothing loses its connection.

A neighbour of the layout finds room at any time. Who uses its name from elsewhere is one of the others, so it
cannot crowd the real one out. (A neighbour of which only a host name is known may call from anywhere.)
"""

import logging
import queue
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcast.hostport import IPAddress, parse_address
from mcast.net.connection import Connection, say
from mcast.net.ratelimit import RateLimitedLog
from mcast.overlay.actions import Advertise, Introduce
from mcast.wire.identity import Identity
from mcast.wire.node import MAX_PATH, Advert, Watch

logger = logging.getLogger(__name__)

KEEPALIVE = 2.0
"""Seconds between two words to a watcher, if nothing changes: 40 bytes each."""
LEAST_KEEPALIVE = 0.2
"""The same for a watcher that asks to hear more often."""
MAX_PER_NEIGHBOUR = 2
"""Connections of one neighbour of the layout: a new one may come before the old one is known to be dead.
Of more the oldest is closed, so that nobody on its host who uses its name can keep it out."""
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
    is_neighbour: bool  # by name and address
    untold: dict[str, None]  # contents, in the order of their changes
    keepalive: float = KEEPALIVE
    said_at: float = 0.0  # what the node is


class Advertiser:
    """Owns the watchers. For the decider's thread, but for `update` and `watch`."""

    def __init__(self, *, takes_clients: bool = True) -> None:
        """`takes_clients`: the neighbours may name this node to their clients."""
        self._self = Advert(takes_clients=takes_clients)
        self._adverts: dict[str, Advert] = {}
        # Where it is known. Replaced as a whole, by any thread.
        self._neighbours: Mapping[Identity, IPAddress | None] = {}
        self._new: queue.SimpleQueue[tuple[Watch, Connection]] = queue.SimpleQueue()
        self._watchers: list[_Watcher] = []  # the oldest first
        self._log = RateLimitedLog(logger)

    def __repr__(self) -> str:
        return f"<Advertiser of {len(self._adverts)} contents to {len(self._watchers)}>"

    def __len__(self) -> int:
        return len(self._watchers)

    def update(self, neighbours: Mapping[str, str]) -> None:
        """Take in who is to find room at any time, and where it is (`host:port`). From any thread."""
        self._neighbours = {
            Identity.node(name): parse_address(address).ip for name, address in neighbours.items()
        }

    def watch(self, watch: Watch, connection: Connection) -> None:
        """Tell somebody, from the next tick on, what there is to be told. From any thread."""
        self._new.put((watch, connection))

    def advertise(self, news: Advertise) -> None:
        """Tell how this node streams a content: at once whether it is fed, the rest at the next tick.

        A failure changes the paths of a whole subtree several times, and the last one is enough to know.
        """
        before = self._adverts.get(news.content)
        if news.path and len(news.path) <= MAX_PATH:
            self._adverts[news.content] = Advert(
                content=news.content, path=news.path, fed=news.fed,
                delay_ms=_fitting(news.delay_ms), lost_permille=news.lost_permille,
                viewers=min(news.viewers, 0xFFFF_FFFF), full=news.full,
            )  # fmt: skip
        else:  # a longer path nobody could read
            self._adverts.pop(news.content, None)
        after = self._adverts.get(news.content)
        is_urgent = (
            before is None or after is None or before.fed != after.fed or (after.full and not before.full)
        )
        for watcher in self._watchers:
            watcher.untold[news.content] = None
            if is_urgent:
                _tell(watcher, self._adverts)

    def introduce(self, news: Introduce) -> None:
        """Tell, at the next tick, how far the rendezvous point is; at once that this node is about to end."""
        self._self = replace(
            self._self, distance=news.distance, leaving=news.leaving, full=news.full
        )  # fmt: skip
        for watcher in self._watchers:
            watcher.said_at = 0.0
            if news.leaving:
                say(watcher.connection, self._self)

    def on_tick(self, now: float) -> None:
        """Take new watchers in, forget those that are gone, tell what is still to be told."""
        self._watchers = [watcher for watcher in self._watchers if not watcher.connection.closed]
        while not self._new.empty():
            self._admit(*self._new.get())
        for watcher in self._watchers:
            if now >= watcher.said_at + watcher.keepalive:
                watcher.said_at = now
                say(watcher.connection, self._self)
            _tell(watcher, self._adverts)

    def _admit(self, watch: Watch, connection: Connection) -> None:
        sender = watch.sender
        if is_neighbour := self._is_neighbour(sender, connection):
            self._replace_oldest(sender)
        elif not self._has_room(connection):
            self._log.info(
                "watchers_refused", "no room for %s, which would watch: it is no neighbour", sender
            )
            connection.close()
            return
        wished = watch.every_ms / 1000 if watch.every_ms else KEEPALIVE
        keepalive = min(max(wished, LEAST_KEEPALIVE), KEEPALIVE)
        untold = dict.fromkeys(self._adverts)
        self._watchers.append(_Watcher(sender, connection, is_neighbour, untold, keepalive))

    def _is_neighbour(self, sender: Identity, connection: Connection) -> bool:
        if sender not in self._neighbours:
            return False
        known, ip = self._neighbours[sender], connection.peer.ip
        is_here = ip.is_loopback or ip == connection.local.ip  # whoever is on this host may end us as well
        return known in (None, ip) or is_here

    def _replace_oldest(self, sender: Identity) -> None:
        before = [watcher for watcher in self._watchers if watcher.is_neighbour and watcher.sender == sender]
        for watcher in before[: len(before) + 1 - MAX_PER_NEIGHBOUR]:
            watcher.connection.close()
            self._watchers.remove(watcher)

    def _has_room(self, connection: Connection) -> bool:
        others = Counter(w.connection.peer.ip for w in self._watchers if not w.is_neighbour)
        return others.total() < MAX_OTHERS and others[connection.peer.ip] < MAX_OTHERS_PER_ADDRESS


def _fitting(delay_ms: int | None) -> int | None:
    return None if delay_ms is None else min(delay_ms, MAX_DELAY_MS)


def _tell(watcher: _Watcher, adverts: dict[str, Advert]) -> None:
    """Tell a watcher what it has not been told yet, up to BURST contents."""
    for content in list(watcher.untold)[:BURST]:
        del watcher.untold[content]
        say(watcher.connection, adverts.get(content) or Advert(content=content))
