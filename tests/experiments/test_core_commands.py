"""`bin/core-*`: short shell commands that must work with CORE's environment, which is hardly one."""

import subprocess
from pathlib import Path

import pytest

from tools.experiments.addresses import CHECKOUT, CONFIGS

BIN = CHECKOUT / "bin"


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A Python that only tells what it was called with, and its umask."""
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\numask\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    return fake


def run(
    command: str, *words: str, python: Path, node: str | None = "c1"
) -> "subprocess.CompletedProcess[str]":
    """Run it as in a node: no PATH, umask 0, a working directory somewhere else."""
    environment = {"PATH": "/nonexistent", "MCAST_PYTHON": str(python)}
    if node is not None:
        environment["NODE_NAME"] = node
    return subprocess.run(
        [str(BIN / command), *words], env=environment, cwd=python.parent, umask=0,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("node", "words", "expected"),
    [
        ("boot", "core-bootstrap big_chungus",
         "mcast-bootstrap --address 10.0.8.10:4000 --config {}/big_chungus.bootstrap.toml"),
        ("n1", "core-node big_chungus", "mcast-node --bootstrap 10.0.8.10:4000"),
        ("rp", "core-node simple_1 --log-level debug",
         "mcast-node --bootstrap 10.0.1.10:4000 --log-level debug"),
        ("s2", "core-server simple_1",
         "mcast-server --address 10.0.6.11:7000 --config {}/simple_1.server-s2.toml"),
        ("c4", "core-client big_chungus earth --output -",
         "mcast-client --neighbour 10.0.23.10:5000 --content earth --output -"),
    ],
)  # fmt: skip
def test_a_command_becomes_the_program_with_its_addresses(
    node: str, words: str, expected: str, told: Path
) -> None:
    result = run(*words.split(), python=told, node=node)
    umask, program, *options = result.stdout.splitlines()
    assert result.returncode == 0
    assert umask == "0022"  # CORE's 0 would let everybody write into a recording
    assert [str(Path(program).relative_to(BIN)), *options] == expected.format(CONFIGS).split()


def test_a_content_may_have_spaces(told: Path) -> None:
    result = run("core-client", "big_chungus", "my film", "--duration", "3", python=told)
    assert result.stdout.splitlines()[-3:] == ["my film", "--duration", "3"]


def test_a_scenario_of_ones_own_is_given_by_its_path(told: Path, tmp_path: Path) -> None:
    (tmp_path / "campus.core").write_text("bootstrap=10.9.0.1:4000")  # without an end of line
    result = run("core-node", f"{tmp_path}/campus", python=told)
    assert result.stdout.splitlines()[-1] == "10.9.0.1:4000"


@pytest.mark.parametrize(
    ("words", "node", "complaint"),
    [
        ("core-node", "n1", "usage: core-node SCENARIO"),
        ("core-client big_chungus", "c1", "usage: core-client SCENARIO CONTENT"),
        ("core-node nothing", "n1", "nothing.core: no such file: give big_chungus, simple_1, or"),
        ("core-server big_chungus", None, "NODE_NAME is not set"),
        ("core-client big_chungus earth", None, "NODE_NAME is not set"),
        ("core-client big_chungus earth", "n1",
         "n1 is no client of big_chungus: run this in one of: c1, c2, c3, c4"),
        ("core-client simple_1 moon", "s1", "s1 is no client of simple_1: run this in one of: c1, c2"),
        ("core-server big_chungus", "c1", "c1 is no server of big_chungus: run this in one of: s1, s2"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_in_one_line(
    words: str, node: str | None, complaint: str, told: Path
) -> None:
    result = run(*words.split(), python=told, node=node)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"{words.split()[0]}: error: ")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["core-bootstrap", "core-client", "core-contents", "core-node", "core-server"]
)
def test_a_command_can_be_run_and_says_how(command: str) -> None:
    file = BIN / command
    assert file.stat().st_mode & 0o111 == 0o111
    assert f"#     {command}" in file.read_text()


def test_a_scenario_without_a_client_says_so(told: Path, tmp_path: Path) -> None:
    (tmp_path / "campus.core").write_text("bootstrap=10.9.0.1:4000\n")
    result = run("core-client", f"{tmp_path}/campus", "earth", python=told)
    assert result.returncode == 2
    assert f"c1 is no client of campus: run this in one of: none, as {tmp_path}/campus.core" in result.stderr


def test_the_page_starts_everything_from_the_host_in_the_right_nodes(told: Path, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "core.md").read_text()
    begin, end = page.index("    S=/tmp/pycore.1"), page.index("    grep -E", page.index("clients="))
    script = page[begin:end].replace("/opt/mcast/bin", str(BIN))
    vcmd = tmp_path / "vcmd"
    vcmd.write_text('#!/bin/sh\nnode=${2##*/}\nshift 3\nNODE_NAME=$node exec "$@"\n')
    vcmd.chmod(0o755)
    result = subprocess.run(
        ["bash", "-eu", "-c", f"{script}\nwait"], capture_output=True, text=True, timeout=30, check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path), "MCAST_PYTHON": str(told)},
    )  # fmt: skip
    directory, *statuses = result.stdout.splitlines()
    assert statuses == ["status 0"] * 4
    started = {log.stem: log.read_text().splitlines() for log in Path(directory).glob("*.log")}
    assert sorted(started) == ["boot", "c1", "c2", "c3", "c4", "n1", "n2", "n3", "n4", "rp", "s1", "s2"]
    assert "10.0.20.10:5000" in started["c1"]
    assert "10.0.23.10:5000" in started["c4"]
    assert started["c4"][-1] == f"{directory}/c4.json"
