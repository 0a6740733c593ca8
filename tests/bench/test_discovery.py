"""What discovery costs, in a small overlay; and its picture."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.discovery import Result, main, told
from bench.discovery_picture import PANELS, draw


def result(nodes: int, discovery: str, first: int, graph: str = "random") -> Result:
    return Result(graph, nodes, discovery, 100, first, 6, 80.0, 300.0, 1.4, 1.2, 0.9, 2.5)


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
