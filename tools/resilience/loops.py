"""Did nodes ever feed each other in a ring? By what they tell the bootstrapper: each its newest parent.

A node leaves whoever tells it a path with itself in it, so no path shows a ring. The parents do: each node
names its own, and whoever follows them comes to the root, or back. Pure.
"""

from collections.abc import Iterable, Mapping

from tools.demo.event_log import LoggedEvent

LASTING = 1.0
"""Seconds for which a ring may seem to be there: two nodes tell of one change one after the other, and two
that repair at once need one more detection until they know."""
AFRESH = frozenset({"node_lost", "node_registered", "node_replaced", "node_pruned"})
"""A node of which this is said has no parent any more, or not yet."""

Paths = dict[str, tuple[str, ...]]
"""Of each node that streams: from the root to itself."""

Told = tuple[float, LoggedEvent]
"""When the bootstrapper has said something, in Unix seconds."""


def paths_told(told: Iterable[Told]) -> Paths:
    """Return the newest path of each node that streams."""
    paths: Paths = {}
    for _, event in told:
        _take(paths, event)
    return paths


def lasting_rings(told: Iterable[Told], end: float) -> list[str]:
    """Return the rings of parents that lasted for too long."""
    paths: Paths = {}
    began: dict[tuple[str, ...], float] = {}
    lasted: dict[tuple[str, ...], float] = {}
    for at, event in told:
        _take(paths, event)
        present = _rings({node: path[-2] for node, path in paths.items() if len(path) > 1})
        for ring in [each for each in began if each not in present]:
            lasted[ring] = max(lasted.get(ring, 0.0), at - began.pop(ring))
        began |= {ring: at for ring in present if ring not in began}
    for ring, at in began.items():
        lasted[ring] = max(lasted.get(ring, 0.0), end - at)
    return [f"{' > '.join(ring)} > {ring[0]}: a ring for {seconds:.1f} s"
            for ring, seconds in lasted.items() if seconds > LASTING]  # fmt: skip


def torn_paths(paths: Paths) -> list[str]:
    """Return which nodes tell another path than their parent's and themselves behind it."""
    below = [(node, path, paths.get(path[-2])) for node, path in paths.items() if len(path) > 1]
    return [
        f"{node} is fed by {' > '.join(path)}, but {path[-2]} by {' > '.join(above or ('nobody',))}"
        for node, path, above in below
        if above != path[:-1]
    ]


def _take(paths: Paths, event: LoggedEvent) -> None:
    if event.name == "node_streams":
        paths[event.text("node")] = tuple(event.names("path"))
    elif event.name in AFRESH:
        paths.pop(event.text("node"), None)
    elif event.name == "layout_read":  # it has been started: all nodes tell anew
        paths.clear()


def _rings(parents: Mapping[str, str]) -> set[tuple[str, ...]]:
    """Return the rings, each from its least name on, upwards."""
    rings = set()
    for node in parents:
        way: list[str] = []
        at: str | None = node
        while at is not None and at not in way:
            way.append(at)
            at = parents.get(at)
        if at is not None:
            ring = way[way.index(at) :]
            least = ring.index(min(ring))
            rings.add((*ring[least:], *ring[:least]))
    return rings
