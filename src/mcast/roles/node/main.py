"""`mcast-node`: an overlay node, or the rendezvous point if the bootstrapper says so."""

import argparse
import logging
import os
from collections.abc import Sequence

from mcast import eventlog
from mcast.hostport import HostPort, parse_address
from mcast.media.forwarder import FORWARD_THREADS
from mcast.net.handshake import Credentials
from mcast.net.ports import MediaPorts
from mcast.overlay.events import Limited
from mcast.roles import cli, logs
from mcast.roles.event_tap import EventTap, tapped
from mcast.roles.node.options import MAX_WORKERS, NodeOptions
from mcast.roles.node.program import NodeProgram
from mcast.roles.node.session import BootstrapSession
from mcast.roles.own_addresses import wait_for_own
from mcast.wire.bootstrap import INSTANCE_SIZE, LayoutMessage, NodeKind, Register
from mcast.wire.handshake import Role
from mcast.wire.identity import check_node_name

logger = logging.getLogger(__name__)

KINDS = {NodeKind.OVERLAY: "node", NodeKind.RENDEZVOUS: "rendezvous point"}
MEGABIT = 1_000_000
MOST_MEGABITS = 1e6
MAX_GATHER_MS = 40
"""Below the 50 ms without media after which a parent says that it lives."""
REMOVED_POLL = 0.2
"""Seconds until a node sees that the layout names it no more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    return cli.run(PROGRAM, argv)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--bootstrap", required=True, type=cli.peer_option, metavar="HOST:PORT", help="the bootstrapper")
    add("--name", default="", metavar="NAME", type=_name,
        help="this node's name in the layout, where its address does not tell it")  # fmt: skip
    add("--address", type=cli.address_option, metavar="HOST:PORT",
        help="where to listen (default: the layout's port, at every address; where the layout says a "
        "loopback address, only there)")  # fmt: skip
    cli.add_media_ports_option(add)
    add("--unlisted", action="store_true",
        help="do not have this node named to clients, by neighbours and by the bootstrapper")  # fmt: skip
    add("--parents", type=cli.number_option(1, 2, "number of parents"), choices=(1, 2), metavar="1|2",
        help="2: take each content from two neighbours at once (default: what the layout says)")  # fmt: skip
    add("--max-children", type=cli.count_option, default=0, metavar="N",
        help="the most children of all contents together (default: no bound)")  # fmt: skip
    add("--max-rate", type=_megabits, default=0, metavar="MBITS",
        help="Mbit/s sent to all children together, at most (default: no bound)")  # fmt: skip
    add("--gather-ms", metavar="MS", default=0,
        type=cli.number_option(0, MAX_GATHER_MS, "number of milliseconds"),
        help=f"hold media for up to so many milliseconds, 0 to {MAX_GATHER_MS}, to send fewer and longer "
        "trains (default: %(default)s)")  # fmt: skip
    add("--forward-threads", type=cli.count_option, default=FORWARD_THREADS, metavar="N",
        help="the most threads that carry contents (default: %(default)s)")  # fmt: skip
    add("--workers", type=cli.number_option(1, MAX_WORKERS, "number of processes"), default=1, metavar="N",
        help=f"processes that carry contents, 1 to {MAX_WORKERS} (default: 1, this one)")  # fmt: skip
    cli.add_trace_option(add)


def _body(options: argparse.Namespace, process: cli.Process) -> int:
    ports = MediaPorts.parse(options.media_ports)
    if options.name:
        logs.speak_as(options.name)
    port = options.address.port if options.address is not None else 0
    register = Register(options.name, port, os.urandom(INSTANCE_SIZE), unlisted=options.unlisted)
    credentials = cli.credentials_of(options, Role.NODE, process)
    if not wait_for_own(process.manager, process.stop, options.address):
        return 0
    session = BootstrapSession(options.bootstrap, register, process.on_crash, credentials=credentials)
    session.start()

    def look() -> None:
        process.manager.status(session.awaited)
        process.pulse.beat()

    try:
        with tapped() as tap:
            # Again when the layout names this node no more: it waits, idle, until it does.
            while not process.stop.is_set():
                if (layout := session.wait_for_layout(process.stop, look)) is None:
                    break
                _run(options, process, ports, session, layout, credentials, tap)
    finally:
        session.stop()
    return 0


def _run(
    options: argparse.Namespace, process: cli.Process, ports: MediaPorts, session: BootstrapSession,
    layout: LayoutMessage, credentials: Credentials, tap: EventTap,
) -> None:  # fmt: skip
    address = options.address or _listening_address(layout)
    logs.speak_as(layout.name)
    program = NodeProgram(
        layout, address, ports, session.say, session.ready, process.on_crash,
        options=_node_options(options), credentials=credentials, beat=process.pulse.beat, events=tap,
    )  # fmt: skip
    process.begun.set()
    place = f"{KINDS[layout.kind]} {layout.name}"
    is_removed = False
    try:
        program.start(layout)
        eventlog.note(logger, "listening", "listening at %s", program.address, address=program.address)
        session.follow(program.update, program.take_offer)
        process.manager.ready(place)
        while not is_removed and not process.stop.wait(REMOVED_POLL):
            is_removed = session.removed
            process.manager.status("; ".join(filter(None, (place, session.awaited))))
    finally:
        session.follow(None)  # no layout may come in while the program ends
        if not is_removed:
            session.ask_to_stop()  # without waiting: whoever is below this node is to hear of the end at once
        program.stop()
    if is_removed:
        eventlog.note(
            logger, "node_removed", "the layout does not name %s any more: its children have been told to go "
            "elsewhere, and it waits until the layout names it again", layout.name,
            level=logging.WARNING, node=layout.name,
        )  # fmt: skip


def _node_options(options: argparse.Namespace) -> NodeOptions:
    return NodeOptions(
        takes_clients=not options.unlisted, parents=options.parents,
        forward_threads=options.forward_threads, workers=options.workers,
        limits=Limited(options.max_children, options.max_rate), gather=options.gather_ms / 1000,
        trace_file=options.trace,
    )  # fmt: skip


def _name(text: str) -> str:
    try:
        return check_node_name(text) if text else text
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"'{text}' is no UTF-8 text") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _megabits(text: str) -> int:
    """Return bit/s."""
    try:
        megabits = float(text)
    except ValueError:
        megabits = 0.0
    rate = round(megabits * MEGABIT) if 0 < megabits < MOST_MEGABITS else 0
    if not rate:  # 0 bit/s, as after rounding, would mean that there is no bound
        raise argparse.ArgumentTypeError(
            f"'{text}' is no number of Mbit/s above 0, below {MOST_MEGABITS:,.0f}"
        )
    return rate


def _listening_address(layout: LayoutMessage) -> HostPort:
    """Listen on every address, as neighbours may know any of them; but several nodes on one
    machine share its addresses, and tell themselves apart by loopback ones."""
    address = parse_address(layout.address)
    is_loopback = address.ip is not None and address.ip.is_loopback
    return address if is_loopback else HostPort("", address.port)


PROGRAM = cli.Command(
    "mcast-node",
    "Relay contents to neighbours and clients.",
    "mcast-node --bootstrap 10.0.8.10:4000 --name n1",
    _add_options,
    _body,
    usage="%(prog)s --bootstrap HOST:PORT [option ...]",
)
