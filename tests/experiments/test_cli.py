"""The command: what it says when it cannot run."""

import os
import signal
from pathlib import Path

import pytest

from mcast.errors import ConfigError
from tools.demo.processes import ProgramError
from tools.experiments import cli
from tools.experiments.verdict import Verdict


def passing(_: Path) -> Verdict:
    verdict = Verdict("good", "Good")
    verdict.check("it", "works", "works", passed=True)
    return verdict


def failing(_: Path) -> Verdict:
    verdict = Verdict("bad", "Bad")
    verdict.check("it", "fails", "works", passed=False)
    return verdict


def breaking(_: Path) -> Verdict:
    raise ProgramError("rp ended with status 1")


def interrupted(_: Path) -> Verdict:
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("a signal is an interruption")


@pytest.fixture
def _trials(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = {"good": ("Good", passing), "bad": ("Bad", failing), "broken": ("Broken", breaking),
              "stopped": ("Stopped", interrupted)}  # fmt: skip
    monkeypatch.setattr(cli, "EXPERIMENTS", trials)


@pytest.mark.parametrize("name", ["clients", "contents", "monitoring", "teardown"])
def test_without_root_it_says_so_in_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main([name, "--directory", str(tmp_path / "made")]) == ConfigError.exit_status
    said = capsys.readouterr().err
    assert said.startswith("experiments: error: ")
    assert "sudo" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_without_ip_the_experiments_name_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["clients", "--directory", str(tmp_path / "made")]) == 2
    assert "iproute2" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "file").touch()
    assert cli.main(["clients", "--directory", str(tmp_path / "file")]) == 2
    assert "Not a directory; choose another --directory" in capsys.readouterr().err


def test_an_unknown_experiment_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["nothing"])
    assert caught.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


@pytest.mark.usefixtures("_trials")
def test_one_failure_fails_the_whole_and_does_not_keep_the_others_from_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bad", "broken", "good", "--directory", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "broken: FAILED: rp ended with status 1" in said
    assert said.endswith("experiments: 1/3 passed; failed: bad, broken\n")
    assert cli.main(["good", "--directory", str(tmp_path)]) == 0


@pytest.mark.usefixtures("_trials")
def test_a_signal_ends_the_command_in_one_line_and_leaves_the_signals_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["stopped", "good", "--directory", str(tmp_path)]) == 130
    said = capsys.readouterr()
    assert said.err == "\nexperiments: stopped by the user; everything is ended\n"
    assert "Good" not in said.out
    assert signal.getsignal(signal.SIGTERM) is before
