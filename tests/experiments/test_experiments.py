"""The four experiments themselves, in the lab."""

from pathlib import Path

import pytest

from tools.experiments.cli import EXPERIMENTS

pytestmark = [pytest.mark.netns, pytest.mark.processes]


@pytest.mark.timeout(240)  # the first of them makes the contents
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_passes_and_leaves_a_report(name: str, tmp_path: Path) -> None:
    _, run = EXPERIMENTS[name]
    verdict = run(tmp_path / name)
    print(verdict)
    assert verdict.passed
    report = (tmp_path / name / "report.md").read_text()
    assert "| FAIL |" not in report
    for picture in ("tree.svg", "rates.svg"):
        assert f"({picture})" in report
        assert (tmp_path / name / picture).read_text().rstrip().endswith("</svg>")
