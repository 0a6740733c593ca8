"""The rounds of one row: contenders take turns, each turn gives figures, or a reason why there are none.

A turn that fails is tried again, so that one disturbance in an hour costs no row; but it is not forgotten:
failed tries are a figure of the turn's first window, and where all must be delivered mcast may have none.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.relays.contenders import Contender, Window
from bench.relays.links import shaped
from bench.relays.loads import LOSS
from bench.relays.nodes import MCAST, Node
from bench.relays.profile import Profile
from bench.relays.rows import FAILED_TRIES, Row
from bench.relays.schedule import Turn, turns
from bench.relays.setting import Setting
from bench.relays.sources import Sources
from bench.relays.verdict import Figures, Verdict, judge
from tools.demo.processes import ProgramError

TRIES = 2
"""Of a turn."""
MOST_REFERENCE_LOSS = 0.05
"""Of who is compared with."""


@dataclass(slots=True)
class Measured:
    """What a row's contenders have shown, round by round."""

    row: Row
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    profiles: dict[str, list[Profile]] = field(default_factory=dict)  # of nodes, window by window
    turns: dict[str, int] = field(default_factory=dict)  # that gave figures, by contender
    failed_tries: dict[str, list[str]] = field(default_factory=dict)  # why, by contender
    failed: dict[str, str] = field(default_factory=dict)  # all tries of a turn: why, by contender
    absent: dict[str, str] = field(default_factory=dict)  # who is not installed, and how to mend it
    took: float = 0.0  # seconds

    def verdicts(self) -> list[Verdict]:
        """Return whether the goals are met; who has failed has no figures."""
        whole = {name: rounds for name, rounds in self.rounds.items() if name not in self.failed}
        judged = {
            name: rounds if name == MCAST.name else [each if is_measure(each) else {} for each in rounds]
            for name, rounds in whole.items()
        }
        turns, is_once = self.turns, self.row.is_once
        return [judge(goal, judged, self.absent, turns, is_once=is_once) for goal in self.row.goals]

    def add(self, name: str, windows: Sequence[Window], failed_tries: int) -> None:
        """Note what a turn of a contender has shown, after so many tries that failed."""
        for window, failed in zip(windows, (failed_tries, *[0] * len(windows)), strict=False):
            self.rounds[name].append({**window.figures, FAILED_TRIES: float(failed)})
        self.profiles[name] += [window.profile for window in windows if window.profile]
        self.turns[name] = self.turns.get(name, 0) + 1


def is_measure(figures: Figures) -> bool:
    """Return whether others may be compared with this: who loses much is dear for each gigabit that comes."""
    return figures.get(LOSS, 0.0) <= MOST_REFERENCE_LOSS


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
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as folder, shaped(row.needs.link_mbits):
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
    row, name, reasons = measured.row, turn.contender.name, list[str]()
    for _ in range(TRIES):
        try:
            found = _windows(row, turn, setting)
        except (ProgramError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            reasons.append(str(error))
            measured.failed_tries.setdefault(name, []).append(str(error))
            _note(row, turn, f"failed: {error}")
            continue
        measured.add(name, found, len(reasons))
        told = row.compared or next(iter(found[0].figures))
        _note(row, turn, f"{told} {', '.join(f'{window.figures[told]:.4g}' for window in found)}")
        return
    measured.failed[name] = reasons[-1]


def _windows(row: Row, turn: Turn, setting: Setting) -> Sequence[Window]:
    if row.ask is not None:
        assert isinstance(turn.contender, Node)
        return [Window(row.ask(turn.contender, setting))]
    assert row.carry is not None
    return row.carry(turn.contender, setting, turn.windows)


def _note(row: Row, turn: Turn, text: str) -> None:
    print(f"  {row.name}, turn {turn.number + 1}, {turn.contender.name}: {text}", file=sys.stderr, flush=True)
