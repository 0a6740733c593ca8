"""Overlays that tests make up: as large as they like, without a process."""

import itertools
import random
from dataclasses import replace
from typing import Any, TypeAlias

from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.monitoring.registry import NodeStatus, Registry
from mcast.monitoring.view import View
from mcast.wire.bootstrap import Health
from mcast.wire.health import CataloguePage, ContentHealth, ParentHealth, ServerHealth, StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position

SERVERS = ("10.0.0.1:7000", "10.0.0.2:7000")
Told: TypeAlias = dict[str, Any]
"""A document of the API, as a program reads it."""
SCRIPT = "<script>alert(1)</script>"


def layout_of(links: dict[str, list[str]], *, rendezvous: tuple[str, ...] = ("rp",)) -> Layout:
    """Return a layout of these links, in which every rendezvous point has both servers."""
    nodes = {
        name: {"address": f"10.1.{n // 250}.{n % 250 + 1}:5000", "neighbours": neighbours}
        for n, (name, neighbours) in enumerate(links.items())
    }
    for name in rendezvous:
        nodes[name] = {**nodes[name], "servers": list(SERVERS)}
    return parse_layout({"rendezvous": list(rendezvous), "nodes": nodes}, "test.toml")


def viewer(number: int) -> Identity:
    return Identity.client(number.to_bytes(4, "big") + bytes(12))


def stream(
    content: str, path: tuple[str, ...], children: tuple[Identity, ...] = (), *, server: str = SERVERS[0],
    fed: bool = True, datagrams: int = 1000, repaired: int = 0, lost: int = 0, count: int = 0,
    delay_us: int = 0, delays_us: tuple[int, ...] = (),
) -> StreamHealth:  # fmt: skip
    """Return how a content fares at the last node of a path, whose hops take 2 ms there and back.

    `delay_us` is the delay by clocks to this node, `delays_us` to its children; 0: not known.
    """
    is_root = len(path) == 1
    parent = ParentHealth(server if is_root else path[-2], is_root, True, 2000, datagrams)
    return StreamHealth(
        content, tuple(map(Identity.node, path)), children, Position(7, datagrams), lost, fed, count,
        (4000,) * len(children), (parent,), datagrams, datagrams * 1328, repaired, delay_us, delays_us,
    )  # fmt: skip


class MadeUp:
    """An overlay whose nodes report what the test says."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.registry = layout, Registry()
        self.now = 100.0

    def report(self, name: str, *streams: StreamHealth, uptime_ms: int = 60_000) -> None:
        if name not in self.registry.snapshot():
            self.registry.join(name, b"", "10.9.9.9:1", self.now)
        servers = tuple(ServerHealth(each, 400, 500, 100, 340) for each in SERVERS)
        health = Health(
            uptime_ms, streams, program="0.1.0", cpu_permille=35, memory_kb=30_000,
            servers=servers if name in self.layout.rendezvous else (),
        )  # fmt: skip
        self.registry.heard(name, health, self.now)

    def list_contents(self, *names: str) -> None:
        """Have the rendezvous point tell that servers have these contents."""
        page = CataloguePage(contents=tuple(map(ContentHealth, sorted(names))))
        self.registry.heard("rp", Health(60_000, self.streams("rp"), catalogue=page), self.now)

    def streams(self, name: str) -> tuple[StreamHealth, ...]:
        return tuple(self.registry.snapshot()[name].streams.values())

    def leave(self, name: str) -> None:
        self.registry.leave(name)

    def view(self) -> View:
        nodes: dict[str, NodeStatus] = self.registry.snapshot()
        return View(self.layout, nodes, self.now)


def small() -> MadeUp:
    """rp - n1 - n2, and rp - n3: news to n2 and its two viewers, a content with a nasty name to n3."""
    overlay = MadeUp(layout_of({"rp": ["n1", "n3"], "n1": ["n2"], "n2": ["n3"], "n3": []}))
    n1, n2, n3 = map(Identity.node, ("n1", "n2", "n3"))
    overlay.report("rp", stream("news", ("rp",), (n1,)), stream(SCRIPT, ("rp",), (n3,), server=SERVERS[1]))
    healed = stream("news", ("rp", "n1"), (n2,), repaired=3)
    overlay.report("n1", replace(healed, nacks=5, longest_gap_ms=120, parent_changes=2, discontinuities=1))
    overlay.report("n2", stream("news", ("rp", "n1", "n2"), (viewer(1), viewer(2))))
    overlay.report("n3", stream(SCRIPT, ("rp", "n3"), (viewer(3),)))
    return overlay


def demonstration() -> MadeUp:
    """What `make demo` shows: news to three viewers, sport to one, over the same links in part."""
    overlay = MadeUp(
        layout_of({"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n4"], "n3": ["n4"], "n4": []})
    )
    n1, n2, n3, n4 = map(Identity.node, ("n1", "n2", "n3", "n4"))
    overlay.report("rp", stream("news", ("rp",), (n1,)), stream("sport", ("rp",), (n1, n2)))
    overlay.report("n1", stream("news", ("rp", "n1"), (n3,)), stream("sport", ("rp", "n1"), (n3,)))
    overlay.report("n2", stream("sport", ("rp", "n2"), (viewer(1),)))
    overlay.report(
        "n3",
        stream("news", ("rp", "n1", "n3"), (n4, viewer(2))),
        stream("sport", ("rp", "n1", "n3"), (viewer(5),)),
    )
    overlay.report("n4", stream("news", ("rp", "n1", "n3", "n4"), (viewer(3), viewer(4))))
    return overlay


def large(nodes: int = 200, viewers: int = 1000, contents: int = 6, seed: int = 1) -> MadeUp:
    """A random network: each node is linked to two or three before it, each content has a tree."""
    rng = random.Random(seed)
    names = ["rp", *(f"n{number}" for number in range(1, nodes))]
    links = {
        name: rng.sample(names[max(0, n - 25) : n], min(n, rng.choice((1, 1, 2))))
        for n, name in enumerate(names)
    }
    overlay = MadeUp(layout_of(links))
    fed: dict[str, dict[str, tuple[Identity, ...]]] = {name: {} for name in names}
    paths: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in names}
    numbers = itertools.count()
    for number in range(viewers):
        content, name = f"content {number % contents}", rng.choice(names)
        path = _way(name, links)
        for place, each in enumerate(path):
            paths[each][content] = path[: place + 1]
            child = Identity.node(path[place + 1]) if place + 1 < len(path) else viewer(next(numbers))
            known = fed[each].get(content, ())
            fed[each][content] = known if child in known else (*known, child)
    for name in names:
        overlay.report(
            name, *(stream(each, paths[name][each], fed[name][each]) for each in sorted(paths[name]))
        )
    return overlay


def _way(name: str, links: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the way from the rendezvous point, by each node's first link."""
    way = [name]
    while links[way[-1]]:
        way.append(links[way[-1]][0])
    return tuple(reversed(way))
