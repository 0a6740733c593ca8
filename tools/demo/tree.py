"""The distribution trees as they grow, drawn for a terminal.

Nobody is asked: the bootstrapper's log says which node attached below which (it hears that from
each node), the rendezvous point's which server it chose, a client's by way of whom it joined.

    news                  sport
    s2                    s1
    └─ rp                 └─ rp
       └─ n1                 └─ n1
          ├─ n3                 └─ c3
          │  └─ c1
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TextIO

_NODE = re.compile(
    r"\[(?P<content>[^\]]+)\] (?P<node>[\w.-]+) "
    r"(?:(?P<verb>attached|moved: it is) (?:below (?P<parent>[\w.-]+)|as the root)|(?P<pruned>pruned))"
)
_SERVER = re.compile(r"\[(?P<content>[^\]]+)\] streams from server (?P<address>\S+)")
_JOINED = re.compile(r"\[(?P<content>[^\]]+)\] joined by way of (?:\S+ > )*(?P<node>[\w.-]+)")

WIDTH = 26
_COLOURS = {"s": "35", "r": "33", "n": "36", "c": "32"}
_NAME = re.compile(r"\b([srnc])(p|\d+)\b")


@dataclass
class Tree:
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
    """Reads logs, keeps the trees, prints them when they have changed."""

    def __init__(
        self, contents: tuple[str, ...], root: str, servers: Mapping[str, str], stream: TextIO | None = None
    ) -> None:
        """`servers`: names by address."""
        self._root, self._servers, self._stream = root, servers, stream or sys.stdout
        self._trees = {content: Tree() for content in contents}
        self._shown = ""

    def read(self, bootstrap: str, rendezvous: str, clients: Mapping[str, tuple[str, bool]]) -> None:
        """Take in whole logs; of the clients also whether they run."""
        self._trees = {content: Tree() for content in self._trees}
        for found in _NODE.finditer(bootstrap):
            self._node(found)
        for found in _SERVER.finditer(rendezvous):
            if tree := self._trees.get(found["content"]):
                tree.server = self._servers.get(found["address"], found["address"])
        for name, (log, runs) in clients.items():
            found_last = [*_JOINED.finditer(log)][-1:]
            if found_last and runs and (tree := self._trees.get(found_last[0]["content"])):
                tree.parents[name] = found_last[0]["node"]

    def drawing(self) -> str:
        """Give all trees side by side."""
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

    def _node(self, found: re.Match[str]) -> None:
        if (tree := self._trees.get(found["content"])) is None:
            return
        if found["pruned"]:
            tree.parents.pop(found["node"], None)
        else:
            tree.parents[found["node"]] = found["parent"] or ""

    def _coloured(self, drawing: str) -> str:
        if not self._stream.isatty():
            return drawing
        return _NAME.sub(lambda found: f"\x1b[1;{_COLOURS[found[1]]}m{found[0]}\x1b[0m", drawing)
