"""The figures of a run as a picture: `python3 -m bench.relays.picture RUN.json ... > PICTURE.svg`.

A group of bars a load, a bar a contender: its CPU seconds a gigabit beside the limit's of the same round, by
the median; a thin line goes from the least to the most.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.relays.contenders import LIMIT
from bench.relays.verdict import Spread, ratios, spread
from tools.experiments.svg import CONTENT_COLOURS, FAINT, INK, PALE, Svg

WIDTH, LEFT, RIGHT, TOP = 760.0, 150.0, 90.0, 60.0
BAR, GAP = 16.0, 30.0

Bars = Mapping[str, Spread]
"""By contender: how many times the limit's cost."""


def bars_of(run: Mapping[str, object]) -> dict[str, Bars]:
    """Return the bars of each load in a run's JSON; a load whose limit is not there has none."""
    rows = run["rows"]
    assert isinstance(rows, list)
    found: dict[str, Bars] = {}
    for row in rows:
        costs = {
            name: [round_["seconds_per_gbit"] for round_ in rounds]
            for name, rounds in row["costs"].items()
            if rounds and name not in row["failed"]
        }
        if LIMIT.name in costs:
            found[row["load"]] = {
                name: spread(ratios(costs, name, LIMIT.name)) for name in costs if name != LIMIT.name
            }
    return found


def draw(loads: Mapping[str, Bars]) -> str:
    """Return the picture."""
    height = TOP + sum(GAP + BAR * len(bars) for bars in loads.values()) + GAP
    most = max((bar.most for bars in loads.values() for bar in bars.values()), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / max(most, 1.0)
    svg = Svg(WIDTH, height, "CPU a delivered gigabit, in times of the kernel's limit")
    svg.text((LEFT, 24), "CPU a delivered gigabit, x the kernel's limit (median, least to most)", 15)
    svg.line((LEFT + scale, TOP - 20), (LEFT + scale, height - GAP / 2), stroke=FAINT, stroke_dasharray="4 3")
    svg.text((LEFT + scale, TOP - 24), "limit", 12, fill=FAINT, text_anchor="middle")
    y = TOP
    for load, bars in loads.items():
        svg.text((LEFT - 12, y + 4), load, 13, text_anchor="end", font_weight="bold")
        for index, (name, bar) in enumerate(bars.items()):
            _bar(svg, y + BAR * index, name, bar, scale)
        y += GAP + BAR * len(bars)
    return str(svg)


def _bar(svg: Svg, y: float, name: str, bar: Spread, scale: float) -> None:
    colour = CONTENT_COLOURS[1] if name == "mcast" else PALE
    middle = y + BAR / 2 - 2
    svg.rectangle((LEFT, y), bar.median * scale, BAR - 4, fill=colour)
    svg.line((LEFT + bar.least * scale, middle), (LEFT + bar.most * scale, middle), stroke=INK)
    svg.text((LEFT + bar.most * scale + 6, middle + 4), f"{name} {bar.median:.2f}", 12)


def main(paths: Sequence[str]) -> None:
    """Draw some runs in one picture."""
    loads: dict[str, Bars] = {}
    for path in paths:
        loads |= bars_of(json.loads(Path(path).read_text()))
    sys.stdout.write(draw(loads))


if __name__ == "__main__":
    main(sys.argv[1:])
