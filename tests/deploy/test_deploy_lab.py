"""docs/deploy.md, "The same without machines": its plan and its commands, in the lab."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.machines import ROOT
from deploy.test_deploy_page import PAGE, size_of_png
from helpers import PATIENCE

SECTION = PAGE[PAGE.index("\n## The same without machines") :]
PROMPTED = re.findall(r"^    lab> (.*)$", SECTION, re.MULTILINE)
CONFIGS = ROOT / "resources" / "configs"
LIVE = '[[content]]\nname = "moon"\nsource = "testsrc2=size=320x180:rate=25"\nformat = "lavfi"\n'
"""In place of the film that `core-contents` takes a minute to make."""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The page's plan, for this checkout and with another film."""
    for file in CONFIGS.glob("simple_1.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "simple_1.server-s1.toml").write_text(LIVE)
    (text,) = re.findall(r"^```toml\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    file = tmp_path / "three.toml"
    file.write_text(text.replace("/opt/mcast", str(ROOT)).replace('"simple_1"', f'"{tmp_path}/simple_1"'))
    return file


@pytest.fixture
def lab(plan: Path) -> Iterator["subprocess.Popen[str]"]:
    """The lab with this plan, at its prompt."""
    (command,) = re.findall(r"^    sudo /opt/mcast/bin/(mcast-lab .*)$", SECTION, re.MULTILINE)
    words = command.replace("three.toml", str(plan)).split()
    process = subprocess.Popen(
        [sys.executable, ROOT / "bin" / words[0], *words[1:]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MCAST_PYTHON": sys.executable},
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.mark.netns
@pytest.mark.ffmpeg
@pytest.mark.systemd  # for nft
def test_the_plan_starts_what_the_units_start_and_there_is_a_picture(
    lab: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    picture, (watch, *others) = tmp_path / "moon.png", PROMPTED
    assert watch.endswith("/tmp/moon.png")
    type_until(lab, watch.replace("/tmp/moon.png", str(picture)), picture)
    assert size_of_png(picture) == (320, 180)
    for line in others:
        type_line(lab, line)
    _, complaints = lab.communicate(timeout=PATIENCE)
    assert lab.returncode == 0
    assert "is not a command" not in complaints


def type_line(lab: "subprocess.Popen[str]", line: str) -> None:
    assert lab.stdin is not None
    lab.stdin.write(f"{line}\n")
    lab.stdin.flush()


def type_until(lab: "subprocess.Popen[str]", line: str, file: Path) -> None:
    """Type a line, and again when it is done, as a user would until the programs are up."""
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline, f"there is no {file}"
        type_line(lab, line)
        type_line(lab, "exec c1 echo tried")
        assert lab.stdout is not None
        assert "tried\n" in iter(lab.stdout.readline, "")
