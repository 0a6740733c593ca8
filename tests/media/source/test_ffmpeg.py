import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from helpers import PATIENCE, wait_until
from mcast.errors import ConfigError
from mcast.media.source import ffmpeg
from mcast.media.source.complaints import SourceError
from mcast.media.source.ffmpeg import Child, input_formats, lines_of
from mcast.media.source.probe import probe
from mcast.media.tools import find_tool


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_missing_tool_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"^ffmpeg is missing; install it with: sudo apt-get install ffmpeg$"
    ):
        find_tool("ffmpeg")
    (tmp_path / "pacman").write_text("#!/bin/sh\n")
    (tmp_path / "pacman").chmod(0o755)
    with pytest.raises(ConfigError, match=r"ffprobe is missing.*pacman -S ffmpeg"):
        probe("film.mp4")


def test_the_last_lines_of_stderr_are_kept_however_much_comes() -> None:
    code = "import sys; sys.exit('x' * 100_000 + '\\n' + 'line\\n' * 10_000 + 'the last')"
    with Child(python(code)) as child:
        assert child.wait(20) == 1
    assert len(child.last_lines()) == 10
    assert child.close() == 1
    assert str(child.complaint("film")) == "ffmpeg cannot read it: the last"


def test_a_child_that_ignores_sigint_is_killed_with_its_group() -> None:
    code = (
        "import os, signal, time; signal.signal(2, signal.SIG_IGN); os.fork(); "
        "os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
    )
    child = Child(python(code))
    pids = [int(child.stdout.readline()) for _ in range(2)]
    began = time.monotonic()
    assert child.close() == -9
    assert time.monotonic() - began < 4
    wait_until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.ffmpeg
def test_a_child_before_a_full_pipe_ends_without_being_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "GRACE", PATIENCE)
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360"]
    child = Child([*command, "-f", "rawvideo", "pipe:1"])
    child.stdout.read(1)
    assert child.close() != -signal.SIGKILL


def test_a_command_that_fails_is_an_error_after_its_lines() -> None:
    seen: list[str] = []
    with pytest.raises(SourceError, match="why"):
        seen.extend(lines_of(python("import sys; print('one'); print('two'); sys.exit('why')")))
    assert seen == ["one", "two"]
    with pytest.raises(ConfigError, match="cannot be started: No such file"):
        Child(["/nowhere/ffmpeg"])


@pytest.mark.ffmpeg
def test_ffmpeg_tells_which_formats_and_devices_it_knows() -> None:
    assert {"lavfi", "mpegts", "mov", "mp4", "v4l2"} <= input_formats()


@pytest.mark.ffmpeg
def test_text_is_no_video_even_if_ffmpeg_could_draw_its_letters(tmp_path: Path) -> None:
    text = tmp_path / "letters.txt"
    text.write_text("hello\n" * 100)
    assert subprocess.run(["ffprobe", "-v", "error", text], check=False).returncode == 0
    with pytest.raises(SourceError, match="neither picture nor sound"):
        probe(str(text))


class Unkillable:
    """Whom no signal ends, until the test lets it: as one that hangs in the kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._killpg, self._monkeypatch = os.killpg, monkeypatch
        monkeypatch.setattr(os, "killpg", lambda _group, _signal: None)

    def let_go(self, child: Child) -> None:
        self._monkeypatch.undo()
        self._killpg(child.pid, signal.SIGKILL)


def test_a_child_that_hangs_in_the_kernel_is_waited_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    child = Child(python("import time; time.sleep(600)"))
    drain = next(each for each in threading.enumerate() if each.name == f"{child.name}-{child.pid}")
    kernel = Unkillable(monkeypatch)
    assert child.close() == -signal.SIGKILL  # though it has not ended
    assert f"pid {child.pid}, has not ended 1.0 s after SIGKILL: it hangs in the kernel" in caplog.text
    assert str(child.complaint("camera")) == "ffmpeg cannot read it: exit status -9"
    assert drain.daemon, "it would keep mcast from ending"
    kernel.let_go(child)
    drain.join(PATIENCE)
    assert (drain.is_alive(), child.wait(PATIENCE)) == (False, -signal.SIGKILL)


def test_without_threads_no_child_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def refuse(thread: threading.Thread) -> None:
        pids.append(int(thread.name.rpartition("-")[2]))
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ConfigError, match="cannot be started: can't start new thread; raise the limit"):
        Child(python("import time; time.sleep(60)"))
    assert len(pids) == 1
    assert not _runs(pids[0])
