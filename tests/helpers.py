"""Helpers for all tests: wait for a condition with a bound, never for a time."""

import contextlib
import fcntl
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, AnyStr

import pytest

PATIENCE = 30.0
"""Seconds to wait for what must happen: only a failing test waits so long."""
FORGED = "a\n12:00:00.000 ERROR b\x1b[31m\u2028\u202e\x9b\ud800"
"""What a peer may say who means harm: a line end, an escape sequence, a mark of direction, half a letter."""


def wait_until(
    condition: Callable[[], object], what: str = "the condition", timeout: float = PATIENCE
) -> None:
    """Return as soon as the condition holds; fail with its name if it does not within the time."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def unused_port(in_a_row: int = 1) -> int:
    """Return a port for a program that is started later, or the first of some in a row, free for TCP and UDP.

    It is none of those that the system gives to who names none: one of these may be another test's by then.
    """
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    kept = range(int(given[0]), int(given[1]) + 1)
    while True:
        port = random.randrange(1024, 65536 - in_a_row)
        whole = range(port, port + in_a_row)
        if port in kept or whole[-1] in kept:
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as taken:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for each in whole:
                    taken.enter_context(socket.socket(type=kind)).bind(("", each))
            return port


def is_bound(port: int, kind: str = "udp") -> bool:
    """Tell whether a socket of this machine has the port, and listens if it is one of TCP."""
    lines = Path(f"/proc/net/{kind}").read_text().splitlines()
    return any(f":{port:04X} 00000000:0000" in line for line in lines)


def group_of(port: int) -> str:
    """Return a multicast group that is the port's alone, so that tests beside each other share none."""
    return f"239.255.{port >> 8}.{port & 0xFF}"


def is_joined(group: str) -> bool:
    """Tell whether a socket of this machine is a member: a port is bound before its group is joined."""
    as_shown = f"{int.from_bytes(socket.inet_aton(group), sys.byteorder):08X}"
    return any(as_shown in line.split() for line in Path("/proc/net/igmp").read_text().splitlines())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one of all processes inside; the kernel unlocks it, whatever ends the process."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def line_with(text: AnyStr, process: "subprocess.Popen[AnyStr]", stream: IO[AnyStr] | None) -> AnyStr:
    """Return the next line that holds a text; the process that does not write it in time is killed."""
    assert stream is not None
    impatience = threading.Timer(PATIENCE, process.kill)
    impatience.start()
    try:
        while text not in (line := stream.readline()):
            assert line, f"it has ended, by itself or after {PATIENCE:g} s, and not said {text!r}"
    finally:
        impatience.cancel()
        impatience.join()
    return line


def refuse_threads(monkeypatch: pytest.MonkeyPatch, prefix: str = "") -> None:
    """Have the system give no more threads; only to those whose names begin so."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(prefix):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


class Recorder:
    """A callback that remembers what it was called with, for tests of other threads."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, *args: object) -> None:
        self.calls.append(args[0] if len(args) == 1 else args)

    def wait_for(self, count: int = 1) -> list[object]:
        wait_until(lambda: len(self.calls) >= count, f"{count} calls (there are {len(self.calls)})")
        return self.calls

    def __len__(self) -> int:
        return len(self.calls)
