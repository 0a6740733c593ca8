"""`mcast-lab run`: a lab for people. Builds it, starts a plan's programs, takes commands until the end."""

import contextlib
import os
import select
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcast.errors import ConfigError
from tools.interrupting import SIGNALS, signals_interrupt
from tools.lab.commands import Commands
from tools.lab.control import ControlServer
from tools.lab.lab import Lab
from tools.lab.overview import overview
from tools.lab.plan import PlannedProgram

PROMPT = "lab> "


def run_console(lab: Lab, plan: Sequence[PlannedProgram]) -> None:
    """Run until `quit`, the end of the input, SIGINT, SIGTERM or SIGHUP; then take everything down."""
    with signals_interrupt(), contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        stack.enter_context(lab)
        # From here on a second Ctrl-C must not interrupt the taking down; what it left would stay until the
        # next start.
        stack.callback(_ignore_signals)
        commands = Commands(lab)
        stack.callback(commands.close)
        stack.enter_context(ControlServer(lab.run_directory / "control", commands))
        print(f"{overview(lab.scenario)}\n\nlab {lab.id}, nodes' files in {lab.directory}", flush=True)
        _start(lab, plan)
        _take_commands(lab, commands)


def _start(lab: Lab, plan: Sequence[PlannedProgram]) -> None:
    for program in plan:
        time.sleep(program.delay)
        lab.start(program.node, program.command, program.log)
        print(f"{program.node}: started {shlex.join(program.command)}, output in {program.log}", flush=True)


def _take_commands(lab: Lab, commands: Commands) -> None:
    for line in _lines():
        try:
            words = shlex.split(line, comments=True)
            if words in (["quit"], ["exit"]):
                return
            if words:
                _perform(lab, commands, words)
        except (ConfigError, ValueError) as error:  # ValueError: a quotation mark without its partner
            print(f"error: {error}", flush=True)


def _perform(lab: Lab, commands: Commands, words: Sequence[str]) -> None:
    match words:
        case ["exec", node, *argv] if argv:
            lab.scenario.device(node)
            _run_in_foreground(lab, node, argv)
        case _:
            print(commands.perform(words), flush=True)


def _run_in_foreground(lab: Lab, node: str, argv: Sequence[str]) -> None:
    """Let the command have the terminal: Ctrl-C reaches it, in this process group, and not the lab."""
    stdin = None if sys.stdin.isatty() else subprocess.DEVNULL  # a pipe holds the lab's own next commands
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with lab.popen(node, argv, stdin=stdin, process_group=None) as process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            status = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        print(f"exit status {status}", flush=True)


def _lines() -> Iterator[str]:
    """Commands from a terminal, or from a pipe or file until it ends; else (/dev/null) none, for ever."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 (its import gives input() line editing)
        with contextlib.suppress(EOFError):
            while True:
                yield input(PROMPT)
    elif stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode):
        print("no terminal: the lab runs until SIGTERM or SIGINT", flush=True)
        select.select([], [], [])
    else:
        yield from sys.stdin


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def log_directory(path: Path | None) -> Path | None:
    """Make the directory that the user wants the nodes' files in. Raises ConfigError."""
    if path is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return path
