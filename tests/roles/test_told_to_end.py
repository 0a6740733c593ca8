"""Whatever a program is doing, one SIGTERM ends it in order: each state here would last for minutes."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.neighbours import Node
from helpers import PATIENCE, line_with, wait_until
from mcast.wire.node import MissReason, StopReason
from mcast.wire.rtcp import FeedState

START = """
import socket, sys, time
def never_answer(*_, **__):
    print("asked", flush=True)
    time.sleep(600)
socket.getaddrinfo = never_answer
from mcast.roles import ending
ending.END_SECONDS = 1.0
from mcast.__main__ import main
sys.exit(main())
"""
"""Runs mcast where no name server answers, and where what has not ended after a second is a failure."""
LOADING = """
import importlib, time
def never_load(name):
    print("loading", flush=True)
    time.sleep(600)
importlib.import_module = never_load
from mcast.__main__ import {role}
{role}()
"""
"""Runs a program from a disk that hangs."""


class Program:
    """One of the four programs, on a machine without a name server."""

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip

    def has_asked_for_a_name(self) -> None:
        """Wait until it looks up a host name."""
        line_with(b"asked", self._process, self._process.stdout)

    def said(self, text: str) -> None:
        """Wait for a line of its log."""
        line_with(text.encode(), self._process, self._process.stderr)

    def has_open(self, file: Path) -> bool:
        """Tell whether it is at work with a file."""
        folder = Path(f"/proc/{self._process.pid}/fd")
        return any(os.path.realpath(link) == str(file) for link in folder.iterdir())

    def handles_signals(self) -> bool:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (caught,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    def has_written(self) -> bool:
        """Tell whether something waits in the pipe of its standard output."""
        assert self._process.stdout is not None
        waiting = fcntl.ioctl(self._process.stdout, termios.FIONREAD, bytes(4))
        return any(waiting)

    def told_to_end(self) -> tuple[int, str]:
        """Send SIGTERM once; return its status, and what it said from then on."""
        self._process.terminate()
        status = self._process.wait(PATIENCE)
        assert self._process.stderr is not None
        return status, self._process.stderr.read().decode()

    def ended(self) -> int:
        """Wait for its end; return its status."""
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


Run = Callable[..., Program]


@pytest.fixture
def run() -> Iterator[Run]:
    programs: list[Program] = []

    def run(*arguments: str | Path) -> Program:
        programs.append(Program(*arguments))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize(
    "arguments",
    [
        ("client", "--neighbour", "n1.campus:5000", "--content", "news", "--output", "/dev/null"),
        ("node", "--bootstrap", "boot.campus:4000"),
    ],
)
def test_sigterm_ends_a_program_that_looks_up_a_name(run: Run, arguments: tuple[str, ...]) -> None:
    program = run(*arguments)
    program.has_asked_for_a_name()
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err


def test_sigterm_ends_a_bootstrapper_that_looks_up_where_to_listen(run: Run, tmp_path: Path) -> None:
    layout = tmp_path / "layout.toml"
    layout.write_text('rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n')
    program = run("bootstrap", "--address", "boot.campus:4000", "--config", layout)
    program.has_asked_for_a_name()
    assert program.told_to_end()[0] == 0


def test_sigterm_ends_a_server_that_reads_a_file_of_twelve_gigabytes(run: Run, tmp_path: Path) -> None:
    film, config = tmp_path / "film.mp4", tmp_path / "server.toml"
    with film.open("wb") as file:
        file.truncate(12_000_000_000)  # which takes no room
    config.write_text('[[content]]\nname = "film"\nsource = "film.mp4"\n')
    program = run(
        "server", "--address", "127.0.0.1:0", "--config", config, "--cache", tmp_path / "cache"
    )  # fmt: skip
    wait_until(lambda: program.has_open(film), "the server to read the film")
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err
    assert "serving" not in err


def test_sigterm_ends_a_server_in_the_middle_of_a_preparation(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, config, encoder = tmp_path / "film.ts", tmp_path / "server.toml", tmp_path / "ffmpeg"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:duration=1", film], check=True
    )
    config.write_text(f'cache = "cache"\n[[content]]\nname = "film"\nsource = "{film}"\n')
    # One that takes no SIGINT while it encodes, and says nothing for minutes.
    encoder.write_text(
        '#!/bin/sh\ncase "$*" in *pipe:1) trap "" INT; touch "$0.runs"; sleep 600; exit;; esac\n'
        f'exec {shutil.which("ffmpeg")} "$@"\n'
    )
    encoder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = run("server", "--address", "127.0.0.1:0", "--config", config)
    wait_until(Path(f"{encoder}.runs").exists, "the encoder", timeout=60)
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err


def test_sigterm_ends_a_client_that_waits_for_a_preparation(run: Run, node: Node) -> None:
    program = run(
        "client", "--neighbour", node.address, "--content", "news", "--wait", "600", "--output", "/dev/null"
    )
    for _ in range(4):  # longer than one second, after which it is said
        node.miss(MissReason.CUT, "preparing 43 %", retry_ms=500)
    program.said("[news] waiting: preparing 43 %")
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err


def test_sigterm_ends_a_client_whose_source_is_silent(run: Run, node: Node) -> None:
    program = run(
        "client", "--neighbour", node.address, "--content", "news", "--wait", "600", "--output", "/dev/null"
    )
    node.fanout.set_state(FeedState.WAITING)
    node.take_in()
    program.said("[news] waiting: the source is silent")
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err
    assert node.heard_stop() is StopReason.UNSUBSCRIBE


def test_sigterm_ends_a_client_whose_fifo_nobody_reads(run: Run, node: Node, fifo: Path) -> None:
    program = run(
        "client", "--neighbour", node.address, "--content", "news", "--wait", "600", "--output", fifo
    )
    program.said("waits for a reader")
    status, err = program.told_to_end()
    assert (status, "error" in err) == (0, False), err


@pytest.mark.parametrize("role", ["bootstrap", "server"])
def test_sigterm_ends_a_program_whose_file_is_a_fifo_that_nobody_writes(
    run: Run, fifo: Path, role: str
) -> None:
    program = run(role, "--address", "127.0.0.1:0", "--config", fifo)
    wait_until(program.handles_signals, "the program to be up")
    assert program.told_to_end()[0] == 0


def test_sigterm_ends_a_client_whose_standard_output_nobody_reads(run: Run, node: Node) -> None:
    program = run("client", "--neighbour", node.address, "--content", "news", "--output", "-")
    node.take_in()
    program.said("joined")
    for first in range(0, 200, 40):  # four times what a pipe holds
        node.push(first, 40)
    wait_until(program.has_written, "the first media")
    status, err = program.told_to_end()
    assert status == 0, err
    assert "standard output has not taken the last" in err
    assert node.heard_stop() is StopReason.UNSUBSCRIBE


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


def test_a_second_client_does_not_touch_the_first_ones_recording(
    run: Run, node: Node, tmp_path: Path
) -> None:
    recording = tmp_path / "news.ts"
    command = ("client", "--neighbour", node.address, "--content", "news", "--output", recording)
    first = run(*command)
    node.take_in()
    node.push(0, 20)
    wait_until(lambda: recording.exists() and recording.stat().st_size, "the first media")
    second = run(*command)
    second.said("another mcast records there")
    assert second.ended() == 2
    assert first.told_to_end()[0] == 0
    assert recording.stat().st_size > 0


@pytest.mark.parametrize("role", ["bootstrap", "node", "server", "client"])
def test_ctrl_c_while_a_program_is_still_being_loaded_ends_it_without_a_word(role: str) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", LOADING.format(role=role)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        line_with(b"loading", held, held.stdout)
        held.send_signal(signal.SIGINT)
        assert held.communicate(timeout=PATIENCE) == (b"", b"")
        assert held.returncode == 0
    finally:
        held.kill()
        held.wait()
