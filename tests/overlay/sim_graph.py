"""Who is linked to whom in a simulated overlay, by link and by node."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

Link: TypeAlias = tuple[str, str]


class Graph:
    """The links of the layout."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.links: list[Link] = []  # the names of each in order
        self._around: dict[str, set[str]] = {}
        for link in links:
            self.add(*link)

    @property
    def names(self) -> list[str]:
        """Return who has a link, in order."""
        return sorted(self._around)

    def add(self, one: str, other: str) -> None:
        self.links.append((one, other) if one < other else (other, one))
        self._around.setdefault(one, set()).add(other)
        self._around.setdefault(other, set()).add(one)

    def remove(self, one: str, other: str) -> None:
        self.links.remove((one, other) if one < other else (other, one))
        self._around[one].discard(other)
        self._around[other].discard(one)

    def around(self, name: str) -> list[str]:
        """Return the neighbours of a node, in order."""
        return sorted(self._around.get(name, set()) - {name})

    def reached(self, roots: Iterable[str], is_whole: Callable[[str, str], bool]) -> set[str]:
        """Return the nodes that a chain of links connects to one of some others, which count, too.

        `is_whole(one, other)` tells whether a link leads on to the other end.
        """
        known = set(roots)
        new = deque(sorted(known))
        while new:
            at = new.popleft()
            beyond = [name for name in self._around.get(at, ()) if name not in known and is_whole(at, name)]
            known.update(beyond)
            new.extend(beyond)
        return known
