"""Chains of hops that lose packets both ways: what repair hop by hop makes of them, and what it costs."""

from collections.abc import Callable, Mapping
from functools import partial

from tools.demo.event_log import JsonValue
from tools.resilience.case import Case, Goals, Outage
from tools.resilience.footage import BROAD
from tools.resilience.overlay import Plan
from tools.resilience.trial import Trial

ONE_WAY_MS = 10.0
SECONDS = 120.0
KEYS: Mapping[str, JsonValue] = {"repair": "neighbours", "optimise": False}
"""The chain stays a chain: no link beyond the file shortens it."""


def _chain(hops: int) -> tuple[Plan, Mapping[str, tuple[str, ...]]]:
    """Return an overlay whose client is so many hops below the rendezvous point."""
    names = ["rp", *(f"n{number}" for number in range(1, hops))]
    links = {name: [*names[at + 1 : at + 2]] for at, name in enumerate(names)}
    return Plan(links, keys=KEYS), {"c1": (names[-1],)}


def _senders(trial: Trial) -> list[str]:
    return [*trial.case.plan.links, *trial.case.viewers]


def _begin_to_lose(trial: Trial, loss: float) -> None:
    for host in _senders(trial):
        trial.star.impair(host, delay_ms=ONE_WAY_MS, loss=loss)
    trial.outcome.notes |= {f"sent {host}": -size for host, size in _sent(trial).items()}


def _end_losing(trial: Trial) -> None:
    """Note how much more than the stream the hops have carried, on the way down and on the way back."""
    notes, sent = trial.outcome.notes, _sent(trial)
    carried = {host: sent[host] + notes.pop(f"sent {host}") for host in sent}
    stream = carried.pop(trial.case.plan.servers[0])
    (client,) = trial.case.viewers
    notes["overhead, each hop, with headers %"] = 100 * (
        sum(carried.values()) / (len(carried) - 1) / stream - 1
    )
    notes["of it the last hop's way back %"] = 100 * carried[client] / stream
    for host in _senders(trial):
        trial.star.impair(host, delay_ms=ONE_WAY_MS, loss=0.0)


def _sent(trial: Trial) -> dict[str, int]:
    left = trial.star.left()
    return {host: left[host] for host in (*trial.case.plan.servers, *_senders(trial))}


def _losing(name: str, hops: int, loss: float, latency_ms: int, goals: Goals) -> Case:
    plan, viewers = _chain(hops)
    strike: Callable[[Trial], None] = partial(_begin_to_lose, loss=loss)
    return Case(
        name, f"{hops} hops of {2 * ONE_WAY_MS:g} ms round trip, {loss:g} % random loss each way",
        plan, viewers, strike, _end_losing, goals, latency_ms, runs=1, aftermath=SECONDS, mended=2.0,
        in_lab=True, picture=BROAD, delay_ms=ONE_WAY_MS, outage=Outage.MIDWAY,
    )  # fmt: skip


FOUR_HOPS_10 = _losing("four-hops-10", 4, 10.0, 500, Goals())
FOUR_HOPS_25 = _losing("four-hops-25", 4, 25.0, 1000, Goals())
THREE_HOPS_10 = _losing("three-hops-10", 3, 10.0, 220, Goals(residual_percent=0.001, unbroken=False))

CASES = (FOUR_HOPS_10, FOUR_HOPS_25, THREE_HOPS_10)
