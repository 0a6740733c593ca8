"""How a stream should go around a node that has become slow, and how it does. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tools.demo.event_log import LoggedEvent

Links = Mapping[str, Sequence[str]]
Paths = Mapping[str, Sequence[str]]
"""Of nodes by their names: from the rendezvous point to each."""

MOST_DETOUR = 2
"""Hops by which a path may be longer than the shortest: for what a viewer cannot feel no node moves."""


def paths_of(events: Iterable[LoggedEvent], content: str) -> dict[str, list[str]]:
    """Return by which path each node streams a content, as a bootstrapper's log tells it in the end."""
    paths: dict[str, list[str]] = {}
    for event in events:
        if event.name == "node_streams" and event.text("content") == content:
            paths[event.text("node")] = event.names("path")
        elif event.name == "node_pruned" and event.text("content") == content:
            paths.pop(event.text("node"), None)
    return paths


def complaints(paths: Paths, links: Links, root: str, slow: str) -> Iterator[str]:
    """Yield which nodes' paths lead by way of the slow one, or are much longer than they need be."""
    shortest = _hops(links, root, slow)
    for name, path in sorted(paths.items()):
        if name == slow or name not in shortest:
            continue
        if slow in path[:-1]:
            yield f"{name} is still fed by way of {slow}: {' > '.join(path)}"
        elif len(path) - 1 > shortest[name] + MOST_DETOUR:
            yield f"{name} is fed by a detour: {' > '.join(path)}, and {shortest[name]} hops would do"


def _hops(links: Links, root: str, avoided: str) -> dict[str, int]:
    """Return how many hops each node is from the root, by paths without one; if there are any."""
    around: dict[str, set[str]] = {}
    for one, others in links.items():
        for other in others:
            around.setdefault(one, set()).add(other)
            around.setdefault(other, set()).add(one)
    hops, new = {root: 0}, deque([root])
    while new:
        at = new.popleft()
        for other in around.get(at, set()) - {avoided} - hops.keys():
            hops[other] = hops[at] + 1
            new.append(other)
    return hops
