"""A fixed load: so many contents of the same rate to so many children each; what does a relay need for it?"""

from functools import partial

from bench.relays.children import Loop
from bench.relays.contenders import OUTPUT_PORT, Contender, Load, Running, Window
from bench.relays.machine import cpu_seconds
from bench.relays.profile import Profiler
from bench.relays.receivers import Counts, Receivers, sink
from bench.relays.setting import Setting

COST, CORES, RATE, LOSS, FEEDING = "CPU s a Gbit", "cores", "Gbit/s", "loss", "cores that feed"
MOST_LOSS = 1e-3
"""A relay that delivers less than all is broken, not cheap. Less is none: a window's end cuts a train."""
AFTER_SECONDS = 0.055
"""In which a train that was cut comes whole. It ends between two trains, if the window has not."""


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
    receivers.take()
    used, fed = cpu_seconds(running.pids), cpu_seconds(setting.overlay.feeding)
    setting.loop.run(setting.seconds)
    came = receivers.take()
    used, fed = cpu_seconds(running.pids) - used, cpu_seconds(setting.overlay.feeding) - fed
    gbit = came.bytes * 8 / 1e9
    figures = {
        COST: used / gbit if gbit else float("inf"),
        CORES: used / setting.seconds,
        RATE: gbit / setting.seconds,
        FEEDING: fed / setting.seconds,
    }
    profile, loss = profiler.taken(), lost(came, receivers, setting.loop, load.children)
    return Window(figures if loss is None else {**figures, LOSS: loss}, profile)


def lost(came: Counts, receivers: Receivers, loop: Loop, children: int) -> float | None:
    """Return the share that has not come to all children; None: it was no RTP.

    Beyond what is allowed it is looked once more a moment later: what was only cut is there by then.
    """
    loss = came.loss(children)
    if loss is None or loss <= MOST_LOSS:
        return loss
    loop.run(AFTER_SECONDS)
    later = (came + receivers.take()).loss(children)
    return loss if later is None else min(loss, later)
