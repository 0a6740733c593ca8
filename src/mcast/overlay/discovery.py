"""Discovery: a flood of DISC that finds the nearest node able to give a content.

A request carries an id. Each node answers one id once: whoever asks again under it, by
another way round a ring, gets MISS(duplicate). A node that can answer by itself does; any
other hands the DISC on to all neighbours but the one it came from and the excluded ones,
and takes the *first* FOUND, which is the one with the least delay. Under the request's id it
remembers who gave that FOUND (the positive entry, here `Route`): STREAM with this id goes
the same way. As a node takes part in a flood once, the routes of one id never form a ring.

Time left shrinks at each hop by max(100 ms, twice the round trip to that neighbour), so a
node's neighbours always have answered, or failed to, before the node's own asker gives up.

A MISS says why. `absent` comes from the rendezvous point alone and is passed on whenever it
came; among the other reasons the most telling one is passed on, `duplicate` being the least.
Floods are never coalesced: two that wait for each other's would wait for ever.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from mcast.overlay.actions import Action, Ask, CancelAsks, ConnectionId, Reply
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason

REQUEST_TTL = 10.0
"""Seconds that an id is remembered: it must outlast a flood (4 s) and the STREAM after it."""
MAX_REQUESTS = 4096
"""Ids remembered at a time: 400 requests a second. Beyond: MISS(busy)."""
MAX_FLOODS = 64
"""Floods in progress at a time. Beyond: MISS(busy)."""
MAX_HOPS = 32
"""A DISC that came further than this is not handed on."""
LEAST_TIME_MS = 100
"""With less than this left a neighbour is not asked any more; also the least taken off per hop."""

_TELLING = (
    MissReason.ABSENT,
    MissReason.FULL,
    MissReason.BUSY,
    MissReason.CUT,
    MissReason.DEADLINE,
    MissReason.GONE,
    MissReason.LOOP,
    MissReason.DUPLICATE,
)
"""Reasons, the one most worth passing on first."""


@dataclass(frozen=True, slots=True)
class Route:
    """The positive entry: which neighbour said FOUND under a request."""

    neighbour: str
    expires: float


@dataclass(slots=True)
class Flood:
    """A request that this node has handed on and whose answers it is collecting."""

    disc: Disc
    asker: ConnectionId
    deadline: float
    waiting: set[str] = field(default_factory=set)
    misses: list[Miss] = field(default_factory=list)


def miss(disc: Disc, reason: MissReason, text: str = "") -> Miss:
    """Answer a DISC with no."""
    return Miss(request=disc.request, source=None, hops=disc.hops, content=disc.content, port=0,
                reason=reason, text=text)  # fmt: skip


def found(disc: Disc, giver: Identity) -> Found:
    """Answer a DISC with yes."""
    return Found(request=disc.request, source=None, hops=disc.hops, content=disc.content, port=0,
                 sender=giver)  # fmt: skip


class Discovery:
    """One node's memory of requests, and its floods in progress. Times are monotonic seconds."""

    def __init__(self, me: Identity) -> None:
        self._me = me
        self._seen: dict[bytes, float] = {}
        self._routes: dict[bytes, Route] = {}
        self._floods: dict[bytes, Flood] = {}
        self.refused = 0  # requests beyond a bound

    def route(self, request: bytes, now: float) -> str | None:
        """Return the neighbour that said FOUND under this request, if that is not too old."""
        route = self._routes.get(request)
        return route.neighbour if route and route.expires > now else None

    @property
    def floods(self) -> int:
        """Return how many floods are in progress."""
        return len(self._floods)

    def on_disc(
        self,
        disc: Disc,
        asker: ConnectionId,
        answer: Callable[[Disc], Found | Miss | None],
        neighbours: Mapping[str, float],
        now: float,
    ) -> list[Action]:
        """Take in a request.

        `answer` says what this node knows by itself (None: it must ask); `neighbours` maps
        the names of those that can be asked to the round trip to them in milliseconds.
        """
        self._forget(now)
        if disc.request in self._seen:
            return [Reply(asker, miss(disc, MissReason.DUPLICATE))]
        if len(self._seen) >= MAX_REQUESTS:
            return [self._refuse(disc, asker)]
        self._seen[disc.request] = now + REQUEST_TTL
        if (known := answer(disc)) is not None:
            return [Reply(asker, known)]
        if disc.hops >= MAX_HOPS:
            return [Reply(asker, miss(disc, MissReason.DEADLINE, f"more than {MAX_HOPS} hops"))]
        if len(self._floods) >= MAX_FLOODS:
            return [self._refuse(disc, asker)]
        return self._flood(disc, asker, neighbours, now)

    def on_found(self, request: bytes, neighbour: str, answer: Found, now: float) -> list[Action]:
        """Take in a neighbour's FOUND: the first one ends the flood."""
        flood = self._floods.pop(request, None)
        if flood is None:
            return []
        self._routes[request] = Route(neighbour, now + REQUEST_TTL)
        flood.waiting.discard(neighbour)
        reply = Reply(flood.asker, found(flood.disc, answer.sender))
        return [reply, *self._cancel(flood)]

    def on_miss(self, request: bytes, neighbour: str, answer: Miss) -> list[Action]:
        """Take in a neighbour's MISS, or the shell's own when a neighbour could not be asked."""
        flood = self._floods.get(request)
        if flood is None or neighbour not in flood.waiting:
            return []
        flood.waiting.discard(neighbour)
        flood.misses.append(answer)
        return [] if flood.waiting else self._give_up(flood)

    def on_asker_gone(self, link: ConnectionId) -> list[Action]:
        """Cancel what was asked on behalf of a connection that has closed."""
        gone = [flood for flood in self._floods.values() if flood.asker == link]
        for flood in gone:
            del self._floods[flood.disc.request]
        return [action for flood in gone for action in self._cancel(flood)]

    def on_time(self, now: float) -> list[Action]:
        """Give up the floods whose time is over."""
        late = [flood for flood in self._floods.values() if flood.deadline <= now]
        for flood in late:
            flood.misses.append(miss(flood.disc, MissReason.DEADLINE))
        return [action for flood in late for action in self._give_up(flood)]

    def _flood(
        self, disc: Disc, asker: ConnectionId, neighbours: Mapping[str, float], now: float
    ) -> list[Action]:
        flood = Flood(disc, asker, now + disc.remaining_ms / 1000)
        asks = list(self._asks(disc, neighbours))
        flood.waiting.update(ask.neighbour for ask in asks)
        self._floods[disc.request] = flood
        if asks:
            return [*asks]
        too_late = any(self._may_ask(disc, name) for name in neighbours)
        flood.misses.append(miss(disc, MissReason.DEADLINE if too_late else MissReason.DUPLICATE))
        return self._give_up(flood)

    def _asks(self, disc: Disc, neighbours: Mapping[str, float]) -> Iterable[Ask]:
        for name, rtt_ms in neighbours.items():
            left = disc.remaining_ms - max(LEAST_TIME_MS, round(2 * rtt_ms))
            if left >= LEAST_TIME_MS and self._may_ask(disc, name):
                onward = replace(disc, sender=self._me, source=None, hops=disc.hops + 1, remaining_ms=left)
                yield Ask(name, onward)

    def _may_ask(self, disc: Disc, name: str) -> bool:
        neighbour = Identity.node(name)
        return neighbour != disc.sender and neighbour not in disc.excluded

    def _give_up(self, flood: Flood) -> list[Action]:
        del self._floods[flood.disc.request]
        told = min(flood.misses, key=lambda answer: _TELLING.index(answer.reason))
        return [Reply(flood.asker, miss(flood.disc, told.reason, told.text)), *self._cancel(flood)]

    def _cancel(self, flood: Flood) -> list[Action]:
        if not flood.waiting:
            return []
        return [CancelAsks(flood.disc.request, tuple(sorted(flood.waiting)))]

    def _refuse(self, disc: Disc, asker: ConnectionId) -> Reply:
        self.refused += 1
        return Reply(asker, miss(disc, MissReason.BUSY, "too many requests"))

    def _forget(self, now: float) -> None:
        # All ids live equally long, so the oldest is always the first of the dict.
        while self._seen and next(iter(self._seen.values())) <= now:
            del self._seen[next(iter(self._seen))]
        while self._routes and next(iter(self._routes.values())).expires <= now:
            del self._routes[next(iter(self._routes))]
