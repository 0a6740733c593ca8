"""What else is asked of a node, beside what a delivered gigabit costs: crowds, joins, memory.

Each trial runs mcast's programs alone, as there is nothing to hold them against: their goals are absolute.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.relays.children import Child, Loop, ReadingChild
from bench.relays.contenders import OUTPUT_PORT, sink_address
from bench.relays.crowds import gather
from bench.relays.machine import footprint
from bench.relays.overlay import Overlay
from bench.relays.sink import sink
from bench.relays.verdict import Goal, quantile
from mcast.wire.node import Start

MILLISECONDS = 1000
CROWD = 1000
JOINS = 20
CHAIN = 4
"""Nodes behind the rendezvous point that a join goes through."""
SETTLE_SECONDS, FILL_SECONDS = 3.0, 10.0
"""A history holds 8 s."""
CHILDREN = 200
JOIN_SECONDS = 30.0

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One question to a node, and what the answer is to be."""

    name: str
    run: Callable[[Overlay, Loop, Path | None], Figures]
    contents: int
    goals: tuple[Goal, ...]
    nodes: int = 1
    is_quick: bool = False


def _crowd(overlay: Overlay, loop: Loop, checkout: Path | None) -> Figures:
    with overlay.node(checkout=checkout):
        crowd = gather(overlay, loop, CROWD)
    return {"half, s": crowd.half, "last, s": crowd.last, "failed": float(crowd.failed)}


def _joins(overlay: Overlay, loop: Loop, checkout: Path | None) -> Figures:
    """Join at the end of a chain: a content that is streamed there, and contents that nobody streams."""
    with contextlib.ExitStack() as chain:
        for number in range(1, CHAIN + 1):
            chain.enter_context(overlay.node(f"n{number}", checkout=checkout))
        streamed, *others = overlay.contents
        first = _join(overlay, loop, streamed, 0)
        loop.run(SETTLE_SECONDS)
        warm = [_wait(_join(overlay, loop, streamed, number)) for number in range(1, JOINS + 1)]
        cold = [_wait(_join(overlay, loop, content, 100)) for content in others]
        first.leave()
    return {
        "streamed, ms": quantile(warm, 0.5),
        "streamed, worst, ms": max(warm),
        "first of all, ms": quantile(cold, 0.5),
    }


def _join(overlay: Overlay, loop: Loop, content: str, number: int) -> ReadingChild:
    child = ReadingChild(loop, overlay.addresses[f"n{CHAIN}"], content, sink_address(number))
    child.join()
    loop.run(JOIN_SECONDS, lambda: child.times.keyframe is not None or child.has_failed)
    if number:
        child.leave()
    return child


def _wait(child: ReadingChild) -> float:
    times = child.times
    if times.keyframe is None or times.asked is None:
        return float("inf")
    return (times.keyframe - times.asked) * MILLISECONDS


def _memory(overlay: Overlay, loop: Loop, checkout: Path | None) -> Figures:
    """Weigh a node alone, with a content, and with many children of it."""
    with overlay.node(checkout=checkout) as node, sink(1):
        loop.run(SETTLE_SECONDS)
        base = footprint(node.pid).resident_mib
        children = [_borrow(overlay, loop, 0)]
        loop.run(FILL_SECONDS)
        one = footprint(node.pid).resident_mib
        children += [_borrow(overlay, loop, number) for number in range(1, CHILDREN + 1)]
        loop.run(SETTLE_SECONDS)
        many = footprint(node.pid).resident_mib
        for child in children:
            child.leave()
    return {"base, MiB": base, "a content, MiB": one - base, "a child, KiB": (many - one) * 1024 / CHILDREN}


def _borrow(overlay: Overlay, loop: Loop, number: int) -> Child:
    child = Child(
        loop, overlay.addresses["n1"], overlay.contents[0], sink_address(number), OUTPUT_PORT, Start.LIVE
    )
    child.join()
    loop.run(JOIN_SECONDS, lambda: child.has_joined or child.has_failed)
    return child


TRIALS = (
    Trial(
        "1,000 viewers join at once", _crowd, 1, (Goal(2.0, "last, s"), Goal(0.0, "failed")), is_quick=True
    ),
    Trial(
        f"joins behind {CHAIN} nodes", _joins, 11,
        (Goal(30.0, "streamed, worst, ms"), Goal(15.0, "first of all, ms")), nodes=CHAIN,
    ),
    Trial("memory", _memory, 1, (Goal(20.0, "base, MiB"), Goal(4.0, "a child, KiB"))),
)  # fmt: skip
