"""What all programs share: options, logging, signals, exit statuses.

A role says what it is in a `Command` and does its work in `body(options, process)`, which returns
when `process.stop` is set (or sooner) and raises McastError for what the user must know. `run`
turns the outcome into one line on stderr and an exit status:

    0  all is well, SIGINT and SIGTERM included
    1  a bug (its traceback is in the log: please report it), a peer's bytes that break the protocol, or
       an end that was forced (a second signal, or longer than 3 s)
    2 to 5  see mcast.errors
"""

import argparse
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TextIO, TypeAlias

from mcast import __version__
from mcast.config.key_file import MAX_KEYS, KeyRing, read_key_file
from mcast.errors import ConfigError, McastError
from mcast.hostport import HostPort, parse_address
from mcast.net.handshake import Credentials
from mcast.net.line_writer import LineWriter
from mcast.net.threads import CrashBox
from mcast.roles import interpreter, logs
from mcast.roles.completion import SHELLS, print_completion
from mcast.roles.ending import ERROR_STATUS, Ending
from mcast.roles.pulse import Pulse
from mcast.roles.service_manager import ServiceManager
from mcast.roles.signals import Reloading, Signals
from mcast.wire.handshake import Role

logger = logging.getLogger(__name__)

MAX_COUNT = 1_000_000_000
MAX_DIGITS = 10
"""As many as `MAX_COUNT` has."""

DEFAULT_COLUMNS = 80

SEED_SPELLINGS = ("-address", "-config", "-bootstrap", "-content", "-neighbour")
"""Options of the project's first version, which took them with a single dash."""


@dataclass
class Process:
    """What a role's body gets to know of the process it runs in."""

    program: str
    stop: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    """To be set when there is something that must end in order: peers that know us, files, children.

    Until then a program that does not hear SIGTERM (it reads a file that hangs, say) is simply ended.
    """
    on_hangup: Callable[[], None] | None = None  # called by the thread `reload` at SIGHUP
    key_rings: list[KeyRing] = field(default_factory=list)  # whose files are read again at SIGHUP
    manager: ServiceManager = field(default_factory=ServiceManager)
    """To be told when the program serves, and what it waits for until then."""

    def __post_init__(self) -> None:
        self.on_crash = CrashBox(self.stop)
        """For all threads: log the traceback, end the process with status 1."""
        self.pulse = Pulse(self.manager)
        """To be kept beating once the manager has been told that the program serves."""


Body: TypeAlias = Callable[[argparse.Namespace, Process], int | None]


@dataclass(frozen=True)
class Command:
    """A program's name, what `--help` says about it, its own options and what it does."""

    name: str
    description: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    body: Body
    family: "Callable[[], Sequence[Command]] | None" = None
    """The program, then what it does when its first word asks for that; None: it does one thing."""
    usage: str | None = None
    """What `--help` begins with; None: argparse's own, which names each option."""


AddOption: TypeAlias = Callable[..., argparse.Action]
"""An argparse parser's or group's `add_argument`."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Knows the terminal's width.

    Otherwise argparse asks `shutil`, and that at each option that is added: with all its compressors it is
    1 MiB that no other part of a program needs.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)  # as many as argparse leaves free


def parser_of(command: Command) -> argparse.ArgumentParser:
    """Build a program's parser: its own options, then those that all have."""
    parser = _Parser(
        prog=command.name,
        description=command.description,
        epilog=f"example:\n  {command.example}",
        usage=command.usage,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
        add_help=False,  # it stands with the other options that all programs have
    )
    command.add_options(parser)
    common = parser.add_argument_group("common options")
    common.add_argument("-h", "--help", action="help", help="show this help, and exit")
    common.add_argument(
        "--log-level", choices=logs.LEVELS, default="info", help="how much to log to stderr (default: info)"
    )
    common.add_argument(
        "--log-format", choices=logs.FORMATS,
        help="lines for people, JSON, or lines with priorities (default: text; journald where systemd reads)",
    )  # fmt: skip
    common.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="the key that all programs of this overlay share; SIGHUP reads it again",
    )
    common.add_argument(
        "--print-completion",
        choices=SHELLS,
        action=print_completion(lambda: parsers_of(command)),
        help="print a script for your shell, and exit",
    )
    common.add_argument(
        "--version", action="version", version=f"{command.name} {__version__}",
        help="show the version, and exit",
    )  # fmt: skip
    return parser


def parsers_of(command: Command) -> list[argparse.ArgumentParser]:
    """Build the parsers of a command's whole program, which one script completes."""
    return [parser_of(each) for each in (command.family() if command.family else (command,))]


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Run a program to its end; return its exit status. Never raises."""
    interpreter.share_one_heap()
    with contextlib.ExitStack() as process_wide:
        process_wide.callback(_flush, sys.stderr)
        lines = process_wide.enter_context(logs.written_to_stderr())
        try:
            options = parser_of(command).parse_args(_long_spellings(sys.argv[1:] if argv is None else argv))
            process_wide.enter_context(interpreter.settings())
            process_wide.enter_context(_threads_shown_at_abort())
            process_wide.enter_context(
                logs.configured(command.name, options.log_level, options.log_format, lines)
            )
            return _run_body(command, options, lines)
        except SystemExit as end:  # argparse has printed what --help or --version asked for
            return _print_out() or (end.code if isinstance(end.code, int) else 0)
        except McastError as error:
            return _fail(lines, command.name, str(error), error.exit_status)
        except KeyboardInterrupt:
            return 0
        except BaseException as error:
            logger.critical("unexpected %s", type(error).__name__, exc_info=True)
            return _fail(lines, command.name, f"unexpected {type(error).__name__}: {error}", ERROR_STATUS)


def print_out(text: str) -> None:
    """Print to stdout; that the reader has gone (`| head`) is no error."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text)
    _print_out()


