"""The command: what it lists, and what it says when it cannot run."""

import json
import os
from pathlib import Path

import pytest

from mcast.errors import ConfigError
from tools.demo.processes import ProgramError
from tools.resilience import cli
from tools.resilience.findings import Row
from tools.resilience.setting import Setting


def passing(_: Setting) -> Row:
    return Row("good", "Good", "0 missing", "0 of 9 packets missing", passed=True)


def failing(_: Setting) -> Row:
    return Row("bad", "Bad", "0 missing", "1 of 9 packets missing", passed=False, problems=["n1: 1 missing"])


def breaking(_: Setting) -> Row:
    raise ProgramError("rp ended with status 1")


@pytest.fixture
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"good": ("Good", passing), "bad": ("Bad", failing), "broken": ("Broken", breaking)}
    monkeypatch.setattr(cli, "ROWS", rows)
    monkeypatch.setattr(cli, "ensure_ffmpeg", lambda: None)


def test_the_list_has_each_row_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [*cli.ROWS]
    assert {"relay-killed", "link-cut", "churn", "simulation", "four-hops-25"} <= set(listed)


@pytest.mark.parametrize("words", [["nothing"], ["--runs", "0"], ["--runs", "many"], ["--seed", "-1"]])
def test_what_it_does_not_know_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(("name", "status"), [("good", 0), ("bad", 1), ("broken", 1)])
def test_the_status_is_that_of_the_worst_row(name: str, status: int, tmp_path: Path) -> None:
    place = tmp_path / "run"
    assert cli.main(["good", name, "--seed", "3", "--directory", str(place)]) == status
    result = json.loads((place / "results.json").read_text())
    assert [row["passed"] for row in result["rows"]] == [True, status == 0]
    assert result["seed"] == 3
    assert "| good | 0 of 9 packets missing | 0 missing | pass |" in (place / "report.md").read_text()


def test_links_without_root_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cli, "ensure_ffmpeg", lambda: None)
    assert cli.main(["link-cut", "--directory", str(tmp_path / "run")]) == ConfigError.exit_status
    said = capsys.readouterr().err
    assert said.startswith("resilience: error: ")
    assert "sudo" in said
    assert said.count("\n") == 1
