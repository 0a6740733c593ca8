"""What joins cost in messages: simulated overlays of three kinds, which have the real decision code.

One join is chance, and so is one graph. So each kind of graph is drawn a few times, a hundred clients join
one content in each, and what is judged of the later ones is the mean of the last twenty. Each overlay is a
round of its own, and the goal must be met in all. The same seeds give the same figures.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

from bench.relays.contenders import Contender, Window
from bench.relays.machine import CORE_UNDER_TEST, OTHER_CORE
from bench.relays.setting import Setting

NODES, JOINS, SEEDS = 1_000, 100, (1, 2, 3)
KINDS = ("random", "scale-free", "tree")
FIRST, LATE, WORST = "messages of the first join", "of a late join, mean", "of a late join, worst"


def search(_: Contender, __: Setting, ___: int) -> Sequence[Window]:
    """Return a window for each overlay, whatever is asked for."""
    overlays = list(product(KINDS, SEEDS))
    print(f"  simulating {len(overlays)} overlays of {NODES:,} nodes", file=sys.stderr, flush=True)
    cores = {CORE_UNDER_TEST, OTHER_CORE}  # nothing else is measured meanwhile
    with ProcessPoolExecutor(len(cores), get_context("spawn"), os.sched_setaffinity, (0, cores)) as pool:
        return list(pool.map(simulated, *zip(*overlays, strict=True)))


def simulated(kind: str, seed: int, nodes: int = NODES, joins: int = JOINS) -> Window:
    """Count the messages of joins in one overlay."""
    # It brings the simulation from the tests, which only this row needs.
    from bench.discovery import Trial

    result = Trial(kind, nodes, scoped=True, seed=seed).run(joins)
    return Window(
        {FIRST: result.first_messages, LATE: result.late_messages, WORST: result.worst_late_messages}
    )
