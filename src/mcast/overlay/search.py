"""The search of a node for a parent of its own: floods, one after another, until one leads to a stream.

    ASKING --FOUND--> (STREAM is sent) --PORT--> the search is over
       |                    |
      MISS                MISS
       '--------+-----------'
                |
    absent               it is over: the rendezvous point says that there is no such content
    it passes by itself  again when the MISS says, as often as the patience lasts (it is being prepared)
    busy                 again after 20 to 80 ms: who collided once should not collide again
    nobody to be asked   again after 250 ms: the neighbour may be starting
    no answer in time    again after 0.5, 1 s, ...: somebody hangs, or a link has lost what it carried
    anything else        the same; `MAX_TRIES` times at most

A flood of a large overlay is dear. So the first is scoped (discovery.py), and if that leads nowhere the real
one follows at once.

All of it within `patience` seconds, and each time under a new request id, as a node answers one id
once. A client is a leaf that searches when its user wants a content.

**Who repairs** (`for_repair`) has viewers who wait, and neighbours that are repairing, too. Its pauses begin
at 0.05 s, it ends with the state of its branch alone, and `absent` is no end. As a whole subtree may
have lost its parents, nobody repeats in step with the others: each pause is drawn at random, and who meets
`busy` again and again comes back more and more rarely.

**Who is sent away** (`for_handover`) by a parent that is about to end is fed meanwhile. Its siblings are sent
away in the same moment, so all take their time, one after another.
"""

import math
from typing import Self

from mcast.overlay.actions import SearchFailure
from mcast.overlay.chance import Chance
from mcast.overlay.discovery import OWN_FLOOD_SECONDS, SCOPED_SECONDS
from mcast.wire.node import REQUEST_ID_SIZE, MissReason, RequestId

MAX_TRIES = 3
"""Floods that may fail for another reason than `absent`, `busy`, silence or that nobody could be asked."""
BUSY_PAUSE = (0.020, 0.080)
"""Seconds, drawn at random."""
UNREACHABLE_PAUSE = 0.25
"""Seconds until neighbours that could not be reached are asked again."""
RETRY_PAUSE = 0.5
"""Seconds before another try; doubled each time."""
LEAST_TOLD_PAUSE, LONGEST_TOLD_PAUSE = 0.25, 10.0
"""Bounds for what a MISS says: nobody is made to hammer, or to sleep while a viewer waits."""
REPAIR_PAUSE = 0.05
"""The same for who repairs: five tries within the half second that a viewer's buffer lasts."""
LONGEST_PAUSE = 2.0
VAIN_FLOODS = 3
"""That lead nowhere until all below are told so, where others may be asked: the first asks the neighbours,
the next who was offered meanwhile. If each of those below asked, too, none would get an answer in time."""
STAMPEDE_JITTER = 0.01
"""Seconds within which many siblings that have lost one parent begin to flood: a round trip of a campus. More
of it costs every viewer so much, and saves no messages (`bench.healing`)."""
HANDOVER_SPREAD = 0.2
"""The same where the parent feeds them all until they have gone. Twenty clients that begin at once keep two
cores busy for so long that media waits for longer than a buffer of 100 ms lasts."""
HANDOVER_FLOOD_SECONDS = 0.75
"""Until the first of them is over, in which a client asks one node that it was told of, which streams the
content: as long as its parent feeds it (`mcast.overlay.transitions.HANDOVER_SECONDS`). When that is gone all
are asked. Sooner would be more work, where a node may be slow since there is so much."""
REPAIR_FLOOD_SECONDS = 0.3
"""Until the first flood of who repairs is over: one that waits for a node that is frozen, somewhere, must
not keep it from asking again. Enough for two hops, where nearly always somebody streams the content: that
costs a few questions, and the whole overlay a hundred. Each further flood may take twice as long."""
DOUBT_FLOOD_SECONDS = 0.5
"""The same where the parent is silent. Others may be its neighbours and wait for its answer, and the flood
waits for theirs to its end: so it goes four hops at once."""
FLOOD_ROUND_TRIPS = 3.0
"""Round trips to the farthest of those asked that it may take at least: on slow links each would be over
before it can be answered."""
REPAIR_SPREAD = (0.75, 1.25)
"""By this factor, drawn at random, each pause of who repairs is longer or shorter."""


