"""The soak's network: one switch, and each host behind a link that loses packets on their way to it.

So every hop between two hosts loses that share of its packets, in either direction. Pure.
"""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Interface

from tools.lab.options import LinkOptions
from tools.lab.topology import CanvasPosition, Device, Interface, LabLink, Network, Scenario

NETWORK = "10.66.0"
DELAY_US = 5_000
"""One way: a round trip of 10 ms."""


def star(hosts: Sequence[str], loss: float, *, spared: Collection[str] = ()) -> Scenario:
    """Return the network of these hosts; links lose `loss` per cent, those of the `spared` nothing."""
    nowhere = CanvasPosition(0, 0)
    devices = tuple(
        Device(number, host, "PC", nowhere, forwards=False, default_route=False)
        for number, host in enumerate(hosts, start=1)
    )
    switch = Network(len(hosts) + 1, "switch", hub=False, position=nowhere)
    impaired = LinkOptions(delay_us=DELAY_US, loss=loss)
    links = tuple(
        _link(device, switch, LinkOptions() if device.name in spared else impaired) for device in devices
    )
    return Scenario("soak", (switch,), devices, links)


def _link(device: Device, switch: Network, towards: LinkOptions) -> LabLink:
    address = IPv4Interface(f"{NETWORK}.{device.number}/24")
    return LabLink(
        device.number,
        f"{device.name}-{switch.name}",
        Interface(device.name, 0, "eth0", None, (address,)),
        Interface(switch.name, device.number),
        forward=LinkOptions(),
        backward=towards,
    )
