"""A scenario as frozen dataclasses: what `scenario.load_scenario` returns and everything else reads."""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from mcast.errors import ConfigError
from tools.lab.options import LinkOptions


@dataclass(frozen=True, slots=True)
class CanvasPosition:
    """A place on CORE's canvas, in pixels from the top left corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Network:
    """A switch, or a hub: a switch that never learns and repeats every frame to all."""

    number: int
    name: str
    hub: bool
    position: CanvasPosition


@dataclass(frozen=True, slots=True)
class Device:
    """A host or router; each becomes a network namespace."""

    number: int
    name: str
    kind: str  # CORE's type: PC, host, router, prouter, mdr
    position: CanvasPosition
    forwards: bool  # service IPForward
    default_route: bool  # service DefaultRoute
    static_routes: tuple[str, ...] = ()  # service StaticRoute: arguments of `ip`, such as "route add ..."


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link. At a switch it has neither name, MAC nor addresses."""

    node: str
    number: int
    name: str = ""
    mac: str | None = None
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class LabLink:
    """A cable between two interfaces. `forward` holds for packets from `first` to `second`."""

    index: int  # from 1, in the order of the file; the kernel's names are made of it
    name: str
    first: Interface
    second: Interface
    forward: LinkOptions
    backward: LinkOptions

    @property
    def reversed_name(self) -> str:
        """Return `B-A` for `A-B`, and `B-A:2` for the second of parallel links."""
        there, back = f"{self.first.node}-{self.second.node}", f"{self.second.node}-{self.first.node}"
        return back + self.name.removeprefix(there)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    networks: tuple[Network, ...]
    devices: tuple[Device, ...]
    links: tuple[LabLink, ...]

    def device(self, name: str) -> Device:
        for device in self.devices:
            if device.name == name:
                return device
        raise ConfigError(f"{name!r} is not a node (nodes: {', '.join(d.name for d in self.devices)})")

    def link(self, name: str) -> LabLink:
        """Return a link by its name `A-B` or `B-A`; of parallel links the second is `A-B:2`."""
        for link in self.links:
            if name in (link.name, link.reversed_name):
                return link
        raise ConfigError(f"{name!r} is not a link (links: {', '.join(link.name for link in self.links)})")

    def interfaces(self, node: str) -> list[Interface]:
        """Return the interfaces of a node in the order of their numbers (eth0 first)."""
        ends = (end for link in self.links for end in (link.first, link.second) if end.node == node)
        return sorted(ends, key=lambda end: end.number)

    def address(self, node: str) -> str:
        """Return the first address of a node's first interface."""
        self.device(node)
        for interface in self.interfaces(node):
            for address in interface.addresses:
                return str(address.ip)
        raise ConfigError(f"node {node} has no address")
