"""What discovery costs, in a small overlay; and its picture."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import discovery_trouble
from bench.discovery import Result, main, told
from bench.discovery_picture import PANELS, draw
from bench.relays import searches


def result(nodes: int, discovery: str, first: int, graph: str = "random", late: float = 6.0) -> Result:
    return Result(graph, nodes, discovery, 100, first, late, 21, 80.0, 300.0, 1.4, 1.2, 0.9, 2.5)


def test_a_scoped_request_asks_fewer_nodes_than_a_flood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, drawn = tmp_path / "all.json", tmp_path / "all.svg"
    command = ["--nodes", "40", "--graphs", "tree", "--joins", "3"]
    assert main([*command, "--json", str(kept), "--picture", str(drawn)]) == 0
    flood, scoped = (Result(**each) for each in json.loads(kept.read_text()))
    assert scoped.first_messages < flood.first_messages
    assert (flood.discovery, scoped.discovery, scoped.nodes) == ("flood", "scoped", 40)
    table = capsys.readouterr().out
    assert main(["--results", str(kept)]) == 0
    assert capsys.readouterr().out == table
    assert drawn.read_text().startswith("<svg")


def test_a_first_join_that_asks_many_misses_the_goal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "all.json"
    kept.write_text(json.dumps([asdict(result(1000, "scoped", 61))]))
    assert main(["--results", str(kept)]) == 1
    assert "missed: random, 1,000 nodes: the first join took 61 messages" in capsys.readouterr().out


def test_late_joins_are_judged_by_their_mean_and_the_worst_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "all.json"
    kept.write_text(json.dumps([asdict(result(1000, "scoped", 18, late=10.5))]))
    assert main(["--results", str(kept)]) == 1
    said = capsys.readouterr().out
    assert "missed: random, 1,000 nodes: late joins took 10.5 messages each" in said
    assert " 21 " in said
    kept.write_text(json.dumps([asdict(result(1000, "scoped", 18, late=9.5))]))
    assert main(["--results", str(kept)]) == 0


@pytest.mark.parametrize("kind", searches.KINDS)
def test_an_overlay_of_each_kind_tells_its_first_join_and_the_mean_and_the_worst_of_late_ones(
    kind: str,
) -> None:
    window = searches.simulated(kind, seed=2, nodes=40, joins=25)
    figures = window.figures
    assert figures == searches.simulated(kind, seed=2, nodes=40, joins=25).figures
    assert 3 <= figures[searches.LATE] <= figures[searches.WORST] <= 60
    assert 3 <= figures[searches.FIRST] <= 60


def test_the_picture_has_a_panel_for_messages_stretch_and_stress_and_a_colour_for_each_graph() -> None:
    results = [
        result(nodes, way, messages, graph)
        for graph in ("random", "tree")
        for nodes in (10, 10_000)
        for way, messages in (("flood", 6 * nodes), ("scoped", 20))
    ]
    svg = str(draw(results))
    assert all(panel.title in svg for panel in PANELS)
    assert svg.count("<polyline") == 2 * sum(len(panel.curves) for panel in PANELS)
    assert all(text in svg for text in ("100,000", "10,000", "random", "tree"))
    assert told(results).count("random") == 4


def test_full_dead_and_hanging_nodes_cost_a_join_no_flood(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--nodes", "60", "--graphs", "random", "--joins", "5"]
    assert discovery_trouble.main(command) == 0
    for trouble in ("full", "dead", "hangs"):
        joins = discovery_trouble.run("random", trouble, nodes=60, joins=5, seed=1)
        assert max(joins.messages) < 60
        assert joins.failed == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[1] for row in rows] == ["none", "full", "dead", "hangs"]
