"""Host and port as people write them: `10.0.0.1:5000`, `[2001:db8::1]:5000`, `example.org:5000`.

Only the text is looked at, and no name is resolved, so a layout can be checked on any machine. This module
stands below all layers but `errors`, because options, files and packets all have addresses.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, TypeAlias

from mcast.errors import ConfigError

IPAddress: TypeAlias = IPv4Address | IPv6Address

HIGHEST_PORT = 65_535

# RFC 1123, 2.1 and RFC 1035, 2.3.4. The RFCs do not allow the underscore, but it is common.
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?"
)
_NUMBERS = re.compile(r"[0-9.]+")


class HostPort(NamedTuple):
    """A host (name or literal address, without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def ip(self) -> IPAddress | None:
        """Return the address if the host is a literal one, None if it is a name."""
        return literal_ip(self.host)


def literal_ip(host: str) -> IPAddress | None:
    """Return a literal address (an IPv4-mapped one as the IPv4 address that it is), None for a name."""
    try:
        return normalise_ip(ip_address(host))
    except ValueError:
        return None


def normalise_ip(ip: IPAddress) -> IPAddress:
    """Return `10.0.0.1` for `::ffff:10.0.0.1`: a dual-stack listener sees one peer under either."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def parse_host(text: str) -> str:
    """Return a host that is written without a port, and without brackets. Raises ConfigError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    ip = literal_ip(bare)
    if ip is not None:
        return str(ip)
    if ":" in bare:
        raise ConfigError(f"'{text}' is no IPv6 address")
    if _NUMBERS.fullmatch(bare):
        raise ConfigError(f"'{text}' is no IPv4 address")
    if not _HOST_NAME.fullmatch(bare):
        raise ConfigError(f"'{text}' is no host name or address")
    return bare


def parse_address(text: str, *, default_port: int | None = None, lowest_port: int = 0) -> HostPort:
    """Return the two parts of `HOST:PORT`. Raises ConfigError, which says how to mend it.

    Without a port the default is taken, if there is one. `lowest_port=1` is for where 0, the system's
    choice, makes no sense. An empty host (`:5000`) means every address of this machine.
    """
    host, port_text = _split(text)
    if port_text is None:
        if default_port is None:
            raise ConfigError(f"'{text}' has no port: write HOST:PORT, for example {_example(host)}")
        port = default_port
    else:
        port = _parse_port(text, port_text, lowest_port)
    return HostPort(parse_host(host) if host else "", port)


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"'{text}' is no address: write [IPV6]:PORT, for example [::1]:5000")
        return f"[{host}]", rest[1:] if rest else None
    if text.count(":") > 1:
        # `::1:5000` could be an address and a port or an address alone, so neither is guessed.
        raise ConfigError(f"'{text}': put an IPv6 address in brackets, for example [::1]:5000")
    host, colon, port = text.partition(":")
    if not host and not colon:
        raise ConfigError("the address is empty: write HOST:PORT, for example 127.0.0.1:5000")
    return host, port if colon else None


def _parse_port(text: str, port: str, lowest: int) -> int:
    if not port.isascii() or not port.isdigit() or len(port) > 9:
        raise ConfigError(f"'{text}': the port '{port}' is no number from {lowest} to {HIGHEST_PORT}")
    if not lowest <= int(port) <= HIGHEST_PORT:
        raise ConfigError(f"'{text}': port {port} is out of range ({lowest} to {HIGHEST_PORT})")
    return int(port)


def _example(host: str) -> str:
    return f"{host or '127.0.0.1'}:5000"
