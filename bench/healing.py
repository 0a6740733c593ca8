"""How fast an overlay heals as it grows, and what that costs: nodes crash all the time, in simulated time.

    python3 -m bench.healing                                       # 200 nodes, a minute
    python3 -m bench.healing --nodes 2000 --seconds 20 --crash-percent 1 --seed 1 2 3

Runs the decision code of real nodes on simulated links (up to 20 ms one way, 10 on average). Clients watch
one content, one for each two nodes. Then such a share of all nodes crashes every second, and each is started
again 5 s later. A watchdog looks after each step of each node: no loop lasts, no node has two parents for
longer than a change takes, and every client that living nodes connect to the rendezvous point is fed again
within 4 s.
Told are, over those that had a way all the time:

    repairs       nodes and clients that went to another parent
    fed again     from the loss of the parent until media comes again, in round trips between two neighbours:
                  median, 99th percentile, longest; and the same in hops, which take half a round trip
    cut off       the same for all that were told "cut off", those below who repairs, too
    messages      questions and answers for each repair; and all else that nodes told each other of it
    gap           the longest time without media of any client, before its buffer
    lost          datagrams that no client ever got
    loops         that there were for a moment, and how long the longest was there
    copies        of the content that came to each node and client, on average over the time
    no way        that were cut off while nobody alive could have fed them; they count nowhere else

The same seed gives the same run. The verdict is the exit status: 1 if the watchdog has found something, or a
datagram is missing.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from bench.discovery import GRAPHS, Links
from tools.lab.overview import table

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from overlay import resilience, sim_life  # noqa: E402

MOST_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    graph: str
    nodes: int
    seconds: float
    crash_percent: float
    seed: int
    parents: int = 1
    bootstrapper: bool = False  # offers others to who has no way

    @property
    def links(self) -> Links:
        """Return the layout's links."""
        names = ["rp", *(f"n{number}" for number in range(1, self.nodes))]
        return KINDS[self.graph](Random(f"{self.graph} {self.nodes} {self.seed}"), names)


def campus_graph(random: Random, names: Sequence[str]) -> Links:
    """Return a long graph, in which each node is linked only to nodes near it."""
    return sim_life.graph(random, len(names))


KINDS: Mapping[str, Callable[[Random, Sequence[str]], Links]] = {**GRAPHS, "campus": campus_graph}


@dataclass(frozen=True, slots=True)
class Result:
    """What one run has shown."""

    plan: Plan
    figures: resilience.Figures | None
    problem: str = ""  # what the watchdog has found
    took: float = 0.0  # seconds of CPU

    def complaints(self) -> Iterator[str]:
        """Yield what is not as it must be."""
        where = f"{self.plan.graph}, {self.plan.nodes:,} nodes, seed {self.plan.seed}"
        if self.problem:
            yield f"{where}: {self.problem}"
        if self.figures is not None and self.figures.lost:
            yield f"{where}: {self.figures.lost} datagrams are missing"


def run(plan: Plan) -> Result:
    """Let nodes crash."""
    begun, figures, problem = time.process_time(), None, ""
    try:
        trial = resilience.crashes(
            plan.seed, plan.nodes, seconds=plan.seconds, share=plan.crash_percent / 100,
            parents=plan.parents, links=plan.links, offers=plan.bootstrapper, large=True,
        )  # fmt: skip
        trial.play()
        figures = trial.figures
    except AssertionError as error:
        problem = str(error)
    return Result(plan, figures, problem, time.process_time() - begun)


HEADS = ("graph", "nodes", "seed", "repairs", "fed again, round trips", "in hops", "cut off, round trips",
         "messages", "gap ms", "lost", "loops", "copies", "no way", "CPU s")  # fmt: skip


def told(results: Sequence[Result]) -> str:
    """Return the results as a table."""
    return table(HEADS, [_row(each.plan, each.figures, each.took) for each in results if each.figures])


def _row(plan: Plan, found: resilience.Figures, took: float) -> tuple[str, ...]:
    again, cut = found.repairing, found.cut
    return (
        plan.graph, f"{plan.nodes:,}", str(plan.seed), f"{found.repairs:,}", str(again),
        f"{2 * again.median:.0f} / {2 * again.p99:.0f} / {2 * again.longest:.0f}", str(cut),
        f"{found.requests_each:.0f} + {found.news_each:.0f}", f"{found.longest_gap * 1000:.0f}",
        str(found.lost), f"{found.loops} ({found.longest_loop * 1000:.0f} ms)", f"{found.copies:.3f}",
        str(found.without_way), f"{took:.0f}",
    )  # fmt: skip


def plans(options: argparse.Namespace) -> Iterator[Plan]:
    """Yield all runs that were asked for."""
    for graph in options.graph:
        for nodes in options.nodes:
            for seed in options.seed:
                yield Plan(graph, nodes, options.seconds, options.crash_percent, seed, options.parents,
                           options.bootstrapper)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print a table; return 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(prog="healing", description="How fast an overlay heals as it grows.")
    add = parser.add_argument
    add("--nodes", type=_count, nargs="+", default=[200], metavar="N", help="(default: 200)")
    add("--seconds", type=float, default=10.0, help="of crashes, simulated (default: %(default)s)")
    add("--crash-percent", type=float, default=1.0, metavar="P", help="of nodes every second (default: 1)")
    add("--seed", type=int, nargs="+", default=[1])
    add("--graph", nargs="+", choices=sorted(KINDS), default=["random"])
    add("--parents", type=int, choices=(1, 2), default=1)
    add("--bootstrapper", action="store_true", help="who has no way is offered others")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    results = []
    options = parser.parse_args(argv)
    for plan in plans(options):
        results.append(run(plan))
        print(f"{plan.graph}, {plan.nodes:,} nodes, seed {plan.seed}: done", file=sys.stderr, flush=True)
    print(told(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")
    problems = [problem for each in results for problem in each.complaints()]
    print(*(f"wrong: {each}" for each in problems), sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


def _count(text: str) -> int:
    if not text.isdigit() or not 10 <= int(text) <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"10 to {MOST_NODES:,} nodes, not {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
