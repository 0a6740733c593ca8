"""What a relay costs, beside the limit that the kernel sets and what others would use.

    python3 -m bench.relays                    all rows, 7 rounds: `make bench`
    python3 -m bench.relays --quick            the rows that changes most often break: `make bench-quick`
    python3 -m bench.relays --row "1 x 100"    one row

In each row the contenders take turns, round after round; what counts is the median of the ratios within
a round, or the worst round where something must never happen. A turn starts a contender once and measures
two windows, which are its parts of two rounds: seven rounds are seven windows of four turns, and each verdict
says so. With --quick they are seven short windows of two turns, and with --rounds fewer: such a verdict is
provisional, and says that, too. A turn that fails is tried once more, and counted.

The relay has core 0 for itself; what feeds it and takes from it shares core 1. It ends with status 1 if a
goal is missed. Needs root (raw sockets), a C compiler, ffmpeg, taskset and two cores. Programs to compare
with take part where they are installed; for each that is not, a line says how to get it. How long it will
take, about, is said at the beginning.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.relays import machine
from bench.relays.contenders import Contender
from bench.relays.nodes import MCAST, Node
from bench.relays.receivers import C_PROGRAMS
from bench.relays.report import figures, summary, told
from bench.relays.rounds import Measured, measure
from bench.relays.rows import ROWS, Peer, Row
from bench.relays.schedule import estimate
from bench.relays.sources import Sources
from bench.relays.tcp_peers import TcpPeer
from bench.relays.verdict import ROUNDS
from tools.interrupting import run_command

SECONDS, QUICK_SECONDS = 3.0, 1.0
WINDOWS, QUICK_WINDOWS = 2, 4
QUICK_SIDE_ROUNDS = 1
DESCRIPTORS = 16_384
"""A thousand viewers have two sockets each."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.relays",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rows and seconds, and only the limit to compare with")
    add("--list", action="store_true", help="name all rows and end")
    add("--row", action="append", default=[], metavar="'8 x 16'", help="only this row; repeatable")
    add("--rounds", type=int, default=ROUNDS, help="of each row at most (default: %(default)s)")
    add("--windows", type=int, help=f"rounds measured in each turn, {WINDOWS} or {QUICK_WINDOWS}")
    add("--seconds", type=float, help=f"of each window, {SECONDS:g} or {QUICK_SECONDS:g}")
    add(
        "--mcast", action="append", default=[], metavar="'NAME=CHECKOUT [OPTION ...]'", type=other_node,
        help="another version's node, or one with other options; repeatable",
    )  # fmt: skip
    add(
        "--peer-binary", action="append", default=[], metavar="NAME=PATH", type=_pair,
        help="where a program is that is not in the PATH (srs, mediamtx, nginx); repeatable",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=...")
    return name, rest


def other_node(text: str) -> Node:
    """Return the node that an option names: NAME=CHECKOUT [OPTION ...]."""
    name, rest = _pair(text)
    path, *options = rest.split()
    return Node(name, Path(path), tuple(options))


def _rows(options: argparse.Namespace) -> list[Row]:
    rows = [row for row in ROWS if row.name in options.row] if options.row else list(ROWS)
    if options.quick and not options.row:
        rows = [row for row in ROWS if row.is_quick]
    return [replace(row.quick(), most_rounds=_quick_rounds(row)) for row in rows] if options.quick else rows


def _quick_rounds(row: Row) -> int:
    return row.most_rounds if row.compared else min(row.most_rounds, QUICK_SIDE_ROUNDS)


def _contenders(row: Row, options: argparse.Namespace) -> list[Contender]:
    binaries = dict(options.peer_binary)
    return [MCAST, *options.mcast, *(_found(peer, binaries) for peer in row.peers)]


def _found(peer: Peer, binaries: dict[str, str]) -> Peer:
    """Return a peer with the program that the user has named, if so."""
    if isinstance(peer, TcpPeer) and peer.program in binaries:
        return replace(peer, binary=binaries[peer.program])
    return peer


def _obstacle(options: argparse.Namespace) -> str:
    """Return what is missing to run; empty if nothing is."""
    names = [row.name for row in ROWS]
    if unknown := [row for row in options.row if row not in names]:
        return f"no row {unknown[0]!r}; there are {', '.join(map(repr, names))}"
    programs = sorted({peer.program for row in ROWS for peer in row.peers if isinstance(peer, TcpPeer)})
    for name, path in options.peer_binary:
        if name not in programs:
            return f"--peer-binary: no peer has a program {name!r}; there are {', '.join(programs)}"
        if shutil.which(path) is None:
            return f"--peer-binary: {path!r} is no program"
    if options.rounds < 1:
        return "--rounds: at least 1"
    if options.windows is not None and options.windows < 1:
        return "--windows: at least 1"
    if os.geteuid() != 0:
        return "needs root: the children's reports leave through a raw socket"
    if (os.cpu_count() or 1) < 2:
        return "needs two cores: one for the relay, one for all else"
    needed = {"ffmpeg": "ffmpeg", "cc": "gcc", "make": "make", "taskset": "util-linux"}
    if any(row.needs.link_mbits for row in _rows(options)):
        needed |= {"ip": "iproute2", "tc": "iproute2"}
    for program, package in needed.items():
        if shutil.which(program) is None:
            return f"needs {program}: apt-get install {package}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status: 1 if a goal is missed, 2 if it cannot run here."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        print(*(row.name for row in ROWS), sep="\n")
        return 0
    if problem := _obstacle(options):
        parser.error(problem)
    return run_command("bench", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    subprocess.run(["make", "--silent", "-C", str(C_PROGRAMS)], check=True)
    _allow_descriptors()
    os.sched_setaffinity(0, {machine.OTHER_CORE})
    os.nice(-10)
    here, plan, run = f"{machine.describe()}; load {os.getloadavg()[0]:.1f}", _plan(options), list[Measured]()
    print(f"{here}; this takes about {_minutes(_expected(plan, options))}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        for row, contenders in plan:
            run.append(measure(row, contenders, Sources(Path(folder)), *_extent(options)))
            print(told(run[-1]), flush=True)
            if options.json:  # after each row, as a long run may be stopped
                options.json.write_text(json.dumps(figures(run, here), indent=1) + "\n")
    print(f"\n{summary(run)}\n\nit took {_minutes(sum(each.took for each in run))}")
    return 1 if any(verdict.is_missed for each in run for verdict in each.verdicts()) else 0


def _plan(options: argparse.Namespace) -> list[tuple[Row, list[Contender]]]:
    return [(row, _contenders(row, options)) for row in _rows(options)]


def _extent(options: argparse.Namespace) -> tuple[int, int, float]:
    """Return the rounds, the windows of a turn, and the seconds of a window."""
    windows, seconds = (QUICK_WINDOWS, QUICK_SECONDS) if options.quick else (WINDOWS, SECONDS)
    return options.rounds, options.windows or windows, options.seconds or seconds


def _expected(plan: Sequence[tuple[Row, Sequence[Contender]]], options: argparse.Namespace) -> float:
    """Return how many seconds it takes, about, with the programs that are installed."""
    return sum(
        estimate(row, [each for each in contenders if not each.lacking()], *_extent(options))
        for row, contenders in plan
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"


def _allow_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
