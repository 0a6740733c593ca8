"""Rates over time: a row for each link, all with the same time and the same scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tools.experiments.svg import CONTENT_COLOURS, FAINT, PALE, Svg
from tools.experiments.tally import Rate

LEFT, RIGHT, ROW, TOP = 150, 110, 46, 131
WIDTH = 1000
USUAL_SHARE = 1.6  # of the usual rate fits into a row
MARK_ROWS = 4  # labels of neighbouring marks stand at different heights


@dataclass(frozen=True, slots=True)
class Row:
    """One direction of one link."""

    label: str
    rates: Sequence[Rate]
    colour: str = CONTENT_COLOURS[0]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened."""

    at: float
    text: str


def draw_rates(title: str, rows: Sequence[Row], marks: Sequence[Mark], start: float, end: float) -> Svg:
    """Draw what entered each link from `start` to `end`, seconds after `start` below it."""
    picture = Svg(WIDTH, TOP + ROW * len(rows) + 50, title)
    picture.text((24, 34), title, 18, font_weight="bold")
    most = full_height(rows)
    scale = _Scale(start, end, most)
    _draw_axis(picture, scale, len(rows))
    for number, row in enumerate(rows):
        _draw_row(picture, scale, row, TOP + ROW * (number + 1) - 8)
    for number, mark in enumerate(sorted(marks, key=lambda mark: mark.at)):
        _draw_mark(picture, scale, mark, number % MARK_ROWS, len(rows))
    picture.text((24, 54), f"full height: {most / 1e6:.2f} Mbit/s", 12, fill=FAINT)
    return picture


def full_height(rows: Sequence[Row]) -> float:
    """Choose a scale that the streams fill; a fast start may rise above it."""
    found = [sorted(rate.bits_per_second for rate in row.rates) for row in rows if row.rates]
    usual = max((rates[int(len(rates) * 0.8)] for rates in found), default=0.0)
    most = max((rates[-1] for rates in found), default=0.0)
    return min(most, USUAL_SHARE * usual or most) or 1.0


def bursts(rates: Sequence[Rate], most: float) -> list[list[Rate]]:
    """Return each run of rates above a limit."""
    runs = [[*run] for above, run in groupby(rates, lambda rate: rate.bits_per_second > most) if above]
    return [run for run in runs if run]


@dataclass(frozen=True, slots=True)
class _Scale:
    start: float
    end: float
    most: float

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.start) / (self.end - self.start)

    def height(self, bits_per_second: float) -> float:
        return (ROW - 12) * min(1.0, bits_per_second / self.most)


def _draw_axis(picture: Svg, scale: _Scale, rows: int) -> None:
    bottom = TOP + ROW * rows
    seconds = scale.end - scale.start
    step = next(step for step in (1, 2, 5, 10, 20, 60, 600) if seconds / step <= 14 or step == 600)
    for second in range(0, int(seconds) + 1, step):
        x = scale.x(scale.start + second)
        picture.line((x, TOP), (x, bottom), stroke=PALE, stroke_width=1)
        picture.text((x, bottom + 20), str(second), 12, text_anchor="middle", fill=FAINT)
    picture.text((WIDTH - RIGHT + 14, bottom + 20), "seconds", 12, fill=FAINT)
    picture.text((WIDTH - RIGHT + 14, TOP - 8), "mean Mbit/s", 12, fill=FAINT)


def _draw_row(picture: Svg, scale: _Scale, row: Row, base: float) -> None:
    picture.line((LEFT, base), (WIDTH - RIGHT, base), stroke=FAINT, stroke_width=0.8)
    picture.text((LEFT - 12, base - 8), row.label, 13.5, text_anchor="end")
    if not row.rates:
        return
    outline = [(scale.x(scale.start), base)]
    before = scale.start
    for rate in row.rates:
        top = base - scale.height(rate.bits_per_second)
        outline += [(scale.x(before), top), (scale.x(rate.at), top)]
        before = rate.at
    outline.append((scale.x(before), base))
    picture.polygon(outline, fill=row.colour, fill_opacity=0.75)
    for run in bursts(row.rates, scale.most):
        most = max(run, key=lambda rate: rate.bits_per_second)
        _draw_overflow(picture, scale.x(most.at), base - scale.height(scale.most), most.bits_per_second)
    seconds = before - scale.start
    mean = sum(
        rate.bits_per_second * (rate.at - earlier)
        for rate, earlier in zip(row.rates, [scale.start, *(rate.at for rate in row.rates)], strict=False)
    )
    picture.text((WIDTH - RIGHT + 14, base - 8), f"{mean / max(seconds, 1e-9) / 1e6:.2f}", 13.5)


def _draw_overflow(picture: Svg, x: float, top: float, bits_per_second: float) -> None:
    picture.polygon([(x - 4, top - 2), (x + 4, top - 2), (x, top - 8)], fill="#22272e")
    picture.text((x + 7, top + 1), f"{bits_per_second / 1e6:.1f}", 10.5)


def _draw_mark(picture: Svg, scale: _Scale, mark: Mark, row: int, rows: int) -> None:
    x, y = scale.x(mark.at), TOP - 53 + 13 * row
    picture.line((x, y + 3), (x, TOP + ROW * rows), stroke="#22272e", stroke_width=1, stroke_dasharray="3 3")
    picture.text((x + 3, y), mark.text, 12)