class Search:
    """Where one search stands. Times are monotonic seconds."""

    def __init__(self, chance: Chance, now: float, patience: float) -> None:
        self._chance, self._repairs, self._is_handover = chance, False, False
        self._first_flood = REPAIR_FLOOD_SECONDS
        self._deadline = now + patience
        self._again_at: float | None = now
        self._tries = self._collisions = self._misses = 0
        self._scoped = True
        self.request: RequestId = b""

    @classmethod
    def for_repair(cls, chance: Chance, now: float, *, doubt: bool = False) -> Self:
        """Return the search of who has lost its parent, or is in doubt about it: it never fails by itself."""
        search = cls(chance, now, math.inf)
        search._first_flood = DOUBT_FLOOD_SECONDS if doubt else REPAIR_FLOOD_SECONDS
        search._repairs = True
        search._again_at = now + chance.uniform(0.0, STAMPEDE_JITTER)
        return search

    @classmethod
    def for_handover(cls, chance: Chance, now: float) -> Self:
        """Return the search of a client whose parent is about to end, and feeds it until it has gone."""
        search = cls.for_repair(chance, now)
        search._is_handover = True
        search._again_at = now + chance.uniform(0.0, HANDOVER_SPREAD)
        return search

    def __repr__(self) -> str:
        return f"<Search request={self.request.hex()} tries={self._tries}>"

    @property
    def is_scoped(self) -> bool:
        """Return whether the next flood asks only along the way to the content; a repair never does."""
        return self._scoped and not self._repairs

    @property
    def is_last_resort(self) -> bool:
        """Return whether the next flood asks rendezvous points that stand by, too, as another led nowhere."""
        return self.has_failed

    @property
    def is_narrow(self) -> bool:
        """Return whether the next flood begins at one of those whom a client was told of, and not at all."""
        return self._is_handover and not self.has_failed

    @property
    def has_failed(self) -> bool:
        """Return whether a flood of this search has found nobody yet."""
        return self._tries > 0

    @property
    def is_vain(self) -> bool:
        """Return whether so many floods have led nowhere that those below had better look for themselves."""
        return self._misses >= VAIN_FLOODS

    def flood_seconds(self, round_trip: float = 0.0) -> float:
        """Return how long the next flood may take; `round_trip` is the longest to one of those asked."""
        if self.is_scoped:
            return SCOPED_SECONDS
        if not self._repairs:
            return OWN_FLOOD_SECONDS
        if self._is_handover and not self._tries:
            return HANDOVER_FLOOD_SECONDS
        first = max(self._first_flood, FLOOD_ROUND_TRIPS * round_trip)
        return min(first * 2.0 ** min(self._tries, 10), OWN_FLOOD_SECONDS)

    @property
    def due(self) -> float | None:
        """Return when the next flood is to begin; None while one is under way."""
        return self._again_at

    def begin(self, now: float) -> RequestId | None:
        """Return the id under which to flood, if it is time for a flood."""
        if self._again_at is None or now < self._again_at:
            return None
        self._again_at = None
        self.request = self._chance.randbytes(REQUEST_ID_SIZE)
        return self.request

    def take_over(self, request: RequestId) -> None:
        """Count a flood that was made already, and has found somebody, as the one under way."""
        self._again_at, self.request = None, request

    def hurry(self, now: float) -> None:
        """Begin the next flood now, if one is to come: there is somebody new to ask."""
        if self._again_at is not None:
            self._again_at = now

    def on_met(self, now: float) -> None:
        """Begin anew with those that have just been met: they are asked along the way first."""
        self._scoped = True
        self.hurry(now)

    def restart(self, now: float) -> None:
        """Begin a flood now beside one under way, whose answer may never come."""
        self._tries, self._again_at, self._is_handover = 0, now, False

    def on_missed(
        self,
        reason: MissReason,
        text: str,
        now: float,
        *,
        unreachable: bool = False,
        retry_ms: int = 0,
    ) -> SearchFailure | None:
        """Take in that a flood, or the STREAM after it, has failed; return why it ends, if it does.

        `retry_ms` says when to ask again, if the reason passes by itself; else 0.
        """
        if reason is not MissReason.BUSY:
            self._misses += 2 if unreachable else 1  # it is not asked again as soon, and to less purpose
        if self._repairs:
            self._again_at = now + self._repair_pause(reason, unreachable=unreachable)
            return None
        if reason is MissReason.ABSENT:
            return SearchFailure(reason, text, self._tries + 1)
        is_in_time = now < self._deadline
        if is_in_time and retry_ms:
            # The way is there, and what failed before is over; but that somebody looks for one is none yet.
            self._tries = int(reason is MissReason.DEADLINE)
            # The last look is at the very end, so that nobody misses a content by a second.
            self._again_at = min(now + _told_pause(retry_ms), self._deadline)
            return None
        if is_in_time and (unreachable or reason is MissReason.BUSY):
            self._again_at = now + (UNREACHABLE_PAUSE if unreachable else self._chance.uniform(*BUSY_PAUSE))
            return None
        if is_in_time and self._scoped:
            self._scoped, self._again_at = False, now
            return None
        self._tries += 1
        if not is_in_time or (self._tries >= MAX_TRIES and reason is not MissReason.DEADLINE):
            return SearchFailure(reason, text, self._tries, unreachable, passes=retry_ms > 0)
        self._again_at = now + _doubled(RETRY_PAUSE, self._tries - 1)
        return None

    def _repair_pause(self, reason: MissReason, *, unreachable: bool) -> float:
        if unreachable:
            return UNREACHABLE_PAUSE * self._chance.uniform(*REPAIR_SPREAD)
        if reason is MissReason.BUSY:
            self._collisions += 1
            return _doubled(self._chance.uniform(*BUSY_PAUSE), self._collisions - 1)
        self._tries += 1
        return _doubled(REPAIR_PAUSE * self._chance.uniform(*REPAIR_SPREAD), self._tries - 1)


def _told_pause(retry_ms: int) -> float:
    return min(max(retry_ms / 1000, LEAST_TOLD_PAUSE), LONGEST_TOLD_PAUSE)


def _doubled(pause: float, times: int) -> float:
    return min(pause * 2.0 ** min(times, 10), LONGEST_PAUSE)
