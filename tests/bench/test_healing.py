"""The benchmark of healing: small overlays, as large ones take minutes."""

import json
from pathlib import Path

import pytest

from bench import healing
from bench.healing import KINDS, Plan, Result, run, told
from overlay import resilience
from overlay.sim_graph import Graph

SMALL = Plan("random", 12, seconds=2.0, crash_percent=10.0, seed=1)


def test_nodes_that_crash_are_gone_around_and_the_table_says_what_it_cost() -> None:
    result = run(SMALL)
    assert result.problem == ""
    assert result.figures is not None
    assert result.figures.repairs > 0
    assert list(result.complaints()) == []
    assert " 12 " in told([result])


def test_what_the_watchdog_finds_is_said_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(*_: object, **__: object) -> resilience.Trial:
        raise AssertionError("a loop since 1.00")

    monkeypatch.setattr(resilience, "crashes", crashes)
    (complaint,) = run(SMALL).complaints()
    assert complaint == "random, 12 nodes, seed 1: a loop since 1.00"
    assert healing.main(["--nodes", "12"]) == 1


@pytest.mark.parametrize("graph", sorted(KINDS))
def test_each_graph_is_connected_and_the_same_for_the_same_seed(graph: str) -> None:
    plan = Plan(graph, 30, seconds=1.0, crash_percent=1.0, seed=3)
    assert plan.links == plan.links
    reached = Graph(plan.links).reached({"rp"}, lambda *_: True)
    assert len(reached) == 30


def test_all_figures_are_written_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "run", lambda plan: Result(plan, None, "nothing ran"))
    assert healing.main(["--nodes", "12", "--seed", "1", "2", "--json", str(tmp_path / "all.json")]) == 1
    written = json.loads((tmp_path / "all.json").read_text())
    assert [each["plan"]["seed"] for each in written] == [1, 2]


@pytest.mark.parametrize("words", [["--nodes", "3"], ["--nodes", "many"], ["--graph", "ring"]])
def test_what_it_cannot_run_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        healing.main(words)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err
