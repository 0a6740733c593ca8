"""The distribution trees as they grow, drawn for a terminal.

Nobody is asked: events in the bootstrapper's log say which node is below which (it hears that from
each node), those of the rendezvous point which server it chose, a client's by way of whom it joined.

    news                  sport
    s2                    s1
    └─ rp                 └─ rp
       └─ n1                 └─ n1
          ├─ n3                 └─ c3
          │  └─ c1
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TextIO

from tools.demo.event_log import LoggedEvent

WIDTH = 26
_COLOURS = {"s": "35", "r": "33", "n": "36", "c": "32"}
_NAME = re.compile(r"\b([srnc])(p|\d+)\b")


@dataclass
class DrawnTree:
    """One content: who is below whom."""

    server: str = "(no server)"
    parents: dict[str, str] = field(default_factory=dict)  # a node or client -> whom it is below

    def lines(self, root: str) -> list[str]:
        """Draw it from the server down."""
        if root not in self.parents:
            return ["(nobody watches)"]
        return [self.server, f"└─ {root}", *self._below(root, "   ")]

    def _below(self, parent: str, margin: str) -> Iterator[str]:
        children = sorted(name for name, above in self.parents.items() if above == parent)
        for place, child in enumerate(children, 1):
            last = place == len(children)
            yield f"{margin}{'└─' if last else '├─'} {child}"
            yield from self._below(child, margin + ("   " if last else "│  "))


class TreeView:
    """Reads events, keeps the trees, prints them when they have changed."""

    def __init__(
        self, contents: tuple[str, ...], root: str, servers: Mapping[str, str], stream: TextIO | None = None
    ) -> None:
        """`servers`: names by address."""
        self._root, self._servers, self._stream = root, servers, stream or sys.stdout
        self._trees = {content: DrawnTree() for content in contents}
        self._shown = ""

    def read(
        self,
        bootstrap: Iterable[LoggedEvent],
        rendezvous: Iterable[LoggedEvent],
        watching: Mapping[str, Iterable[LoggedEvent]],
    ) -> None:
        """Take in all that was logged so far; of the clients, by their names, those that still run."""
        self._trees = {content: DrawnTree() for content in self._trees}
        for event in bootstrap:
            self._take_node(event)
        for event in rendezvous:
            if event.name == "serves" and (tree := self._tree_of(event)):
                tree.server = self._servers.get(event.text("server"), event.text("server"))
        for name, events in watching.items():
            for event in events:
                if event.name == "joined" and (tree := self._tree_of(event)):
                    tree.parents[name] = event.names("path")[-1]

    def drawing(self) -> str:
        """Return all trees side by side."""
        columns = [[content, *tree.lines(self._root)] for content, tree in self._trees.items()]
        rows = [
            "  ".join(f"{text:<{WIDTH}}" for text in row).rstrip()
            for row in zip_longest(*columns, fillvalue="")
        ]
        return "\n".join(f"    {row}" for row in rows)

    def show(self, seconds: float) -> bool:
        """Print the trees if they look otherwise than last time."""
        drawing = self.drawing()
        if drawing == self._shown:
            return False
        self._shown = drawing
        print(f"\n{seconds:5.1f} s\n{self._coloured(drawing)}", file=self._stream, flush=True)
        return True

    def _take_node(self, event: LoggedEvent) -> None:
        if event.name not in ("node_streams", "node_pruned") or (tree := self._tree_of(event)) is None:
            return
        if event.name == "node_pruned":
            tree.parents.pop(event.text("node"), None)
        else:
            path = event.names("path")
            tree.parents[event.text("node")] = path[-2] if len(path) > 1 else ""

    def _tree_of(self, event: LoggedEvent) -> DrawnTree | None:
        return self._trees.get(event.text("content"))

    def _coloured(self, drawing: str) -> str:
        if not self._stream.isatty():
            return drawing
        return _NAME.sub(lambda found: f"\x1b[1;{_COLOURS[found[1]]}m{found[0]}\x1b[0m", drawing)
