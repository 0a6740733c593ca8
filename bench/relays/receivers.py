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


LATE_SECONDS = 0.25
"""So far behind may a content be: what is late is not lost, unless it gets later and later."""


LONGEST_TRAIN = 64
"""Datagrams: so many that were due before may come in a window. More of one content makes up for no other."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What has to come of each content in some time."""

    seconds: float  # of media: as many as go by
    datagrams: float  # to each child, by the content's rate

    @property
    def least_seconds(self) -> float:
        return max(self.seconds - LATE_SECONDS, self.seconds / 2)


@dataclass(frozen=True, slots=True)
class Progress:
    """What came of a content, and how far it went on."""

    rtp: int = 0  # datagrams, to all children together
    span: int = 0  # sequence numbers
    seconds: float = 0.0  # of media, by its timestamps

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(self.rtp + other.rtp, self.span + other.span, self.seconds + other.seconds)

    def expected(self, owed: Owed) -> float:
        """Return how many datagrams have to come to each child.

        The numbers that went by tell it exactly. But a content that has fallen silent or behind had more to
        send than that: all that its rate makes.
        """
        return self.span if self.seconds >= owed.least_seconds else max(self.span, owed.datagrams)


@dataclass(frozen=True, slots=True)
class Counts:
    """What came since it was asked last."""

    bytes: int
    contents: tuple[Progress, ...] = ()  # of RTP

    def __add__(self, other: "Counts") -> "Counts":
        both = (mine + more for mine, more in zip(self.contents, other.contents, strict=True))
        return Counts(self.bytes + other.bytes, tuple(both))

    def loss(self, children: int, owed: Owed) -> float:
        """Return the share of the datagrams of RTP that did not come to so many children of each content."""
        expected = [content.expected(owed) for content in self.contents]
        came = (
            min(content.rtp, (most + LONGEST_TRAIN) * children)
            for content, most in zip(self.contents, expected, strict=True)
        )
        return 1.0 - min(1.0, sum(came) / (sum(expected) * children)) if any(expected) else 0.0


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
    rtp: list[int]
    spans: list[int]
    played: list[float]


class Sink(AskedProgram):
    """Receives by UDP."""

    def take(self) -> Counts:
        answer: SinkJson = json.loads(self._line())
        each = zip(answer["rtp"], answer["spans"], answer["played"], strict=True)
        return Counts(answer["bytes"], tuple(Progress(rtp, span, ms / 1000) for rtp, span, ms in each))


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
