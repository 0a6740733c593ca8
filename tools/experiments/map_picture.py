"""A scenario as a picture: its nodes where CORE's canvas has them, and trees of contents over its links."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import atan2, cos, hypot, pi, sin

from tools.experiments.branches import Branch
from tools.experiments.svg import CONTENT_COLOURS, FAINT, INK, PALE, Point, Svg, text_width
from tools.lab.counters import Flow
from tools.lab.options import LinkOptions
from tools.lab.topology import Device, LabLink, Network, Scenario

TOP, BOTTOM, MARGIN = 84, 112, 60
LANE = 9  # pixels between two streams on one link
STROKE = 4.5
HEAD = 11  # length of an arrow's head
SIDES = (pi / 2, -pi / 2, pi, 0.0)  # below, above, left, right
SHORTEST_WITH_BADGE = 90  # pixels
RADIUS = {"node": 27, "router": 18, "switch": 9}
FILL = {
    "server": "#6d4aa8", "rendezvous": "#d97706", "overlay": "#2364aa", "client": "#2f855a",
    "bootstrapper": "#5f6b7a", "router": "#e8ebef", "switch": "#e8ebef",
}  # fmt: skip
LEGEND = ("server", "rendezvous", "overlay", "client", "bootstrapper", "router")


@dataclass(frozen=True, slots=True)
class Map:
    """What is to be drawn."""

    scenario: Scenario
    roles: Mapping[str, str]  # a key of FILL for each device; routers may be left out
    branches: Sequence[Branch]
    badges: Mapping[Flow, "Badge"]
    title: str
    subtitle: str
    footer: str = ""
    options: Mapping[str, LinkOptions] = field(default_factory=dict)  # of links that are not as in the file


@dataclass(frozen=True, slots=True)
class Badge:
    """What stands beside a link."""

    text: str
    remark: str = ""
    strong: bool = True  # it carries media


def draw_map(what: Map) -> Svg:
    """Draw the map."""
    return _Drawing(what).picture


class _Drawing:
    def __init__(self, what: Map) -> None:
        self._map = what
        nodes: list[Device | Network] = [*what.scenario.devices, *what.scenario.networks]
        left = min(node.position.x for node in nodes) - MARGIN
        top = min(node.position.y for node in nodes) - MARGIN - TOP
        self._places = {node.name: (node.position.x - left, node.position.y - top) for node in nodes}
        width = max(x for x, _ in self._places.values()) + MARGIN
        height = max(y for _, y in self._places.values()) + BOTTOM
        self.picture = Svg(width, height, what.title)
        self._switches = {network.name for network in what.scenario.networks}
        contents = dict.fromkeys(branch.content for branch in what.branches)
        self._colours = dict(zip(contents, CONTENT_COLOURS, strict=False))
        self._draw()

    def _draw(self) -> None:
        picture = self.picture
        picture.text((28, 38), self._map.title, 22, font_weight="bold")
        picture.text((28, 62), self._map.subtitle, 15, fill="#4a5260")
        for link in self._map.scenario.links:
            picture.line(
                self._places[link.first.node],
                self._places[link.second.node],
                stroke="#b9c0c9",
                stroke_width=1.6,
            )
        self._draw_trees()
        for link in self._map.scenario.links:
            self._draw_options(link)
        for name, place in self._places.items():
            self._draw_node(name, place)
        self._draw_badges()
        self._draw_legend()

    def _draw_trees(self) -> None:
        """Draw each branch that crosses a link in a lane of its own beside the cable."""
        lanes: dict[Flow, list[Branch]] = defaultdict(list)
        for branch in self._map.branches:
            for flow in branch.flows:
                lanes[flow].append(branch)
        for flow, branches in lanes.items():
            opposite = len(lanes.get(Flow(flow.link, flow.receiver, flow.sender), ()))
            for lane, branch in enumerate(branches):
                # Everybody keeps to the right of those who come the other way.
                aside = (lane + opposite - (len(branches) + opposite - 1) / 2) * LANE
                self._draw_arrow(flow, aside, self._colours[branch.content])

    def _draw_arrow(self, flow: Flow, aside: float, colour: str) -> None:
        start, end = self._ends(flow, 2), self._ends(Flow(flow.link, flow.receiver, flow.sender), 3)
        angle = atan2(end[1] - start[1], end[0] - start[0])
        shift = -sin(angle) * aside, cos(angle) * aside
        start, tip = _moved(start, shift), _moved(end, shift)
        back = tip[0] - cos(angle) * HEAD, tip[1] - sin(angle) * HEAD
        self.picture.line(start, back, stroke=colour, stroke_width=STROKE, stroke_linecap="round")
        wings = [
            (back[0] + cos(angle + side) * HEAD * 0.62, back[1] + sin(angle + side) * HEAD * 0.62)
            for side in (pi / 2, -pi / 2)
        ]
        self.picture.polygon([tip, *wings], fill=colour)

    def _draw_options(self, link: LabLink) -> None:
        """Write what a link does, along it and a little aside."""
        text = short_options(self._map.options.get(link.name, link.forward))
        if not text:
            return
        (x1, y1), (x2, y2) = sorted((self._places[link.first.node], self._places[link.second.node]))
        angle = atan2(y2 - y1, x2 - x1)
        middle = (x1 + x2) / 2 + sin(angle) * 11, (y1 + y2) / 2 - cos(angle) * 11
        turn = f"rotate({angle * 180 / pi:.1f} {middle[0]:.1f} {middle[1]:.1f})"
        self.picture.text(
            middle, text, 11.5, fill="#5d6673", text_anchor="middle", dominant_baseline="middle",
            transform=turn, stroke="#ffffff", stroke_width=3, paint_order="stroke",
        )  # fmt: skip

    def _draw_node(self, name: str, place: Point) -> None:
        role, radius = self._role(name), self._radius(name)
        if role == "switch":
            corner = place[0] - radius, place[1] - radius
            self.picture.rectangle(
                corner, 2 * radius, 2 * radius, rx=3, fill=FILL[role], stroke=FAINT, stroke_width=1.2
            )
            self._draw_switch_name(name, place, radius)
            return
        plain = role == "router"
        self.picture.circle(
            place,
            radius,
            fill=FILL[role],
            stroke=FAINT if plain else "#ffffff",
            stroke_width=1.2 if plain else 2,
        )
        self.picture.text(
            (place[0], place[1] + (5 if plain else 6)), name, 13 if plain else 17,
            text_anchor="middle", fill=INK if plain else "#ffffff",
            font_weight="normal" if plain else "bold", textLength=_squeezed(name, radius),
        )  # fmt: skip

    def _draw_switch_name(self, name: str, place: Point, radius: float) -> None:
        """Write it on the side that is farthest from all links."""
        links = [link for link in self._map.scenario.links if name in (link.first.node, link.second.node)]
        others = [
            self._places[link.second.node if link.first.node == name else link.first.node] for link in links
        ]
        angles = [atan2(y - place[1], x - place[0]) for x, y in others]
        free = max(SIDES, key=lambda side: min((_between(side, angle) for angle in angles), default=pi))
        x, y = place[0] + cos(free) * (radius + 5), place[1] + sin(free) * (radius + 9) + 4
        anchor = "start" if cos(free) > 0.5 else "end" if cos(free) < -0.5 else "middle"
        self.picture.text((x, y), name, 11, fill=FAINT, text_anchor=anchor)

    def _draw_badges(self) -> None:
        for flow, badge in self._map.badges.items():
            if self._length(flow) < SHORTEST_WITH_BADGE:
                continue
            colours = {self._colours[branch.content] for branch in self._map.branches if flow in branch.flows}
            colour = colours.pop() if len(colours) == 1 else INK
            width = max(text_width(badge.text, 14), text_width(badge.remark, 11)) + 4
            height = 30 if badge.remark else 17
            x, y = self._beside(flow, (width, height))
            self.picture.rectangle(
                (x - width / 2, y - height / 2), width, height, rx=4, fill="#ffffff", fill_opacity=0.85
            )
            self.picture.text(
                (x, y - height / 2 + 14), badge.text, 14, text_anchor="middle",
                fill=colour if badge.strong else FAINT, font_weight="bold" if badge.strong else "normal",
            )  # fmt: skip
            self.picture.text((x, y + height / 2 - 4), badge.remark, 11, text_anchor="middle", fill="#5d6673")

    def _beside(self, flow: Flow, size: tuple[float, float]) -> Point:
        """Return the centre of a box beside a link, on the side where its options are not."""
        (x1, y1), (x2, y2) = sorted((self._places[flow.sender], self._places[flow.receiver]))
        angle = atan2(y2 - y1, x2 - x1)
        distance = abs(sin(angle)) * size[0] / 2 + abs(cos(angle)) * size[1] / 2 + 7
        return (x1 + x2) / 2 - sin(angle) * distance, (y1 + y2) / 2 + cos(angle) * distance

    def _draw_legend(self) -> None:
        y = self.picture.height - 34
        self.picture.line((28, y - 26), (self.picture.width - 28, y - 26), stroke=PALE, stroke_width=1)
        x = 40.0
        for role in (role for role in LEGEND if role in {self._role(name) for name in self._places}):
            self.picture.circle((x, y), 8, fill=FILL[role], stroke=FAINT, stroke_width=0.8)
            words = {"rendezvous": "rendezvous point", "overlay": "overlay node"}.get(role, role)
            self.picture.text((x + 14, y + 5), words, 13)
            x += 36 + 7.3 * len(words)
        for content, colour in self._colours.items():
            self.picture.line((x, y), (x + 26, y), stroke=colour, stroke_width=STROKE, stroke_linecap="round")
            self.picture.text((x + 36, y + 5), f"stream “{content}”", 13)
            x += 60 + 7.3 * (len(content) + 9)
        width = text_width(self._map.footer, 15)
        place = (self.picture.width - 28, y + 5 if x + width < self.picture.width - 28 else y - 33)
        self.picture.text(place, self._map.footer, 14, text_anchor="end", font_weight="bold")

    def _role(self, name: str) -> str:
        return "switch" if name in self._switches else self._map.roles.get(name, "router")

    def _radius(self, name: str) -> float:
        return RADIUS.get(self._role(name), RADIUS["node"])

    def _ends(self, flow: Flow, gap: float) -> Point:
        """Return the point where a link leaves the sender's circle."""
        (x1, y1), (x2, y2) = self._places[flow.sender], self._places[flow.receiver]
        share = (self._radius(flow.sender) + gap) / max(1.0, hypot(x2 - x1, y2 - y1))
        return x1 + (x2 - x1) * share, y1 + (y2 - y1) * share

    def _length(self, flow: Flow) -> float:
        (x1, y1), (x2, y2) = self._places[flow.sender], self._places[flow.receiver]
        return hypot(x2 - x1, y2 - y1)


def short_options(options: LinkOptions) -> str:
    """Return in few words what a link does: `10 Mbit/s, 10 ms, 0.5 % loss`."""
    parts: Iterable[str] = (
        _rate(options.rate),
        f"{options.delay_us / 1000:g} ms" if options.delay_us else "",
        f"{options.loss:g} % loss" if options.loss else "",
    )
    return ", ".join(part for part in parts if part)


def _rate(bits: int) -> str:
    if not bits:
        return ""
    return f"{bits / 1e6:g} Mbit/s" if bits >= 1_000_000 else f"{bits / 1e3:g} kbit/s"


def _between(one: float, other: float) -> float:
    """Return the angle between two directions."""
    return abs((one - other + pi) % (2 * pi) - pi)


def _moved(point: Point, shift: Point) -> Point:
    return point[0] + shift[0], point[1] + shift[1]


def _squeezed(name: str, radius: float) -> float | None:
    return 2 * radius - 10 if len(name) > 3 else None
