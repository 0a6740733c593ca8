"""What discovery costs as an overlay grows, and how good the trees are that it builds.

    python3 bench/discovery.py                                    # 10 to 1,000 nodes, three kinds of graph
    python3 bench/discovery.py --nodes 10 100 1000 10000 --json all.json --picture all.svg
    python3 bench/discovery.py --results some.json others.json --picture all.svg

Runs the decision code of real nodes on simulated links, each of which takes a time of its own (0.2 to 20 ms).
Clients join one content one after another at random nodes and stay. Told are, for each way to ask
(`flood`, `scoped`):

    messages    DISC, FOUND, MISS and STREAM of the first join, and of the last twenty: mean and worst
    join ms     from the client's first DISC to PORT: median, and the longest
    stretch     how much longer the media's way to a node is than the shortest there is: mean over all nodes
                of the tree; and the same for the shortest-path tree by hops
    stress      copies of the content on all links together, in units of those that the shortest-path tree
                needs; and what unicast from the rendezvous point to each client would need

The same seed gives the same run. The verdict is the exit status: with `scoped` the last twenty joins of 100
must take at most ten messages each, by their mean, and the first at most sixty.
"""

import argparse
import heapq
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from bench.discovery_picture import draw  # noqa: E402
from overlay.simulation import Network  # noqa: E402
from tools.lab.overview import table  # noqa: E402

Links = list[tuple[str, str]]

WAYS = FLOOD, SCOPED = "flood", "scoped"
DEGREE = 4
MOST_FIRST, MOST_LATE = 60, 10
"""Messages of a scoped search: the first join of a content, and one when it streams at many places."""
JOINS_JUDGED = 100
LATE_JOINS = 20
"""One alone is chance: it may be next door, or far away."""
JOIN_SECONDS = 20.0
FLOOD_MESSAGES = 3_000_000
"""Of all floods of one run: in a larger one fewer clients join, as each flood asks every node."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run has shown."""

    graph: str
    nodes: int
    discovery: str
    joins: int
    first_messages: int
    late_messages: float  # the mean of the last joins
    worst_late_messages: int
    join_ms: float
    longest_join_ms: float
    stretch: float
    hops_stretch: float
    stress: float
    unicast_stress: float


