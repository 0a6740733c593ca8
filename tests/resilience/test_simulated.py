"""The row of the simulation: what is made of its figures."""

from dataclasses import asdict
from pathlib import Path

from bench.healing import Plan, Result, run
from tools.resilience.simulated import judged

LOG = Path("simulation.log")


def test_a_run_that_found_nothing_wrong_passes_and_its_figures_are_told() -> None:
    result = run(Plan("random", 12, seconds=2.0, crash_percent=10.0, seed=1))
    row = judged(0, [asdict(result)], 1, LOG)
    assert row.passed
    assert " repairs; fed again after " in row.measured
    assert row.measured.endswith("seed 1")


def test_what_the_watchdog_has_found_fails() -> None:
    result = Result(Plan("random", 12, seconds=2.0, crash_percent=10.0, seed=1), None, "a loop since 1.00")
    row = judged(1, [asdict(result)], 7, LOG)
    assert (row.passed, row.problems) == (False, ["seed 7: a loop since 1.00"])


def test_a_run_that_has_ended_without_figures_fails_and_names_its_log() -> None:
    row = judged(-9, [], 7, LOG)
    assert (row.passed, row.problems) == (False, ["seed 7: status -9: simulation.log"])
