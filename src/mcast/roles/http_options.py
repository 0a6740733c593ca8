"""The options of programs that serve HTTP: where, for whom, under which names."""

import argparse
from pathlib import Path

from mcast.errors import ConfigError
from mcast.hostport import HostPort, parse_host
from mcast.roles.cli import AddOption, address_option
from mcast.web.access import Access
from mcast.web.service import Settings


def add_http_option(add: AddOption, what: str) -> None:
    """Add `--http`; `what` is served there, for `--help`."""
    add("--http", type=address_option, metavar="HOST:PORT", help=f"where to serve {what}")


def add_access_options(add: AddOption) -> None:
    """Add what says who may come to `--http`, and under which names."""
    add("--http-key-file", type=Path, metavar="FILE",
        help="let in over HTTP only who shows the key in it: for --http beyond this machine")  # fmt: skip
    add("--http-open", action="store_true", help="let in over HTTP whoever comes, from any machine")
    add("--http-name", action="append", default=[], type=_name, metavar="HOST", dest="http_names",
        help="a name under which viewers reach --http, beside this machine's own; repeatable")  # fmt: skip


def http_settings(
    options: argparse.Namespace, *, cors: bool = False, linger: bool = False
) -> Settings | None:
    """Return where to serve HTTP and for whom, None if not at all. Raises ConfigError.

    `cors` and `linger` say whether these options are given, where a program has them.
    """
    address: HostPort | None = options.http
    given = {
        "--http-key-file": options.http_key_file is not None,
        "--http-open": options.http_open,
        "--http-name": bool(options.http_names),
        "--cors": cors,
        "--linger": linger,
    }
    if address is None:
        if alone := [option for option, is_given in given.items() if is_given]:
            raise ConfigError(f"{alone[0]} belongs to --http HOST:PORT, which is missing")
        return None
    access = Access.at(
        address, key_file=options.http_key_file, is_open=options.http_open, names=options.http_names
    )
    return Settings(address, access, cors=cors)


def _name(text: str) -> str:
    try:
        return parse_host(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
