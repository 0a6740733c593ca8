"""Whom a layout is open to: `open = true`, or a list of networks and of patterns for names.

`true` says two things: any address may bear any name of the file, whose node is then reached there, and
anybody may join under a name that the file does not have. A list says less: a name of the file is borne from
its own addresses only, and whoever is in one of the networks, or has a name that fits one of the patterns,
may join.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mcast.config.networks import Networks, parse_networks
from mcast.errors import ConfigError
from mcast.hostport import IPAddress, literal_ip
from mcast.wire.identity import check_node_name

_NO_WILDCARDS = "[]{}!\\"
"""What other pattern languages give a meaning: somebody who writes it means more than `*` and `?`."""


NO_NETWORKS = Networks(())


@dataclass(frozen=True, slots=True)
class Opening:
    """Who may join that the file does not name."""

    to_all: bool = False
    networks: Networks = NO_NETWORKS
    names: tuple[str, ...] = ()  # patterns: `*` is any text, `?` any character

    def admits(self, name: str, ip: IPAddress) -> bool:
        """Return whether a node of this name may join from this address."""
        return self.to_all or ip in self.networks or any(fnmatchcase(name, each) for each in self.names)

    def __bool__(self) -> bool:
        return self.to_all or bool(self.networks.networks or self.names)

    def __str__(self) -> str:
        if self.to_all:
            return "all"
        return ", ".join([*map(str, self.networks.networks), *self.names]) or "nobody"


CLOSED, OPEN_TO_ALL = Opening(), Opening(to_all=True)


def parse_opening(texts: Iterable[str]) -> Opening:
    """Return what a list of networks and name patterns says. Raises ConfigError."""
    texts = tuple(texts)
    networks = [text for text in texts if _is_network(text)]
    return Opening(False, parse_networks(networks), tuple(_pattern(t) for t in texts if t not in networks))


def _is_network(text: str) -> bool:
    # "10.0.0", too, is meant for one: to take it for a name would admit nobody, without a word.
    return "/" in text or literal_ip(text) is not None or (text != "" and not text.strip("0123456789.:"))


def _pattern(text: str) -> str:
    if (wrong := next((char for char in text if char in _NO_WILDCARDS), None)) is not None:
        raise ConfigError(
            f"'{text}': {wrong!r} has no meaning here; `*` is any text, `?` any character, as in \"lab-*\""
        )
    try:
        return check_node_name(text)
    except ValueError:
        raise ConfigError(
            f'\'{text}\' is neither a network nor a pattern for names: write "10.0.0.0/8" or "lab-*"'
        ) from None
