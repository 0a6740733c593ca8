"""The cost of discovery as a picture: three panels over the number of nodes, a colour for each kind of graph.

Solid lines are scoped requests, dashed ones floods, dotted ones what they are compared with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

from tools.experiments.svg import CONTENT_COLOURS, FAINT, INK, PALE, Point, Svg

if TYPE_CHECKING:
    from bench.discovery import Result

WIDTH, HEIGHT = 1080.0, 420.0
PANEL, GAP, LEFT, TOP, BOTTOM = 270.0, 80.0, 70.0, 80.0, 330.0
DASHED, DOTTED = "7 4", "2 4"
STEPS, MOST_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0), 6
"""Of a scale that is not logarithmic: the smallest of these that is not too small."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn for each kind of graph, of one way to ask."""

    discovery: str
    value: Callable[["Result"], float]
    dashes: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram."""

    title: str
    third: str  # what the dotted lines are
    curves: tuple[Curve, ...]
    by_powers: bool = False


PANELS = (
    Panel(
        "Messages of a join: the first",
        "scoped, a late join (mean)",
        (
            Curve("scoped", lambda result: result.first_messages),
            Curve("flood", lambda result: result.first_messages, DASHED),
            Curve("scoped", lambda result: result.late_messages, DOTTED),
        ),
        by_powers=True,
    ),
    Panel(
        "Stretch: delay, times the shortest",
        "the tree of least hops",
        (
            Curve("scoped", lambda result: result.stretch),
            Curve("flood", lambda result: result.stretch, DASHED),
            Curve("scoped", lambda result: result.hops_stretch, DOTTED),
        ),
    ),
    Panel(
        "Stress: copies on all links",
        "unicast to each client",
        (
            Curve("scoped", lambda result: result.stress),
            Curve("flood", lambda result: result.stress, DASHED),
            Curve("scoped", lambda result: result.unicast_stress, DOTTED),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Scales:
    """From figures to places in one panel."""

    left: float
    nodes: tuple[int, int]
    ticks: list[float]  # from the least to the most
    by_powers: bool

    def place(self, nodes: float, value: float) -> Point:
        least, most = self.nodes
        x = log10(nodes / least) / max(log10(most / least), 0.1)
        most_value = self.ticks[-1]
        y = log10(max(value, 1.0)) / log10(most_value) if self.by_powers else value / most_value
        return self.left + x * PANEL, BOTTOM - y * (BOTTOM - TOP)


def draw(results: Sequence["Result"]) -> Svg:
    """Draw all results."""
    svg = Svg(WIDTH, HEIGHT, "What discovery costs as an overlay grows")
    graphs = list(dict.fromkeys(result.graph for result in results))
    colours = dict(zip(graphs, CONTENT_COLOURS, strict=False))
    for index, panel in enumerate(PANELS):
        _panel(svg, panel, LEFT + index * (PANEL + GAP), results, colours)
    x = LEFT
    for graph, colour in colours.items():
        svg.line((x, HEIGHT - 20), (x + 24, HEIGHT - 20), stroke=colour, stroke_width=3)
        svg.text((x + 32, HEIGHT - 16), graph, 13)
        x += 130
    svg.text(
        (x + 20, HEIGHT - 16), "solid: scoped    dashed: flood    dotted: as named above", 13, fill=FAINT
    )
    return svg


def _panel(svg: Svg, panel: Panel, left: float, results: Sequence["Result"], colours: dict[str, str]) -> None:
    svg.text((left, 34), panel.title, 15, font_weight="bold")
    svg.text((left, 54), f"dotted: {panel.third}", 12, fill=FAINT)
    scales = _scales(panel, left, results)
    for tick in scales.ticks:
        start, end = scales.place(scales.nodes[0], tick), scales.place(scales.nodes[1], tick)
        svg.line(start, end, stroke=PALE)
        label = f"{tick:,g}"
        svg.text((left - 8, start[1] + 4), label, 12, text_anchor="end", fill=FAINT)
    for nodes in sorted({result.nodes for result in results}):
        place = scales.place(nodes, scales.ticks[0])[0], BOTTOM + 20
        svg.text(place, f"{nodes:,}", 12, text_anchor="middle", fill=FAINT)
    svg.text((left + PANEL / 2, BOTTOM + 40), "nodes", 12, text_anchor="middle", fill=INK)
    for graph, colour in colours.items():
        for curve in panel.curves:
            _curve(svg, scales, curve, [each for each in results if each.graph == graph], colour)


def _curve(svg: Svg, scales: Scales, curve: Curve, results: Sequence["Result"], colour: str) -> None:
    mine = sorted((each for each in results if each.discovery == curve.discovery), key=lambda it: it.nodes)
    points = [scales.place(each.nodes, curve.value(each)) for each in mine]
    svg.lines(points, stroke=colour, stroke_width=2, stroke_dasharray=curve.dashes)
    for point in points if curve.dashes is None else ():
        svg.circle(point, 3, fill=colour)


def _scales(panel: Panel, left: float, results: Sequence["Result"]) -> Scales:
    nodes = [result.nodes for result in results]
    most = max(
        curve.value(result)
        for result in results
        for curve in panel.curves
        if curve.discovery == result.discovery
    )
    ticks = _powers(most) if panel.by_powers else _even(most)
    return Scales(left, (min(nodes), max(nodes)), ticks, panel.by_powers)


def _powers(most: float) -> list[float]:
    return [10.0**power for power in range(max(ceil(log10(most)), 1) + 1)]


def _even(most: float) -> list[float]:
    step = next((each for each in STEPS if most / each <= MOST_STEPS), STEPS[-1])
    return [step * number for number in range(ceil(most / step) + 1)]
