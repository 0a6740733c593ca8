"""The search of a node for a parent of its own: floods, one after another, until one leads to a stream.

    ASKING --FOUND--> (STREAM is sent) --PORT--> the search is over
       |                    |
      MISS                MISS
       '--------+-----------'
                |
    absent               it is over: the rendezvous point says that there is no such content
    busy                 again after 20 to 80 ms: who collided once should not collide again
    nobody to be asked   again after 250 ms: the neighbour may be starting
    anything else        again after 0.5, 1 s, ...; `MAX_TRIES` times at most. Who repairs has viewers who
                         wait, and neighbours that are repairing, too: after 0.05, 0.1 s, ...

All of it within `patience` seconds, and each time under a new request id, as a node answers one id
once. A client is a leaf that searches when its user wants a content.
"""

from mcast.overlay.actions import SearchFailure
from mcast.overlay.chance import Chance
from mcast.wire.node import REQUEST_ID_SIZE, MissReason, RequestId

MAX_TRIES = 3
"""Floods that may fail for another reason than `absent`, `busy` or that nobody could be asked."""
BUSY_PAUSE = (0.020, 0.080)
"""Seconds, drawn at random."""
UNREACHABLE_PAUSE = 0.25
"""Seconds until neighbours that could not be reached are asked again."""
RETRY_PAUSE = 0.5
"""Seconds before another try; doubled each time."""
REPAIR_PAUSE = 0.05
"""The same for who repairs: five tries within the half second that a viewer's buffer lasts."""
LONGEST_PAUSE = 2.0


class Search:
    """Where one search stands. Times are monotonic seconds."""

    def __init__(
        self,
        chance: Chance,
        now: float,
        patience: float,
        *,
        tries: int | None = MAX_TRIES,
        jitter: float = 0.0,
        pause: float | None = None,
    ) -> None:
        """`tries` None: as many as the patience allows. `jitter`: seconds, at most, until it begins.

        `pause`: seconds before the second try, each further one is twice as long (None: RETRY_PAUSE).
        """
        self._chance, self._most = chance, tries
        self._pause = RETRY_PAUSE if pause is None else pause
        self._deadline = now + patience
        self._again_at: float | None = now + (chance.uniform(0.0, jitter) if jitter else 0.0)
        self._tries = 0
        self.request: RequestId = b""

    def __repr__(self) -> str:
        return f"<Search request={self.request.hex()} tries={self._tries}>"

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

    def hurry(self, now: float) -> None:
        """Begin the next flood now, if one is to come: there is somebody new to ask."""
        if self._again_at is not None:
            self._again_at = now

    def on_missed(
        self, reason: MissReason, text: str, now: float, *, unreachable: bool = False
    ) -> SearchFailure | None:
        """Take in that a flood, or the STREAM after it, has failed; return why it ends, if it does."""
        if reason is MissReason.ABSENT and self._most is not None:
            return SearchFailure(reason, text, self._tries + 1)
        is_in_time = now < self._deadline
        if is_in_time and (unreachable or reason is MissReason.BUSY):
            self._again_at = now + (UNREACHABLE_PAUSE if unreachable else self._chance.uniform(*BUSY_PAUSE))
            return None
        self._tries += 1
        if not is_in_time or (self._most is not None and self._tries >= self._most):
            return SearchFailure(reason, text, self._tries, unreachable)
        self._again_at = now + min(self._pause * 2 ** min(self._tries - 1, 10), LONGEST_PAUSE)
        return None
