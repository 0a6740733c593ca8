"""Discovery: a flood of DISC that finds the nearest node able to give a content.

A request carries an id. Each node answers one id once: whoever asks again under it, by
another way round a ring, gets MISS(duplicate). A node that can answer by itself does; any
other hands the DISC on to all neighbours but the one it came from, the excluded ones and those without a way,
and takes the *first* FOUND, which is the one with the least delay. Under the request's id it
remembers who gave that FOUND (the positive entry, here `PositiveEntry`): STREAM with this id goes
the same way. As a node takes part in a flood once, the entries of one id never form a ring.

A node that streams the content below an excluded one is a second choice (the excluded parent may
live, and only the link to it be cut): it floods on, and answers FOUND itself if nobody else does. So does a
rendezvous point that stands by, if it is asked as the *last resort*, as a flood before has led nowhere.

Time left shrinks at each hop by max(100 ms, twice the round trip to that neighbour), so a
node's neighbours always have answered, or failed to, before the node's own asker gives up.

In a large overlay a search begins with a *scoped* request, which walks: each node hands it on to one
neighbour only, that streams the content or else is nearest to a rendezvous point. That costs a message a hop,
where a flood costs several a node. Where that one has no way, or says nothing for a moment, the next one or
two are asked, nearest to the trouble first; what has led nowhere is remembered (dead_ends.py). Only if all of
that leads nowhere the flood follows, under another id.

A MISS says why. `absent` comes from the rendezvous point alone and is passed on whenever it
came; among the other reasons the most telling one is passed on, `duplicate` being the least. Where a
neighbour is dead, or has said nothing, that is said beside it (`Hindered`): there may be others to ask.
Floods are never coalesced: two that wait for each other's would wait for ever.

One source cannot have all floods and ids: when they are scarce, each is held to its share.

A node (and a client, which is a leaf) floods for itself in the same way: only the asker differs.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from mcast.overlay.actions import Action, Ask, CancelAsks, ConnectionId, Reply
from mcast.overlay.dead_ends import DeadEnds
from mcast.overlay.flood import Asker, Flood, Hindered, OwnAnswer, OwnSearch, PositiveEntry
from mcast.shares import UNCOUNTED, Shares, Source
from mcast.wire.identity import Identity, IdentityKind
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
MAX_TIME_MS = 4000
"""The time a flood may take, whatever its DISC says."""
OWN_FLOOD_SECONDS = 4.1
"""A node's own flood: what its neighbours get (MAX_TIME_MS), and their least time to answer in."""
SCOPED_SECONDS = 2.0
"""Until a scoped search is over: what hangs on the way must not take all of a viewer's patience."""
WIDTH = 3
"""Neighbours that a node asks at most, one after another, for a request that walks."""
LEAST_PATIENCE, SPARE_SECONDS = 0.15, 1.5
"""Seconds until the next one is asked beside one that says nothing: what is left to the walk but for the
second, at least the first. So the node next to the trouble is the first to look for another way."""

_DEAD_ENDS = frozenset({MissReason.FULL, MissReason.CUT, MissReason.DEADLINE, MissReason.GONE})
"""Why a neighbour is passed over for a while. The others say something of the request, and not of the way."""
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


def miss(disc: Disc, reason: MissReason, text: str = "", retry_ms: int = 0) -> Miss:
    """Answer a DISC with no."""
    return Miss(
        request=disc.request, hops=disc.hops, content=disc.content, reason=reason, text=text,
        retry_ms=retry_ms,
    )  # fmt: skip


def found(disc: Disc, giver: Identity) -> Found:
    """Answer a DISC with yes."""
    return Found(request=disc.request, hops=disc.hops, content=disc.content, sender=giver)


def _rank(answer: Miss) -> tuple[bool, bool, bool, int]:
    """Return how worth passing on an answer is: the least is the most.

    One that passes comes first: so the content exists, whatever another rendezvous point says. That a node
    looks for another way (DEADLINE, and when to come again) says nothing of that.
    """
    looks = answer.reason is MissReason.DEADLINE
    is_absent = answer.reason is MissReason.ABSENT
    return not answer.retry_ms or looks, not is_absent, not answer.retry_ms, _TELLING.index(answer.reason)


def _refuse(disc: Disc, asker: ConnectionId) -> Reply:
    return Reply(asker, miss(disc, MissReason.BUSY, "too many requests"))


Outcome: TypeAlias = Action | OwnAnswer | Hindered


