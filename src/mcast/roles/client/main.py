"""`mcast-client`: asks its nearest neighbour for a content, and plays or records it.

It ends when the user says so (SIGINT, SIGTERM, the player's window closed, `--duration`) or when
the content is over: status 0. When the stream ends for another reason: status 5.
"""

import argparse
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mcast.client import Subscription
from mcast.client.notice import Notice
from mcast.client.options import (
    DEFAULT_GIVE_UP,
    DEFAULT_LATENCY_MS,
    DEFAULT_PATIENCE,
    MAX_LATENCY_MS,
    check_content,
    check_neighbour,
    check_seconds,
)
from mcast.errors import ConfigError, McastError, NotFoundError, UnreachableError
from mcast.media.output import Ended
from mcast.net.deadline import Deadline
from mcast.net.waiting import Waiting
from mcast.roles import cli
from mcast.roles.client.entry_node import check_entry, find_entry
from mcast.roles.client.gateway import add_gateway_options, check_list, serve, settings_of
from mcast.roles.client.listing import print_list, with_suggestion
from mcast.roles.client.report import Report
from mcast.roles.client.session import CONTENT_OVER, STOPPED_BY_USER, Session
from mcast.roles.client.status_line import StatusLine
from mcast.roles.client.targets import Targets
from mcast.roles.ending import ERROR_STATUS
from mcast.roles.http_options import add_http_option
from mcast.roles.own_addresses import wait_for_own
from mcast.roles.service_manager import ServiceManager

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STEP = 0.1  # seconds between two looks at whether the user wants to go


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    return cli.run(PROGRAM, argv)


def _add_options(parser: argparse.ArgumentParser) -> None:
    def group(title: str) -> cli.AddOption:
        return parser.add_argument_group(title).add_argument

    _add_places(group("where to join, one of"))
    _add_contents(group("what, one of"))
    _add_outputs(group("where it goes"))
    _add_manners(group("how"))
    add_gateway_options(group("over HTTP"))
    cli.add_trace_option(group("to find faults"))


def _add_places(add: cli.AddOption) -> None:
    add("--neighbour", action="append", dest="neighbours", type=_neighbour, metavar="HOST:PORT",
        help="the nearest overlay node; given several times, all are asked")  # fmt: skip
    add("--bootstrap", type=cli.peer_option, metavar="HOST:PORT",
        help="have the bootstrapper name the nodes, and join at the nearest")  # fmt: skip


def _add_contents(add: cli.AddOption) -> None:
    add("--content", type=_content, metavar="NAME", help="what to play")
    add("--list", action="store_true", help="print which contents the overlay has, and exit")
    add_http_option(add, "every content as TS, HLS and MP4, and a page that plays them")


def _add_outputs(add: cli.AddOption) -> None:
    add("--output", action="append", metavar="WHERE",
        help="a file, - (standard output), udp://HOST:PORT or rtp://HOST:PORT, instead of a player; "
        "given several times, all get the stream")  # fmt: skip
    add("--segment", type=_positive, metavar="SECONDS",
        help="record to files of about this length: --output is their folder, with index.m3u8")  # fmt: skip
    add("--player", metavar="CMD", help="a player that reads its standard input (default: ffplay)")
    add("--report", type=Path, metavar="FILE", help="write figures of the run to FILE at the end, as JSON")


def _add_manners(add: cli.AddOption) -> None:
    add("--start", choices=("keyframe", "live"), default="keyframe",
        help="begin at the last keyframe, a picture at once, or at the next (default: keyframe)")  # fmt: skip
    add("--duration", type=_positive, metavar="SECONDS", help="stop so long after the first media")
    add("--latency", metavar="MS", default=DEFAULT_LATENCY_MS,
        type=cli.number_option(0, MAX_LATENCY_MS, "number of milliseconds"),
        help=f"milliseconds to wait for a lost datagram, by which all output is later, 0 to {MAX_LATENCY_MS} "
        "(default: %(default)s)")  # fmt: skip
    add("--wait", type=_positive, default=DEFAULT_PATIENCE, metavar="SECONDS",
        help="how long to search for a way to the content (default: %(default)g)")  # fmt: skip
    add("--give-up", type=_positive, default=DEFAULT_GIVE_UP, metavar="SECONDS",
        help="how long to look for another way if nothing comes (default: %(default)g)")  # fmt: skip
    add("--parents", type=cli.number_option(1, 2, "number of parents"), choices=(1, 2), default=1,
        metavar="1|2", help="2: take it from two neighbours at once: no failure on one way costs anything "
        "(default: %(default)s)")  # fmt: skip
    cli.add_media_ports_option(add)


def _body(options: argparse.Namespace, process: cli.Process) -> int:
    check_entry(options)
    if options.list:
        check_list(options)
        return print_list(options, process) if find_entry(options, process) else 0
    if (http := settings_of(options)) is not None:
        goes_on = wait_for_own(process.manager, process.stop, options.http) and find_entry(options, process)
        return serve(options, http, process) if goes_on else 0
    if options.content is None:
        raise ConfigError("--content NAME is missing; see what there is with --list, or serve it with --http")
    file: Path | None = options.report
    if file is not None and not _may_be_written(file):
        raise ConfigError(f"--report {file}: there is no such folder, or this is one: name a file")
    report = Report(options.content, playout_latency_ms=options.latency)
    try:
        _play_or_suggest(options, process, report)
    except BaseException as error:
        report.exit_reason = str(error) or type(error).__name__
        report.exit_status = error.exit_status if isinstance(error, McastError) else ERROR_STATUS
        with contextlib.suppress(ConfigError):  # what ended the program is what the user must know
            report.write_if(file)
        raise
    report.write_if(file)
    return 0


