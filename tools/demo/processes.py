"""mcast's programs as child processes: started, listened to, ended.

Each has a process group of its own, so that a Ctrl-C at the terminal reaches only the one who
started them, and that one ends them in order. What a program says goes to a file; whoever waits
for a line of it waits with a bound.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import mcast
from mcast.errors import McastError

POLL = 0.01
"""Seconds between two looks at a log or a condition."""
STOP_TIMEOUT = 5.0
"""Seconds for a program to end after SIGINT before it is killed, and that is a failure."""
START_TIMEOUT = 20.0
"""Seconds for a program to say what it was waited for: a loaded machine needs a few."""


class ProgramError(McastError):
    """A program did not do what it should; the text names it and its log."""


class Program:
    """One running program and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it. `stdout` is a descriptor (default: the log, too); stdin is empty."""
        self.name, self.command, self.log = name, list(command), log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                env=environment_with(environment or {}),
                process_group=0,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs; negative: the signal that ended it."""
        return self.process.poll()

    def text(self) -> str:
        """Give all that it has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, timeout: float = START_TIMEOUT) -> re.Match[str]:
        """Wait until it says something that matches. Raises ProgramError if it ends or takes too long."""
        compiled, deadline = re.compile(pattern, re.MULTILINE), time.monotonic() + timeout
        while True:
            ended = self.status is not None  # looked at first: what it said last is then in the log
            if (match := compiled.search(self.text())) is not None:
                return match
            if ended:
                raise self.error(f"ended with status {self.status} before it said '{pattern}'")
            if time.monotonic() > deadline:
                raise self.error(f"has not said '{pattern}' within {timeout:g} s")
            time.sleep(POLL)

    def wait(self, timeout: float) -> int:
        """Wait for the end, give the exit status. Raises ProgramError if it takes too long."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error(f"still runs after {timeout:g} s") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; that it has ended already is no error."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout: float = STOP_TIMEOUT) -> int:
        """Ask it to end, give its exit status. Raises ProgramError if it had to be killed."""
        self.send(number)
        try:
            return self.wait(timeout)
        except ProgramError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, and all that it has started: they have process groups of their own."""
        if self.status is not None:
            return
        self.send(signal.SIGSTOP)  # or it could start something while we look
        below = _below(self.pid)
        for pid in (self.pid, *below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def error(self, what: str) -> ProgramError:
        """Give an error that names the program, what it said last, and its log."""
        last = self.text().strip().rpartition("\n")[2]
        return ProgramError(f"{self.name} {what}; its last line: {last or '(none)'}; its log: {self.log}")

    def __repr__(self) -> str:
        return f"Program({self.name}, pid {self.pid}, status {self.status})"


def _below(pid: int) -> list[int]:
    """Give the processes that a process has started, and those that they have started, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return [*found, *(other for child in found for other in _below(child))]


def role_command(role: str, *options: str) -> list[str]:
    """Give the command of one of mcast's programs, run by this very interpreter from these sources."""
    return [sys.executable, "-m", "mcast", role, *options]


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, so that mcast and its tools are found, and with some changes."""
    needed = [str(Path(mcast.__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
    others = [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in needed
    ]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*needed, *others]), **changes}


def stop_all(programs: Sequence[Program], timeout: float = STOP_TIMEOUT) -> list[str]:
    """Ask all to end at the same time, wait, and kill what remains; give what was not as it should be."""
    running = [program for program in programs if program.status is None]
    for program in running:
        program.send(signal.SIGCONT)
        program.send(signal.SIGINT)
    deadline = time.monotonic() + timeout
    try:
        problems = [_end_problem(program, deadline) for program in running]
    finally:  # also if the user presses Ctrl-C once more
        for program in running:
            program.kill()
    return [problem for problem in problems if problem]


def _end_problem(program: Program, deadline: float) -> str:
    """Wait for a program's end, give what is wrong with it."""
    try:
        status = program.wait(max(0.0, deadline - time.monotonic()))
    except ProgramError as error:
        return str(error)
    return f"{program.name} ended with status {status}; its log: {program.log}" if status else ""


def wait_until(condition: Callable[[], object], what: str, timeout: float = START_TIMEOUT) -> None:
    """Return as soon as the condition holds. Raises ProgramError if it does not within the time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ProgramError(f"waited {timeout:g} s for {what}")
        time.sleep(POLL)
