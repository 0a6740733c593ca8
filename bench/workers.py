"""What `mcast-node --workers` gives on this machine, and what it costs.

    python3 bench/workers.py --contents 24 --children 16 --workers 1 2 --rounds 3

Nodes with so many workers take turns, each under the same load: so many contents of 5 Mbit/s to so many
children each. Unlike in `make bench` the node may use every core, and shares them with what feeds it and
takes from it. Printed are, each as the median of the rounds, what was delivered, what was lost, and the
processor time of node and workers together; or that a node does not take so many children. Needs root (raw
sockets), a C compiler, ffmpeg and taskset.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench.relays.contenders import Load  # noqa: E402
from bench.relays.loads import CORES, COST, LOSS, RATE, carry  # noqa: E402
from bench.relays.machine import describe  # noqa: E402
from bench.relays.nodes import Node  # noqa: E402
from bench.relays.receivers import C_PROGRAMS  # noqa: E402
from bench.relays.setting import Needs, Setting  # noqa: E402
from bench.relays.sources import Sources  # noqa: E402
from bench.relays.verdict import Figures  # noqa: E402

COLUMNS = (RATE, LOSS, CORES, COST)


def main() -> int:
    """Run the rounds; print a table."""
    options = _options()
    subprocess.run(["make", "-s", "-C", str(C_PROGRAMS)], check=True)
    load = Load(options.contents, options.children)
    every = f"0-{(os.cpu_count() or 1) - 1}"
    nodes = [Node(str(count), options=("--workers", str(count)), cores=every) for count in options.workers]
    measured, refused = _rounds(nodes, load, options.rounds, options.seconds)
    print(f"{describe()}; {load} of 5 Mbit/s, {options.rounds} rounds")
    print(f"{'workers':>8} {'Gbit/s':>8} {'lost':>8} {'cores':>6} {'s/Gbit':>7}")
    for name, rounds in measured.items():
        if name in refused:
            print(f"{name:>8} {refused[name]}")
            continue
        rate, loss, cores, cost = (statistics.median(each[of] for each in rounds) for of in COLUMNS)
        print(f"{name:>8} {rate:>8.2f} {loss:>8.2%} {cores:>6.2f} {cost:>7.3f}")
    return 0


def _rounds(
    nodes: list[Node], load: Load, rounds: int, seconds: float
) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """Return what was measured of each, and why not: who is at its limit refuses children."""
    measured: dict[str, list[Figures]] = {node.name: [] for node in nodes}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder = Path(name)
        setting = Setting(folder, Sources(folder), Needs(contents=load.contents), seconds)
        try:
            for _ in range(rounds):
                for node in nodes:
                    if node.name in refused:
                        continue
                    try:
                        figures = carry(node, setting, load=load, trains=True)[0].figures
                    except RuntimeError as error:
                        refused[node.name] = str(error)
                        continue
                    measured[node.name].append(figures)
        finally:
            setting.close()
    return measured, refused


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contents", type=int, default=24)
    parser.add_argument("--children", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
