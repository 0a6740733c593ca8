"""What `pip install .` gives: four programs that run, and nothing beside them."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from ipaddress import ip_address
from pathlib import Path

import pytest

from mcast import __version__
from mcast.config.networks import parse_networks
from mcast.media.source.server_config import load_server_config
from mcast.roles.bootstrap.main import read_layout

ROOT = Path(__file__).parents[1]
PROGRAMS = ("mcast-bootstrap", "mcast-client", "mcast-node", "mcast-server")
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")


SERVER_FILES = sorted((ROOT / "resources").rglob("*server*.toml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources as pip builds it, without any network."""
    copy, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-q",
        "-w", target, copy)  # fmt: skip
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment that holds nothing but the wheel."""
    place = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", place)
    run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install",
        "--no-deps", "--no-index", "-q", wheel)  # fmt: skip
    yield place
    shutil.rmtree(place)


def test_the_wheel_holds_the_product_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"mcast", f"mcast-{__version__}.dist-info"}
    shipped = {name.removeprefix("mcast/") for name in names if name.startswith("mcast/")}
    package = ROOT / "src" / "mcast"
    files = [*package.rglob("*.py"), *package.glob("*/static/*")]
    present = {str(file.relative_to(package)) for file in files} | {"py.typed"}
    assert shipped == present


def test_the_wheel_names_four_programs(wheel: Path) -> None:
    entries = ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        entries.read_string(archive.read(f"mcast-{__version__}.dist-info/entry_points.txt").decode())
    assert entries.sections() == ["console_scripts"]
    assert sorted(entries["console_scripts"]) == [*PROGRAMS]


def test_an_installation_has_these_programs_and_no_others(environment: Path) -> None:
    assert sorted(file.name for file in (environment / "bin").glob("mcast*")) == [*PROGRAMS]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_installed_program_runs(name: str, environment: Path, tmp_path: Path) -> None:
    program = environment / "bin" / name
    assert run(program, "--version", cwd=tmp_path) == f"{name} {__version__}\n"
    assert run(program, "--help", cwd=tmp_path).startswith(f"usage: {name} ")


def test_an_installed_program_does_what_its_help_says(environment: Path, tmp_path: Path) -> None:
    config = ROOT / "resources" / "configs" / "demo-layout.toml"
    said = run(environment / "bin" / "mcast-bootstrap", "--config", config, "--check", cwd=tmp_path)
    assert said.endswith(": 5 nodes, 6 links, 2 servers: ok\n")


@pytest.mark.parametrize("name", [*PROGRAMS, "mcast-demo", "mcast-lab"])
def test_every_program_of_the_checkout_tells_its_version(name: str, tmp_path: Path) -> None:
    said = run(sys.executable, "-E", "-S", ROOT / "bin" / name, "--version", cwd=tmp_path)
    assert said == f"{name} {__version__}\n"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run it with nothing of ours in its surroundings; return what it says."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_files_for_servers() -> None:
    assert len(SERVER_FILES) >= 5


@pytest.mark.parametrize("file", SERVER_FILES, ids=lambda file: file.name)
def test_each_server_s_file_names_the_rendezvous_points_that_its_layout_has(file: Path) -> None:
    named = load_server_config(file).rendezvous
    assert named is not None
    layout_file = re.sub(r"-server\.toml$", "-layout.toml", re.sub(r"\.server-s\d", ".bootstrap", str(file)))
    layout = read_layout(Path(layout_file))
    for name in layout.rendezvous:
        assert all(ip_address(host) in named for host in layout.hosts_of(name))


def test_the_servers_of_the_pages_name_the_rendezvous_points(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    (text,) = re.findall(r"^cat > /etc/mcast/films.toml <<'END'\n(.*?)^END$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "films.toml").write_text(text)
    assert load_server_config(tmp_path / "films.toml").rendezvous == parse_networks(["10.0.1.10"])
