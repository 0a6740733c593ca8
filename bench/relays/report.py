"""A run told: as tables for people, as JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from bench.relays.loads import LOSS, RATE
from bench.relays.profile import Profile, line, middle
from bench.relays.rounds import Measured
from bench.relays.rows import FAILED_TRIES
from bench.relays.udp_peers import LIMIT
from bench.relays.verdict import Figures, ratios, spread, values
from tools.lab.overview import table


class VerdictJson(TypedDict):
    """A verdict in a run's JSON."""

    goal: str
    figure: str
    bound: float
    reference: str  # in proportion to whose figure; empty: as it is
    is_least: bool
    by_worst: bool
    judged: float | None  # the figure that decides: the median, or the worst round's
    rounds: int
    turns: int
    provisional: bool  # by too few of either
    told: str
    met: bool
    open: str  # why it is neither met nor missed


class RowJson(TypedDict):
    """A row in a run's JSON."""

    name: str
    compared: str
    rounds: dict[str, list[Figures]]
    profile: dict[str, Profile]  # what each thread of a node uses, medians over its windows
    seconds: float  # that it took
    failed: dict[str, str]
    failed_tries: dict[str, list[str]]  # why, by contender; a turn that failed once was tried again
    absent: dict[str, str]
    verdicts: list[VerdictJson]


class RunJson(TypedDict):
    """A run's JSON."""

    machine: str
    rows: list[RowJson]


LEAST_DELIVERED = 0.9
"""In proportion to what the limit delivers, which is all: other headers alone make less of a difference."""


def told(measured: Measured) -> str:
    """Return a row's table, who is missing in it, and its verdicts."""
    lines = ["", measured.row.name]
    if rows := list(_contenders(measured)):
        lines += [f"  {line}" for line in table(("", *_heads(measured)), rows).splitlines()]
    lines += [f"  {name} failed: {why}" for name, why in measured.failed.items()]
    lines += [f"  {remark}" for remark in tried_again(measured.failed_tries)]
    lines += [f"  skipped: {why}" for why in measured.absent.values()]
    lines += [
        f"  threads of {name} (CPU ms a second, wake-ups a second): {line(profile)}"
        for name, profile in profiles(measured).items()
    ]
    lines += [f"  {verdict}" for verdict in measured.verdicts()]
    return "\n".join(lines)


def summary(run: Sequence[Measured]) -> str:
    """Return all verdicts in one table."""
    rows = [
        (
            measured.row.name,
            str(verdict).partition(" ")[0],
            str(verdict.goal),
            verdict.open_because or verdict.told,
        )
        for measured in run
        for verdict in measured.verdicts()
    ]
    return table(("row", "verdict", "goal", "found"), rows)


def figures(run: Sequence[Measured], machine: str) -> RunJson:
    """Return all figures and verdicts of a run, ready for JSON."""
    return {
        "machine": machine,
        "rows": [
            {
                "name": measured.row.name,
                "compared": measured.row.compared,
                "rounds": measured.rounds,
                "profile": profiles(measured),
                "seconds": measured.took,
                "failed": measured.failed,
                "failed_tries": measured.failed_tries,
                "absent": measured.absent,
                "verdicts": [
                    {
                        "goal": str(verdict.goal),
                        "figure": verdict.goal.figure,
                        "bound": verdict.goal.bound,
                        "reference": verdict.goal.reference,
                        "is_least": verdict.goal.is_least,
                        "by_worst": verdict.goal.by_worst,
                        "judged": verdict.goal.judged(verdict.found) if verdict.found else None,
                        "rounds": verdict.found.rounds if verdict.found else 0,
                        "turns": verdict.turns,
                        "provisional": verdict.is_provisional,
                        "told": verdict.told,
                        "met": verdict.is_met,
                        "open": verdict.open_because,
                    }
                    for verdict in measured.verdicts()
                ],
            }
            for measured in run
        ],
    }


def tried_again(failed_tries: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield how many tries of each contender have failed, and why the last of them."""
    for name, reasons in failed_tries.items():
        yield f"{name}: {len(reasons)} failed {'tries' if len(reasons) > 1 else 'try'}: {reasons[-1]}"


def profiles(measured: Measured) -> dict[str, Profile]:
    """Return what the threads of each node use."""
    return {name: middle(each) for name, each in measured.profiles.items() if each}


def _names(measured: Measured) -> list[str]:
    """Return the figures that at least one contender has, in order."""
    seen = [name for rounds in measured.rounds.values() for figures in rounds[:1] for name in figures]
    return list(dict.fromkeys(seen))


def _heads(measured: Measured) -> list[str]:
    ratio = [f"{measured.row.compared}, x limit"] if measured.row.compared else []
    return [*ratio, *_names(measured), ""]


def _contenders(measured: Measured) -> Iterator[list[str]]:
    for name, rounds in measured.rounds.items():
        if rounds and name not in measured.failed:
            cells = [_cell(values(measured.rounds, name, figure), figure) for figure in _names(measured)]
            yield [name, *_ratio(measured, name), *cells, _remark(measured, name)]


def _ratio(measured: Measured, name: str) -> list[str]:
    if not (compared := measured.row.compared):
        return []
    found = ratios(measured.rounds, name, LIMIT.name, compared)
    return [str(spread(found)) if found and LIMIT.name not in measured.failed else "-"]


def _cell(found: Sequence[float], figure: str) -> str:
    if not found:
        return "-"
    if figure == FAILED_TRIES:
        return f"{sum(found):.0f}"
    return f"{max(found):.3%}" if figure == LOSS else str(spread(found))


def _remark(measured: Measured, name: str) -> str:
    """Return what makes a contender's figures doubtful: that it was not able to deliver all."""
    if measured.row.compared == RATE or not (shares := ratios(measured.rounds, name, LIMIT.name, RATE)):
        return ""
    share = spread(shares).median
    return "" if share >= LEAST_DELIVERED else f"delivers only {share:.0%}"
