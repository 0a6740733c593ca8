"""The addresses of a node's neighbours in the layout: some room is kept for them, whatever others do."""

from collections.abc import Iterable

from mcast.hostport import IPAddress, parse_address


class LayoutPeers:
    """Knows whether an address is that of a neighbour. Any thread may ask.

    Host names are not looked up: that may take seconds, and only costs their nodes the reserved room.
    """

    def __init__(self) -> None:
        self._ips: frozenset[IPAddress] = frozenset()  # replaced as a whole

    def update(self, addresses: Iterable[str]) -> None:
        """Take in where the neighbours are (`host:port`)."""
        ips = (parse_address(address).ip for address in addresses)
        self._ips = frozenset(ip for ip in ips if ip is not None)

    def is_one(self, ip: IPAddress) -> bool:
        """Return whether a neighbour has this address."""
        return ip in self._ips
