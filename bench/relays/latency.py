"""How long a datagram takes through one hop, while little happens and under load.

At a tap, a second child of the rendezvous point, each datagram arrives in the moment in which it arrives at
the hop; at the children of the hop it arrives later. The kernel stamps both.
"""

from functools import partial

from bench.relays.contenders import OUTPUT_PORT, Contender, Load, child_address
from bench.relays.receivers import probe, sink
from bench.relays.setting import Setting
from bench.relays.subscriptions import borrowing, subscribed
from bench.relays.verdict import Figures

HALF, NEARLY_ALL, MOST = "p50, ms", "p99, ms", "longest, ms"
TAP, TAP_PORT = "127.0.220.1", 26_000
WAIT_MS = 500
"""What has not come by then is lost."""
LEAST_SHARE = 0.99
"""Of the datagrams: a quantile of the few that came would be none."""


def delay(contender: Contender, setting: Setting, load: Load) -> Figures:
    """Return the delays of the first content's datagrams to all its children. Raises RuntimeError."""
    overlay, loop = setting.overlay, setting.loop
    points = [f"{child_address(number)}:{OUTPUT_PORT}" for number in range(load.children)]
    tap = borrowing(loop, overlay.addresses["rp"], overlay.contents[:1], [TAP], TAP_PORT)
    with (
        sink(load.contents, OUTPUT_PORT),  # of all contents, but for what the probe's own addresses get
        probe(f"{TAP}:{TAP_PORT}", points, WAIT_MS) as stamped,
        contender.running(setting, load) as running,
        subscribed(loop, tap),
    ):
        loop.run(running.settle_seconds)
        stamped.ask()
        loop.run(setting.seconds + WAIT_MS / 1000)
        answer = stamped.ask()
    if answer["came"] < LEAST_SHARE * answer["tapped"] or not answer["tapped"]:
        raise RuntimeError(f"{answer['came']:.0f} of {answer['tapped']:.0f} datagrams came")
    return {
        HALF: answer["p50"] / 1000,
        NEARLY_ALL: answer["p99"] / 1000,
        MOST: answer["most"] / 1000,
    }


def delaying(load: Load) -> "partial[Figures]":
    """Return what measures the delay under this load, given a contender and a setting."""
    return partial(delay, load=load)
