"""From a topology to lines for `ip -batch`. Pure.

Each device is a namespace. All links and switches lie in one further namespace, the *fabric*:

    node n1            fabric                                                    node n2
    eth0 ──veth── l3a ──┐                                                   ┌── l3b ──veth── eth2
                        bridge l3              (a plain link: both in l3) ──┘

    eth0 ──veth── l3a ── bridge l3 ── l3ta ═ emulation process ═ l3tb ── bridge l3s ── l3b ──veth── eth2

A switch is a bridge in the fabric, and its end of a link is the same veth pair (l3pb instead of eth2), so
device and switch ends are alike. A hub is a bridge that never learns.

Why not simply a veth pair, or a TAP called eth0? Because everything that happens to a link later (cut, heal,
from plain to shaped and back) is then done by moving l3a and l3b between bridges, where no node can see it:
its interface stays up, keeps addresses, routes and neighbours, and packets vanish silently, as on a real
path. A node's interface is always a veth, so segmentation offload works for programs as on a real host. And
the counters of l3a and l3b, all in one namespace, are the link's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.lab.topology import Device, Interface, LabLink, Network, Scenario

NAMESPACE_PREFIX = "mcastlab-"
# With neither learning nor snooping a bridge of two ports is a wire. Forward delay 0: it starts at once.
WIRE = "type bridge ageing_time 0 mcast_snooping 0 forward_delay 0 stp_state 0"
SWITCH = "type bridge mcast_snooping 0 forward_delay 0 stp_state 0"
# A TAP's queue only has to outlast a pause of the emulation process: 20,000 packets/s for half a second.
TAP_QUEUE = 10_000


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one lab's namespaces."""

    lab: str

    @property
    def fabric(self) -> str:
        return f"{NAMESPACE_PREFIX}{self.lab}-.fabric"  # no device's name begins with a dot

    def node(self, device: str) -> str:
        return f"{NAMESPACE_PREFIX}{self.lab}-{device}"

    def all(self, scenario: Scenario) -> list[str]:
        return [self.fabric, *(self.node(device.name) for device in scenario.devices)]


def fabric_ends(link: LabLink) -> tuple[str, str]:
    return f"l{link.index}a", f"l{link.index}b"


def taps(link: LabLink) -> tuple[str, str]:
    return f"l{link.index}ta", f"l{link.index}tb"


def outer_ends(link: LabLink) -> tuple[str, str]:
    """Return the far ends of the two veth pairs: a node's interface, or a switch's port in the fabric."""
    return link.first.name or f"l{link.index}pa", link.second.name or f"l{link.index}pb"


def fabric(scenario: Scenario, names: Names) -> Iterator[str]:
    """Return the lines that build switches and links; for the fabric."""
    switches = {network.name: network for network in scenario.networks}
    for network in scenario.networks:
        yield from _bridge(_switch(network), WIRE if network.hub else SWITCH)
    for link in scenario.links:
        yield from _bridge(f"l{link.index}", WIRE)
        for end, inner, outer in zip(
            (link.first, link.second), fabric_ends(link), outer_ends(link), strict=True
        ):
            at_switch = switches.get(end.node)
            peer = outer if at_switch else f"{outer}{_in_node(end, names)}"
            yield f"link add {inner} type veth peer name {peer}"
            yield f"link set {inner} up"
            if at_switch:
                yield f"link set {outer} master {_switch(at_switch)} up"


def _in_node(end: Interface, names: Names) -> str:
    mac = f" address {end.mac}" if end.mac else ""
    return f"{mac} netns {names.node(end.node)}"


def _switch(network: Network) -> str:
    return f"sw{network.number}"


def _bridge(name: str, kind: str) -> Iterator[str]:
    yield f"link add {name} {kind}"
    yield f"link set {name} up"


def second_bridge(link: LabLink) -> list[str]:
    """Return the lines that a link needs besides its TAPs when it is emulated for the first time."""
    return [
        *_bridge(f"l{link.index}s", WIRE),
        *(f"link set {tap} txqueuelen {TAP_QUEUE} up" for tap in taps(link)),
    ]


def connect(link: LabLink, *, emulated: bool, cut: bool) -> list[str]:
    """Return the lines that join the two ends as a plain wire, through the TAPs, or not at all."""
    first, second = fabric_ends(link)
    if cut:
        return [f"link set {first} nomaster", f"link set {second} nomaster"]
    bridge, far_bridge = f"l{link.index}", f"l{link.index}s"
    if not emulated:
        return [f"link set {first} master {bridge}", f"link set {second} master {bridge}"]
    near, far = taps(link)
    return [
        f"link set {first} master {bridge}",
        f"link set {near} master {bridge}",
        f"link set {far} master {far_bridge}",
        f"link set {second} master {far_bridge}",
    ]


def node(scenario: Scenario, device: Device) -> Iterator[str]:
    """Return the lines that give a device its addresses and routes; for its namespace, after `fabric`."""
    interfaces = scenario.interfaces(device.name)
    yield "link set lo up"
    for interface in interfaces:
        for address in interface.addresses:
            yield f"addr add {address} dev {interface.name}"
        yield f"link set {interface.name} up"
    if device.default_route and interfaces:
        yield from _default_routes(interfaces[0])
    yield from device.static_routes


def _default_routes(interface: Interface) -> Iterator[str]:
    """CORE's rule: by way of the first address of the first interface's network."""
    for address in interface.addresses:
        if address.network.num_addresses > 1 and (gateway := address.network[1]) != address.ip:
            yield f"route replace default via {gateway}"


def sysctls(device: Device, scenario: Scenario) -> dict[str, str]:
    """Return what IPForward sets, as paths below /proc/sys/net; for after `node`, which makes interfaces."""
    if not device.forwards:
        return {}
    settings = {"ipv6/conf/all/forwarding": "1"}
    for name in ("all", "default", *(end.name for end in scenario.interfaces(device.name))):
        for key, value in (("forwarding", "1"), ("rp_filter", "0"), ("send_redirects", "0")):
            settings[f"ipv4/conf/{name}/{key}"] = value
    return settings
