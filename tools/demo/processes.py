"""mcast's programs as child processes: started, listened to, ended.

Each has a process group of its own, so that a Ctrl-C at the terminal reaches only the one who
started them, and that one ends them in order; and if that one is killed, the kernel tells them to end.
What a program says goes to a file; whoever waits for an event in it waits with a bound.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import mcast
from mcast.errors import McastError
from tools.demo.event_log import JSON_LOGS, EventLog, JsonValue, LoggedEvent, entry_in

POLL = 0.01
"""Seconds between two looks at a log or a condition."""
STOP_TIMEOUT = 5.0
"""Seconds for a program to end after SIGINT before it is killed, and that is a failure."""
START_TIMEOUT = 20.0
"""Seconds for a program to say what it was waited for: a loaded machine needs a few."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # looked up before any fork: between fork and exec little is safe


class ProgramError(McastError):
    """A program did not do what it should; the text names it and its log."""


FoundT = TypeVar("FoundT")


class ProgramProcess:
    """One running program and its log.

    To be started by a thread that lasts as long as the program may: the program is told to end when that
    thread ends, as this process may have been killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start it. `stdout` is a descriptor (default: the log, too); stdin is empty.

        It runs in `folder`, where it is one that writes where it is.
        """
        self.name, self.command, self.log = name, list(command), log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.events = EventLog(log, log.stat().st_size)  # another of that name may have written before
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                env=environment_with(environment or {}),
                cwd=folder,
                process_group=0,
                preexec_fn=ends_with_us(),
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        """Return the exit status; None while it runs, negative if a signal has ended it."""
        return self.process.poll()

    def text(self) -> str:
        """Return all that it has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_event(
        self, name: str, timeout: float = START_TIMEOUT, *, after: int = 0, **fields: JsonValue
    ) -> LoggedEvent:
        """Wait until it logs an event with these fields; `after` so many events, if it logged some before.

        Raises ProgramError if it ends or takes too long.
        """
        said = " ".join([name, *(f"{field}={value!r}" for field, value in fields.items())])
        return self._wait_for(lambda: self.events.find(name, after, **fields), f"the event {said}", timeout)

    def wait_for_text(self, text: str, timeout: float = START_TIMEOUT) -> None:
        """Wait until a program that logs no events has written something. Raises as `wait_for_event` does."""
        self._wait_for(lambda: text in self.text() or None, repr(text), timeout)

    def _wait_for(self, find: Callable[[], FoundT | None], what: str, timeout: float) -> FoundT:
        deadline = time.monotonic() + timeout
        while True:
            ended = self.status is not None  # looked at first: what it said last is then in the log
            if (found := find()) is not None:
                return found
            if ended:
                raise self.error(f"ended with status {self.status} before {what}")
            if time.monotonic() > deadline:
                raise self.error(f"has not said {what} within {timeout:g} s")
            time.sleep(POLL)

    def wait(self, timeout: float) -> int:
        """Wait for the end; return the exit status. Raises ProgramError if it takes too long."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error(f"still runs after {timeout:g} s") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; that it has ended already is no error."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout: float = STOP_TIMEOUT) -> int:
        """Ask it to end; return its exit status. Raises ProgramError if it had to be killed."""
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
        """Return an error that names the program, what it said last, and its log."""
        last = self.text().strip().rpartition("\n")[2]
        entry = entry_in(last.encode()) or {"message": last}
        said = entry.get("message") or "(none)"
        return ProgramError(f"{self.name} {what}; its last line: {said}; its log: {self.log}")

    def __repr__(self) -> str:
        return f"ProgramProcess({self.name}, pid {self.pid}, status {self.status})"


def _below(pid: int) -> list[int]:
    """Return the processes below a process: what it has started, what those have started, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return [*found, *(other for child in found for other in _below(child))]


def role_command(role: str, *options: str) -> list[str]:
    """Return the command of one of mcast's programs: this interpreter, these sources, a log of JSON lines."""
    return [sys.executable, "-m", "mcast", role, *JSON_LOGS, *options]


def ends_with_us() -> Callable[[], None]:
    """Return what a child process is to do before its program begins, so that it ends when this one does.

    Also when this process is killed by SIGKILL and cannot end it. SIGTERM: it ends its own children, too.
    """
    parent = os.getpid()

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # we have ended before the kernel was told
            os._exit(1)

    return tie


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, so that mcast and its tools are found, and with some changes."""
    needed = [str(Path(mcast.__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
    others = [
        path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in needed
    ]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*needed, *others]), **changes}


def stop_all(programs: Sequence[ProgramProcess], timeout: float = STOP_TIMEOUT) -> list[str]:
    """Ask all to end at the same time, wait, kill what remains; return what was not as it should be."""
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


def _end_problem(program: ProgramProcess, deadline: float) -> str:
    """Wait for a program's end; return what is wrong with it."""
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