class Discovery:
    """One node's memory of requests, and its floods in progress. Times are monotonic seconds."""

    def __init__(self, me: Identity) -> None:
        self._me = me
        self._seen: dict[bytes, float] = {}
        self._positive: dict[bytes, PositiveEntry] = {}
        self._floods: dict[bytes, Flood] = {}
        self._ids, self._places = Shares(MAX_REQUESTS), Shares(MAX_FLOODS)
        self._counted: deque[tuple[float, Source]] = deque()  # until when each place among the ids is held
        self.dead_ends = DeadEnds()

    def positive_entry(self, request: bytes, now: float) -> str | None:
        """Return the neighbour that said FOUND under this request, if that is not too old.

        It is this node's own name where its own answer was the second choice, and there was no other.
        """
        entry = self._positive.get(request)
        return entry.neighbour if entry and entry.expires > now else None

    @property
    def due(self) -> float | None:
        """Return when the next flood has to be given up, or to ask more."""
        return min((flood.due for flood in self._floods.values()), default=None)

    def on_disc(
        self,
        disc: Disc,
        asker: ConnectionId,
        known: Found | Miss | None,
        fallback: Found | Miss | None,
        neighbours: Mapping[str, float],
        now: float,
        source: Source = UNCOUNTED,
        *,
        walks: bool = False,
        lacks: bool = False,
    ) -> list[Outcome]:
        """Take in a request.

        `known` is what this node answers by itself (None: it must ask), `fallback` what it answers
        if nobody else can. `neighbours` maps the names of those that can be asked to the round trip
        to them in milliseconds, the best first where the request `walks`. `source` is who has a share of
        what is bounded; UNCOUNTED is held to none. It `lacks` a neighbour if one has said that it knows of no
        way, and so is not among them.
        """
        self._forget(now)
        if disc.request in self._seen:
            return [Reply(asker, miss(disc, MissReason.DUPLICATE))]
        if not self._ids.take(source):
            return [_refuse(disc, asker)]
        self._counted.append((now + REQUEST_TTL, source))
        self._seen[disc.request] = now + REQUEST_TTL
        if known is not None:
            return [Reply(asker, known)]
        if not walks and _begins_at_client(disc) and (told := self.dead_ends.nowhere(disc, now)):
            answer = miss(disc, told.answer.reason, told.answer.text, told.answer.retry_ms)
            return [Hindered(asker, answer, walks) if told.hindered else Reply(asker, answer)]
        if isinstance(fallback, Found):
            self._positive[disc.request] = PositiveEntry(self._me.name, now + REQUEST_TTL)
        if disc.hops >= MAX_HOPS:
            return [Reply(asker, fallback or miss(disc, MissReason.DEADLINE, f"{MAX_HOPS} hops"))]
        if not self._places.take(source):
            return [Reply(asker, fallback) if fallback else _refuse(disc, asker)]
        in_time = replace(disc, remaining_ms=min(disc.remaining_ms, MAX_TIME_MS))
        deadline = now + in_time.remaining_ms / 1000
        flood = Flood(in_time, asker, deadline, walks=walks, source=source, unreached=lacks)
        if lacks:
            flood.misses.append(miss(disc, MissReason.CUT, f"{self._me}'s neighbours know of none"))
        if isinstance(fallback, Found):
            flood.fallback = fallback
        elif fallback is not None:
            flood.misses.append(fallback)
        return self._walk(flood, neighbours, now) if walks else self._flood(flood, neighbours, now)

    def search(
        self,
        content: str,
        request: bytes,
        excluded: tuple[Identity, ...],
        neighbours: Mapping[str, float],
        now: float,
        seconds: float = OWN_FLOOD_SECONDS,
        *,
        homing: bool = False,
        scoped: bool = False,
        last_resort: bool = False,
    ) -> list[Outcome]:
        """Flood for this node itself; an `OwnAnswer` comes of it within so many seconds.

        Whom it asks, and whom those ask, is narrowed down if it is `scoped` (`Neighbours.towards`). A
        rendezvous point that stands by may answer, too, if it is the `last_resort`.
        """
        self._forget(now)
        self._seen[request] = now + REQUEST_TTL
        disc = Disc(
            request=request, content=content, sender=self._me, origin=self._me, excluded=excluded,
            remaining_ms=round(seconds * 1000), scoped=scoped, last_resort=last_resort,
        )  # fmt: skip
        return self._flood(Flood(disc, OwnSearch(content, homing), now + seconds), neighbours, now)

    def on_found(self, neighbour: str, answer: Found, now: float) -> list[Outcome]:
        """Take in a neighbour's FOUND: the first one ends the flood."""
        flood = self._ended(answer.request)
        if flood is None:
            return []
        self._positive[answer.request] = PositiveEntry(neighbour, now + REQUEST_TTL)
        flood.waiting.discard(neighbour)
        self.dead_ends.forget(flood.disc.content, neighbour)
        return [self._answer(flood, found(flood.disc, answer.sender)), *self._cancel(flood)]

    def on_miss(self, neighbour: str, answer: Miss, now: float) -> list[Outcome]:
        """Take in a neighbour's MISS."""
        return self._missed(neighbour, answer, now, answered=True)

    def on_unasked(self, neighbour: str, request: bytes, text: str, now: float) -> list[Outcome]:
        """Take in that a neighbour could not be asked, or was lost before it answered."""
        flood = self._floods.get(request)
        if flood is None:
            return []
        return self._missed(neighbour, miss(flood.disc, MissReason.CUT, text), now, answered=False)

    def on_asker_gone(self, asker: Asker) -> list[Outcome]:
        """Cancel what was asked on behalf of a connection that has closed, or of a search that is over."""
        gone = [flood for flood in self._floods.values() if flood.asker == asker]
        for flood in gone:
            self._ended(flood.disc.request)
        return [action for flood in gone for action in self._cancel(flood)]

    def on_known(self, has: Callable[[str], bool]) -> list[Outcome]:
        """Answer the floods of others for what this node can give by itself from now on."""
        known = [
            flood
            for flood in self._floods.values()
            if not isinstance(flood.asker, OwnSearch) and has(flood.disc.content)
        ]
        for flood in known:
            self._ended(flood.disc.request)
        return [
            outcome
            for flood in known
            for outcome in (self._answer(flood, found(flood.disc, self._me)), *self._cancel(flood))
        ]

    def on_reached(self, neighbour: str, round_trip_ms: float, now: float) -> list[Outcome]:
        """Ask somebody who can be asked from now on, in the floods of others that have led nowhere yet."""
        asks: list[Outcome] = []
        for flood in self._floods.values():
            if not isinstance(flood.asker, OwnSearch) and neighbour not in flood.waiting:
                in_time = replace(flood.disc, remaining_ms=max(0, round(1000 * (flood.deadline - now))))
                asks += (new := list(self._asks(in_time, {neighbour: round_trip_ms}, always=False)))
                flood.waiting.update(ask.neighbour for ask in new)
        return asks

    def on_time(self, now: float) -> list[Outcome]:
        """Give up the floods whose time is over; ask more where nobody says anything."""
        due = [flood for flood in self._floods.values() if flood.due <= now]
        for flood in due:
            if flood.walks:
                self._note_silent(flood, now)
            if flood.deadline <= now:
                flood.misses.append(miss(flood.disc, MissReason.DEADLINE))
                flood.late = True
        return [
            outcome
            for flood in due
            for outcome in (self._give_up(flood, now) if flood.late else self._widen(flood, now))
        ]

    def _missed(self, neighbour: str, answer: Miss, now: float, *, answered: bool) -> list[Outcome]:
        flood = self._floods.get(answer.request)
        if flood is None or neighbour not in flood.waiting:
            return []
        flood.waiting.discard(neighbour)
        flood.misses.append(answer)
        flood.answered |= answered
        flood.unreached |= not answered
        if flood.walks and answer.reason in _DEAD_ENDS and not answer.retry_ms:
            self.dead_ends.note(flood.disc.content, neighbour, now)
        if flood.waiting:
            return []
        is_final = answer.reason is MissReason.ABSENT or answer.retry_ms
        return self._give_up(flood, now) if is_final else self._widen(flood, now)

    def _walk(self, flood: Flood, neighbours: Mapping[str, float], now: float) -> list[Outcome]:
        self._floods[flood.disc.request] = flood
        flood.others = dict(neighbours)
        return self._widen(flood, now)

    def _widen(self, flood: Flood, now: float) -> list[Outcome]:
        """Ask the next one that is left; where there is none, wait for the others, or give up."""
        left = flood.deadline - now
        disc = replace(flood.disc, remaining_ms=max(0, round(left * 1000)))
        while flood.others:
            name, rtt_ms = next(iter(flood.others.items()))
            del flood.others[name]
            if asks := list(self._asks(disc, {name: rtt_ms}, always=False)):
                flood.waiting.add(name)
                flood.wider_at = now + max(LEAST_PATIENCE, 2 * rtt_ms / 1000, left - SPARE_SECONDS)
                return [*asks]
        flood.wider_at = math.inf
        if flood.waiting:
            return []
        flood.misses.append(miss(flood.disc, MissReason.DUPLICATE))
        return self._give_up(flood, now)

    def _note_silent(self, flood: Flood, now: float) -> None:
        for neighbour in flood.waiting:
            self.dead_ends.note(flood.disc.content, neighbour, now)

    def _flood(self, flood: Flood, neighbours: Mapping[str, float], now: float) -> list[Outcome]:
        disc = flood.disc
        asks = list(self._asks(disc, neighbours, always=isinstance(flood.asker, OwnSearch)))
        asks = asks or self._ask_nearest(disc, neighbours)
        flood.waiting.update(ask.neighbour for ask in asks)
        self._floods[disc.request] = flood
        if asks:
            return [*asks]
        too_late = any(self._may_ask(disc, name) for name in neighbours)
        flood.misses.append(miss(disc, MissReason.DEADLINE if too_late else MissReason.DUPLICATE))
        return self._give_up(flood, now)

    def _ended(self, request: bytes) -> Flood | None:
        """Forget a flood, and give its place back."""
        flood = self._floods.pop(request, None)
        if flood is not None and not isinstance(flood.asker, OwnSearch):
            self._places.give_back(flood.source)
        return flood

    def _asks(self, disc: Disc, neighbours: Mapping[str, float], *, always: bool) -> Iterable[Ask]:
        """Yield whom to ask with the time that is left for it.

        Who searches for himself asks *always*, and does not believe in a way that is too long for any answer:
        it was measured when a SYN was lost, or while a link lost half of what it carried.
        """
        hops = min(disc.hops + (disc.sender != self._me), MAX_HOPS)
        for name, rtt_ms in neighbours.items():
            left = disc.remaining_ms - max(LEAST_TIME_MS, round(2 * rtt_ms))
            if always and left < LEAST_TIME_MS:
                left = max(disc.remaining_ms - LEAST_TIME_MS, LEAST_TIME_MS)
            if left >= LEAST_TIME_MS and self._may_ask(disc, name):
                onward = replace(
                    disc, sender=self._me, origin=disc.asker, source=None, hops=hops, remaining_ms=left
                )
                yield Ask(name, onward)

    def _ask_nearest(self, disc: Disc, neighbours: Mapping[str, float]) -> list[Ask]:
        """Return what to ask the nearest, where by what was measured none can answer in time."""
        if disc.remaining_ms < 2 * LEAST_TIME_MS:
            return []
        nearest = sorted(neighbours.items(), key=lambda each: each[1])
        return list(self._asks(disc, dict(nearest), always=True))[:1]

    def _may_ask(self, disc: Disc, name: str) -> bool:
        neighbour = Identity.node(name)
        return neighbour not in (disc.sender, disc.origin) and neighbour not in disc.excluded

    def _give_up(self, flood: Flood, now: float) -> list[Outcome]:
        self._ended(flood.disc.request)
        answer: Found | Miss | None = flood.fallback
        if answer is None:
            told = min(flood.misses, key=_rank)
            answer = miss(flood.disc, told.reason, told.text, told.retry_ms)
            is_news = flood.answered and not flood.walks and told.reason is not MissReason.ABSENT
            if is_news and _begins_at_client(flood.disc):
                self.dead_ends.note_nowhere(flood.disc, answer, now, hindered=flood.hindered)
        return [self._answer(flood, answer), *self._cancel(flood)]

    def _answer(self, flood: Flood, answer: Found | Miss) -> Outcome:
        if isinstance(flood.asker, OwnSearch):
            unreachable = isinstance(answer, Miss) and not flood.answered and not flood.late
            return OwnAnswer(flood.asker, answer, unreachable)
        if isinstance(answer, Miss) and flood.hindered:
            return Hindered(flood.asker, answer, flood.walks)
        return Reply(flood.asker, answer)

    def _cancel(self, flood: Flood) -> list[Outcome]:
        if not flood.waiting:
            return []
        return [CancelAsks(flood.disc.request, tuple(sorted(flood.waiting)))]

    def _forget(self, now: float) -> None:
        # All ids live equally long, so the oldest is always the first of the dict.
        while self._seen and next(iter(self._seen.values())) <= now:
            del self._seen[next(iter(self._seen))]
        while self._counted and self._counted[0][0] <= now:
            self._ids.give_back(self._counted.popleft()[1])
        while self._positive and next(iter(self._positive.values())).expires <= now:
            del self._positive[next(iter(self._positive))]


def _begins_at_client(disc: Disc) -> bool:
    """Return whether a client has asked this node for a content, with nobody to be left out.

    What comes of that holds for the next one, too: the question has gone to all neighbours.
    """
    return disc.sender.kind is IdentityKind.CLIENT and not disc.excluded
