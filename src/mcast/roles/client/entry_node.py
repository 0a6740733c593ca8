"""Where a client joins: at what `--neighbour` names, or at the nearest node that the bootstrapper knows."""

import argparse
import logging

from mcast import eventlog
from mcast.client.nearby import nearest_nodes
from mcast.errors import ConfigError, UnreachableError
from mcast.net.waiting import Waiting
from mcast.roles import cli

logger = logging.getLogger(__name__)


def check_entry(options: argparse.Namespace) -> None:
    """Raise ConfigError unless there is one way to learn where to join."""
    if options.bootstrap is None and options.neighbours is None:
        raise ConfigError(
            "--neighbour HOST:PORT is missing: name the nearest overlay node, "
            "or the bootstrapper with --bootstrap HOST:PORT, who tells"
        )
    if options.bootstrap is not None and options.neighbours is not None:
        raise ConfigError("--neighbour and --bootstrap exclude each other: give one")


def find_entry(options: argparse.Namespace, process: cli.Process) -> bool:
    """Put the nearest node into `options.neighbours`, and the next ones into `options.further`.

    Returns False if the user wants to go before. Raises ConfigError, and UnreachableError if nobody is found
    within `--wait`.
    """
    options.further = []
    if options.bootstrap is None:
        return True
    try:
        with Waiting(f"the bootstrapper at {options.bootstrap} to name a node", process.on_crash):
            nearest, *others = nearest_nodes(
                bootstrap=str(options.bootstrap), content=options.content or "", patience=options.wait,
                key_file=options.key_file, stop=process.stop,
            )  # fmt: skip
    except UnreachableError:
        if process.stop.is_set():
            return False
        raise
    options.neighbours = [str(nearest.address)]
    options.further = [str(each.address) for each in others]
    eventlog.note(
        logger, "nodes_found", "the nearest node is %s at %s, %.1f ms away; %d further ones are kept",
        nearest.name, nearest.address, nearest.round_trip_ms, len(others),
        bootstrapper=options.bootstrap, nearest=nearest.name, further=[each.name for each in others],
        round_trip_ms=round(nearest.round_trip_ms, 3),
    )  # fmt: skip
    return True
