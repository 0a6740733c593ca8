"""What a relay costs, beside the limit that the kernel sets and what others would use.

    python3 -m bench.relays                    all rows, 7 rounds: `make bench`
    python3 -m bench.relays --quick            the rows that changes most often break: `make bench-quick`
    python3 -m bench.relays --row "1 x 100"    one row

In each row the contenders take turns, round after round; what counts is the median of the ratios within
a round. The relay has core 0 for itself; what feeds it and takes from it shares core 1. It ends with
status 1 if a goal is missed. Needs root (raw sockets), a C compiler, ffmpeg, taskset and two cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from bench.relays import machine
from bench.relays.children import Loop
from bench.relays.contenders import C_PROGRAMS, LIMIT, MCAST, PEERS, SINGLE, Contender
from bench.relays.loads import Cost, Load, measure
from bench.relays.overlay import Overlay
from bench.relays.trials import TRIALS, Figures, Trial
from bench.relays.verdict import Goal, Verdict, judge, ratios, spread
from bench.viewers import make_content
from tools.demo.processes import ProgramError

MBITS = 5.0
SECONDS, ROUNDS = 4.0, 7
QUICK_SECONDS, QUICK_ROUNDS = 3.0, 3
TRIAL_ROUNDS = 3
DESCRIPTORS = 16_384
"""A thousand viewers have two sockets each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One load, its goals, and whether it is among the quick ones."""

    load: Load
    goals: tuple[Goal, ...]
    is_quick: bool = False


ROWS = (
    Row(Load(8, 16), (Goal(1.25, reference="limit"), Goal(0.6, reference="single")), is_quick=True),
    Row(Load(1, 100), (Goal(1.25, reference="limit"),), is_quick=True),
    Row(Load(8, 1), (Goal(2.0, reference="limit"),)),
    Row(Load(50, 10), (Goal(1.25, reference="limit"),)),
    Row(Load(8, 16, pace_ms=20), ()),
)
MOST_LOSS = 1e-4
"""A relay that delivers less than all is not cheap, it is broken."""


@dataclass(slots=True)
class Measured:
    """A row's rounds, by contender; those that were not able to run, and why."""

    row: Row
    costs: dict[str, list[Cost]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def verdicts(self) -> list[Verdict]:
        """Return whether its goals are met, and whether all was delivered."""
        whole = {name: costs for name, costs in self.costs.items() if name not in self.failed}
        seconds = {name: [cost.seconds_per_gbit for cost in costs] for name, costs in whole.items()}
        losses = {name: [cost.loss for cost in costs] for name, costs in whole.items()}
        return [*(judge(goal, seconds) for goal in self.row.goals), judge(Goal(MOST_LOSS, "loss"), losses)]

    def print(self, out: TextIO) -> None:
        """Write a table: a contender a line."""
        print(f"\n{self.row.load} (contents x children)", file=out)
        print(
            f"  {'':<10} {'CPU s a Gbit':<26} {'x limit':<24} {'cores':>6} {'Gbit/s':>7} {'loss':>9}",
            file=out,
        )
        for name, costs in self.costs.items():
            if name in self.failed:
                continue
            seconds = {each: [cost.seconds_per_gbit for cost in self.costs[each]] for each in self.costs}
            has_limit = LIMIT.name in self.costs and LIMIT.name not in self.failed
            times = spread(ratios(seconds, name, LIMIT.name)) if has_limit else ""
            cores, gbps = spread([cost.cores for cost in costs]), spread([cost.gbps for cost in costs])
            loss = max(cost.loss for cost in costs)
            own = spread(seconds[name])
            print(
                f"  {name:<10} {own!s:<26} {times!s:<24} {cores.median:6.2f} {gbps.median:7.3f} {loss:9.4%}",
                file=out,
            )
        for name, why in self.failed.items():
            print(f"  {name:<10} failed: {why}", file=out)
        for verdict in self.verdicts():
            print(f"  {verdict}", file=out)


def run_row(row: Row, contenders: Sequence[Contender], source: Path, rounds: int, seconds: float) -> Measured:
    """Measure one row. The contenders of a round begin with another one each time."""
    measured = Measured(row, {contender.name: [] for contender in contenders})
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        overlay, loop = Overlay(Path(folder), source, row.load.contents, pace_ms=row.load.pace_ms), Loop()
        try:
            for number in range(rounds):
                turn = number % len(contenders)
                for contender in (*contenders[turn:], *contenders[:turn]):
                    _take_turn(measured, contender, overlay, loop, seconds)
        finally:
            overlay.close()
            loop.close()
    return measured


def _take_turn(
    measured: Measured, contender: Contender, overlay: Overlay, loop: Loop, seconds: float
) -> None:
    if contender.name in measured.failed:
        return
    try:
        cost = measure(contender, overlay, loop, measured.row.load, seconds, trains=False)
    except (ProgramError, RuntimeError) as error:
        measured.failed[contender.name] = str(error)
        return
    measured.costs[contender.name].append(cost)
    print(
        f"  {measured.row.load}: {contender.name}: {cost.seconds_per_gbit:.3f}", file=sys.stderr, flush=True
    )


@dataclass(slots=True)
class Tried:
    """What a trial gave, round by round, or why it gave nothing."""

    trial: Trial
    rounds: list[Figures] = field(default_factory=list)
    failed: str = ""

    def verdicts(self) -> list[Verdict]:
        """Return whether its goals are met."""
        return [
            judge(goal, {MCAST.name: [figures[goal.figure] for figures in self.rounds]})
            if self.rounds
            else Verdict(goal, None)
            for goal in self.trial.goals
        ]

    def print(self, out: TextIO) -> None:
        """Write a figure a line."""
        print(f"\n{self.trial.name}", file=out)
        for figure in self.rounds[0] if self.rounds else ():
            print(f"  {figure:<22} {spread([each[figure] for each in self.rounds])}", file=out)
        if self.failed:
            print(f"  failed: {self.failed}", file=out)
        for verdict in self.verdicts():
            print(f"  {verdict}", file=out)


def run_trial(trial: Trial, source: Path, rounds: int) -> Tried:
    """Make a trial, so many times."""
    tried = Tried(trial)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        overlay, loop = Overlay(Path(folder), source, trial.contents, nodes=trial.nodes), Loop()
        try:
            for _ in range(rounds):
                tried.rounds.append(trial.run(overlay, loop, None))
        except (ProgramError, RuntimeError) as error:
            tried.failed = str(error)
        finally:
            overlay.close()
            loop.close()
    return tried


def _contenders(options: argparse.Namespace) -> list[Contender]:
    others = [_other(each) for each in options.mcast]
    peers = [] if options.quick else [peer for peer in PEERS if peer.is_installed()]
    return [MCAST, *others, LIMIT, SINGLE, *peers]


def _other(text: str) -> Contender:
    name, _, rest = text.partition("=")
    path, *options = rest.split()
    return Contender(name, checkout=Path(path), options=tuple(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.relays",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows, rounds and seconds")
    parser.add_argument(
        "--row", action="append", default=[], metavar="'8 x 16'", help="only this row; repeatable"
    )
    parser.add_argument("--rounds", type=int, help=f"of each row, {ROUNDS} or {QUICK_ROUNDS}")
    parser.add_argument(
        "--seconds", type=float, help=f"measured in each turn, {SECONDS:g} or {QUICK_SECONDS:g}"
    )
    parser.add_argument(
        "--mcast",
        action="append",
        default=[],
        metavar="'NAME=CHECKOUT [OPTION ...]'",
        help="another version's node, or one with other options; repeatable",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _obstacle(rows: Sequence[object]) -> str:
    """Return what is missing to run; empty if nothing is."""
    if not rows:
        names = [*(str(row.load) for row in ROWS), *(trial.name for trial in TRIALS)]
        return f"no such row; there are {', '.join(map(repr, names))}"
    if os.geteuid() != 0:
        return "needs root: the children's reports leave through a raw socket"
    if (os.cpu_count() or 1) < 2:
        return "needs two cores: one for the relay, one for all else"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status: 1 if a goal is missed, 2 if it cannot run here."""
    parser = _parser()
    options = parser.parse_args(arguments)
    wanted = options.row or [str(row.load) for row in ROWS if row.is_quick or not options.quick]
    wanted += [] if options.row else [trial.name for trial in TRIALS if trial.is_quick or not options.quick]
    rows = [row for row in ROWS if str(row.load) in wanted]
    trials = [trial for trial in TRIALS if trial.name in wanted]
    if problem := _obstacle([*rows, *trials]):
        parser.error(problem)
    subprocess.run(["make", "--silent", "-C", str(C_PROGRAMS)], check=True)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    _allow_descriptors()
    os.sched_setaffinity(0, {machine.OTHER_CORE})
    os.nice(-10)
    print(f"{machine.describe()}; load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        make_content(Path(folder), MBITS)
        measured = []
        for row in rows:
            measured.append(run_row(row, _contenders(options), Path(folder) / "noise.mp4", rounds, seconds))
            measured[-1].print(sys.stdout)
            sys.stdout.flush()
        tried = []
        for trial in trials:
            tried.append(run_trial(trial, Path(folder) / "noise.mp4", min(rounds, TRIAL_ROUNDS)))
            tried[-1].print(sys.stdout)
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(_figures(measured, tried), indent=1) + "\n")
    judged: list[Measured | Tried] = [*measured, *tried]
    return 0 if all(verdict.is_met for each in judged for verdict in each.verdicts()) else 1


def _allow_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


def _figures(measured: Sequence[Measured], tried: Sequence[Tried]) -> dict[str, object]:
    return {
        "machine": machine.describe(),
        "rows": [
            {
                "load": str(each.row.load),
                "costs": {name: [asdict(cost) for cost in costs] for name, costs in each.costs.items()},
                "failed": each.failed,
                "verdicts": [str(verdict) for verdict in each.verdicts()],
            }
            for each in measured
        ],
        "trials": [
            {
                "name": each.trial.name,
                "rounds": each.rounds,
                "failed": each.failed,
                "verdicts": [str(verdict) for verdict in each.verdicts()],
            }
            for each in tried
        ],
    }