def _may_be_written(file: Path) -> bool:
    try:
        return not file.is_dir() and file.parent.is_dir()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _play_or_suggest(options: argparse.Namespace, process: cli.Process, report: Report) -> None:
    try:
        _play(options, process, report)
    except NotFoundError as error:
        raise with_suggestion(error, options, process) from None


def _play(options: argparse.Namespace, process: cli.Process, report: Report) -> None:
    """Join, play to the end, and say in the report how it went."""
    targets = Targets(options, process)
    if not find_entry(options, process):
        report.exit_reason = STOPPED_BY_USER
        return
    subscription = Subscription(
        neighbours=options.neighbours, further=options.further,
        content=options.content, latency_ms=options.latency,
        patience=options.wait, give_up=options.give_up, start=options.start,
        media_ports=options.media_ports, parents=options.parents, trace=options.trace,
        key_file=options.key_file,
    )  # fmt: skip
    closed: Ended | None = None
    try:
        targets.await_readers()
        with _taken_down(subscription, report):
            if not _join(subscription, options, process):
                report.exit_reason = STOPPED_BY_USER
                return
            output = targets.open()
            process.manager.ready(f"{options.content}: by way of {' > '.join(map(str, subscription.path))}")
            session = Session(
                options.content, subscription, output, process.stop, options.duration, process.pulse.beat
            )
            report.exit_reason = session.run()
    finally:
        closed = targets.close(is_over=report.exit_reason == CONTENT_OVER)
        report.outputs = targets.open_ones
    if closed is not None and closed.error is not None:  # the disk was full at the end, or one has broken
        raise closed.error
    if process.on_crash.error is not None:  # a thread of the output has crashed, which stops the process
        report.exit_reason, report.exit_status = str(process.on_crash.error), ERROR_STATUS


@contextlib.contextmanager
def _taken_down(subscription: Subscription, report: Report) -> Iterator[None]:
    """Close the subscription at the end, and put its figures into the report."""
    try:
        yield
    finally:
        subscription.close()
        report.statistics = subscription.statistics()


def _join(subscription: Subscription, options: argparse.Namespace, process: cli.Process) -> bool:
    """Join and wait for media, unless the user wants to go before; return whether some is there.

    Raises McastError: the search has failed, or no media has come within `--wait` of the joining.
    """
    with Waiting(f"the address of {' and '.join(options.neighbours)}", process.on_crash):
        subscription.start(process.stop.is_set)  # looks names up
    process.begun.set()
    line = StatusLine()
    wait = _Wait(options, subscription, process.stop, Notice(options.content, line.show), process.manager)
    try:
        return wait.until(subscription.wait_joined) and wait.until(subscription.wait_media, options.wait)
    finally:
        line.close()


@dataclass(frozen=True, slots=True)
class _Wait:
    """Waits for a subscription's progress, as long as the user wants to, and says what it waits for."""

    options: argparse.Namespace
    subscription: Subscription
    stop: threading.Event
    notice: Notice
    manager: ServiceManager

    def until(self, is_there: Callable[[float], bool], seconds: float | None = None) -> bool:
        """Wait until something is there; return False if the user wants to go. Raises UnreachableError."""
        deadline = Deadline(seconds)
        while True:
            is_over = self.subscription.is_over  # asked first: what comes before the end still counts
            if is_there(_STEP):
                return True
            if self.stop.is_set():
                return False
            if is_over or deadline.expired:
                raise UnreachableError(self._no_media(is_over))
            self.notice.look(self.subscription.awaited)
            if self.subscription.awaited:
                self.manager.status(f"{self.options.content}: waiting: {self.subscription.awaited}")

    def _no_media(self, is_over: bool) -> str:
        name, wait, path = self.options.content, self.options.wait, self.subscription.path
        told = self.subscription.awaited or self.subscription.doubt
        why = f": {told}" if told else ""
        if is_over:
            return f"the content '{name}' has ended before any media came{why}"
        return f"no media of '{name}' has come in {wait:g} s, though it was joined at {path[-1]}{why}"


def _checked(check: Callable[[T], object], value: T) -> T:
    """Return a value that the subscription will take, for argparse's `type=`."""
    try:
        check(value)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value


def _content(text: str) -> str:
    return _checked(check_content, text)


def _neighbour(text: str) -> str:
    return _checked(check_neighbour, text)


def _positive(text: str) -> float:
    try:
        return _checked(check_seconds, float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from None


PROGRAM = cli.Command(
    "mcast-client",
    "Play or record a content of the overlay.",
    "mcast-client --neighbour 10.0.2.10:5000 --content earth --output earth.ts",
    _add_options,
    _body,
    usage="%(prog)s (--neighbour HOST:PORT | --bootstrap HOST:PORT)\n"
    "                    (--content NAME | --list | --http HOST:PORT) [option ...]",
)
