"""`mcast-bootstrap`: knows the layout and tells each node its place in it."""

import argparse
import contextlib
import logging
import sys
from collections.abc import Collection
from pathlib import Path

from mcast import eventlog
from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.config.layout_text import count_links, describe
from mcast.config.reading import read_config
from mcast.errors import ConfigError
from mcast.monitoring.events import EventStore
from mcast.monitoring.page import OverlayPage
from mcast.monitoring.view import View
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.roles.cli import Command, Process, address_option, credentials_of, print_out, run
from mcast.roles.event_tap import tapped
from mcast.roles.http_options import add_access_options, add_http_option, http_settings
from mcast.roles.own_addresses import wait_for_own
from mcast.web.service import Settings
from mcast.wire.handshake import Role

logger = logging.getLogger(__name__)

MAX_NAMED = 5
"""Nodes that the line of state names as missing: it is read in a terminal."""
EVENT_BYTES = 4_096
"""Bytes of this process's own events that are taken at a time."""


def main(argv: list[str] | None = None) -> int:
    """Run the program, or `top`; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["top"]:
        from mcast.roles.bootstrap import top  # late: it knows this module

        return top.main(arguments[1:])
    return run(PROGRAM, argv)


def family() -> tuple[Command, ...]:
    """Return the program, and `top`."""
    from mcast.roles.bootstrap import top  # as above

    return PROGRAM, top.PROGRAM


def read_layout(path: Path) -> Layout:
    """Return the layout that a file describes. Raises ConfigError: file, key and remedy."""
    return parse_layout(read_config(path), str(path))


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--address", type=address_option, metavar="HOST:PORT", help="where to listen for nodes and clients")
    add("--config", type=Path, metavar="FILE", required=True,
        help="the layout, as TOML or JSON; SIGHUP reads it again")  # fmt: skip
    add("--check", action="store_true", help="validate the file, print the layout and exit")
    over_http = parser.add_argument_group("over HTTP").add_argument
    add_http_option(over_http, "a page that shows the overlay, its API and its metrics")
    add_access_options(over_http)


def _body(options: argparse.Namespace, process: Process) -> int:
    layout = read_layout(options.config)
    if options.check:
        print_out(describe(layout) + f"\n{options.config}: {_summary(layout)}: ok\n")
        return 0
    if options.address is None:
        raise ConfigError("--address HOST:PORT is missing: where nodes find the bootstrapper")
    settings, events = http_settings(options), EventStore()
    if not wait_for_own(process.manager, process.stop, options.address, options.http):
        return 0
    bootstrapper = Bootstrapper(
        layout, str(options.config), options.address, process.on_crash,
        credentials=credentials_of(options, Role.BOOTSTRAPPER, process), on_events=events.add,
    )  # fmt: skip

    def read_again() -> None:
        nonlocal layout
        try:
            changed = read_layout(options.config)
        except ConfigError as error:
            eventlog.note(
                logger, "layout_refused", "SIGHUP: the layout stays as it was: %s", error,
                level=logging.ERROR, file=options.config, reason=error,
            )  # fmt: skip
        else:
            _note_layout(options.config, changed)
            bootstrapper.change_layout(changed)
            layout = changed

    process.on_hangup = read_again
    with contextlib.ExitStack() as running:
        running.callback(bootstrapper.stop)
        page = None if settings is None else _page(settings, bootstrapper, events, process, running)
        process.begun.set()
        bootstrapper.start()
        _note_layout(options.config, layout)
        address = bootstrapper.address
        eventlog.note(logger, "listening", "listening at %s", address, address=address)
        if page is not None:
            running.enter_context(page)
            shown = page.address
            eventlog.note(logger, "listening", "showing the overlay at http://%s/", shown, address=shown)
        process.manager.ready(_state(bootstrapper.nodes(), layout.nodes))
        while not process.stop.wait(1.0):
            bootstrapper.end_silent_sessions()
            process.manager.status(_state(bootstrapper.nodes(), layout.nodes))
            process.pulse.beat(bootstrapper.call)
    return 0


def _state(up: Collection[str], listed: Collection[str]) -> str:
    """Return, in a line, how many nodes are up, and the first ones that are missing."""
    missing = [name for name in listed if name not in up]
    names = ", ".join([*missing[:MAX_NAMED], *(["..."] if missing[MAX_NAMED:] else [])])
    waits = f"; waiting for {names}" if missing else ""
    return f"{len(listed) - len(missing)} of {len(listed)} nodes are up{waits}"


def _page(
    settings: Settings, bootstrapper: Bootstrapper, events: EventStore, process: Process,
    running: contextlib.ExitStack,
) -> OverlayPage:  # fmt: skip
    """Return the overlay's page, with what happens here, too, while the program is `running`.

    Raises ConfigError.
    """
    tap = running.enter_context(tapped())
    process.key_rings.append(settings.access.keys)

    def look() -> View:
        while own := tap.take(EVENT_BYTES):
            events.add("", own)
        return bootstrapper.view()

    return OverlayPage(settings, look, events, process.on_crash)


def _note_layout(file: Path, layout: Layout) -> None:
    servers = layout.servers_of(layout.rendezvous[0])
    eventlog.note(
        logger, "layout_read", "read %s: %s", file, _summary(layout),
        file=file, nodes=len(layout.nodes), links=count_links(layout), servers=servers,
    )  # fmt: skip


def _summary(layout: Layout) -> str:
    servers = layout.servers_of(layout.rendezvous[0])
    counts = ((len(layout.nodes), "node"), (count_links(layout), "link"), (len(servers), "server"))
    parts = [f"{count} {noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts]
    return ", ".join([*parts, f"open to {layout.open}"] if layout.open else parts)


PROGRAM = Command(
    name="mcast-bootstrap",
    description="Tell each node of a layout its kind, neighbours and addresses.",
    example="mcast-bootstrap --address 0.0.0.0:4000 --config campus.toml",
    add_options=_add_options,
    body=_body,
    family=family,
    usage="%(prog)s --config FILE --address HOST:PORT [option ...]\n"
    "       %(prog)s --config FILE --check\n"
    "       %(prog)s top [option ...]",
)
