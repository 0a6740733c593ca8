"""The C programs that stand for many receivers: run, and asked by SIGUSR1 what has come to them.

sink     all children by UDP
reader   all viewers by TCP, on sockets that are connected already
probe    a few children by UDP, whose datagrams' arrival is compared with that at a tap in front of the hop
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

from bench.relays.machine import OTHER_CORE, on_core

C_PROGRAMS = Path(__file__).parents[1] / "c"
FIRST_DESCRIPTOR = 8_000
"""Of a reader's sockets: where this process has none of its own."""


@dataclass(frozen=True, slots=True)
class Owed:
    """How many datagrams of a content have to come to each child in some time."""

    all: float  # by its rate
    least: float  # what its encoder may have left of that to be sent before or after


@dataclass(frozen=True, slots=True)
class Counts:
    """What came since it was asked last."""

    bytes: int
    rtp: int = 0  # datagrams
    spans: tuple[int, ...] = ()  # how far the sequence numbers of each content went on

    def __add__(self, other: "Counts") -> "Counts":
        spans = zip(self.spans, other.spans, strict=True)
        return Counts(self.bytes + other.bytes, self.rtp + other.rtp, tuple(map(sum, spans)))

    def loss(self, children: int, owed: Owed) -> float:
        """Return the share of the datagrams of RTP that did not come to this many children of each content.

        How many there were is told by the numbers that went by. A content of which fewer went by than its
        rate allows has fallen silent, and owes all that its rate makes.
        """
        expected = sum(span if span >= owed.least else owed.all for span in self.spans)
        return 1.0 - min(1.0, self.rtp / (expected * children)) if expected else 0.0


class Receivers(Protocol):
    """All who take what a contender delivers."""

    def take(self) -> Counts:
        """Return what came since the last call."""


class AskedProgram:
    """A running program that answers a signal with a line of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self) -> dict[str, float]:
        """Return what it answers. Raises RuntimeError if it has ended."""
        answer: dict[str, float] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR1)
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self._process.args!r} has ended")
        return line


class SinkJson(TypedDict):
    """What a sink answers."""

    datagrams: int
    bytes: int
    rtp: int
    spans: list[int]


class Sink(AskedProgram):
    """Receives by UDP."""

    def take(self) -> Counts:
        answer: SinkJson = json.loads(self._line())
        return Counts(answer["bytes"], answer["rtp"], tuple(answer["spans"]))


class Reader(AskedProgram):
    """Receives by TCP."""

    def take(self) -> Counts:
        answer = self.ask()
        if answer["closed"]:
            raise RuntimeError(f"{answer['closed']:.0f} viewers have been cut")
        return Counts(int(answer["bytes"]))


@contextlib.contextmanager
def sink(contents: int, first_port: int, *, trains: bool = False) -> Iterator[Sink]:
    """Receive for all children of so many contents."""
    kind = "trains" if trains else "plain"
    with _running("sink", str(contents), str(first_port), kind) as process:
        yield Sink(process)


@contextlib.contextmanager
def reader(sockets: Sequence[socket.socket]) -> Iterator[Reader]:
    """Read from connected sockets; they are closed here, and live on there."""
    with contextlib.ExitStack() as copies:
        descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + len(sockets))
        for sock, descriptor in zip(sockets, descriptors, strict=True):
            os.dup2(sock.fileno(), descriptor, inheritable=True)
            copies.callback(os.close, descriptor)
            sock.close()
        with _running("reader", str(FIRST_DESCRIPTOR), str(len(sockets)), inherited=descriptors) as process:
            copies.close()
            yield Reader(process)


@contextlib.contextmanager
def probe(tap: str, children: Sequence[str], wait_ms: int) -> Iterator[AskedProgram]:
    """Compare arrivals at children (IP:PORT) with those at the tap, but for the last `wait_ms`."""
    with _running("probe", str(wait_ms), tap, *children) as process:
        yield AskedProgram(process)


@contextlib.contextmanager
def _running(program: str, *options: str, inherited: Sequence[int] = ()) -> Iterator["subprocess.Popen[str]"]:
    command = on_core(OTHER_CORE, [str(C_PROGRAMS / program), *options])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=inherited) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{program} has not started")
            yield process
        finally:
            process.kill()
