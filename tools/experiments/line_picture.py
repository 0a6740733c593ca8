"""Measurements over time as lines, with a logarithmic scale: 1 ms and 1 s are both to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from tools.experiments.rate_picture import Mark
from tools.experiments.svg import FAINT, PALE, Svg

WIDTH, HEIGHT = 1000, 440
LEFT, RIGHT, TOP, BOTTOM = 80, 30, 112, 56


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity: a name, a colour, and (monotonic seconds, value above 0)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


def draw_lines(
    title: str, unit: str, lines: Sequence[Line], marks: Sequence[Mark], start: float, end: float
) -> Svg:
    """Draw lines from `start` to `end`; each point is marked."""
    picture = Svg(WIDTH, HEIGHT, title)
    picture.text((24, 34), title, 18, font_weight="bold")
    values = [value for line in lines for _, value in line.points if value > 0] or [1.0]
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), floor(log10(min(values))) + 1)

    def place(at: float, value: float) -> tuple[float, float]:
        share = (log10(max(value, 10.0**low)) - low) / (high - low)
        x = LEFT + (WIDTH - LEFT - RIGHT) * (at - start) / (end - start)
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    for power in range(low, high + 1):
        left, right = place(start, 10.0**power), place(end, 10.0**power)
        picture.line(left, right, stroke=PALE, stroke_width=1)
        picture.text((LEFT - 10, left[1] + 4), f"{10.0**power:g}", 12, text_anchor="end", fill=FAINT)
    picture.text((24, TOP - 22), unit, 12, fill=FAINT)
    for second in range(0, int(end - start) + 1, 5):
        x, y = place(start + second, 10.0**low)
        picture.line((x, y), (x, y + 5), stroke=FAINT, stroke_width=1)
        picture.text((x, y + 20), str(second), 12, text_anchor="middle", fill=FAINT)
    picture.text((WIDTH - RIGHT, HEIGHT - 14), "seconds", 12, text_anchor="end", fill=FAINT)
    for number, mark in enumerate(marks):
        x, y = place(mark.at, 10.0**low)
        top = TOP - 38 + 14 * (number % 3)
        picture.line((x, top + 3), (x, y), stroke="#22272e", stroke_width=1, stroke_dasharray="3 3")
        picture.text((x + 3, top), mark.text, 12)
    for number, line in enumerate(lines):
        points = [place(at, value) for at, value in line.points]
        picture.lines(points, stroke=line.colour, stroke_width=2.2)
        for point in points:
            picture.circle(point, 3.2, fill=line.colour)
        picture.line(
            (WIDTH - 330, 26 + 18 * number),
            (WIDTH - 304, 26 + 18 * number),
            stroke=line.colour,
            stroke_width=3,
        )
        picture.text((WIDTH - 296, 30 + 18 * number), line.name, 13)
    return picture
