"""A fixed load: so many contents of the same rate to so many children each; what does a relay need for it?"""

import time
from collections.abc import Sequence
from functools import partial

from bench.relays.children import Loop
from bench.relays.contenders import OUTPUT_PORT, Contender, Load, Running, Window
from bench.relays.machine import OTHER_CORE, CoreUse, cpu_seconds
from bench.relays.profile import Profiler
from bench.relays.receivers import Counts, Receivers, sink
from bench.relays.setting import Setting
from bench.relays.verdict import Figures

COST, CORES, RATE, LOSS, FEEDING = "CPU s a Gbit", "cores", "Gbit/s", "loss", "feeding core"
"""FEEDING is how busy the core is on which the media come from, and go to."""
MOST_LOSS = 1e-3
"""A relay that delivers less than all is broken, not cheap. Less is none: a window's end cuts a train."""
AFTER_SECONDS = 0.055
"""In which a train that was cut comes whole. It ends between two trains, if the window has not."""
LOOK_SECONDS, MOST_LOOKS = 0.001, 15
"""While a train comes; three of them may follow one another without a rest."""


class Use:
    """What some processes use, and how busy the feeding core is, from the moment in which this is made."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids, self._feeding = pids, CoreUse(OTHER_CORE)
        self._used, self._began = cpu_seconds(pids), time.monotonic()

    def seconds(self) -> float:
        """Return the processor time of the processes."""
        return cpu_seconds(self._pids) - self._used

    def elapsed(self) -> float:
        """Return how many seconds have gone by."""
        return time.monotonic() - self._began

    def shares(self) -> Figures:
        """Return how many cores they have needed, and the share of the feeding one."""
        return {CORES: self.seconds() / self.elapsed(), FEEDING: self._feeding.share()}


def carry(
    contender: Contender, setting: Setting, windows: int = 1, *, load: Load, trains: bool = False
) -> list[Window]:
    """Run one contender under a load. Raises ProgramError or RuntimeError if it does not come to that.

    It starts and settles once, and is measured so many times, one after another.

    `trains`: its children take trains whole, so it is not the kernel's cutting that is measured.
    """
    with (
        sink(load.contents, OUTPUT_PORT, trains=trains) as addressed,
        contender.running(setting, load) as running,
    ):
        setting.loop.run(running.settle_seconds)
        receivers = running.receivers or addressed
        return [_window(receivers, setting, load, running) for _ in range(windows)]


def carrying(load: Load, *, trains: bool = False) -> "partial[list[Window]]":
    """Return what measures this load, given a contender, a setting, and how many windows."""
    return partial(carry, load=load, trains=trains)


def _window(receivers: Receivers, setting: Setting, load: Load, running: Running) -> Window:
    profiler = Profiler(running.pids if running.is_profiled else ())
    between_trains(receivers, setting.loop)
    use = Use(running.pids)
    setting.loop.run(setting.seconds)
    came, took = between_trains(receivers, setting.loop), use.elapsed()
    used, shares, profile = use.seconds(), use.shares(), profiler.taken()
    gbit = came.bytes * 8 / 1e9
    figures = {COST: used / gbit if gbit else float("inf"), **shares, RATE: gbit / took}
    if not running.carries_rtp:
        return Window(figures, profile=profile)
    figures[LOSS] = lost(came, receivers, setting.loop, load, took)
    return Window(figures, min(content.seconds for content in came.contents) / took, profile)


def between_trains(receivers: Receivers, loop: Loop) -> Counts:
    """Return what came until nothing comes for a moment, or it is always so that something comes.

    A train that a window's begin has cut would make up for as much that is lost, and one that its end has cut
    would be missed: over a link of a rate a train to all children takes as long as a rest.
    """
    came = receivers.take()
    for _ in range(MOST_LOOKS):
        loop.run(LOOK_SECONDS)
        more = receivers.take()
        came += more
        if not any(content.rtp for content in more.contents):
            break
    return came


def lost(came: Counts, receivers: Receivers, loop: Loop, load: Load, seconds: float) -> float:
    """Return the share of what so many seconds owe that has not come to all children.

    Beyond what is allowed it is looked once more a moment later: what was only cut is there by then.
    """
    loss = came.loss(load.children, load.owed(seconds))
    if loss <= MOST_LOSS:
        return loss
    loop.run(AFTER_SECONDS)
    later = came + between_trains(receivers, loop)
    return min(loss, later.loss(load.children, load.owed(seconds + AFTER_SECONDS)))
