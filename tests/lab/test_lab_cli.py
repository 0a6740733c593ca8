"""`mcast-lab` as a user meets it: prompt, other terminals, signals, kill -9, mistakes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.xml_files import pair_xml
from mcast.errors import ConfigError
from tools.lab import rundir
from tools.lab.cli import main
from tools.lab.plan import PlannedProgram, load_plan
from tools.lab.scenario import load_scenario

ROOT = Path(__file__).parents[2]
ECHO = Path(__file__).with_name("echo.py")
COMMAND = [sys.executable, "-m", "tools.lab"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
BUILD_TIMEOUT = 20.0


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    file = tmp_path / "pair.xml"
    file.write_bytes(pair_xml())
    return file


def run_script(topology: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "run", "--topology", str(topology), *options],
        input=script,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def running_lab(topology: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A `mcast-lab run` that waits, as it does with /dev/null for a terminal; and its id."""
    process = subprocess.Popen(
        [*COMMAND, "run", "--topology", str(topology)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    try:
        lab = next(line.split()[1].strip(",") for line in process.stdout if line.startswith("lab "))
        next(line for line in process.stdout if line.startswith("no terminal"))
        yield process, lab
    finally:
        process.terminate()
        process.communicate(timeout=BUILD_TIMEOUT)


def other_terminal(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *words]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)


def test_check_prints_nodes_and_links(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "simple_1"]) == 0
    shown = capsys.readouterr().out
    assert "simple_1: 9 nodes, 3 switches, 11 links" in shown
    assert "s2-sw6  delay 500 ms, rate 0.256 Mbit/s, queue 22 packets  the same" in shown


@pytest.mark.parametrize("words", [["check", "nowhere.xml"], ["run", "--topology", "nowhere.xml"]])
def test_a_mistake_is_one_line_and_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == "mcast-lab: error: nowhere.xml: No such file or directory\n"


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("program = 1", "expected \\[\\[program\\]\\] tables"),
        ("[[program]]\nnode = 1", "program 1: command must be a list"),
        ('[[program]]\nnode = "x"\ncommand = ["true"]', "program 1: 'x' is not a node"),
        ('[[program]]\nnode = "rp"\ncommand = ["true"]\nwhen = 1', "program 1: expected the keys"),
        ('[[program]]\nnode = "rp"\ncommand = ["true"]\nlog = "../x"', "log must be a file name"),
        ('[[program]]\nnode = "rp"\ncommand = ["true"]\ndelay = -1', "delay must be 0 to 3600"),
        ("[[", "not TOML"),
    ],
)
def test_a_wrong_plan_is_refused_whole(toml: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError, match=f"plan.toml: .*{reason}"):
        load_plan(file, load_scenario("simple_1"))


def test_a_plan_names_programs_and_their_logs(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('[[program]]\nnode = "rp"\ncommand = ["/bin/echo", "hi"]\ndelay = 0.5')
    assert load_plan(file, load_scenario("simple_1")) == [
        PlannedProgram("rp", ("/bin/echo", "hi"), "echo.log", 0.5)
    ]


@pytest.mark.netns
@pytest.mark.usefixtures("nothing_is_left")
class TestRunning:
    def test_commands_come_from_a_pipe_until_it_ends(self, topology: Path) -> None:
        script = 'exec a sh -c "echo $NODE_NAME; cat"\nshape a-b delay=20ms loss=1%\nlinks\nfly\ncut a-c\n'
        result = run_script(topology, script.replace("$NODE", "\\$NODE"))
        assert result.returncode == 0
        assert "a > b: delay 20 ms, loss 1 %\nb > a: delay 20 ms, loss 1 %" in result.stdout
        assert "delivered Mbit/s" in result.stdout
        assert "error: 'fly' is not a command; try: help" in result.stdout
        assert "error: 'a-c' is not a link (links: a-b)" in result.stdout

    def test_a_plan_is_started_and_its_logs_are_kept(self, topology: Path, tmp_path: Path) -> None:
        plan, kept = tmp_path / "plan.toml", tmp_path / "kept"
        plan.write_text('[[program]]\nnode = "b"\ncommand = ["sh", "-c", "echo hello from $NODE_NAME"]')
        script = "exec b sh -c 'until grep -q hello sh.log; do sleep 0.05; done'\n"
        result = run_script(topology, script, "--plan", str(plan), "--directory", str(kept))
        assert (result.returncode, result.stderr) == (0, "")
        assert (kept / "b.conf" / "sh.log").read_text() == "hello from b\n"

    def test_another_terminal_commands_a_running_lab(self, topology: Path) -> None:
        with running_lab(topology) as (_, lab):
            shown = other_terminal("exec", "--lab", lab, "a", "sh", "-c", "hostname; exit 3")
            assert (shown.stdout, shown.returncode) == ("a\n", 3)
            assert other_terminal("cut", "--lab", lab, "b-a").stdout == "a-b: cut\n"
            echo = ("exec", "--lab", lab, "a", sys.executable, "-S", str(ECHO), "1", "10.9.0.2")
            assert other_terminal(*echo).returncode == 1
            assert other_terminal("heal", "--lab", lab, "b-a").stdout == "a-b: healed\n"
            assert other_terminal(*echo).returncode == 0
            wrong = other_terminal("shape", "--lab", lab, "a-b", "delay=fast")
            assert wrong.returncode == 2
            assert wrong.stderr.startswith("mcast-lab: error: shape: 'delay=fast': expected a number and us")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_ends_the_lab_gently(self, topology: Path, number: signal.Signals) -> None:
        with running_lab(topology) as (process, lab):
            process.send_signal(number)
            output, _ = process.communicate(timeout=BUILD_TIMEOUT)
        assert (process.returncode, output) == (0, "")
        assert not (rundir.RUN_DIRECTORY / lab).exists()

    def test_what_a_killed_lab_left_is_cleaned_and_living_labs_are_not(self, topology: Path) -> None:
        with running_lab(topology) as (_, living), running_lab(topology) as (process, dead):
            other_terminal("shape", "--lab", dead, "a-b", "delay=5ms")
            state = rundir.find_lab(dead)
            sleeper = subprocess.Popen(
                [*COMMAND, "exec", "--lab", dead, "a", "sh", "-c", "echo up; exec sleep 60"],
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
            )
            assert sleeper.stdout is not None
            assert sleeper.stdout.readline() == b"up\n"
            sleeper.stdout.close()
            process.kill()
            process.wait(5)
            assert other_terminal("clean").returncode == 0
            assert sleeper.wait(5) == -signal.SIGKILL
            assert not Path(state.directory).exists()
            assert other_terminal("exec", "--lab", dead, "a", "true").returncode == 2
            assert other_terminal("exec", "--lab", living, "a", "true").returncode == 0

    def test_an_unknown_lab_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["cut", "--lab", "none", "a-b"]) == 2
        assert "no lab 'none' runs" in capsys.readouterr().err
