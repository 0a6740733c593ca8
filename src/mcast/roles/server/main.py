"""`mcast-server`: owns contents, and streams them to the rendezvous point."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from mcast import eventlog
from mcast.errors import ConfigError
from mcast.media.source.cache import Cache, default_cache
from mcast.media.source.cache_upkeep import DEFAULT_DAYS, clean, describe, entries
from mcast.media.source.catalogue import Catalogue
from mcast.media.source.pool import STREAM_THREADS
from mcast.media.source.server_config import ServerConfig, load_server_config
from mcast.net.entrance import Rules
from mcast.net.ports import MediaPorts
from mcast.roles import cli
from mcast.roles.own_addresses import wait_for_own
from mcast.roles.server.guard import Guard
from mcast.roles.server.program import ServerProgram
from mcast.wire.handshake import Role

logger = logging.getLogger(__name__)

DEFAULT_PACE_MS = 10
LOOK_EACH = 1.0
"""Seconds between two looks at how far the contents are prepared, for the service manager."""
MAX_DAYS = 36_500
MAX_PACE_MS = 100
"""What is due after a longer time would not fit the receive buffers of unprivileged children."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    return cli.run(PROGRAM, argv)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--address", type=cli.address_option, metavar="HOST:PORT", help="where to listen")
    add("--config", type=Path, metavar="FILE", help="the contents (TOML or JSON); SIGHUP reads it again")
    add("--prepare", action="store_true", help="only encode what needs it, and exit")
    add("--pace-ms", metavar="MS", default=DEFAULT_PACE_MS,
        type=cli.number_option(1, MAX_PACE_MS, "number of milliseconds"),
        help=f"send what is due every MS milliseconds, 1 to {MAX_PACE_MS}; more makes relays cheaper and "
        "delays the stream as much (default: %(default)s)")  # fmt: skip
    add("--stream-threads", type=cli.count_option, default=STREAM_THREADS, metavar="N",
        help="the most threads that send prepared contents (default: %(default)s)")  # fmt: skip
    cli.add_media_ports_option(add)
    _add_cache_options(parser.add_argument_group("the cache").add_argument)


def _add_cache_options(add: cli.AddOption) -> None:
    add("--cache", type=Path, metavar="DIR",
        help="where to keep prepared contents (default: the file's 'cache', or the user's)")  # fmt: skip
    add("--cache-days", metavar="DAYS", default=DEFAULT_DAYS,
        type=cli.number_option(0, MAX_DAYS, "number of days"),
        help=f"remove what no server used for so many days, 0 to {MAX_DAYS} (default: %(default)s)",
    )  # fmt: skip
    add("--cache-list", action="store_true", help="show what is in the cache, and exit")
    add("--cache-clean", action="store_true", help="remove now what --cache-days says, and exit")


def _body(options: argparse.Namespace, process: cli.Process) -> int:
    if options.cache_list or options.cache_clean:
        _look_after_cache(options)
        return 0
    if options.config is None:
        raise ConfigError("give --config FILE with the contents")
    if options.address is None and not options.prepare:
        raise ConfigError("give --address HOST:PORT to listen at, or --prepare to encode only")
    ports = MediaPorts.parse(options.media_ports)
    config = load_server_config(options.config)
    credentials = cli.credentials_of(options, Role.SERVER, process)  # before sources of gigabytes are read
    cache = Cache(options.cache or config.cache or default_cache())
    catalogue = Catalogue(config.contents, config.path, cache, cache_days=options.cache_days)
    if not options.prepare and not wait_for_own(process.manager, process.stop, options.address):
        return 0
    process.manager.status(f"reading the sources of {len(catalogue.names)} contents")
    catalogue.check(process.stop.is_set)
    if process.stop.is_set():
        return 0
    if options.prepare:
        _prepare(catalogue, process)
        return 0
    warn_of_trust(config)
    guard = Guard(config.allow, str(config.path), config.rendezvous)
    process.on_hangup = lambda: _read_again(catalogue, guard, config.path)
    rules = Rules(credentials=credentials, objection=guard.objection, is_favoured=guard.is_rendezvous)
    program = ServerProgram(
        catalogue, options.address, ports, options.pace_ms / 1000, process.on_crash,
        threads=options.stream_threads, rules=rules, disbelief=guard.disbelief,
    )  # fmt: skip
    process.begun.set()
    try:
        program.start()
        names, address = ", ".join(catalogue.names), program.address
        eventlog.note(logger, "listening", "serving %s at %s", names, address, address=address)
        process.manager.ready(catalogue.state())
        while not process.stop.wait(LOOK_EACH):
            process.manager.status(catalogue.state())
            process.pulse.beat(*program.threads)
    finally:
        program.stop()
    return 0


def warn_of_trust(config: ServerConfig) -> None:
    """Say so if everybody's word on streams counts, as the file does not name the rendezvous points."""
    if config.rendezvous is None:
        logger.warning(
            "%s: rendezvous: whoever may ask is believed which SSRC and numbers a stream bears; name those"
            ' that count, like rendezvous = ["10.0.0.4"]', config.path,
        )  # fmt: skip


def _prepare(catalogue: Catalogue, process: cli.Process) -> None:
    process.begun.set()
    try:
        if catalogue.prepare_all(process.stop.is_set):
            logger.info("all contents are prepared")
            catalogue.clean_cache()
    finally:
        catalogue.stop()


def _read_again(catalogue: Catalogue, guard: Guard, file: Path) -> None:
    try:
        config = load_server_config(file)
        catalogue.reload(config.contents)
        guard.allow(config.allow, config.rendezvous)
    except ConfigError as error:
        logger.error("SIGHUP: the last good file stays in use: %s", error)
    else:
        logger.info("SIGHUP: %s was read again: %s", file, ", ".join(catalogue.names))


def _look_after_cache(options: argparse.Namespace) -> None:
    config = load_server_config(options.config) if options.config else None
    directory = options.cache or (config and config.cache) or default_cache()
    if options.cache_clean:
        freed = clean(directory, options.cache_days)
        cli.print_out(
            f"{directory}: removed {freed.entries} contents unused for {options.cache_days} days and"
            f" {freed.leftovers} leftovers, {freed.bytes / 1e6:,.1f} MB\n"
        )
    if options.cache_list:
        cli.print_out(describe(directory, entries(directory)))


PROGRAM = cli.Command(
    "mcast-server",
    "Stream contents (files, live inputs) to the rendezvous point.",
    "mcast-server --address 10.0.6.10:7000 --config server.toml",
    _add_options,
    _body,
    usage="%(prog)s --config FILE (--address HOST:PORT | --prepare) [option ...]\n"
    "       %(prog)s (--cache-list | --cache-clean) [option ...]",
)