def random_graph(random: Random, names: Sequence[str]) -> Links:
    """Return a connected graph of mean degree 4."""
    links = {_link(names[random.randrange(at)], names[at]) for at in range(1, len(names))}
    while len(links) < min(len(names) * DEGREE // 2, len(names) * (len(names) - 1) // 2):
        links.add(_link(*random.sample(names, 2)))
    return sorted(links)


def scale_free_graph(random: Random, names: Sequence[str]) -> Links:
    """Return a graph in which each node links to two, the more likely the more links those have.

    After Barabási and Albert, Emergence of scaling in random networks (1999).
    """
    ends = [names[0], names[1]]
    links = {_link(names[0], names[1])}
    for at in range(2, len(names)):
        chosen: set[str] = set()
        while len(chosen) < min(2, at):
            chosen.add(random.choice(ends))
        links |= {_link(other, names[at]) for other in chosen}
        ends += [*sorted(chosen), *[names[at]] * len(chosen)]
    return sorted(links)


def tree_graph(random: Random, names: Sequence[str]) -> Links:
    """Return a tree with a few links across: sites that hang below regions, as networks are built."""
    links = {_link(names[(at - 1) // DEGREE], names[at]) for at in range(1, len(names))}
    for _ in range(len(names) // 10):
        links.add(_link(*random.sample(names, 2)))
    return sorted(links)


GRAPHS: Mapping[str, Callable[[Random, Sequence[str]], Links]] = {
    "random": random_graph,
    "scale-free": scale_free_graph,
    "tree": tree_graph,
}


def _link(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


class Trial:
    """One overlay that clients join one after another."""

    def __init__(self, graph: str, nodes: int, *, scoped: bool, seed: int) -> None:
        self._random = Random(f"{graph} {nodes} {seed}")
        names = ["rp", *(f"n{number}" for number in range(1, nodes))]
        self._graph, self._scoped = graph, scoped
        self._links = GRAPHS[graph](self._random, names)
        self._net = Network(self._links, seed=seed, adverts=True, steady=True, scoped=scoped)
        self._net.run(2.0)  # how far the rendezvous point is has come to everybody

    def run(self, joins: int) -> Result:
        """Let so many clients join."""
        messages: list[int] = []
        joined_ms: list[float] = []
        names = sorted(self._net.nodes)
        while len(joined_ms) < joins and (self._scoped or sum(messages) < FLOOD_MESSAGES):
            before, at = self._messages(), self._net.now
            viewer = self._net.client(self._random.choice(names))
            self._net.settle(JOIN_SECONDS)
            assert viewer.joined_at is not None, f"{viewer} has not joined: {viewer.failure}"
            messages.append(self._messages() - before)
            joined_ms.append(1000 * (viewer.joined_at - at))
            self._net.run(1.0)  # neighbours hear of it
        self._net.check_trees()
        late = messages[-LATE_JOINS:]
        return Result(
            self._graph, len(names), SCOPED if self._scoped else FLOOD, len(joined_ms), messages[0],
            statistics.mean(late), max(late), statistics.median(joined_ms), max(joined_ms), *self._trees(),
        )  # fmt: skip

    def _messages(self) -> int:
        return sum(node.requests for node in self._net.everybody())

    def _trees(self) -> tuple[float, float, float, float]:
        """Return the tree's stretch, that of the shortest-path tree by hops, the stress, and unicast's."""
        least, _ = self._shortest(self._delay)
        hops, before = self._shortest(lambda *_: 1.0)
        taken = [[each.name for each in viewer.path[:-1]] for viewer in self._net.viewers]  # to its node
        ways = {way[-1]: way for way in taken}
        by_hops = {name: way_to(name, before) for name in ways}
        used = {link for way in ways.values() for link in steps(way)}
        needed = {link for way in by_hops.values() for link in steps(way)}
        unicast = sum(hops[way[-1]] for way in taken)
        return (
            statistics.mean(self._length(ways[name]) / least[name] for name in ways if least[name]),
            statistics.mean(self._length(by_hops[name]) / least[name] for name in ways if least[name]),
            len(used) / max(len(needed), 1),
            unicast / max(len(needed), 1),
        )

    def _delay(self, one: str, other: str) -> float:
        return self._net.world.link(one, other).media_delay

    def _length(self, way: Sequence[str]) -> float:
        return sum(self._delay(one, other) for one, other in steps(way))

    def _shortest(self, weight: Callable[[str, str], float]) -> tuple[dict[str, float], dict[str, str]]:
        """Return how far each node is from the rendezvous point, and the node before it (Dijkstra)."""
        around: dict[str, list[str]] = {}
        for one, other in self._links:
            around.setdefault(one, []).append(other)
            around.setdefault(other, []).append(one)
        least, before, left = {"rp": 0.0}, {}, [(0.0, "rp")]
        while left:
            so_far, at = heapq.heappop(left)
            for other in around.get(at, ()) if so_far == least[at] else ():
                far = so_far + weight(at, other)
                if far < least.get(other, float("inf")):
                    least[other], before[other] = far, at
                    heapq.heappush(left, (far, other))
        return least, before


def way_to(name: str, before: Mapping[str, str]) -> list[str]:
    """Return the nodes from the rendezvous point to one, by who stands before each."""
    way = [name]
    while way[-1] in before:
        way.append(before[way[-1]])
    return way[::-1]


def steps(way: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Return the links of a way."""
    return pairwise(way)


def told(results: Sequence[Result]) -> str:
    """Return the results as a table."""
    heads = ("graph", "nodes", "discovery", "joins", "first", "late", "worst", "join ms", "longest",
             "stretch", "by hops", "stress", "unicast")  # fmt: skip
    rows = [
        (r.graph, f"{r.nodes:,}", r.discovery, str(r.joins), f"{r.first_messages:,}",
         f"{r.late_messages:,.1f}", f"{r.worst_late_messages:,}", f"{r.join_ms:.0f}",
         f"{r.longest_join_ms:.0f}", f"{r.stretch:.2f}", f"{r.hops_stretch:.2f}",
         f"{r.stress:.2f}", f"{r.unicast_stress:.2f}")
        for r in results
    ]  # fmt: skip
    return table(heads, rows)


def complaints(results: Sequence[Result]) -> Iterator[str]:
    """Yield what is not as it must be."""
    for r in results:
        if r.discovery == SCOPED and r.first_messages > MOST_FIRST:
            yield f"{r.graph}, {r.nodes:,} nodes: the first join took {r.first_messages:,} messages"
        if r.discovery == SCOPED and r.joins >= JOINS_JUDGED and r.late_messages > MOST_LATE:
            yield f"{r.graph}, {r.nodes:,} nodes: late joins took {r.late_messages:,.1f} messages each"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print a table; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description="What discovery costs as an overlay grows.")
    add = parser.add_argument
    add("--nodes", type=int, nargs="+", default=[10, 100, 1000], metavar="N")
    add("--graphs", nargs="+", choices=sorted(GRAPHS), default=list(GRAPHS))
    add("--joins", type=int, default=JOINS_JUDGED, help="clients (default: %(default)s)")
    add("--seed", type=int, default=1)
    add("--ways", nargs="+", choices=WAYS, default=WAYS, help="to ask (default: both)")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--results", type=Path, nargs="+", metavar="FILE", help="tell and draw these, and run nothing")
    add("--picture", type=Path, metavar="FILE", help="draw all of it there (SVG)")
    options = parser.parse_args(argv)
    results = list[Result]()
    for result in _earlier(options.results) if options.results else _run(options):
        results.append(result)
        if options.json:  # after each, as a large one takes long
            options.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")
    print(told(results))
    if options.picture:
        options.picture.write_text(str(draw(results)))
    missed = list(complaints(results))
    print(*(f"missed: {each}" for each in missed), sep="\n", end="\n" if missed else "")
    return 1 if missed else 0


def _run(options: argparse.Namespace) -> Iterator[Result]:
    for graph in options.graphs:
        for nodes in options.nodes:
            for way in options.ways:
                trial = Trial(graph, nodes, scoped=way == SCOPED, seed=options.seed)
                yield trial.run(options.joins)
                print(f"{graph}, {nodes:,} nodes, {way}: done", file=sys.stderr, flush=True)


def _earlier(paths: Sequence[Path]) -> Iterator[Result]:
    for path in paths:
        yield from (Result(**each) for each in json.loads(path.read_text()))


if __name__ == "__main__":
    sys.exit(main())
