"""What discovery costs where a fifth of the nodes is full, dead or hangs.

    python3 bench/discovery_trouble.py                        # 300 nodes, three kinds of graph
    python3 bench/discovery_trouble.py --nodes 1000 --graphs random --joins 100

Runs the decision code of real nodes on simulated links, as `bench/discovery.py` does, with scoped requests.
Clients join one content one after another at random nodes, which may themselves be full, but are not dead and
do not hang. Told are, for each kind of trouble:

    messages    DISC, FOUND, MISS and STREAM of one join: median, mean, the most
    join ms     from the client's first DISC to PORT: median, and the longest
    failed      clients that had not joined after ten seconds: those for whom there is no way
    told        what neighbours tell each other of themselves, in all nodes, for each join

The same seed gives the same run.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "tests")]

from bench.discovery import GRAPHS  # noqa: E402
from mcast.overlay.events import Limited  # noqa: E402
from overlay.simulation import Network  # noqa: E402
from tools.lab.overview import table  # noqa: E402

SHARE = 5
"""One of so many nodes is in trouble."""
PATIENCE = 10.0
STEP, REST = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class Joins:
    """What the clients of one run have met."""

    graph: str
    trouble: str
    messages: tuple[int, ...]
    joined_ms: tuple[float, ...]
    failed: int
    told: float


def full(net: Network, name: str) -> None:
    """Let a node have room for one child."""
    net.nodes[name].handle(Limited(children=1))


TROUBLES: Mapping[str, Callable[[Network, str], None]] = {
    "none": lambda _net, _name: None,
    "full": full,
    "dead": Network.kill,
    "hangs": Network.freeze,
}


def run(graph: str, trouble: str, nodes: int, joins: int, seed: int) -> Joins:
    """Let clients join in an overlay with some trouble."""
    random = Random(f"{graph} {nodes} {seed}")
    names = ["rp", *(f"n{number}" for number in range(1, nodes))]
    net = Network(GRAPHS[graph](random, names), seed=seed, adverts=True, steady=True, scoped=True)
    net.run(2.0)  # how far the rendezvous point is has come to everybody
    troubled = random.sample(names[1:], nodes // SHARE)
    for name in troubled:
        TROUBLES[trouble](net, name)
    there = [name for name in names if name not in troubled or trouble in ("none", "full")]
    news, taken, joined_ms = _news(net), list[int](), list[float]()
    for _ in range(joins):
        before, began = _messages(net), net.now
        viewer = net.client(random.choice(there), patience=PATIENCE)
        while viewer.state == "waiting" and net.now < began + PATIENCE:
            net.run(STEP)
        net.run(REST)
        taken.append(_messages(net) - before)
        if viewer.joined_at is not None:
            joined_ms.append(1000 * (viewer.joined_at - began))
    told = (_news(net) - news) / joins
    return Joins(graph, trouble, tuple(taken), tuple(joined_ms), joins - len(joined_ms), told)


def _messages(net: Network) -> int:
    return sum(node.requests for node in net.everybody())


def _news(net: Network) -> int:
    return sum(node.news for node in net.everybody())


def shown(results: Sequence[Joins]) -> str:
    """Return the results as a table."""
    heads = ("graph", "a fifth", "messages", "mean", "most", "join ms", "longest", "failed", "told")
    rows = [
        (
            each.graph, each.trouble, f"{statistics.median(each.messages):.0f}",
            f"{statistics.mean(each.messages):.0f}", f"{max(each.messages):,}",
            f"{statistics.median(each.joined_ms):.0f}", f"{max(each.joined_ms):.0f}", str(each.failed),
            f"{each.told:.0f}",
        )
        for each in results
    ]  # fmt: skip
    return table(heads, rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, and print a table."""
    parser = argparse.ArgumentParser(description="What discovery costs where a fifth of the nodes fails.")
    add = parser.add_argument
    add("--nodes", type=int, default=300, metavar="N")
    add("--graphs", nargs="+", choices=sorted(GRAPHS), default=list(GRAPHS))
    add("--troubles", nargs="+", choices=list(TROUBLES), default=list(TROUBLES))
    add("--joins", type=int, default=60, help="clients (default: %(default)s)")
    add("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    results = [
        run(graph, trouble, options.nodes, options.joins, options.seed)
        for graph in options.graphs
        for trouble in options.troubles
    ]
    print(shown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
