"""The rounds of one row: contenders take turns, each turn gives figures, or a reason why there are none."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.relays.contenders import Contender, Window
from bench.relays.nodes import Node
from bench.relays.profile import Profile
from bench.relays.rows import Row
from bench.relays.schedule import Turn, turns
from bench.relays.setting import Setting
from bench.relays.sources import Sources
from bench.relays.verdict import Figures, Verdict, judge
from tools.demo.processes import ProgramError

TRIES = 2
"""Of a turn: one disturbance in an hour must not cost a row."""


@dataclass(slots=True)
class Measured:
    """What a row's contenders have shown, round by round."""

    row: Row
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    profiles: dict[str, list[Profile]] = field(default_factory=dict)  # of nodes, window by window
    failed: dict[str, str] = field(default_factory=dict)  # why, by contender
    absent: dict[str, str] = field(default_factory=dict)  # who is not installed, and how to mend it
    took: float = 0.0  # seconds

    def verdicts(self) -> list[Verdict]:
        """Return whether the goals are met; who has failed has no figures."""
        whole = {name: rounds for name, rounds in self.rounds.items() if name not in self.failed}
        return [judge(goal, whole, self.absent) for goal in self.row.goals]


def measure(
    row: Row, contenders: Sequence[Contender], sources: Sources, rounds: int, windows: int, seconds: float
) -> Measured:
    """Measure one row: in so many rounds, so many windows a turn, each of so many seconds."""
    measured, began = Measured(row), time.monotonic()
    taking = []
    for contender in contenders:
        if lacking := contender.lacking():
            measured.absent[contender.name] = lacking
        else:
            measured.rounds[contender.name] = []
            measured.profiles[contender.name] = []
            taking.append(contender)
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder:
        setting = Setting(Path(folder), sources, row.needs, seconds)
        try:
            for turn in turns(row, taking, rounds, windows):
                if turn.contender.name not in measured.failed:
                    _take(measured, turn, setting)
        finally:
            setting.close()
    measured.took = time.monotonic() - began
    return measured


def _take(measured: Measured, turn: Turn, setting: Setting) -> None:
    row, name, why = measured.row, turn.contender.name, ""
    for _ in range(TRIES):
        try:
            found = _windows(row, turn, setting)
        except (ProgramError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            why = str(error)
            _note(row, turn, f"failed: {why}")
            continue
        measured.rounds[name] += [window.figures for window in found]
        measured.profiles[name] += [window.profile for window in found if window.profile]
        told = row.compared or next(iter(found[0].figures))
        _note(row, turn, f"{told} {', '.join(f'{window.figures[told]:.4g}' for window in found)}")
        return
    measured.failed[name] = why


def _windows(row: Row, turn: Turn, setting: Setting) -> Sequence[Window]:
    if row.ask is not None:
        assert isinstance(turn.contender, Node)
        return [Window(row.ask(turn.contender, setting))]
    assert row.carry is not None
    return row.carry(turn.contender, setting, turn.windows)


def _note(row: Row, turn: Turn, text: str) -> None:
    print(f"  {row.name}, turn {turn.number + 1}, {turn.contender.name}: {text}", file=sys.stderr, flush=True)
