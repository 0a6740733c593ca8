"""How long a datagram takes through one hop, while little happens and under load.

At a tap, a second child of the rendezvous point, each datagram arrives in the moment in which it arrives at
the hop; at the children of the hop it arrives later. The kernel stamps both.
"""

from functools import partial

from bench.relays.contenders import OUTPUT_PORT, Contender, Load, Window, child_address
from bench.relays.receivers import AskedProgram, Counts, Sink, probe, sink
from bench.relays.setting import Setting
from bench.relays.subscriptions import borrowing, subscribed

HALF, NEARLY_ALL, MOST = "p50, ms", "p99, ms", "longest, ms"
TAP, TAP_PORT = "127.0.220.1", 26_000
WAIT_MS = 500
"""What has not come by then is lost."""
TIMES = 2.0
"""Longer than other windows: of a hundred trains a second, p99 is the business of one."""
LEAST_SHARE = 0.99
"""Of the datagrams: a quantile of the few that came would be none."""


def delay(contender: Contender, setting: Setting, windows: int, *, load: Load) -> list[Window]:
    """Return the delays of the first content's datagrams to all its children. Raises RuntimeError."""
    overlay, loop = setting.overlay, setting.loop
    points = [f"{child_address(number)}:{OUTPUT_PORT}" for number in range(load.children)]
    tap = borrowing(loop, overlay.addresses["rp"], overlay.contents[:1], [TAP], TAP_PORT)
    with (
        sink(load.contents, OUTPUT_PORT) as others,  # for all contents but the first, which the probe has
        probe(f"{TAP}:{TAP_PORT}", points, WAIT_MS) as stamped,
        contender.running(setting, load) as running,
        subscribed(loop, tap),
    ):
        loop.run(running.settle_seconds)
        return [_window(stamped, others, setting, load) for _ in range(windows)]


def _window(stamped: AskedProgram, others: Sink, setting: Setting, load: Load) -> Window:
    seconds = TIMES * setting.seconds + WAIT_MS / 1000
    stamped.ask()
    others.take()
    setting.loop.run(seconds)
    answer, beside = stamped.ask(), others.take()
    if answer["came"] < LEAST_SHARE * answer["tapped"] or not answer["tapped"]:
        raise RuntimeError(f"{answer['came']:.0f} of {answer['tapped']:.0f} datagrams came")
    if lost := without_load(beside, load, seconds):
        raise RuntimeError(f"{lost:.1%} of the other contents did not come: that is another load")
    return Window({HALF: answer["p50"] / 1000, NEARLY_ALL: answer["p99"] / 1000, MOST: answer["most"] / 1000})


def without_load(came: Counts, load: Load, seconds: float) -> float:
    """Return the share of the contents beside the first that did not come; 0 if that is next to nothing.

    A hop that does not carry the load is not measured under it.
    """
    lost = Counts(came.bytes, came.contents[1:]).loss(load.children, load.owed(seconds))
    return lost if lost > 1.0 - LEAST_SHARE else 0.0


def delaying(load: Load) -> "partial[list[Window]]":
    """Return what measures the delay under this load, given a contender, a setting, and how many windows."""
    return partial(delay, load=load)
