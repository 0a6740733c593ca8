"""Text about a scenario and a lab: nodes, addresses, links, rates."""

from collections.abc import Iterable, Mapping, Sequence

from tools.lab.counters import Flow, Traffic
from tools.lab.options import LinkOptions
from tools.lab.topology import Device, LabLink, Scenario


def overview(scenario: Scenario) -> str:
    counts = f"{len(scenario.devices)} nodes, {len(scenario.networks)} switches, {len(scenario.links)} links"
    return f"{scenario.name}: {counts}\n\n{nodes_table(scenario)}\n\n{links_table(scenario.links)}"


def nodes_table(scenario: Scenario) -> str:
    rows = [
        (device.name, device.kind, _services(device), _addresses(scenario, device))
        for device in scenario.devices
    ]
    return table(("node", "type", "services", "addresses"), rows)


def links_table(links: Iterable[LabLink]) -> str:
    rows = [(link.name, str(link.forward), _reverse(link.forward, link.backward)) for link in links]
    return table(("link", "one way", "back"), rows)


def rates_table(
    links: Mapping[str, tuple[LinkOptions, LinkOptions, bool]], rates: Mapping[Flow, Traffic]
) -> str:
    """Return a second's rates by link and direction; `links`: their options, and whether they are cut."""
    rows = []
    for flow, traffic in rates.items():
        forward, backward, cut = links[flow.link]
        options = forward if flow.link.startswith(f"{flow.sender}-") else backward
        rows.append(
            (
                f"{flow.sender} > {flow.receiver}",
                f"{traffic.sent_bytes * 8 / 1e6:.3f}",
                f"{traffic.delivered_bytes * 8 / 1e6:.3f}",
                str(traffic.delivered_packets),
                "CUT" if cut else str(options),
            )
        )
    return table(("link", "sent Mbit/s", "delivered Mbit/s", "packets/s", "options"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines, each column as wide as its widest cell, two spaces apart."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _services(device: Device) -> str:
    words = (
        device.forwards and "forwards",
        device.default_route and "default route",
        device.static_routes and f"{len(device.static_routes)} routes",
    )
    return ", ".join(word for word in words if word) or "-"


def _addresses(scenario: Scenario, device: Device) -> str:
    return ", ".join(
        f"{end.name} {address}" for end in scenario.interfaces(device.name) for address in end.addresses
    )


def _reverse(forward: LinkOptions, backward: LinkOptions) -> str:
    return "the same" if forward == backward else str(backward)
