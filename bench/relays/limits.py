"""A node that more children ask than it can bear: it refuses some, or those whom it has lose what they had.

A content is watched already when viewers of others ask, some at a time, more than a core can feed.
"""

from dataclasses import dataclass

from bench.relays.contenders import OUTPUT_PORT, Load, child_address
from bench.relays.loads import LOSS, MOST_LOSS, Use, lost
from bench.relays.machine import family
from bench.relays.nodes import Node, settle_seconds
from bench.relays.receivers import Counts, Receivers, sink
from bench.relays.setting import MBITS, Setting
from bench.relays.subscriptions import ask, borrowing, subscribed
from bench.relays.verdict import Figures
from mcast.wire.node import Start

CONTENTS, CHILDREN = 16, 100
"""Of the first content all are there; a core feeds some 700 children of 5 Mbit/s, of whom it may fill 0.8."""
HOLD_SECONDS = 5.0
"""Behind the last one who has asked: until those who were taken in have caught up, and a little longer."""
TAKEN, REFUSED = "taken in", "refused"


@dataclass(frozen=True, slots=True)
class First:
    """Those who were there first: the children of the first content."""

    all: Receivers

    def take(self) -> Counts:
        counts = self.all.take()
        return Counts(counts.bytes, counts.contents[:1])


def besieged(node: Node, setting: Setting) -> Figures:
    """Have more ask than the node can bear; return what those have lost who were there first.

    Raises RuntimeError if it drops one of them, or can bear all.
    """
    overlay, loop, load = setting.overlay, setting.loop, Load(1, CHILDREN)
    address, addresses = overlay.addresses["n1"], [child_address(number) for number in range(CHILDREN)]
    there = borrowing(loop, address, overlay.contents[:1], addresses, OUTPUT_PORT)
    more = borrowing(
        loop, address, overlay.contents[1:], addresses, OUTPUT_PORT + 1, Start.KEYFRAME, patience=0.0
    )
    with (
        node.started(setting) as process,
        sink(CONTENTS, OUTPUT_PORT) as receivers,
        subscribed(loop, there),
    ):
        loop.run(settle_seconds(MBITS))
        first, use = First(receivers), Use(family(process.pid))
        first.take()
        try:
            ask(loop, more)
            loop.run(HOLD_SECONDS)
            came, took, shares = first.take(), use.elapsed(), use.shares()
            loss = lost(came, first, loop, load, took)
            taken = sum(child.has_joined for child in more)
        finally:
            for child in more:
                child.leave()
    if taken == len(more) and loss <= MOST_LOSS:
        raise RuntimeError(f"took in all {taken}, and nobody lost anything: that was not its limit")
    return {LOSS: loss, TAKEN: float(taken), REFUSED: float(len(more) - taken), **shares}
