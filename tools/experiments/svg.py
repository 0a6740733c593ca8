"""Just enough SVG for the pictures: elements in the order in which they are painted, all text escaped."""

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

INK, FAINT, PALE, PAPER = "#22272e", "#8a929c", "#dfe3e8", "#ffffff"
CONTENT_COLOURS = ("#d1495b", "#00798c", "#7a5195", "#2e7d32")

Point = tuple[float, float]


class Svg:
    """A picture of fixed size on white paper, which stays readable on a dark page."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self._title = width, height, title
        self._elements: list[str] = []
        self.rectangle((0, 0), width, height, fill=PAPER)

    def add(self, name: str, attributes: Mapping[str, object], content: str | None = None) -> None:
        """Paint an element; `stroke_width` becomes `stroke-width`, what is None is left out."""
        given = "".join(
            f" {key.replace('_', '-')}={quoteattr(_text(value))}"
            for key, value in attributes.items()
            if value is not None
        )
        self._elements.append(
            f"<{name}{given}/>" if content is None else f"<{name}{given}>{content}</{name}>"
        )

    def rectangle(self, corner: Point, width: float, height: float, **style: object) -> None:
        self.add("rect", {"x": corner[0], "y": corner[1], "width": width, "height": height, **style})

    def circle(self, centre: Point, radius: float, **style: object) -> None:
        self.add("circle", {"cx": centre[0], "cy": centre[1], "r": radius, **style})

    def line(self, start: Point, end: Point, **style: object) -> None:
        self.add("line", {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1], **style})

    def lines(self, points: Iterable[Point], **style: object) -> None:
        """Connect points; without a fill of their own they enclose nothing."""
        self.add("polyline", {"points": _points(points), "fill": "none", **style})

    def polygon(self, points: Iterable[Point], **style: object) -> None:
        self.add("polygon", {"points": _points(points), **style})

    def text(self, place: Point, text: str, size: float = 14, **style: object) -> None:
        given = {"x": place[0], "y": place[1], "font_size": size, "fill": INK, **style}
        self.add("text", given, escape(text))

    def __str__(self) -> str:
        size = f'width="{_text(self.width)}" height="{_text(self.height)}"'
        box = f'viewBox="0 0 {_text(self.width)} {_text(self.height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} font-family="{FONT}" role="img">'
        return "\n".join([head, f"<title>{escape(self._title)}</title>", *self._elements, "</svg>"]) + "\n"


def text_width(text: str, size: float) -> float:
    """Guess how wide a text is: nobody measures fonts here."""
    return len(text) * size * 0.56


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_text(x)},{_text(y)}" for x, y in points)


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