def address_option(text: str) -> HostPort:
    """Read HOST:PORT, for argparse's `type=`, where others connect to or where we listen."""
    try:
        return parse_address(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def peer_option(text: str) -> HostPort:
    """Read HOST:PORT, for argparse's `type=`, where a peer listens: neither part may be missing."""
    try:
        address = parse_address(text, lowest_port=1)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not address.host:
        raise argparse.ArgumentTypeError(f"'{text}' has no host: write HOST:PORT")
    return address


def number_option(low: int, high: int, what: str = "whole number") -> Callable[[str], int]:
    """Return what reads a whole number from `low` to `high`, for argparse's `type=`."""

    def read(text: str) -> int:
        # Python refuses to read numbers of thousands of digits, and reads those of other scripts.
        if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"'{text}' is no {what} from {low} to {high}")

    return read


count_option = number_option(1, MAX_COUNT)


def add_media_ports_option(add: AddOption) -> None:
    """Add `--media-ports`, of which `MediaPorts` makes sense."""
    add("--media-ports", metavar="LOW-HIGH", help="the UDP ports to use (default: the system's choice)")


def add_trace_option(add: AddOption) -> None:
    """Add `--trace`, which a decider takes."""
    add("--trace", type=Path, metavar="FILE", help="write every decision to FILE, a line of JSON each")


def credentials_of(options: argparse.Namespace, role: Role, process: Process) -> Credentials:
    """Return what this process shows to others. Raises ConfigError if its `--key-file` cannot be used."""
    return Credentials(role, keys_of(options, process))


def keys_of(options: argparse.Namespace, process: Process) -> KeyRing:
    """Return the keys of `--key-file`, which SIGHUP reads again. Raises ConfigError if it cannot be used."""
    ring = read_key_file(options.key_file)
    process.key_rings.append(ring)
    return ring


def _columns() -> int:
    """Return the terminal's width, as `shutil.get_terminal_size` finds it."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and len(told) <= MAX_DIGITS and int(told):
        return int(told)
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
    except (ValueError, OSError):  # it is closed, or no terminal
        columns = 0
    return columns or DEFAULT_COLUMNS


def _run_body(command: Command, options: argparse.Namespace, lines: LineWriter) -> int:
    process = Process(command.name, manager=ServiceManager.from_environment())
    ending = Ending(process.stop, process.begun)

    def end(name: str) -> None:
        ending.asked(name)
        process.manager.stopping()

    reloading = Reloading(lambda: _read_again(process), process.on_crash)
    handlers = {
        signal.SIGINT: lambda: end("SIGINT"),
        signal.SIGTERM: lambda: end("SIGTERM"),
        signal.SIGHUP: reloading.ask,
    }
    with reloading, Signals(handlers, process.on_crash), _thread_crashes_go_to(process.on_crash):
        try:
            status = command.body(options, process) or 0
        finally:
            process.stop.set()
            process.manager.stopping()
            ending.over()
    if process.on_crash.error is not None:
        error = process.on_crash.error
        return _fail(lines, command.name, f"unexpected {type(error).__name__}: {error}", ERROR_STATUS)
    return status


def _read_again(process: Process) -> None:
    rings = [ring for ring in process.key_rings if ring]
    with process.manager.reloading():
        for ring in rings:
            _read_keys_again(ring)
        if process.on_hangup is not None:
            process.on_hangup()
        elif not rings:
            logger.info("SIGHUP: this program has nothing to read again")


def _read_keys_again(ring: KeyRing) -> None:
    try:
        ring.read_again()
    except ConfigError as error:
        logger.error("SIGHUP: the keys stay as they were: %s", error)
    else:
        logger.info("SIGHUP: %s was read again: %d of at most %d keys", ring.origin, len(ring.keys), MAX_KEYS)


def _long_spellings(argv: Sequence[str]) -> list[str]:
    """Return the arguments with the seed's options spelled with two dashes; they stay out of --help.

    Raises ConfigError for what argparse would misread.
    """
    spelled: list[str] = []
    for index, argument in enumerate(argv):
        if argument == "--":
            return [*spelled, *argv[index:]]
        option, _, value = argument.partition("=")
        if option.startswith("-") and value == "--":  # argparse would take it for no value, and give a list
            raise ConfigError(f"argument {option}: '--' is no value; a file of this name is ./--")
        spelled.append(f"-{argument}" if option in SEED_SPELLINGS else argument)
    return spelled


@contextlib.contextmanager
def _threads_shown_at_abort() -> Iterator[None]:
    """Have SIGABRT, by which systemd's watchdog ends who hangs, show on stderr what each thread was at."""
    if faulthandler.is_enabled() or not logs.is_file(sys.stderr):
        yield
        return
    faulthandler.enable()
    try:
        yield
    finally:
        faulthandler.disable()


@contextlib.contextmanager
def _thread_crashes_go_to(on_crash: CrashBox) -> Iterator[None]:
    """Catch even those exceptions that leave a thread which nobody owns."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            on_crash(arguments.exc_value)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _print_out() -> int:
    _flush(sys.stdout)
    return 0


def _flush(stream: TextIO) -> None:
    """Flush a stream. If its reader is gone, point it to nowhere, else Python ends with status 120."""
    try:
        stream.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 -- a descriptor is wanted
            os.dup2(nowhere.fileno(), stream.fileno())


def _fail(lines: LineWriter, program: str, message: str, status: int) -> int:
    lines.put(logs.last_word(program, message), always=True)
    return status
