"""Reads `staticroute.sh`, the template of CORE's service StaticRoute.

CORE runs it as a shell script; the lab runs, as root, files that somebody sent by mail. So it accepts
`ip route` lines and nothing else, and gives them to `ip`, never to a shell.
"""

import re

from mcast.errors import ConfigError

# A batch takes no options, and `ip` sees from the addresses which family is meant.
_FAMILY = re.compile(r"^ip( -[46])? ")
_ROUTE = re.compile(r"ip( -[46])? route (add|replace|append|del) [A-Za-z0-9./: -]+")


def read_static_routes(script: str, where: str) -> tuple[str, ...]:
    """Return the routes as lines for `ip -batch`. Raises ConfigError for any other command."""
    routes = []
    for number, line in enumerate(script.splitlines(), 1):
        words = " ".join(line.split("#", 1)[0].split())
        if not words:
            continue
        if not _ROUTE.fullmatch(words):
            raise ConfigError(
                f"{where}, line {number}: {words!r}: only `ip route add|replace ...` lines are run"
            )
        routes.append(_FAMILY.sub("", words))
    return tuple(routes)
