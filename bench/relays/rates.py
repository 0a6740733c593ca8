"""The highest rate of one content that a relay brings to sixteen children without loss.

The server has the content at many rates, each 5 % above the one below; the rate is found by bisection.
Children take trains whole, or the kernel's cutting for sixteen children would be all that is measured.

Server, rendezvous point, children and their reports share one core. Where that is busy at the first rate that
is too much, and the relay is not, or where there is no higher rate, what was found is the feed's limit: the
relay could do as much at least. That is told, and no verdict is met by more than it.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.relays.contenders import Contender, Load, Window
from bench.relays.loads import CORES, FEEDING, LOSS, MOST_LOSS, RATE, carry
from bench.relays.setting import Setting
from bench.relays.sources import Sources
from bench.relays.verdict import Figures

CHILDREN = 16
LEAST_MBITS, MOST_MBITS, STEP = 200.0, 1_000.0, 1.05
RATES = tuple(LEAST_MBITS * STEP**step for step in range(int(math.log(MOST_MBITS / LEAST_MBITS, STEP)) + 1))
LEAST_PLAYED = 0.97
"""Seconds of media a second: what is slowed down is not lost, but late."""
TRIES = 2
"""One disturbance is not the relay's."""
FEED_LIMIT = "feed's limit"
"""1 where the rate is what can be fed, and no limit of the relay."""
BUSY = 0.9
"""Of a core: more of it is not to be had every moment."""


def at_all_rates(sources: Sources) -> Sequence[Path]:
    """Return the content at each of the rates."""
    return [sources.fast(rate) for rate in RATES]


def highest_rate(contender: Contender, setting: Setting, _: int) -> list[Window]:
    """Return what is delivered at the highest lossless rate: one window, whatever is asked for.

    Raises RuntimeError if there is none.
    """
    found: dict[int, Figures] = {}  # of the last try at each rate

    def is_lossless(step: int) -> bool:
        for _ in range(TRIES):
            load = Load(1, CHILDREN, first=step, mbits=RATES[step])
            window = carry(contender, setting, load=load, trains=True)[0]
            found[step] = window.figures
            if window.figures.get(LOSS, 1.0) <= MOST_LOSS and window.played >= LEAST_PLAYED:
                return True
        return False

    best = highest(len(RATES), is_lossless)
    if best < 0:
        raise RuntimeError(f"loses packets at {RATES[0]:.0f} Mbit/s already")
    told = {figure: found[best][figure] for figure in (RATE, CORES, FEEDING)}
    return [Window({**told, FEED_LIMIT: float(is_feeds_limit(found.get(best + 1)))})]


def is_feeds_limit(beyond: Figures | None) -> bool:
    """Return whether no limit of the relay was found, by the first rate that was too much; None: none was."""
    return beyond is None or (beyond[FEEDING] > BUSY and beyond[CORES] < BUSY)


def highest(steps: int, holds: Callable[[int], bool]) -> int:
    """Return the last step at which something holds, if it holds up to there; -1: at none."""
    low, high = -1, steps
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
