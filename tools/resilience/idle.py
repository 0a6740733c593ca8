"""A relay is killed, and the way around it has streamed nothing: what viewers lack comes from far above.

Each viewer has lost something else when that happens, so the first to ask for the new way lacks less than
others, and each of its nodes begins later than they need it.
"""

from functools import partial
from itertools import pairwise

from tools.demo.processes import ProgramError
from tools.resilience.case import Case, Outage
from tools.resilience.hops import KEYS, ONE_WAY_MS
from tools.resilience.overlay import Plan
from tools.resilience.trial import Trial

RELAY = "n1"
LOSS, RELAY_LOSS = 3.0, 45.0
"""Per cent of what each host sends that are lost, and of what the relay does: each viewer lacks something.
With 10 % everywhere TCP alone takes up to two seconds to build the new way."""
LOSING = 0.5
"""Seconds for which that is so before the relay is killed."""
VIEWERS = 6
MOST_JOINS = 10
"""Times that viewers join anew who have not come to the relay, at most."""


def _gather(trial: Trial) -> None:
    """Have all viewers at the relay: the other neighbour may have answered first. Raises ProgramError."""
    for _ in range(MOST_JOINS):
        astray = [client for client, path in trial.paths.items() if path[-1] != RELAY]
        if not astray:
            return
        trial.rejoin(astray)  # and the other way is idle again
    raise ProgramError(f"viewers came to another node than {RELAY}, {MOST_JOINS} times")


def _lose_and_kill(trial: Trial, loss: float) -> None:
    _lose(trial, loss, RELAY_LOSS)
    trial.rest(LOSING)
    trial.overlay.kill(trial.hit(RELAY))


def _end_losing(trial: Trial) -> None:
    _lose(trial, 0.0, 0.0)


def _lose(trial: Trial, loss: float, relay_loss: float) -> None:
    for host in (*trial.case.plan.links, *trial.case.viewers):
        trial.star.impair(host, delay_ms=ONE_WAY_MS, loss=relay_loss if host == RELAY else loss)


def around(hops: int, viewers: int = VIEWERS, loss: float = LOSS) -> Case:
    """Return the case in which the way around the relay has so many idle nodes."""
    way = ["rp", *(f"m{number}" for number in range(1, hops + 1))]
    links = {name: [below] for name, below in pairwise(way)} | {RELAY: [], way[-1]: []}
    links["rp"] = [RELAY, *links["rp"]]
    return Case(
        f"idle-hops-{hops}",
        f"kill -9 of a relay, {hops} idle hops around it, {loss:g} % random loss each way",
        Plan(links, keys=KEYS), {f"c{number}": (RELAY, way[-1]) for number in range(1, viewers + 1)},
        partial(_lose_and_kill, loss=loss), _end_losing, latency_ms=3000, in_lab=True, delay_ms=ONE_WAY_MS,
        mended=1.0, outage=Outage.NEVER, prepare=_gather,
    )  # fmt: skip


CASES = (around(2), around(3))
