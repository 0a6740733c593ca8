"""The Containerfile: what it copies is there and is all that the programs need. (No image is built here.)"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcast import __version__

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
PROGRAMS = ("mcast-bootstrap", "mcast-client", "mcast-node", "mcast-server")


def values_of(instruction: str) -> list[str]:
    return [value for name, value in INSTRUCTIONS if name == instruction]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The files of the image, below a directory instead of /."""
    for value in values_of("COPY"):
        *sources, target = value.split()
        place = tmp_path / target.lstrip("/")
        for source in sources:
            copied = ROOT / source
            if copied.is_dir():
                shutil.copytree(copied, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(copied, place)
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_runs_from_what_is_copied_alone(program: str, image: Path) -> None:
    path = next(word for word in values_of("ENV")[0].split() if word.startswith("PATH="))
    first = path.removeprefix("PATH=").split(":")[0]
    file = image / first.lstrip("/") / program
    done = subprocess.run(
        [sys.executable, "-E", "-S", file, "--version"],
        capture_output=True,
        text=True,
        cwd=image,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {__version__}\n", "")


def test_every_instruction_is_one_that_podman_and_docker_know() -> None:
    known = {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "VOLUME", "STOPSIGNAL", "CMD"}
    assert {name for name, _ in INSTRUCTIONS} == known
    assert INSTRUCTIONS[0][0] == "FROM"
    assert json.loads(values_of("CMD")[0])[0] in PROGRAMS


def test_nobody_is_root_in_it() -> None:
    (user,) = values_of("USER")
    assert user.isdecimal()  # by number: Kubernetes cannot tell otherwise that it is not root
    assert int(user) > 1000
    assert f"--uid {user} " in values_of("RUN")[0]


def test_it_installs_what_the_programs_call_and_names_its_release() -> None:
    (image,) = values_of("FROM")
    assert re.fullmatch(r"docker\.io/library/debian:\d+-slim", image)
    assert {"ffmpeg", "python3"} <= set(values_of("RUN")[0].split())
