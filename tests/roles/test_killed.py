"""A program that is killed by SIGKILL leaves no ffmpeg and no player behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import unused_port, wait_until
from mcast.hostport import HostPort
from mcast.wire.server import Send
from roles.partners import reached
from tools.demo.processes import environment_with


def those_that_name(text: str) -> list[int]:
    """Return the processes, other than mcast's, in whose command a text stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(text.encode() in part for part in command) and command[0] != sys.executable.encode():
            found.append(int(path.parent.name))
    return found


def is_tied(pid: int) -> bool:
    """Tell whether the kernel signals a process when its parent has gone: a pipe of it has O_ASYNC set."""
    try:
        infos = [info.read_text().split() for info in Path(f"/proc/{pid}/fdinfo").iterdir()]
    except OSError:
        return False
    return any(int(info[info.index("flags:") + 1], 8) & os.O_ASYNC for info in infos)


@pytest.mark.ffmpeg
@pytest.mark.processes
@pytest.mark.parametrize("copy", ["true", "false"], ids=["ffmpeg", "ffprobe"])
def test_a_killed_server_leaves_no_ffmpeg_that_waits_for_a_silent_sender(copy: str, tmp_path: Path) -> None:
    address = HostPort("127.0.0.1", unused_port())
    source = f"udp://127.0.0.1:{unused_port()}"
    config = tmp_path / "server.toml"
    config.write_text(f'[[content]]\nname = "studio"\nsource = "{source}"\nlive = true\ncopy = {copy}\n')
    command = [sys.executable, "-m", "mcast", "server", "--config", str(config), "--address", str(address)]
    with subprocess.Popen(
        [*command, "--cache", str(tmp_path / "cache")], stderr=subprocess.DEVNULL, env=environment_with({})
    ) as server:
        try:
            with reached(address) as connection:
                connection.send(Send("studio"))
                wait_until(lambda: any(map(is_tied, those_that_name(source))), "ffmpeg, tied to the server")
        finally:
            server.kill()
    try:
        wait_until(lambda: not those_that_name(source), "ffmpeg's end")
    finally:
        for pid in those_that_name(source):
            os.kill(pid, signal.SIGKILL)
