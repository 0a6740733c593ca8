"""How fast a stream comes and how much of it is lost, out of two reports. Pure."""

from dataclasses import dataclass

from mcast.wire.health import StreamHealth

LEAST_MS = 500
"""Milliseconds between two reports that are compared: a report at once, after a change, says too little."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What has come of a stream lately; losses as parts of all that should have come, 0 to 1."""

    bit_rate: float = 0.0
    lost_before_repair: float = 0.0
    lost: float = 0.0


class RateMeter:
    """Measures one stream at one node."""

    def __init__(self, first: StreamHealth, uptime_ms: int) -> None:
        self._last, self._uptime_ms = first, uptime_ms
        self.rates = Rates()

    def look(self, now: StreamHealth, uptime_ms: int) -> None:
        """Take in a report of the stream, made at this time of the node's own clock."""
        last, passed = self._last, uptime_ms - self._uptime_ms
        if now.position.ssrc != last.position.ssrc or now.datagrams < last.datagrams or passed < 0:
            self.rates = Rates()  # another stream, or another process
        elif passed < LEAST_MS:
            return
        else:
            self.rates = _rates(last, now, passed)
        self._last, self._uptime_ms = now, uptime_ms


def _rates(last: StreamHealth, now: StreamHealth, passed_ms: int) -> Rates:
    came, repaired = now.datagrams - last.datagrams, max(0, now.repaired - last.repaired)
    # A gap that was filled meanwhile makes the count of what is missing smaller.
    lost = max(0, now.lost - last.lost)
    due = came + lost
    return Rates(
        bit_rate=8000 * (now.octets - last.octets) / passed_ms,
        lost_before_repair=min(1.0, (repaired + lost) / due) if due else 0.0,
        lost=lost / due if due else 0.0,
    )
