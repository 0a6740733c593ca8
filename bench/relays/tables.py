"""The figures of a run as the tables of docs/performance.md: `python3 -m bench.relays.tables RUN.json`.

Each figure is the median over the rounds, with the least and the most; each ratio is taken within a round.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.relays.loads import COST, FEEDING, LOSS, RATE
from bench.relays.report import LEAST_DELIVERED, RowJson, RunJson, VerdictJson, tried_again
from bench.relays.rows import FAILED_TRIES
from bench.relays.udp_peers import LIMIT
from bench.relays.verdict import Spread, ratios, spread, values

Table = list[list[str]]
"""The first row has the heads. Without others there is nothing to tell."""
MCAST = "mcast"


def main(paths: Sequence[str]) -> None:
    """Print the tables of some runs, one run after another."""
    for path in paths:
        run: RunJson = json.loads(Path(path).read_text())
        print(told(run))


def told(run: RunJson) -> str:
    """Return all tables of a run."""
    minutes = sum(row["seconds"] for row in run["rows"]) / 60
    parts = [f"{run['machine']}; {len(run['rows'])} rows in {minutes:.0f} minutes."]
    for title, table in TABLES.items():
        if len(rows := table(run)) > 1:
            parts.append(f"**{title}**\n\n{markdown(rows)}")
    parts += [f"- {each}" for each in remarks(run)]
    return "\n\n".join(parts) + "\n"


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def verdicts(run: RunJson) -> Table:
    """Return each goal, what was found, and whether that meets it."""
    found = [
        [row["name"], _figure(verdict), verdict["told"], _bound(verdict), _verdict(verdict)]
        for row in run["rows"]
        for verdict in row["verdicts"]
    ]
    return [["row", "figure", "found", "goal", "verdict"], *found]


def costs(run: RunJson) -> Table:
    """Return what each contender costs at each load, and in times of the limit."""
    return _beside(run, COST)


def rates(run: RunJson) -> Table:
    """Return the highest rate that each contender brings to all."""
    return _beside(run, RATE)


def delays(run: RunJson) -> Table:
    """Return each contender's delays."""
    rows = [row for row in run["rows"] if row["compared"] not in ("", COST, RATE)]
    figures = list(dict.fromkeys(name for row in rows for name in _figures(row, LIMIT.name)))
    heads = ["row", "contender", *figures, "times the limit"]
    return [heads, *(line for row in rows for line in _delays(row, figures))]


def alone(run: RunJson) -> Table:
    """Return the figures of rows that only mcast is asked."""
    found = [
        [row["name"], name, figure, str(spread(each))]
        for row in run["rows"]
        if not row["compared"]
        for name in row["rounds"]
        for figure in _figures(row, name)
        if (each := values(row["rounds"], name, figure))
    ]
    return [["row", "contender", "figure", "found"], *found]


def threads(run: RunJson) -> Table:
    """Return what the threads of mcast's node use at each load."""
    found = [
        [row["name"], name, f"{use['cpu_ms']:.1f}", f"{use['switches']:.0f}"]
        for row in run["rows"]
        for name, use in row["profile"].get(MCAST, {}).items()
    ]
    return [["load", "thread", "CPU ms a second", "wake-ups a second"], *found]


TABLES: dict[str, Callable[[RunJson], Table]] = {
    "Goals": verdicts,
    "CPU seconds a delivered gigabit, and in times of the limit": costs,
    "Highest lossless rate, Gbit/s": rates,
    "Delay of a hop": delays,
    "Joins, crowds, memory, discovery": alone,
    "Threads of the node": threads,
}


def remarks(run: RunJson) -> Iterator[str]:
    """Yield who has no figures, and whose are doubtful."""
    for row in run["rows"]:
        yield from (f"{row['name']}: {name} failed: {why}" for name, why in row["failed"].items())
        yield from (f"{row['name']}: {remark}" for remark in tried_again(row["failed_tries"]))
        yield from (f"{row['name']}: skipped: {why}" for why in row["absent"].values())
        for name in _taking(row) if row["compared"] == COST else ():
            shares = ratios(row["rounds"], name, LIMIT.name, RATE)
            if shares and (share := spread(shares).median) < LEAST_DELIVERED:
                yield f"{row['name']}: {name} delivers only {share:.0%}"


def _beside(run: RunJson, figure: str) -> Table:
    rows = [row for row in run["rows"] if row["compared"] == figure]
    names = list(dict.fromkeys(name for row in rows for name in _taking(row)))
    return [["row", *names], *([row["name"], *(_cost(row, name) for name in names)] for row in rows)]


def _cost(row: RowJson, name: str) -> str:
    """Return one contender's figure, and its ratio to the limit's of the same rounds."""
    if name not in _taking(row):
        return ""
    own = spread(values(row["rounds"], name, row["compared"])).median
    times = _times(row, name)
    return f"{own:.3g}" if name == LIMIT.name or times is None else f"{own:.3g}; × {times}"


def _times(row: RowJson, name: str) -> Spread | None:
    if LIMIT.name not in _taking(row):
        return None
    found = ratios(row["rounds"], name, LIMIT.name, row["compared"])
    return spread(found) if found else None


def _delays(row: RowJson, figures: Sequence[str]) -> Iterator[list[str]]:
    for name in _taking(row):
        cells = [str(spread(values(row["rounds"], name, figure))) for figure in figures]
        yield [row["name"], name, *cells, str(_times(row, name) or "")]


def _taking(row: RowJson) -> list[str]:
    """Return the contenders that have figures."""
    return [name for name, rounds in row["rounds"].items() if rounds and name not in row["failed"]]


def _figures(row: RowJson, name: str) -> list[str]:
    rounds = row["rounds"].get(name, [])
    aside = LOSS, FAILED_TRIES, *([FEEDING] if row["compared"] else [])
    return [figure for figure in (rounds[0] if rounds else ()) if figure not in aside]


def _figure(verdict: VerdictJson) -> str:
    return f"{verdict['figure']}{', every round' if verdict['by_worst'] else ''}"


def _bound(verdict: VerdictJson) -> str:
    of = f" × {verdict['reference']}" if verdict["reference"] else ""
    return f"{'≥' if verdict['is_least'] else '≤'} {verdict['bound']:.3g}{of}"


def _verdict(verdict: VerdictJson) -> str:
    if verdict["open"]:
        return f"open: {verdict['open']}"
    return "met" if verdict["met"] else "**missed**"


if __name__ == "__main__":
    main(sys.argv[1:])
