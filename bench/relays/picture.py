"""The figures of a run as a picture: `python3 -m bench.relays.picture RUN.json ... > PICTURE.svg`.

Above, a group of bars for each row whose contenders are compared with the limit: CPU, delay or rate, in
times of the limit's figure of the same round. Below, a bar for each goal: how much of what it allows is used
up. Bars are medians; a thin line goes from the least to the most.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.relays.report import RunJson, VerdictJson
from bench.relays.udp_peers import LIMIT
from bench.relays.verdict import Spread, ratios, spread
from tools.experiments.svg import CONTENT_COLOURS, FAINT, INK, PALE, Svg

WIDTH, LEFT, RIGHT, TOP, HEAD = 1000.0, 330.0, 290.0, 30.0, 40.0
BAR, GAP = 16.0, 14.0
MOST_TIMES = 8.0
"""Longer bars are cut: the figure stands beside them."""
MISSED, MET, OWN = CONTENT_COLOURS[0], CONTENT_COLOURS[3], CONTENT_COLOURS[1]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it stands for, and how long it is."""

    name: str
    times: Spread
    colour: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that belong together."""

    name: str
    bars: Sequence[Bar]


def compared(run: RunJson) -> list[Group]:
    """Return a group for each row of a run's JSON that is compared with the limit."""
    groups = []
    for row in run["rows"]:
        figure, rounds = row["compared"], row["rounds"]
        names = [
            name
            for name, figures in rounds.items()
            if figures and name not in row["failed"] and name != LIMIT.name
        ]
        found = {name: ratios(rounds, name, LIMIT.name, figure) for name in names}
        if bars := [_contender(name, spread(times)) for name, times in found.items() if times]:
            groups.append(Group(f"{row['name']}: {figure}", bars))
    return groups


def goals(run: RunJson) -> list[Group]:
    """Return a bar for each goal of a run's JSON that allows anything: the share of it that is used up."""
    return [
        Group(row["name"], bars)
        for row in run["rows"]
        if (bars := [bar for verdict in row["verdicts"] if (bar := _goal(verdict)) is not None])
    ]


def draw(above: Sequence[Group], below: Sequence[Group]) -> str:
    """Return the picture."""
    height = TOP + sum(_height(groups) for groups in (above, below) if groups)
    svg = Svg(WIDTH, height, "What a relay costs, and which goals are met")
    y = TOP
    for title, groups in (
        ("beside the kernel's limit, which is 1 (median, least to most)", above),
        ("goals: the share that is used up of what is allowed", below),
    ):
        if groups:
            _panel(svg, y, title, groups)
            y += _height(groups)
    return str(svg)


def _contender(name: str, times: Spread) -> Bar:
    return Bar(f"{name} {times.median:.2f}", times, OWN if name == "mcast" else PALE)


def _goal(verdict: VerdictJson) -> Bar | None:
    bound, judged = verdict["bound"], verdict["judged"]
    if not (bound and judged):
        return None
    used = bound / judged if verdict["is_least"] else judged / bound
    of = f" x {verdict['reference']}" if verdict["reference"] else ""
    allowed = f"{'≥' if verdict['is_least'] else '≤'} {bound:.3g}{of}"
    name = f"{verdict['figure']}: {judged:.3g}, goal {allowed}"
    colour = PALE if verdict["open"] else MET if verdict["met"] else MISSED
    return Bar(name, spread([used]), colour)


def _height(groups: Sequence[Group]) -> float:
    return HEAD + sum(GAP + BAR * len(group.bars) for group in groups) + GAP


def _panel(svg: Svg, top: float, title: str, groups: Sequence[Group]) -> None:
    most = max(bar.times.most for group in groups for bar in group.bars)
    scale = (WIDTH - LEFT - RIGHT) / min(max(most, 1.0), MOST_TIMES)
    svg.text((24, top), title, 15, font_weight="bold")
    y, bottom = top + HEAD, top + _height(groups) - GAP
    svg.line((LEFT + scale, y - 14), (LEFT + scale, bottom - GAP), stroke=FAINT, stroke_dasharray="4 3")
    svg.text((LEFT + scale, y - 18), "1", 12, fill=FAINT, text_anchor="middle")
    for group in groups:
        svg.text((LEFT - 12, y + 10), group.name, 12, text_anchor="end")
        for index, bar in enumerate(group.bars):
            _bar(svg, y + BAR * index, bar, scale)
        y += GAP + BAR * len(group.bars)


def _bar(svg: Svg, y: float, bar: Bar, scale: float) -> None:
    least, median, most = (
        LEFT + min(times, MOST_TIMES) * scale for times in (bar.times.least, bar.times.median, bar.times.most)
    )
    middle = y + BAR / 2 - 2
    svg.rectangle((LEFT, y), median - LEFT, BAR - 4, fill=bar.colour)
    svg.line((least, middle), (most, middle), stroke=INK)
    svg.text((most + 6, middle + 4), bar.name, 11)


def main(paths: Sequence[str]) -> None:
    """Draw some runs in one picture."""
    runs = [json.loads(Path(path).read_text()) for path in paths]
    above, below = ([group for run in runs for group in groups(run)] for groups in (compared, goals))
    sys.stdout.write(draw(above, below))


if __name__ == "__main__":
    main(sys.argv[1:])
