"""`mcast-client`: asks its nearest neighbour for a content, and plays or records it.

It ends when the user says so (SIGINT, SIGTERM, the player's window closed, `--duration`) or when
the content is over: status 0. When the stream ends for another reason: status 5.
"""

import argparse
import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from mcast import eventlog
from mcast.errors import ConfigError, McastError, StreamEndedError
from mcast.media.output import Ended, Output, file_output, stdout_output
from mcast.media.player import Player, player_command
from mcast.net.ports import MediaPorts
from mcast.roles import cli
from mcast.roles.client.joiner import Interrupted, Joined, Joiner
from mcast.roles.client.report import Report
from mcast.roles.client.session import Session
from mcast.wire.identity import CLIENT_ID_SIZE, Identity
from mcast.wire.node import Start

logger = logging.getLogger(__name__)

MAX_CONTENT_BYTES = 255
"""Of a content's name: what the header of a packet has room for."""
DEFAULT_LATENCY_MS = 500
"""How long the output waits for a hole: several repairs of a lost datagram at 100 ms round trip."""
MAX_LATENCY_MS = 60_000
DEFAULT_PATIENCE = 10.0
"""Seconds to wait for a neighbour that does not answer: it may be starting."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    return cli.run(PROGRAM, argv)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--content", required=True, type=_content, metavar="NAME", help="what to play")
    add(
        "--neighbour",
        required=True,
        type=cli.peer_option,
        metavar="HOST:PORT",
        help="the nearest overlay node",
    )
    add("--output", metavar="FILE", help="record to a file (-: standard output) instead of playing")
    add("--player", metavar="CMD", help="a player that reads its standard input (default: ffplay)")
    add("--duration", type=_positive, metavar="SECONDS", help="stop so long after the first media")
    add("--latency", type=_latency, default=DEFAULT_LATENCY_MS, metavar="MS",
        help="how long the output waits for a lost datagram (default: %(default)s)")  # fmt: skip
    add("--start", choices=("keyframe", "live"), default="keyframe",
        help="begin at the last keyframe, a picture at once, or at the next (default: keyframe)")  # fmt: skip
    add("--wait", type=_positive, default=DEFAULT_PATIENCE, metavar="SECONDS",
        help="how long to try a neighbour that does not answer (default: %(default)g)")  # fmt: skip
    add("--report", type=Path, metavar="FILE", help="write figures of the run there at the end (JSON)")
    add("--media-ports", metavar="LOW-HIGH", help="the UDP ports to use (default: the system's choice)")


def _body(options: argparse.Namespace, process: cli.Process) -> int:
    if options.output is not None and options.player is not None:
        raise ConfigError("--output and --player exclude each other: give one")
    file: Path | None = options.report
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise ConfigError(f"--report {file}: there is no such folder, or this is one: name a file")
    report = Report(options.content, playout_latency_ms=options.latency)
    try:
        _play(options, process, report)
    except BaseException as error:
        report.exit_reason = str(error) or type(error).__name__
        report.exit_status = error.exit_status if isinstance(error, McastError) else cli.ERROR_STATUS
        with contextlib.suppress(ConfigError):  # what ended the program is what the user must know
            report.write_if(file)
        raise
    report.write_if(file)
    return 0


def _play(options: argparse.Namespace, process: cli.Process, report: Report) -> None:
    """Join, play to the end, and say in the report how it went."""
    ports = MediaPorts.parse(options.media_ports)
    player = (
        None if options.output is not None else player_command(options.player, options.content, os.environ)
    )
    identity = Identity.client(os.urandom(CLIENT_ID_SIZE))
    joiner = Joiner(
        options.neighbour, options.content, identity, ports, process.stop,
        patience=options.wait, start=Start[options.start.upper()],
    )  # fmt: skip
    output: Output | None = None if player is not None else _open_output(options.output, process)
    closed: Ended | None = None
    try:
        joined = joiner.join()
        path = joined.port.path
        eventlog.note(
            logger, "joined", "[%s] joined by way of %s", options.content, " > ".join(map(str, path)),
            content=options.content, path=path, request=joined.request,
        )  # fmt: skip
        if player is not None:
            output = _start_player(player, joined, process)
        assert output is not None
        session = Session(options, process, joined, output)
        ending = session.run()
        session.fill(report)
    except Interrupted:
        report.exit_reason = "stopped by the user"
        return
    finally:
        if output is not None:  # who has asked to stop does not wait for a player to show the rest
            closed = output.close(drain=player is None or not process.stop.is_set())
    report.exit_reason = ending.reason
    event = "ended" if ending.status or ending.last is not None else "left"
    eventlog.note(
        logger, event, "[%s] %s: %d TS packets, %d datagrams lost", options.content, ending.reason,
        report.ts_packets, report.lost_datagrams, content=options.content, reason=ending.reason,
    )  # fmt: skip
    if ending.status:
        raise StreamEndedError(f"the stream of '{options.content}' has ended: {ending.reason}")
    if closed is not None and closed.error is not None:  # the disk was full at the very end
        raise closed.error
    if process.on_crash.error is not None:  # our threads have been stopped because of it
        report.exit_reason, report.exit_status = str(process.on_crash.error), cli.ERROR_STATUS


def _start_player(arguments: list[str], joined: Joined, process: cli.Process) -> Player:
    try:
        return Player(arguments, process.on_crash)
    except ConfigError:
        joined.close()
        raise


def _open_output(name: str, process: cli.Process) -> Output:
    if name == "-":
        return stdout_output(process.on_crash)
    return file_output(Path(name), process.on_crash)


def _content(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"'{text}' is no UTF-8 text") from None
    if not 1 <= size <= MAX_CONTENT_BYTES:
        raise argparse.ArgumentTypeError(f"a name has 1 to {MAX_CONTENT_BYTES} bytes, not {size}")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0")
    return value


def _latency(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= MAX_LATENCY_MS:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of milliseconds from 0 to {MAX_LATENCY_MS}")
    return int(text)


PROGRAM = cli.Command(
    "mcast-client",
    "Play or record a content of the overlay.",
    "mcast-client --neighbour 10.0.2.10:5000 --content earth --output earth.ts --duration 30",
    _add_options,
    _body,
)
