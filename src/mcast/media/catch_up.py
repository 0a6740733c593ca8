"""How fast a child is fed from the history until it gets the stream as it comes. Pure."""

CATCH_UP_SPEED = 4.0
"""Times the stream's rate: a GOP of 2 s is caught up in 0.7 s."""
BESIDE_SPEED = 2.0
"""The same for a child that another parent feeds meanwhile, mostly by the same uplink: the stream itself, and
as much again to catch up."""
MIN_CATCH_UP_RATE = 400.0
"""Datagrams a second where the stream's rate is low or not known yet: 4 Mbit/s."""
SAVED_SECONDS = 0.03
"""Catching up may save up so much: some looks at the clock. With the first burst alone, 64 datagrams
every 10 ms, no child would ever catch up with a stream of more than 6,400 datagrams a second."""


def catch_up_rate(rate: float, *, beside: bool) -> float:
    """Return how many datagrams a second a child gets while it catches up with a stream of this rate."""
    if beside:
        return BESIDE_SPEED * rate if rate else MIN_CATCH_UP_RATE
    return max(MIN_CATCH_UP_RATE, CATCH_UP_SPEED * rate)
