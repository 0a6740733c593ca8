"""A layout for people to read: the tree below the rendezvous point, and a table of all nodes."""

from collections.abc import Iterable, Sequence

from mcast.config.layout import Layout
from mcast.wire.bootstrap import NodeKind


def describe(layout: Layout) -> str:
    """Return the tree, the links that the tree leaves out, and the table, as one text."""
    parts = ["\n".join(tree(layout))]
    further = further_links(layout)
    if further:
        parts.append("further links:\n" + "\n".join(f"  {one} - {other}" for one, other in further))
    parts.append("\n".join(table(layout)))
    return "\n\n".join(parts) + "\n"


def tree(layout: Layout) -> list[str]:
    """Return the lines of the tree.

    Each node is drawn once, below the neighbour that is nearest to the rendezvous point.
    """
    children = _children(layout)
    lines: list[str] = []

    # A loop with a stack of its own: a chain of ten thousand nodes is deeper than Python recurses.
    todo: list[tuple[str, str, str]] = [(layout.rendezvous[0], "", "")]
    while todo:
        name, before, beyond = todo.pop()
        lines.append(before + _label(layout, name))
        below = children[name]
        for index in reversed(range(len(below))):
            last = index == len(below) - 1
            branch, stem = ("└── ", "    ") if last else ("├── ", "│   ")
            todo.append((below[index], beyond + branch, beyond + stem))
    return lines


def further_links(layout: Layout) -> list[tuple[str, str]]:
    """Return the links that are not part of the drawn tree, each once."""
    drawn = {frozenset((parent, child)) for parent, below in _children(layout).items() for child in below}
    links = dict.fromkeys(
        frozenset((name, link.neighbour)) for name, links in layout.links.items() for link in links
    )
    order = {name: index for index, name in enumerate(layout.nodes)}
    pairs = [sorted(link, key=order.__getitem__) for link in links if link not in drawn]
    return [(one, other) for one, other in pairs]


def count_links(layout: Layout) -> int:
    """Return how many links there are; both directions are one link."""
    return sum(len(links) for links in layout.links.values()) // 2


def table(layout: Layout) -> list[str]:
    """Return a heading and a line for each node, with the addresses at which it reaches its neighbours."""
    rows = [("node", "kind", "address", "other hosts", "reaches")]
    for name, node in layout.nodes.items():
        rows.append(
            (
                name,
                layout.kind_of(name).name.lower(),
                str(node.address),
                " ".join(layout.hosts_of(name)[1:]) or "-",
                " ".join(f"{other}={address}" for other, address in layout.neighbours_of(name)) or "-",
            )
        )
    return _columns(rows)


def _children(layout: Layout) -> dict[str, list[str]]:
    start = layout.rendezvous[0]
    children: dict[str, list[str]] = {name: [] for name in layout.nodes}
    seen, frontier = {start}, [start]
    while frontier:
        nearer, frontier = frontier, []
        for name in nearer:
            for link in layout.links[name]:
                if link.neighbour not in seen:
                    seen.add(link.neighbour)
                    children[name].append(link.neighbour)
                    frontier.append(link.neighbour)
    return children


def _label(layout: Layout, name: str) -> str:
    parts = [f"{name}  {layout.nodes[name].address}"]
    if layout.kind_of(name) is NodeKind.RENDEZVOUS:
        servers = layout.servers_of(name)
        parts.append("rendezvous")
        parts.append("servers " + ", ".join(map(str, servers)) if servers else "no servers")
    elif name in layout.rendezvous:
        parts.append("standby rendezvous")
    return "  ".join(parts)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_row(row, widths) for row in rows]


def _row(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
