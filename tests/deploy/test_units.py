"""The systemd units: they are valid and hardened, and their commands are ones that the programs take."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy import systemctl
from machine import need_systemd
from mcast.roles import cli
from mcast.roles.bootstrap.main import PROGRAM as BOOTSTRAP
from mcast.roles.client.main import PROGRAM as CLIENT
from mcast.roles.node.main import PROGRAM as NODE
from mcast.roles.server.main import PROGRAM as SERVER

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "resources" / "systemd"
UNITS = sorted((SYSTEMD / "system").glob("*.service"))
PROGRAMS = {program.name: program for program in (BOOTSTRAP, NODE, SERVER, CLIENT)}
MOST_EXPOSED = 20
"""Tenths: `systemd-analyze security` says OK below 50. All stand at 15."""
TARGETS = Path("/usr/lib/systemd/system")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root directory with these units, the programs that they name, and systemd's own targets."""
    need_systemd()
    shutil.copytree(SYSTEMD / "system", tmp_path / "etc/systemd/system")
    shutil.copytree(ROOT / "bin", tmp_path / "opt/mcast/bin")
    (tmp_path / "bin").mkdir()
    shutil.copy(shutil.which("kill") or "/bin/kill", tmp_path / "bin")
    own = tmp_path / "usr/lib/systemd/system"
    own.mkdir(parents=True)
    for file in [*TARGETS.glob("*.target"), *TARGETS.glob("*.slice")]:
        shutil.copy(file, own)
    return tmp_path


def instance(unit: Path) -> str:
    return unit.name.replace("@", "@x")


def analyze(*words: str | Path) -> str:
    """Return what systemd-analyze complains of, empty if it is content."""
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 and not done.stderr else done.stdout + done.stderr + "failed"


def test_there_is_a_unit_for_each_program() -> None:
    called = {
        re.findall(r"^ExecStart=/opt/mcast/bin/(\S+)", unit.read_text(), re.MULTILINE)[0] for unit in UNITS
    }
    assert called == set(PROGRAMS)


@pytest.mark.systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, machine: Path) -> None:
    assert analyze("verify", f"--root={machine}", instance(unit)) == ""


@pytest.mark.systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_rated_ok_without_asking_for_any_privilege(unit: Path, machine: Path) -> None:
    limit = f"--threshold={MOST_EXPOSED}"
    assert analyze("security", "--offline=true", limit, f"--root={machine}", instance(unit)) == ""


@pytest.mark.systemd
def test_without_its_hardening_a_unit_would_not_be_rated_ok(machine: Path) -> None:
    shutil.rmtree(machine / "etc/systemd/system/mcast-.service.d")
    limit = f"--threshold={MOST_EXPOSED}"
    assert analyze("security", "--offline=true", limit, f"--root={machine}", instance(UNITS[0]))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_program_takes_the_command_of_its_unit_with_the_options_of_its_comment(
    unit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemctl, "UNITS", SYSTEMD / "system")
    text = unit.read_text()
    (example,) = re.findall(r"^# .*MCAST_OPTIONS=(.*)$", text, re.MULTILINE)
    settings = systemctl.settings_of(unit.name)
    environment = {"MCAST_OPTIONS": example, "CACHE_DIRECTORY": "/var/cache/mcast"}
    program, *options = systemctl.command_of(instance(unit).removesuffix(".service"), settings, environment)
    assert vars(cli.parser_of(PROGRAMS[Path(program).name]).parse_args(options))
    assert re.search(f"^# .* {settings['EnvironmentFile'].replace('%i', '[a-z0-9]+')} ", text, re.MULTILINE)


def test_the_user_of_the_units_is_the_one_that_is_made() -> None:
    common = (SYSTEMD / "system/mcast-.service.d/service.conf").read_text()
    made = re.findall(r"^u (\w+)", (SYSTEMD / "sysusers.d/mcast.conf").read_text(), re.MULTILINE)
    for key in ("User", "Group"):
        assert re.findall(f"^{key}=(.*)$", common, re.MULTILINE) == made


def test_the_installation_is_a_script_that_a_shell_can_read() -> None:
    subprocess.run(["sh", "-n", SYSTEMD / "install"], check=True)
    lines = (SYSTEMD / "install").read_text().splitlines()
    named = [word for line in lines for word in shlex.split(line, comments=True) if word.startswith("$here/")]
    assert named
    assert all((SYSTEMD / word.removeprefix("$here/")).exists() for word in named)
