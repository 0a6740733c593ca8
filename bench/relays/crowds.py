"""A crowd: so many viewers join one node at the same moment; when has each its first keyframe?"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.relays.children import Loop, ReadingChild
from bench.relays.contenders import sink_address
from bench.relays.overlay import Overlay
from bench.relays.verdict import quantile

WARM_SECONDS = 4.0
"""Before the crowd comes the node streams for one viewer: there is a whole GOP in its history."""
MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """When the viewers of a crowd had their first keyframe, in seconds from the moment they asked."""

    half: float
    last: float
    failed: int

    @classmethod
    def of(cls, waits: Sequence[float], failed: int) -> "Crowd":
        return cls(quantile(waits, 0.5), max(waits, default=float("inf")), failed)


def gather(overlay: Overlay, loop: Loop, viewers: int) -> Crowd:
    """Have so many viewers join the node n1, which runs and streams nothing yet. Raises RuntimeError."""
    first = _child(loop, overlay, 0)
    first.join()
    loop.run(MOST_SECONDS, lambda: first.times.keyframe is not None or first.has_failed)
    loop.run(WARM_SECONDS)
    crowd = [_child(loop, overlay, number) for number in range(1, viewers + 1)]
    for child in crowd:
        child.join()
    loop.run(MOST_SECONDS, lambda: all(child.times.keyframe or child.has_failed for child in crowd))
    waits = [
        child.times.keyframe - child.times.asked
        for child in crowd
        if child.times.keyframe is not None and child.times.asked is not None
    ]
    for child in (first, *crowd):
        child.leave()
    return Crowd.of(waits, len(crowd) - len(waits))


def _child(loop: Loop, overlay: Overlay, number: int) -> ReadingChild:
    return ReadingChild(loop, overlay.addresses["n1"], overlay.contents[0], sink_address(number))
