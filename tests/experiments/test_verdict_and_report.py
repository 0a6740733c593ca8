"""The table of checks, and the report."""

from pathlib import Path

from tools.experiments.report import ExperimentReport, markdown_table
from tools.experiments.svg import Svg
from tools.experiments.verdict import Verdict


def test_one_failed_check_fails_the_experiment() -> None:
    verdict = Verdict("x", "X")
    assert verdict.check("first", 1, "1", passed=True)
    assert verdict.passed
    assert not verdict.none("complaints", ["c1 ended with status 5"])
    assert not verdict.passed
    assert verdict.summary == "x: FAILED, 1 of 2 checks FAILED"


def test_an_experiment_that_looked_at_nothing_has_not_passed() -> None:
    assert not Verdict("x", "X").passed


def test_the_table_has_a_line_for_each_check() -> None:
    verdict = Verdict("x", "X")
    verdict.check("skew", "30 ms", "below 200 ms", passed=True)
    lines = str(verdict).splitlines()
    assert lines[0].split() == ["check", "measured", "expected", "result"]
    assert lines[2] == "skew   30 ms     below 200 ms  pass"


def test_a_report_is_markdown_with_its_pictures_beside_it(tmp_path: Path) -> None:
    report = ExperimentReport("Title")
    report.heading("Tree")
    report.picture("tree", Svg(10, 10, "tree"), "The tree")
    report.table(("a", "b"), [("1", "2|3")])
    file = report.write(tmp_path / "new")
    assert file.read_text() == (
        "# Title\n\n## Tree\n\n![The tree](tree.svg)\n\n| a | b |\n| --- | --- |\n| 1 | 2\\|3 |\n"
    )
    assert (tmp_path / "new" / "tree.svg").read_text().startswith("<svg ")


def test_cells_cannot_break_a_table() -> None:
    assert markdown_table(("h",), [("a | b",)]).splitlines()[2] == "| a \\| b |"
