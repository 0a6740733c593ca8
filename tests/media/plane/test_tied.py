"""A child process ends with the process that has started it, also where that one is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import wait_until
from mcast.media.tied import TiedProcess

PARENT = """
import subprocess, sys, threading
from mcast.media.tied import TiedProcess
def start():
    global child
    child = TiedProcess(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=None)
starter = threading.Thread(target=start)
starter.start()
starter.join()
print("started", flush=True)
child.wait()
"""
FAMILY = """
import os, sys, time
open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')
os.fork()
open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')
time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process whose child has a child, and was started by a thread that has ended."""
    command = [sys.executable, "-c", PARENT, sys.executable, "-c", FAMILY, str(tmp_path / "pids")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        wait_until(lambda: len(family(tmp_path)) == 2, "the child and its child")
        yield process
        process.kill()
    for pid in family(tmp_path):
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def family(tmp_path: Path) -> set[int]:
    path = tmp_path / "pids"
    return {int(line) for line in path.read_text().splitlines()} if path.exists() else set()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_childs_whole_group_ends_when_its_parent_is_killed_but_not_with_the_thread_that_began_it(
    parent: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert all(runs(pid) for pid in family(tmp_path))
    parent.kill()
    wait_until(lambda: not any(runs(pid) for pid in family(tmp_path)), "the family's end", timeout=10)


def test_a_child_that_has_ended_leaves_no_descriptor() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with TiedProcess(["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        assert child.wait(30) == 0
    assert child.poll() == 0
    with pytest.raises(FileNotFoundError):
        TiedProcess(["/nowhere/ffmpeg"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_another_signal_than_sigkill_lets_a_child_end_in_order(tmp_path: Path) -> None:
    child = (
        "import signal, sys, time; from pathlib import Path; "
        "signal.signal(15, lambda *_: (Path(sys.argv[1]).write_text('in order'), sys.exit())); "
        "Path(sys.argv[1]).write_text('begun'); time.sleep(600)"
    )
    parent = (
        "import signal, subprocess, sys; from mcast.media.tied import TiedProcess; "
        "TiedProcess(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=None, end_by=signal.SIGTERM).wait()"
    )
    said = tmp_path / "said"
    command = [sys.executable, "-c", parent, sys.executable, "-c", child, str(said)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: said.exists() and said.read_text() == "begun", "the child")
        finally:
            process.kill()
    wait_until(lambda: said.read_text() == "in order", "an orderly end")
