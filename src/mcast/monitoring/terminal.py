"""The overlay as lines of text, out of what `/api/overlay` and `/api/events` tell: for a terminal. Pure.

    news   2.1 Mbit/s, 3 viewers, from 10.0.6.10:7000
      rp                     2.1 Mbit/s    0.41 ms     0 % lost
      ├─ n1                  2.1 Mbit/s    1.20 ms     0 % lost
      │  └─ n3               2.1 Mbit/s    2.35 ms     0 % lost   1 viewer
      └─ n2                  2.1 Mbit/s    1.31 ms     0 % lost   2 viewers

What is shown may come from another version: a figure that is missing is a dash.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias

Told: TypeAlias = Mapping[str, object]

LINE = 100
"""Characters of a line that may be broken anywhere."""
MAX_DEPTH = 64
"""Nodes of a branch that are drawn: reports that contradict each other for a moment may make a ring."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything that is told, the newest event last."""

    overlay: Told
    events: Sequence[Told] = field(default=())

    def lines(self, content: str | None = None) -> list[str]:
        """Return what there is to see, of one content or of all."""
        return [
            self.summary(),
            *_section("", self._trees(content)),
            *_section("NOBODY WATCHES", self._unwatched() if content is None else ()),
            *_section("SERVERS", _columns(self._servers())),
            *_section("NODES", _columns(self._nodes())),
            *_section("EVENTS", self._events(content)),
        ]

    def summary(self) -> str:
        """Return the overlay in one line."""
        nodes, contents = _list(self.overlay, "nodes"), _list(self.overlay, "contents")
        down = sum(not node.get("up") for node in nodes)
        viewers = sum(_int(each, "viewers") for each in contents)
        gone = f", {down} down" if down else ""
        return (
            f"{_count(len(nodes) - down, 'node')} up{gone} · "
            f"{_count(len(_list(self.overlay, 'servers')), 'server')} · "
            f"{_count(len(contents), 'content')} streaming · {_count(viewers, 'viewer')}"
        )

    def _trees(self, wanted: str | None) -> Iterator[str]:
        for content in _list(self.overlay, "contents"):
            name = _text(content, "name")
            if wanted in (None, name):
                yield (
                    f"{name}   {_mbit(content)}, {_count(_int(content, 'viewers'), 'viewer')}, "
                    f"from {_text(content, 'server')}"
                )
                yield from _columns(self._tree(name))
                yield ""

    def _unwatched(self) -> Iterator[str]:
        names = self.overlay.get("unwatched")
        text = ", ".join(map(str, names)) if isinstance(names, list) else ""
        yield from (f"  {line}" for line in textwrap.wrap(text, LINE))

    def _tree(self, content: str) -> Iterator[list[str]]:
        """Yield a row for each node that streams a content, from the rendezvous point down."""
        streams = {
            _text(node, "name"): stream
            for node in _list(self.overlay, "nodes")
            for stream in _list(node, "streams")
            if stream.get("content") == content
        }
        below: dict[str, list[str]] = {}
        for name, stream in streams.items():
            above = _parent(stream)
            below.setdefault(above if above in streams else "", []).append(name)
        tree = _Tree(streams, below)
        for name in sorted(below.get("", [])):
            yield from tree.rows(name)

    def _servers(self) -> Iterator[list[str]]:
        yield ["server", "delay", "latency", "jitter", "metric", "serves"]
        for each in _list(self.overlay, "servers"):
            figures = [_ms(_number(each, name), 1000) for name in ("delay_us", "latency_us", "jitter_us")]
            serves = each.get("serves")
            names = ", ".join(map(str, serves)) if isinstance(serves, list) else ""
            told = names if each.get("up") else "does not answer"
            yield [_text(each, "address"), *figures, _text(each, "metric"), told]

    def _nodes(self) -> Iterator[list[str]]:
        yield ["node", "kind", "CPU", "memory", "children", "viewers", "streams", "up for", "version"]
        for node in _list(self.overlay, "nodes"):
            about = [_text(node, "name"), _text(node, "kind")]
            if not node.get("up"):
                yield [*about, "down"]
                continue
            memory = _number(node, "memory_bytes")
            yield [
                *about,
                _unit(_number(node, "cpu_percent"), "%"),
                _unit(None if memory is None else memory / 1e6, "MB", 0),
                _text(node, "children"),
                _text(node, "viewers"),
                str(len(_list(node, "streams"))),
                _duration(_int(node, "uptime_s")),
                _text(node, "program"),
            ]

    def _events(self, content: str | None) -> Iterator[str]:
        for event in reversed(self.events):
            if content is None or event.get("content") in (None, content):
                who = _text(event, "node") if event.get("node") else "bootstrap"
                yield f"  {_text(event, 'time')[11:19]}  {who}: {_text(event, 'text')}"


