"""`make demo` itself: its end, its status, its last line, and what it leaves."""

import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from gateway.browser import browsing
from mcast.errors import ConfigError
from tools.demo.main import run
from tools.demo.plan import LINKS, SERVERS
from tools.demo.processes import ProgramError, ProgramProcess, stop_all, wait_until
from tools.demo.tools import check_display, ensure_ffmpeg
from topology.outside import command, descendants, exists

DEMO = [sys.executable, "-m", "tools.demo"]


@pytest.mark.processes
def test_the_demonstration_ends_with_four_complete_clients(demo_directory: Path, tmp_path: Path) -> None:
    demo = ProgramProcess("demo", [*DEMO, "--directory", str(demo_directory)], tmp_path / "log")
    try:
        assert demo.wait(200) == 0, demo.text()
    finally:
        demo.kill()
    last = demo.text().splitlines()[-1]
    assert last.startswith("demo: 4/4 clients complete, ")
    assert "└─ c4" in demo.text()


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demonstration_that_is_interrupted_ends_everything(
    number: signal.Signals, demo_directory: Path, tmp_path: Path
) -> None:
    demo = ProgramProcess("demo", [*DEMO, "--directory", str(demo_directory)], tmp_path / "log")
    try:
        demo.wait_for_text("└─ c1", 60)
        below = descendants(demo.pid)
        assert len(below) > len(LINKS) + len(SERVERS)
        assert demo.stop(number, timeout=60) == 130
    finally:
        demo.kill()
    assert "stopped by the user" in demo.text()
    assert "Traceback" not in demo.text()
    wait_until(lambda: not any(map(exists, below)), "the end of all that it has started")


@pytest.mark.processes
@pytest.mark.browser
def test_a_demonstration_that_serves_shows_the_overlay_and_the_contents_until_it_is_interrupted(
    demo_directory: Path, tmp_path: Path
) -> None:
    demo = ProgramProcess("demo", [*DEMO, "--serve", "--directory", str(demo_directory)], tmp_path / "log")
    try:
        demo.wait_for_text("Ctrl-C ends everything", 60)
        overlay, contents = re.findall(r"http://[\d.:]+/", demo.text())
        wait_until(lambda: viewers_of(overlay) == {"news": 3, "sport": 1}, "all viewers on the page", 60)
        with urllib.request.urlopen(f"{contents}playlist.m3u", timeout=30) as playlist:
            assert f"{contents}news.ts" in playlist.read().decode()
        with browsing(tmp_path) as browser:
            browser.open(overlay)
            trees = "[...document.querySelectorAll('.edge')].map((each) => each.dataset.key)"
            for content in ("news", "sport"):
                at_the_root = f"each.startsWith('rp\\n') && each.endsWith('\\n{content}')"
                browser.wait_until(f"{trees}.some((each) => {at_the_root})")
            browser.open(contents)
            browser.wait_until("document.querySelectorAll('article').length === 2")
            browser.evaluate("document.querySelector('[aria-label=\"Play news\"]').click()")
            browser.wait_until("document.querySelector('video')?.currentTime > 0.5")
            assert browser.errors == []
        below = descendants(demo.pid)
        (n1,) = [pid for pid in below if "--name n1 " in f"{command(pid)} "]
        os.kill(n1, signal.SIGKILL)
        demo.wait_for_text("n1 has ended: the others go on without it", 30)
        assert demo.stop(signal.SIGINT, timeout=60) == 130
    finally:
        demo.kill()
    wait_until(lambda: not any(map(exists, below)), "the end of all that it has started")


def viewers_of(page: str) -> dict[str, int]:
    """Return how many watch each content, says the overlay's page."""
    with urllib.request.urlopen(f"{page}api/contents", timeout=30) as answer:
        return {each["name"]: each["viewers"] for each in json.load(answer)["contents"]}


@pytest.mark.processes
def test_a_demonstration_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    demo = ProgramProcess("demo", [*DEMO, "--directory", str(tmp_path / "demo")], tmp_path / "log")
    below: list[int] = []
    try:
        demo.wait_for_text("└─ c1", 60)
        below = descendants(demo.pid)
        assert len(below) > len(LINKS) + len(SERVERS)
        demo.send(signal.SIGKILL)
        assert demo.wait(60) == -signal.SIGKILL
        wait_until(lambda: not any(map(exists, below)), "the end of all programs")
    finally:
        demo.kill()
        for pid in filter(exists, below):
            os.kill(pid, signal.SIGKILL)


def test_windows_without_a_display_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run(["--play", "--directory", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "display" in line
    with pytest.raises(ConfigError):
        check_display({})


def test_without_ffmpeg_and_the_right_to_install_it_the_command_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="install ffmpeg"):
        ensure_ffmpeg()


def test_root_on_debian_gets_ffmpeg_by_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apt-get of the test's own notes how it is called, and `installs`."""
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n'
        f'for tool in ffmpeg ffprobe; do printf "#!/bin/sh\\n" > {tmp_path}/$tool; done\n'
        f"/bin/chmod +x {tmp_path}/ffmpeg {tmp_path}/ffprobe\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    ensure_ffmpeg()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["update", "install"]


def test_a_program_that_ends_too_early_is_named_with_its_log(tmp_path: Path) -> None:
    program = ProgramProcess("n1", ["sh", "-c", "echo ouch; exit 3"], tmp_path / "n1.log")
    with pytest.raises(ProgramError, match=r"n1 ended with status 3 .* ouch; its log: .*n1\.log"):
        program.wait_for_event("joined")


def test_a_program_that_does_not_end_is_killed_and_told(tmp_path: Path) -> None:
    program = ProgramProcess(
        "n1", ["sh", "-c", "trap '' INT; echo up; while :; do sleep 1; done"], tmp_path / "n1.log"
    )
    program.wait_for_text("up")
    (problem,) = stop_all([program], timeout=0.2)
    assert "n1 still runs" in problem
    assert program.status == -signal.SIGKILL


def test_who_is_killed_takes_along_what_it_has_started_in_other_process_groups(tmp_path: Path) -> None:
    program = ProgramProcess("n1", ["sh", "-c", "setsid sleep 60 & echo up; wait"], tmp_path / "n1.log")
    program.wait_for_text("up")
    wait_until(lambda: any("sleep 60" in command(pid) for pid in descendants(program.pid)), "the sleeper")
    below = descendants(program.pid)
    program.kill()
    wait_until(lambda: not any(map(exists, below)), "its end")


def test_an_interrupted_end_still_ends_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = ProgramProcess("n1", ["sleep", "60"], tmp_path / "n1.log")

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stop_all([program])
    assert program.status is not None


def test_a_condition_that_never_holds_is_named() -> None:
    with pytest.raises(ProgramError, match="for the moon"):
        wait_until(lambda: False, "the moon", 0.05)
