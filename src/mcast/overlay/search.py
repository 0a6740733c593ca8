"""The search of a node for a parent of its own: floods, one after another, until one leads to a stream.

    ASKING --FOUND--> (STREAM is sent) --PORT--> the search is over
       |                    |
      MISS                MISS
       '--------+-----------'
                |
    absent               it is over: the rendezvous point says that there is no such content
    busy                 again after 20 to 80 ms: who collided once should not collide again
    nobody to be asked   again after 250 ms: the neighbour may be starting
    anything else        again after 0.5, 1 s, ...; `MAX_TRIES` times at most

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


class Search:
    """Where one search stands. Times are monotonic seconds."""

    def __init__(self, chance: Chance, now: float, patience: float) -> None:
        self._chance = chance
        self._deadline = now + patience
        self._again_at: float | None = now
        self._tries = 0
        self.request: RequestId = b""

    def __repr__(self) -> str:
        return f"<Search request={self.request.hex()} tries={self._tries}>"

    def begin(self, now: float) -> RequestId | None:
        """Return the id under which to flood, if it is time for a flood."""
        if self._again_at is None or now < self._again_at:
            return None
        self._again_at = None
        self.request = self._chance.randbytes(REQUEST_ID_SIZE)
        return self.request

    def on_missed(
        self, reason: MissReason, text: str, now: float, *, unreachable: bool = False
    ) -> SearchFailure | None:
        """Take in that a flood, or the STREAM after it, has failed; return why it ends, if it does."""
        if reason is MissReason.ABSENT:
            return SearchFailure(reason, text, self._tries + 1)
        is_in_time = now < self._deadline
        if is_in_time and (unreachable or reason is MissReason.BUSY):
            self._again_at = now + (UNREACHABLE_PAUSE if unreachable else self._chance.uniform(*BUSY_PAUSE))
            return None
        self._tries += 1
        if self._tries >= MAX_TRIES or not is_in_time:
            return SearchFailure(reason, text, self._tries, unreachable)
        self._again_at = now + RETRY_PAUSE * 2 ** (self._tries - 1)
        return None
