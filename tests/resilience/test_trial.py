"""One run: what is done to the bootstrapper, and what a client's report makes of the outcome."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tools.experiments.deployment import Viewer
from tools.resilience.case import Case, Goals, Outage, do_nothing
from tools.resilience.cases import MESH, PLANNED_RESTART
from tools.resilience.overlay import BOOTSTRAP, Overlay, Plan
from tools.resilience.trial import Trial

CASE = Case("case", "a case", Plan(MESH), {"c1": ("n4",)}, do_nothing, aftermath=0.0)


class Recorded:
    """An overlay in which nothing runs; what is done to its programs is noted."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.footage = SimpleNamespace(pause_ms=20.0)
        self.moves: list[SimpleNamespace] = []
        self.programs = {name: SimpleNamespace(status=None, stop=self._stop) for name in (BOOTSTRAP, "n1")}

    def kill(self, name: str) -> None:
        self.done.append(f"kill {name}")
        self.programs[name].status = -9

    def restart(self, name: str) -> None:
        self.done.append(f"start {name}")
        self.programs[name].status = None

    def said_since(self, _name: str, moment: float) -> list[tuple[float, SimpleNamespace]]:
        return [(moment, self.moves.pop())] if self.moves else []

    def _stop(self, *_: object) -> None:
        self.done.append("end n1")


def trial_of(case: Case, overlay: Recorded) -> Trial:
    without = case.outage is not Outage.NEVER
    return Trial(case, cast(Overlay, overlay), Random(8), without_bootstrapper=without)


def test_the_bootstrapper_is_killed_and_started_again_while_links_lose() -> None:
    overlay = Recorded()
    trial_of(replace(CASE, outage=Outage.MIDWAY), overlay)._wait_for_aftermath()
    assert overlay.done == [f"kill {BOOTSTRAP}", f"start {BOOTSTRAP}"]


def test_a_bootstrapper_that_lives_is_left_alone() -> None:
    overlay = Recorded()
    trial_of(replace(CASE, outage=Outage.NEVER), overlay)._wait_for_aftermath()
    assert overlay.done == []


def test_a_relay_hands_its_children_over_without_bootstrapper_and_returns_once_that_is_back() -> None:
    overlay = Recorded()
    overlay.kill(BOOTSTRAP)
    PLANNED_RESTART.strike(trial_of(PLANNED_RESTART, overlay))
    assert overlay.done == [f"kill {BOOTSTRAP}", "end n1", f"start {BOOTSTRAP}", "start n1"]


@pytest.mark.parametrize(
    ("gap", "late", "problems"), [(519.0, 0, 0), (521.0, 0, 1), (20.0, 1, 1), (900.0, 2, 2)]
)
def test_a_viewer_who_was_shown_a_stop_is_a_problem_though_nothing_is_missing(
    gap: float, late: int, problems: int
) -> None:
    trial = judging(CASE)
    assert trial._gap_of("c1", viewer(gap, late)) == max(gap, 40.0)
    assert len(trial.outcome.problems) == problems


def test_where_some_may_be_missing_a_stop_is_told_and_no_problem() -> None:
    trial = judging(replace(CASE, goals=Goals(residual_percent=0.001, unbroken=False)))
    assert trial._gap_of("c1", viewer(900.0, 2)) == 900.0
    assert trial.outcome.problems == []


def test_a_gap_from_before_the_failure_is_none_of_its() -> None:
    trial = judging(CASE)
    trial.struck = 103.0
    assert trial._gap_of("c1", viewer(900.0, 0)) == 40.0
    assert trial.outcome.problems == []


@pytest.mark.parametrize(
    ("counts", "moves", "most"),
    [
        ([{"n1": 1.0, "n4": 1.02}], 0, 1.02),
        ([{"n1": 1.0, "n4": 2.0}], 0, 2.0),  # two parents that stay are a fault
        ([{"n1": 1.0, "n4": 1.7}, {"n1": 1.01, "n4": 1.0}], 1, 1.01),
        ([{"n1": 1.0, "n4": 1.7}, {"n1": 1.0, "n4": 2.0}], 1, 2.0),
        ([{"n4": 2.0}] * 3, 9, 2.0),
    ],
)
def test_copies_are_counted_again_behind_a_move_to_a_better_way(
    counts: list[dict[str, float]], moves: int, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, overlay = list(counts), Recorded()
    overlay.moves = [SimpleNamespace(name="better_way")] * moves
    trial = trial_of(CASE, overlay)
    monkeypatch.setattr("tools.resilience.trial.time.sleep", lambda _seconds: None)
    monkeypatch.setattr(trial, "_copies", lambda: left.pop(0))
    trial._count_copies()
    assert (trial.outcome.most_copies, left) == (most, [])


def judging(case: Case) -> Trial:
    """Return a run that lasted from 100 to 110."""
    trial = trial_of(case, Recorded())
    trial.struck, trial.over = 100.0, 110.0
    return trial


def viewer(gap_ms: float, late: int) -> Viewer:
    figures: dict[str, Any] = {"longest_gaps": [[101.0, gap_ms], [104.0, 40.0]], "late_datagrams": late}
    return cast(Viewer, SimpleNamespace(figures={**figures}))
