"""The rounds of one row: contenders take turns, each turn gives figures, or a reason why there are none."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.relays.contenders import Contender
from bench.relays.nodes import Node
from bench.relays.rows import Row
from bench.relays.setting import Setting
from bench.relays.sources import Sources
from bench.relays.verdict import Figures, Verdict, judge
from tools.demo.processes import ProgramError

SIDE_ROUNDS = 3
"""Of contenders whom no goal names."""
TRIES = 2
"""Of a turn: one disturbance in an hour must not cost a row."""


@dataclass(slots=True)
class Measured:
    """What a row's contenders have shown, round by round."""

    row: Row
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # why, by contender
    absent: dict[str, str] = field(default_factory=dict)  # who is not installed, and how to mend it

    def verdicts(self) -> list[Verdict]:
        """Return whether the goals are met; who has failed has no figures."""
        whole = {name: rounds for name, rounds in self.rounds.items() if name not in self.failed}
        return [judge(goal, whole, self.absent) for goal in self.row.goals]


def measure(
    row: Row, contenders: Sequence[Contender], sources: Sources, rounds: int, seconds: float
) -> Measured:
    """Measure one row. Each round begins with another contender."""
    measured = Measured(row)
    taking = []
    for contender in contenders:
        if lacking := contender.lacking():
            measured.absent[contender.name] = lacking
        else:
            measured.rounds[contender.name] = []
            taking.append(contender)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        setting = Setting(Path(folder), sources, row.needs, seconds)
        try:
            for number, contender in _turns(row, taking, min(rounds, row.most_rounds)):
                if contender.name not in measured.failed:
                    _take_turn(measured, contender, setting, number)
        finally:
            setting.close()
    return measured


def _turns(row: Row, contenders: Sequence[Contender], rounds: int) -> Iterator[tuple[int, Contender]]:
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            if number < SIDE_ROUNDS or row.decides(contender.name) or isinstance(contender, Node):
                yield number, contender


def _take_turn(measured: Measured, contender: Contender, setting: Setting, number: int) -> None:
    row, why = measured.row, ""
    for _ in range(TRIES):
        try:
            figures = _figures(row, contender, setting)
        except (ProgramError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            why = str(error)
            _note(row, number, f"{contender.name} failed: {why}")
            continue
        measured.rounds[contender.name].append(figures)
        told = row.compared or next(iter(figures))
        _note(row, number, f"{contender.name}: {told} {figures[told]:.4g}")
        return
    measured.failed[contender.name] = why


def _figures(row: Row, contender: Contender, setting: Setting) -> Figures:
    if row.ask is not None:
        assert isinstance(contender, Node)
        return row.ask(contender, setting)
    assert row.carry is not None
    return row.carry(contender, setting)


def _note(row: Row, number: int, text: str) -> None:
    print(f"  {row.name}, round {number + 1}: {text}", file=sys.stderr, flush=True)
