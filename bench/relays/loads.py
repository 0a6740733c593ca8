"""A fixed load: so many contents of the same rate to so many children each; what does a relay need for it?"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.relays.children import Loop
from bench.relays.contenders import Contender, running
from bench.relays.machine import cpu_seconds
from bench.relays.overlay import Overlay
from bench.relays.sink import Sink, sink

SETTLE_SECONDS = 2.5
"""Joins and their fast starts are over by then."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many contents, each to so many children."""

    contents: int
    children: int
    pace_ms: int | None = None  # of the server; None: its default

    def __str__(self) -> str:
        pace = "" if self.pace_ms is None else f", --pace-ms {self.pace_ms}"
        return f"{self.contents} x {self.children}{pace}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one contender needed in one round."""

    seconds_per_gbit: float  # CPU, of a delivered gigabit
    cores: float
    gbps: float  # delivered
    loss: float
    feeding_cores: float  # the server and the rendezvous point


def measure(
    contender: Contender, overlay: Overlay, loop: Loop, load: Load, seconds: float, *, trains: bool
) -> Cost:
    """Run one contender under a load. Raises ProgramError or RuntimeError if it does not come to that."""
    with (
        sink(load.contents, trains=trains) as receivers,
        running(contender, overlay, loop, load.contents, load.children) as pids,
    ):
        loop.run(SETTLE_SECONDS)
        return _window(receivers, overlay, loop, load, seconds, pids)


def _window(
    receivers: Sink, overlay: Overlay, loop: Loop, load: Load, seconds: float, pids: Sequence[int]
) -> Cost:
    receivers.take()
    used, fed = cpu_seconds(pids), cpu_seconds(overlay.feeding)
    loop.run(seconds)
    came = receivers.take()
    used, fed = cpu_seconds(pids) - used, cpu_seconds(overlay.feeding) - fed
    gbit = came.bytes * 8 / 1e9
    return Cost(
        seconds_per_gbit=used / gbit if gbit else float("inf"),
        cores=used / seconds,
        gbps=gbit / seconds,
        loss=came.loss(load.children),
        feeding_cores=fed / seconds,
    )
