"""How long media takes from the server to here, by its clock (RFC 3550, 6.4.1).

An SR says which RTP time is which wall-clock time, but each relay writes its own SRs, by its own clock. So
the server's word travels beside them, in the STATE, and relays hand it on as it came (`Origin`):

    server   "RTP time 90,000 left me at 12:00:00.000"   --STATE--> relay --STATE--> viewer
    viewer   RTP time 90,000 passes here at 12:00:00.012 by this clock: it takes 12 ms

Both sides mean the RTP time that passes them on the average of the last trains, so that neither the pace at
which a server sends nor how a kernel has cut a train makes a difference of more than some milliseconds. Two
machines' clocks are compared here: what differs between them is in the result. Pure: times are handed in.
"""

from mcast.wire.rtcp import NTP_UNITS, Origin, ntp_from_unix
from mcast.wire.rtp import CLOCK_RATE

MEMORY = 0.25
"""Seconds that a train counts. By time: a relay notes fewer trains than its server, or many at once."""
LEAP = CLOCK_RATE
"""Ticks, 1 s. Media that is so much earlier or later than before begins the average anew: it is caught up."""
LONGEST_DELAY = 600.0
"""Seconds. More, before or after, is no delay: a clock was never set."""
UNCERTAIN = 0.005
"""Seconds that pacing makes uncertain of a delay: a little less than nothing is nothing."""
FRESH_SECONDS = 60.0
"""The server's word is newer every second. Older, and it comes no more: some relay is of an older version."""

_FULL, _HALF = 1 << 32, 1 << 31


class Passage:
    """Which RTP time passes here, and when. One thread tells it of trains, others may ask."""

    __slots__ = ("_noted_at", "_offset")

    def __init__(self) -> None:
        self._offset: float | None = None  # RTP time less our own, in ticks
        self._noted_at = 0.0

    def note(self, timestamp: int, now: float) -> None:
        """Take in that media of an RTP time passes at a time in monotonic seconds.

        It need not hear of each train: ten a second do, if they are like the rest.
        """
        offset, before = timestamp - now * CLOCK_RATE, self._offset
        since, self._noted_at = now - self._noted_at, now
        if before is None:
            self._offset = offset
            return
        step = (offset - before + _HALF) % _FULL - _HALF
        self._offset = before + (step if abs(step) > LEAP else step * min(1.0, since / MEMORY))

    def at(self, now: float) -> int | None:
        """Return the RTP time that passes at a time, None before anything has."""
        offset = self._offset
        return None if offset is None else round(offset + now * CLOCK_RATE) % _FULL


class EndToEnd:
    """The server's word about one stream, and what follows from it here."""

    def __init__(self) -> None:
        self.passage = Passage()
        self._origin: Origin | None = None
        self._told_at = 0.0

    def tell(self, origin: Origin, now: float) -> None:
        """Take in the server's word, as a parent has handed it on."""
        self._origin, self._told_at = origin, now

    def origin(self, now: float) -> Origin | None:
        """Return the server's word, to be handed on; None if there is none that still holds."""
        return self._origin if now - self._told_at < FRESH_SECONDS else None

    def seconds(self, now: float, wall: float) -> float | None:
        """Return the delay at `now`, which is `wall` in Unix time; below zero, and the two clocks differ.

        None if it is not known, or if the clocks differ so much that it makes no sense.
        """
        origin, passing = self.origin(now), self.passage.at(now)
        if origin is None or passing is None:
            return None
        since_told = ((passing - origin.rtp + _HALF) % _FULL - _HALF) / CLOCK_RATE
        delay = (ntp_from_unix(wall) - origin.ntp) / NTP_UNITS - since_told
        return delay if abs(delay) <= LONGEST_DELAY else None


def as_told(delay: float | None) -> int:
    """Return a delay in seconds as reports tell it: in microseconds, 0 where it is not known."""
    return 0 if delay is None else round(delay * 1e6) or 1
