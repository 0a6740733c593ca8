"""A client as a process that is told to end: at whichever moment, it leaves in order and at once."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.neighbours import Node, payload
from helpers import PATIENCE, line_with, wait_until
from mcast.wire.node import Disc, StopReason
from roles.partners import silent_address


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


class Program:
    """A client that records, with its files."""

    def __init__(self, folder: Path, neighbour: str) -> None:
        self.recording, self.report = folder / "news.ts", folder / "report.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcast", "client", "--neighbour", neighbour, "--content", "news",
             "--output", str(self.recording), "--report", str(self.report), "--latency", "20"],
            stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip

    def said(self, text: str) -> None:
        """Wait for a line of its log."""
        line_with(text, self._process, self._process.stderr)

    def told_to_end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, and wait for its status."""
        self._process.send_signal(number)
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


Run = Callable[[str], Program]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    programs: list[Program] = []

    def run(neighbour: str) -> Program:
        programs.append(Program(tmp_path, neighbour))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()


def left_nothing(program: Program) -> bool:
    """Tell whether it says that the user has ended it, and has touched no file."""
    reason: str = json.loads(program.report.read_text())["exit_reason"]
    return reason == "stopped by the user" and not program.recording.exists()


def test_a_signal_ends_it_with_status_0_while_nobody_answers(run: Run) -> None:
    with silent_address() as address:
        program = run(address)
        program.said("searching")
        assert program.told_to_end() == 0
    assert left_nothing(program)


@pytest.mark.parametrize("questions", [1, 2])
def test_a_signal_ends_it_with_status_0_while_it_waits_for_an_answer(
    node: Node, run: Run, questions: int
) -> None:
    program = run(node.address)
    if questions == 1:
        node.connection, _ = node.peer.question(Disc)
    else:
        node.asked_to_stream()
    assert program.told_to_end() == 0
    assert node.heard_stop() is (StopReason.UNSUBSCRIBE if questions == 2 else None)
    assert left_nothing(program)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0_while_it_plays(node: Node, run: Run, number: signal.Signals) -> None:
    program = run(node.address)
    node.take_in()
    node.push(0, 20)
    wait_until(lambda: program.recording.exists() and program.recording.stat().st_size, "the first media")
    assert program.told_to_end(number) == 0
    assert node.heard_stop() is StopReason.UNSUBSCRIBE
    assert program.recording.read_bytes() == payload(0, 20)
    node.wait_forgotten()


def test_a_signal_ends_it_with_status_0_while_it_waits_for_media(node: Node, run: Run) -> None:
    program = run(node.address)
    node.take_in()
    program.said("joined")
    assert program.told_to_end() == 0
    assert node.heard_stop() is StopReason.UNSUBSCRIBE
