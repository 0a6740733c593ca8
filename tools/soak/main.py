"""The soak from beginning to end: build, run, look, end, judge.

The status is 0 if all that must hold has held, 1 if not, and 2 if it cannot run on this machine.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from mcast import __version__
from mcast.errors import ConfigError
from tools.demo.check import sent_by
from tools.demo.processes import environment_with
from tools.demo.tools import ensure_ffmpeg
from tools.experiments.verdict import Verdict
from tools.interrupting import run_command
from tools.lab.lab import Lab
from tools.lab.overview import table
from tools.lab.programs import NodeProcess
from tools.soak.attack import Targets
from tools.soak.churn import Churn
from tools.soak.network import star
from tools.soak.overlay import (
    CONTENTS,
    HISTORY_MIB,
    LINKS,
    MEDIA_PORTS,
    SERVERS,
    SoakOverlay,
    complaints,
)
from tools.soak.samples import Sample, sample
from tools.soak.steady import PipeReader, SteadyViewer
from tools.soak.verdict import FIGURES, Outcome, Trend, judge, trends

STEADY, GUESTS = 10, 20
CLIENT_HOSTS = ("c1", "c2", "c3", "c4")
ATTACKER, ATTACKED = "a1", "n2"
ASKS_PER_SECOND, CALLS_PER_SECOND = 4.0, 100.0
"""Of each of the attacker's 16 threads that ask, and of silent connections to each of three programs. A DISC
goes through all eight nodes, and here they share two cores: more would try the machine, not the overlay."""
ATTACKED_PORTS = 8
"""The node takes the lowest free port for each content."""
SAMPLE_SECONDS, TOLD_SECONDS, TICK_SECONDS = 5.0, 60.0, 0.25
JOIN_TIMEOUT, END_TIMEOUT = 180.0, 60.0
LONGEST_PHASE, PHASES = 60.0, 50
"""Seconds of one way to attack, and how many of them a shorter run has at least."""
LEAST_JOINS_A_MINUTE = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    seconds: float
    loss: float
    latency_ms: int
    seed: int
    directory: Path

    @property
    def phase_seconds(self) -> float:
        return min(LONGEST_PHASE, self.seconds / PHASES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a soak; return its exit status."""
    options = _parser().parse_args(argv)
    plan = Plan(
        options.minutes * 60, options.loss, options.latency, options.seed, options.directory.absolute()
    )
    return run_command("soak", lambda: _soak(plan))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.soak",
        description="Eight nodes, thirty clients, loss on every link, and one host that attacks (as root).",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--minutes", type=_minutes, default=60.0, help="how long (default: %(default)g)")
    add("--loss", type=float, default=5.0, help="per cent, each way on every hop (default: %(default)g)")
    add("--latency", type=int, default=2_000, metavar="MS",
        help="of the steady viewers (default: %(default)s); more on a busy machine")  # fmt: skip
    add("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="of who comes and goes")
    add("--directory", type=Path, default=Path("build/soak"), metavar="DIR",
        help="where contents, logs and the result go (default: %(default)s)")  # fmt: skip
    add("--version", action="version", version=f"mcast's soak {__version__}")
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 100_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of minutes above 0")
    return minutes


def _soak(plan: Plan) -> int:
    if os.geteuid() != 0:
        raise ConfigError("the soak runs in the lab, which makes network namespaces: use sudo")
    ensure_ffmpeg()
    shutil.rmtree(plan.directory / "hosts", ignore_errors=True)
    plan.directory.mkdir(parents=True, exist_ok=True)
    print(
        f"soak: {plan.seconds / 60:g} minutes, seed {plan.seed}, logs: {plan.directory / 'hosts'}", flush=True
    )
    hosts = ["boot", *SERVERS, *LINKS, *CLIENT_HOSTS, ATTACKER]
    scenario = star(hosts, plan.loss, spared=(ATTACKER,))
    with Lab(scenario, directory=plan.directory / "hosts", seed=plan.seed) as lab, _Soak(lab, plan) as soak:
        soak.start()
        soak.run()
        outcome = soak.end()
    verdict = judge(outcome, least_joins=round(plan.seconds / 60 * LEAST_JOINS_A_MINUTE), loss=plan.loss)
    _tell(plan, outcome, verdict)
    return 0 if verdict.passed else 1


class _Soak:
    """Everything that runs in the lab. A `with` block ends it, whatever happens."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        self._lab, self._plan = lab, plan
        self._overlay = SoakOverlay(lab, plan.directory)
        chance = random.Random(plan.seed)
        neighbours = [self._overlay.address(name) for name in LINKS if name != "rp"]
        self._neighbours = neighbours
        self._churn = Churn(lab, CLIENT_HOSTS, neighbours, CONTENTS, chance)
        self._steady: list[SteadyViewer] = []
        self._pipes = PipeReader()
        self._attacker: NodeProcess | None = None
        self._samples: dict[str, list[Sample]] = {}
        self._outcome = Outcome(plan.seconds, nodes=tuple(LINKS), history=HISTORY_MIB)
        self._began = self._ended = 0.0
        self._undo = ExitStack()

    def __enter__(self) -> "_Soak":
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def start(self) -> None:
        """Start all but the guests, and wait until it runs. Raises McastError."""
        self._overlay.prepare()
        self._undo.callback(self._overlay.end)
        self._overlay.start()
        self._undo.callback(self._pipes.close)
        for number in range(STEADY):
            self._steady.append(self._viewer(number))
        self._pipes.start(self._steady)
        for viewer in self._steady:
            self._undo.callback(viewer.program.kill)
            viewer.program.wait_for_event("joined", JOIN_TIMEOUT)
        self._undo.callback(self._churn.close)
        self._churn.open(GUESTS)
        self._attacker = self._attack()
        self._undo.callback(self._attacker.kill)
        self._began = time.monotonic()
        print(
            f"soak: {len(LINKS)} nodes, {STEADY} steady viewers, up to {GUESTS} guests, one attacker",
            flush=True,
        )

    def run(self) -> None:
        """Let it run for the whole time. Raises ProgramError if a program ends that should not."""
        ends, next_sample, next_word = self._began + self._plan.seconds, 0.0, 0.0
        before = self._began
        while (now := time.monotonic()) < ends:
            self._outcome.longest_pause = max(self._outcome.longest_pause, now - before - TICK_SECONDS)
            before = now
            self._churn.on_tick()
            if now >= next_sample:
                next_sample = now + SAMPLE_SECONDS
                self._sample()
            if now >= next_word:
                next_word = now + TOLD_SECONDS
                self._tell_progress(now - self._began)
            time.sleep(TICK_SECONDS)
        self._ended = time.monotonic()

    def end(self) -> Outcome:
        """End all in order, and return what was found."""
        outcome, attacker = self._outcome, self._attacker
        if attacker is not None:
            attacker.kill()
            outcome.attacks = attack_times(attacker.text(), self._plan.phase_seconds)
            outcome.ends += [f"the attacker: {line}" for line in complaints(attacker)]
        self._churn.close()
        for viewer in self._steady:
            viewer.ask_to_end()
        self._pipes.wait_all_read(END_TIMEOUT)
        for viewer in self._steady:
            viewer.program.wait(END_TIMEOUT)
        outcome.ends += [*self._churn.problems, *self._overlay.end()]
        self._judge_programs()
        for viewer in self._steady:
            source = self._overlay.sources.get(viewer.content)
            outcome.watched.append(
                viewer.result(None if source is None else sent_by(source, self._overlay.cache))
            )
        outcome.joins = self._churn.joins
        return outcome

    def _judge_programs(self) -> None:
        programs = [*self._overlay.programs.values(), *(viewer.program for viewer in self._steady)]
        for program in programs:
            found = trends(program.name, self._samples.get(program.name, []), self._began, self._ended)
            self._outcome.trends += found
            self._outcome.unsampled += [] if found else [program.name]
            self._outcome.complaints += complaints(program)
        self._outcome.complaints += self._churn.complaints

    def _viewer(self, number: int) -> SteadyViewer:
        host = CLIENT_HOSTS[number % len(CLIENT_HOSTS)]
        return SteadyViewer(
            self._lab, host, f"steady{number + 1}", CONTENTS[number % len(CONTENTS)],
            self._neighbours[number % len(self._neighbours)], self._plan.latency_ms,
        )  # fmt: skip

    def _attack(self) -> NodeProcess:
        low = MEDIA_PORTS[0]
        targets = Targets(
            bootstrapper=self._overlay.bootstrap, node=self._overlay.address(ATTACKED),
            server=self._overlay.servers[0], content=CONTENTS[0], media=(low, low + ATTACKED_PORTS),
            phase_seconds=self._plan.phase_seconds, asks_per_second=ASKS_PER_SECOND,
            calls_per_second=CALLS_PER_SECOND,
        )  # fmt: skip
        command = [sys.executable, "-m", "tools.soak.attack", targets.to_json()]
        return NodeProcess(self._lab, ATTACKER, "attacker", command, environment=environment_with({}))

    def _sample(self) -> None:
        self._overlay.check()
        programs = [*self._overlay.programs.values(), *(viewer.program for viewer in self._steady)]
        for program in programs:
            if (held := sample(program.pid)) is not None:
                self._samples.setdefault(program.name, []).append(held)

    def _tell_progress(self, elapsed: float) -> None:
        newest = {name: samples[-1] for name, samples in self._samples.items()}
        memory = ", ".join(f"{name} {newest[name].resident:.0f}" for name in newest if name in LINKS)
        print(
            f"soak: {elapsed / 60:5.1f} min, guests: {self._churn.present}, {self._churn.visits} so far; "
            f"MiB: {memory}",
            flush=True,
        )


def attack_times(log: str, phase_seconds: float) -> dict[str, float]:
    """Return for how many seconds each attack has run; what was begun last counts, too."""
    begun = [line.split()[1] for line in log.splitlines() if line.startswith("phase ")]
    return {name: begun.count(name) * phase_seconds for name in dict.fromkeys(begun) if name != "pause"}


def _tell(plan: Plan, outcome: Outcome, verdict: Verdict) -> None:
    """Print the tables, and write all figures as JSON."""
    watched = [
        (each.name, each.content, f"{each.seconds:.0f}", str(each.lost), str(each.broken),
         f"{each.longest_silence:.2f}", "; ".join(each.problems) or "-")
        for each in outcome.watched
    ]  # fmt: skip
    print(
        "\n" + table(("viewer", "content", "seconds", "missing", "breaks", "silence s", "problems"), watched)
    )
    print("\n" + table(("program", *FIGURES), _trend_rows(outcome.trends)))
    joins = sorted(outcome.joins)
    if joins:
        print(f"\n{len(joins)} joins: median {joins[len(joins) // 2]:.0f} ms, "
              f"95 % within {joins[len(joins) * 95 // 100]:.0f} ms")  # fmt: skip
    print(f"\nlongest pause of this machine: {outcome.longest_pause:.2f} s")
    print(f"\n{verdict}\n\n{verdict.summary}, seed {plan.seed}")
    result = {
        "seconds": plan.seconds, "loss": plan.loss, "seed": plan.seed, "passed": verdict.passed,
        "checks": verdict.rows, "outcome": asdict(outcome),
    }  # fmt: skip
    file = plan.directory / "soak.json"
    file.write_text(json.dumps(result, indent=2) + "\n")
    print(f"soak: all figures: {file}")


def _trend_rows(found: list[Trend]) -> list[tuple[str, ...]]:
    by_program: dict[str, list[str]] = {}
    for trend in found:
        by_program.setdefault(trend.program, []).append(f"{trend.early:.1f} -> {trend.late:.1f}")
    return [(program, *cells) for program, cells in by_program.items()]
