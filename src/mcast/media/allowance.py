"""What may be sent beside the live streams: as much as the machine and its links give.

Children that catch up, and repairs, share one allowance of bytes a second. It begins with what few links
mind. While all of it is used it grows by half every 50 ms. It is halved when more than a few per cent of all
that is sent, live streams included, did not leave (a child's socket is full) or did not arrive (it is asked
for again); a share, as one child behind a bad link is no reason to let all others wait. Half of what the live
streams take is always allowed: on a thin link they come first, and who catches up takes what they leave.
Where the operator has said what a node may send (`--max-rate`), it is what the live streams leave of that, or
20 Mbit/s: who catches up must get more than the stream brings.

Feeding takes half of a processor at most, so that children are heard meanwhile and those threads that
carry the live streams have the interpreter. So a thousand viewers who come at once get their first picture as
fast as the machine can send it, and on a thin uplink they wait for each other.
"""

import time
from collections.abc import Callable

from mcast.media.token_bucket import TokenBucket

BURST_SECONDS = 0.05
LEAST_BURST = 131_072
"""Bytes: two trains."""
LOOK_SECONDS = 0.05
GROWTH, SETBACK = 1.5, 0.5
TOLERATED_LOSS = 0.03
MOST = 2.5e9
"""Bytes a second: 20 Gbit/s, beyond what one thread can send."""
LEAST = 2.5e6
"""The same: 20 Mbit/s, with which a child catches up with 5 Mbit/s as fast as any."""
LIVE_SHARE = 0.5
LIVE_SECONDS = 1.0
"""For so long at least what the live streams take is counted, before it is their rate."""
FEED_SECONDS = 0.005
"""Of each 10 ms, in which the thread looks once."""


class Allowance(TokenBucket):
    """The feedback thread's."""

    __slots__ = (
        "_began", "_clock", "_live", "_live_rate", "_live_since", "_look_at", "_looked", "_lost", "_most",
        "_taken", "_turn", "_was_used",
    )  # fmt: skip

    def __init__(
        self, rate: float, now: float, *, most: float = MOST, clock: Callable[[], float] = time.thread_time
    ) -> None:
        """Begin with a rate in bytes a second; `most` is for live streams and all else together.

        `clock` tells how long a turn has taken so far. It is the thread's own processor time: what others
        take from it is no reason to send less.
        """
        rate = min(rate, most)
        super().__init__(rate, _burst(rate), now)
        self._most, self._clock = most, clock
        self._looked, self._look_at = now, now + LOOK_SECONDS
        self._live, self._live_rate, self._live_since = 0.0, 0.0, now
        self._turn, self._began = float("-inf"), 0.0
        self._taken = self._lost = 0.0
        self._was_used = False

    def left(self, now: float) -> float:
        """Return how many bytes may be sent; none when the turn that has begun at `now` has lasted long."""
        if now >= self._look_at:
            self._adapt(now)
        if now != self._turn:
            self._turn, self._began = now, self._clock()
        elif self._clock() - self._began > FEED_SECONDS:
            return 0.0
        left = super().left(now)
        self._was_used |= left <= 0
        return left

    def take(self, units: float) -> None:
        super().take(units)
        self._taken += units

    def note_loss(self, units: float) -> None:
        self._lost += units

    def note_live(self, units: float, now: float) -> None:
        """Take in that so many bytes of live streams have been sent since the last time."""
        self._live += units
        if now >= self._live_since + LIVE_SECONDS:
            self._live_rate = self._live / (now - self._live_since)
            self._live, self._live_since = 0.0, now

    def _adapt(self, now: float) -> None:
        rate = self.rate
        if self._lost > TOLERATED_LOSS * (self._taken + self._live_rate * (now - self._looked)):
            rate *= SETBACK
        elif self._was_used:
            rate *= GROWTH
        least = max(LEAST, LIVE_SHARE * self._live_rate)
        most = max(min(LEAST, self._most), self._most - self._live_rate)
        self.rate = min(max(least, rate), most)
        self.burst = _burst(self.rate)
        self._looked, self._look_at = now, now + LOOK_SECONDS
        self._taken = self._lost = 0.0
        self._was_used = False


def _burst(rate: float) -> float:
    return max(rate * BURST_SECONDS, LEAST_BURST)
