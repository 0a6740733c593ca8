"""`mcast-client --http`: the gateway, from the command line to the end of the program."""

import argparse
import logging

from mcast.client import Subscription
from mcast.client.directory import Asker
from mcast.client.options import check_neighbours
from mcast.errors import ConfigError
from mcast.eventlog import note
from mcast.gateway.channels import DEFAULT_LINGER
from mcast.gateway.gateway import Gateway
from mcast.roles import cli
from mcast.roles.http_options import add_access_options, http_settings
from mcast.web.service import Settings

logger = logging.getLogger(__name__)

LOOK_EACH = 1.0
"""Seconds between two looks at whether the service manager is to hear that the gateway lives."""

_UNUSABLE = {
    "content": "--content",
    "output": "--output",
    "segment": "--segment",
    "player": "--player",
    "duration": "--duration",
    "report": "--report",
    "trace": "--trace",
}
"""Options that concern a single content."""


def add_gateway_options(add: cli.AddOption) -> None:
    """Add what belongs to `--http`."""
    add_access_options(add)
    add("--cors", action="store_true", help="let pages of other origins have streams and pictures (--http)")
    add("--linger", type=_seconds, metavar="SECONDS",
        help="how long a content is kept after its last viewer, 0 to 86400 "
        f"(--http; default: {DEFAULT_LINGER:g})")  # fmt: skip


def settings_of(options: argparse.Namespace) -> Settings | None:
    """Return where to serve HTTP, None if not at all. Raises ConfigError."""
    settings = http_settings(options, cors=options.cors, linger=options.linger is not None)
    if settings is not None and (given := _of_one_content(options)):
        raise ConfigError(f"{given} and --http exclude each other: --http serves every content")
    return settings


def check_list(options: argparse.Namespace) -> None:
    """Raise ConfigError for what does not go with `--list`."""
    if given := "--http" if options.http is not None else _of_one_content(options):
        raise ConfigError(f"{given} and --list exclude each other: --list prints all contents, and ends")
    settings_of(options)  # what belongs to --http


def _of_one_content(options: argparse.Namespace) -> str:
    return next((name for field, name in _UNUSABLE.items() if getattr(options, field) is not None), "")


def serve(options: argparse.Namespace, settings: Settings, process: cli.Process) -> int:
    """Serve until the user has enough; return the exit status. Raises ConfigError."""
    nodes = check_neighbours([*options.neighbours, *options.further])
    asker = Asker(nodes, cli.keys_of(options, process), process.stop)
    process.key_rings.append(settings.access.keys)

    def subscribe(content: str) -> Subscription:
        return Subscription(
            neighbours=options.neighbours, further=options.further,
            content=content, latency_ms=options.latency,
            patience=options.wait, give_up=options.give_up, start=options.start,
            media_ports=options.media_ports, parents=options.parents, key_file=options.key_file,
        )  # fmt: skip

    linger = DEFAULT_LINGER if options.linger is None else options.linger
    gateway = Gateway(settings, subscribe, asker.ask, process.on_crash, linger=linger)
    process.begun.set()
    with gateway:
        address = gateway.address
        note(logger, "listening", "serving http://%s/", address, address=address)
        process.manager.ready(f"serving http://{address}/")
        while not process.stop.wait(LOOK_EACH):
            process.pulse.beat(gateway.call)
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86_400:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 0 to 86400")
    return seconds