@dataclass(frozen=True, slots=True)
class _Tree:
    """One content: how it fares at each node, and who is below whom."""

    streams: Mapping[str, Told]
    below: Mapping[str, list[str]]

    def rows(
        self, name: str, first: str = "", margin: str = "", left: int = MAX_DEPTH
    ) -> Iterator[list[str]]:
        """Yield the rows of a node and of all below it, `left` nodes deep; they begin with these lines."""
        yield [f"{first}{name}", *_fares(self.streams[name])]
        children = sorted(self.below.get(name, [])) if left else []
        for place, child in enumerate(children, 1):
            is_last = place == len(children)
            corner, line = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            yield from self.rows(child, margin + corner, margin + line, left - 1)


def _fares(stream: Told) -> list[str]:
    viewers, lost = _int(stream, "viewers"), _number(stream, "lost_percent")
    return [
        _mbit(stream),
        _ms(_number(stream, "delay_ms")),
        f"{_unit(lost, '%')} lost" if stream.get("fed") else "CUT OFF",
        _count(viewers, "viewer") if viewers else "",
        _by_clock(stream),
    ]


def _by_clock(stream: Told) -> str:
    """Return the delay by clocks, to the latest viewer, too: nothing where nobody can tell."""
    here = _number(stream, "clock_delay_ms")
    viewers = [_number(child, "clock_delay_ms") for child in _list(stream, "children") if child.get("viewer")]
    latest = max((each for each in viewers if each is not None), default=None)
    told = [] if here is None else [f"{_ms(here)} by clocks"]
    return ", ".join([*told, *([] if latest is None else [f"{_ms(latest)} to its viewers"])])


def _parent(stream: Told) -> str:
    """Return the parent whose path counts; by the path, if an older node tells no parents."""
    for parent in _list(stream, "parents"):
        if parent.get("primary"):
            return _text(parent, "name")
    path = stream.get("path")
    return str(path[-2]) if isinstance(path, list) and len(path) > 1 else ""


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    rows = list(lines)
    if rows:
        yield ""
        yield from [title] if title else []
        yield from rows


def _columns(rows: Iterable[list[str]]) -> list[str]:
    """Return rows whose columns stand below each other: figures to the right, the rest to the left."""
    table = list(rows)
    columns = list(zip_longest(*table, fillvalue=""))
    padded = [_padded(column, place > 0) for place, column in enumerate(columns)]
    return ["  " + "  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _padded(column: Sequence[str], may_be_figures: bool) -> list[str]:
    width = max(map(len, column))
    is_right = may_be_figures and any(cell[:1].isdigit() for cell in column)
    return [cell.rjust(width) if is_right else cell.ljust(width) for cell in column]


def _list(told: Told, name: str) -> list[Told]:
    found = told.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _number(told: Told, name: str) -> float | None:
    found = told.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _int(told: Told, name: str) -> int:
    return int(_number(told, name) or 0)


def _text(told: Told, name: str) -> str:
    found = told.get(name)
    return "–" if found is None else str(found)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _mbit(told: Told) -> str:
    return f"{_int(told, 'bit_rate') / 1e6:.2f} Mbit/s"


def _ms(value: float | None, per: int = 1) -> str:
    return _unit(None if value is None else value / per, "ms", 2)


def _unit(value: float | None, unit: str, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f} {unit}"


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {seconds % 60} s"
