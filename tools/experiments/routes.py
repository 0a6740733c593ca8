"""Which links a packet takes: what the kernels of a scenario's nodes decide, computed from the file.

Connected networks, static routes and the default route of CORE's service, the longest prefix first; then
across switches to the host that has the next address.
"""

from collections import deque
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from typing import NamedTuple

from mcast.errors import ConfigError
from tools.lab.counters import Flow
from tools.lab.topology import Device, Interface, Scenario

HOP_LIMIT = 64


class RoutingEntry(NamedTuple):
    """A line of a routing table; without a gateway the network is connected."""

    network: IPv4Network
    gateway: IPv4Address | None
    interface: str


class Routes:
    """The routing tables and cables of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._owners = {
            address.ip: device.name
            for device in scenario.devices
            for end in scenario.interfaces(device.name)
            for address in end.addresses
        }
        self._tables = {device.name: [*_table(scenario, device)] for device in scenario.devices}
        self._cables: dict[str, list[tuple[Interface, Flow]]] = {}
        for link in scenario.links:
            for near, far in ((link.first, link.second), (link.second, link.first)):
                self._cables.setdefault(near.node, []).append((near, Flow(link.name, near.node, far.node)))

    def owner(self, address: str) -> str:
        """Return the node that has an address."""
        try:
            return self._owners[IPv4Address(address)]
        except KeyError:
            raise ConfigError(f"{address} is nobody's address in {self._scenario.name}") from None

    def route(self, node: str, address: str) -> RoutingEntry:
        """Return what `ip route get` would use. Raises ConfigError if there is no way."""
        target = IPv4Address(address)
        fitting = [route for route in self._tables[node] if target in route.network]
        if not fitting:
            raise ConfigError(f"{node} has no route to {address}")
        return max(fitting, key=lambda route: route.network.prefixlen)

    def source(self, node: str, address: str) -> str:
        """Return the address from which a node speaks to another one."""
        interface = self.route(node, address).interface
        (end,) = (end for end in self._scenario.interfaces(node) if end.name == interface)
        return str(next(found.ip for found in end.addresses if isinstance(found, IPv4Interface)))

    def path(self, start: str, address: str) -> list[Flow]:
        """Return the links, each in its direction, that a packet to an address takes. Raises ConfigError."""
        flows: list[Flow] = []
        here, target = start, self.owner(address)
        while here != target:
            if len(flows) > HOP_LIMIT:
                raise ConfigError(f"packets from {start} to {address} go round in circles")
            route = self.route(here, address)
            flows += self._cross(here, route.interface, str(route.gateway or address))
            here = flows[-1].receiver
        return flows

    def _cross(self, node: str, interface: str, address: str) -> list[Flow]:
        """Go from an interface to the neighbour that has an address, through any number of switches."""
        target = self.owner(address)
        first = [flow for near, flow in self._cables[node] if near.name == interface]
        todo, seen = deque([[flow] for flow in first]), {node}
        while todo:
            way = todo.popleft()
            place = way[-1].receiver
            if place == target:
                return way
            if place in seen or place in self._tables:  # another host does not pass it on
                continue
            seen.add(place)
            todo.extend([*way, flow] for _, flow in self._cables[place])
        raise ConfigError(f"{node}: {address} cannot be reached by {interface}")


def _table(scenario: Scenario, device: Device) -> Iterator[RoutingEntry]:
    interfaces = scenario.interfaces(device.name)
    connected = [
        RoutingEntry(address.network, None, end.name)
        for end in interfaces
        for address in end.addresses
        if isinstance(address, IPv4Interface)
    ]
    yield from connected
    for line in device.static_routes:
        words = line.split()  # route add|replace NETWORK via GATEWAY
        if len(words) < 5 or words[1] == "del" or words[3] != "via":
            raise ConfigError(f"{device.name}: cannot follow the static route {line!r}")
        network = IPv4Network("0.0.0.0/0" if words[2] == "default" else words[2])
        yield _by_gateway(connected, network, IPv4Address(words[4]), device.name)
    if device.default_route and interfaces and (first := _first_network(interfaces[0])):
        yield _by_gateway(connected, IPv4Network("0.0.0.0/0"), first[1], device.name)


def _by_gateway(
    connected: list[RoutingEntry], network: IPv4Network, gateway: IPv4Address, node: str
) -> RoutingEntry:
    for route in connected:
        if gateway in route.network:
            return RoutingEntry(network, gateway, route.interface)
    raise ConfigError(f"{node}: gateway {gateway} is in none of its networks")


def _first_network(interface: Interface) -> IPv4Network | None:
    for address in interface.addresses:
        if not isinstance(address, IPv6Interface):
            return address.network
    return None
