"""Networks as people write them in a file: `10.0.0.0/8`, `2001:db8::/32`, or one address."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

from mcast.errors import ConfigError
from mcast.hostport import IPAddress, normalise_ip

IPNetwork: TypeAlias = IPv4Network | IPv6Network
_MAPPED_BITS = 96  # in front of an IPv4-mapped address (RFC 4291, 2.5.5.2)


@dataclass(frozen=True, slots=True)
class Networks:
    """Some networks, of which an address is in one or in none."""

    networks: tuple[IPNetwork, ...]

    def __contains__(self, ip: IPAddress) -> bool:
        ip = normalise_ip(ip)
        if isinstance(ip, IPv6Address) and ip.scope_id is not None:
            ip = IPv6Address(int(ip))  # an address with a scope is in no network, Python says
        return any(ip in network for network in self.networks)

    def __str__(self) -> str:
        return ", ".join(str(network) for network in self.networks) or "none"


def parse_networks(texts: Iterable[str]) -> Networks:
    """Return the networks that texts name. Raises ConfigError."""
    return Networks(tuple(_network(text) for text in texts))


def _network(text: str) -> IPNetwork:
    try:
        network = ip_network(text)
    except ValueError as error:
        reason = "it has bits set behind its length" if "host bits" in str(error) else "write 10.0.0.0/8"
        raise ConfigError(f"'{text}' is no network: {reason}") from None
    # `::ffff:10.0.0.0/104` is 10.0.0.0/8, as an address in IPv6's clothes is the IPv4 one.
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        address = normalise_ip(network.network_address)
        if isinstance(address, IPv4Address):
            return IPv4Network((address, network.prefixlen - _MAPPED_BITS))
    return network


PRIVATE = parse_networks(
    [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1",
    ]
)
"""What nobody on the internet can call from: RFC 1918, RFC 4193, link-local and loopback addresses."""
