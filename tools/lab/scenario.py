"""Reads scenario files of the Common Open Research Emulator (CORE 9.1 and later).

Of a file the lab uses networks, devices, links and the services IPForward, DefaultRoute and StaticRoute.
Whatever else would change how the network behaves (another service, a wireless network, a link option that
has no meaning here, a session hook) is refused, not skipped: a scenario either runs as CORE would run it or
says in one line why not. What is for CORE's own window (metadata, canvas, geography) is skipped.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from mcast.errors import ConfigError
from tools.lab.options import LinkOptions
from tools.lab.static_routes import read_static_routes
from tools.lab.topology import CanvasPosition, Device, Interface, LabLink, Network, Scenario

TOPOLOGIES = Path(__file__).parents[2] / "resources" / "topologies"

NETWORK_TYPES = ("SWITCH", "HUB")
DEVICE_TYPES = ("PC", "host", "router", "prouter", "mdr")
SERVICES = ("IPForward", "DefaultRoute", "StaticRoute")
# What CORE starts on a device that lists no services, as far as the lab has it: a host's SSH is left out.
# Routers would get zebra and OSPF; without them they would not route, so there the list must be written.
DEFAULT_SERVICES = {"PC": ("DefaultRoute",), "host": ("DefaultRoute",)}
IGNORED_OPTIONS = ("unidirectional", "key")  # read elsewhere; a GRE key that veth links do not have

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")  # it becomes part of file and namespace names
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")

T = TypeVar("T")


def load_scenario(name_or_file: str | Path) -> Scenario:
    """Read a scenario by its file, or by the name of one in resources/topologies. Raises ConfigError."""
    path = find_scenario(name_or_file)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse_scenario(text, path.stem, str(path))


def find_scenario(name_or_file: str | Path) -> Path:
    path = Path(name_or_file)
    if path.suffix or path.exists() or len(path.parts) != 1:
        return path
    known = sorted(file.stem for file in TOPOLOGIES.glob("*.xml"))
    if path.name in known:
        return TOPOLOGIES / f"{path.name}.xml"
    raise ConfigError(f"no topology {path.name!r}: give a file, or one of: {', '.join(known) or 'none'}")


def parse_scenario(text: bytes, name: str, where: str) -> Scenario:
    """Read the XML of a scenario; `where` is put in front of every error."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigError(f"{where}: not XML: {error}") from None
    try:
        return _read_scenario(root, name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read_scenario(root: Element, name: str) -> Scenario:
    if root.tag != "scenario":
        raise ConfigError(f"not a CORE scenario: it begins with <{root.tag}>, expected <scenario>")
    if root.find("session_hooks/hook") is not None:
        raise ConfigError("session hooks: the lab cannot run them, remove them in CORE (Session > Hooks)")
    routes = _read_service_configurations(root)
    networks = tuple(_read_network(element) for element in root.iterfind("networks/network"))
    devices = tuple(_read_device(element, routes) for element in root.iterfind("devices/device"))
    if not devices:
        raise ConfigError("no devices: there is nothing to run")
    names = _names_by_number([*networks, *devices])
    links = _read_links(root, names, {network.name for network in networks})
    return Scenario(name, networks, devices, links)


def _read_network(element: Element) -> Network:
    number, name = _identity(element, "network")
    kind = element.get("type", "")
    if kind not in NETWORK_TYPES:
        raise ConfigError(f"network {name}: type {kind!r} is unknown to the lab (it has SWITCH and HUB)")
    return Network(number, name, kind == "HUB", _position(element))


def _read_device(element: Element, routes: dict[int, tuple[str, ...]]) -> Device:
    number, name = _identity(element, "device")
    kind = element.get("type", "")
    if kind not in DEVICE_TYPES:
        raise ConfigError(f"device {name}: type {kind!r} is unknown to the lab ({', '.join(DEVICE_TYPES)})")
    services = _services(element, name, kind)
    return Device(
        number,
        name,
        kind,
        _position(element),
        forwards="IPForward" in services,
        default_route="DefaultRoute" in services,
        static_routes=routes.get(number, ()) if "StaticRoute" in services else (),
    )


def _services(element: Element, name: str, kind: str) -> tuple[str, ...]:
    listed = tuple(service.get("name", "") for service in element.iterfind("services/service"))
    for service in listed:
        if service not in SERVICES:
            raise ConfigError(
                f"device {name}: service {service!r} is unknown to the lab ({', '.join(SERVICES)})"
            )
    if not listed and kind not in DEFAULT_SERVICES:
        raise ConfigError(
            f"device {name}: a {kind} without services would run zebra and OSPF, which the lab has not: "
            "list IPForward and StaticRoute"
        )
    return listed or DEFAULT_SERVICES[kind]


def _read_service_configurations(root: Element) -> dict[int, tuple[str, ...]]:
    routes = {}
    for element in root.iterfind("service_configurations/service"):
        service, node = element.get("name", ""), _integer(element, "node", "service configuration")
        for template in element.iterfind("templates/template"):
            file = template.get("name", "")
            if (service, file) != ("StaticRoute", "staticroute.sh"):
                raise ConfigError(
                    f"service {service!r} of node {node} replaces {file!r}: "
                    "the lab runs only StaticRoute's staticroute.sh"
                )
            routes[node] = read_static_routes(template.text or "", f"staticroute.sh of node {node}")
    return routes


def _names_by_number(nodes: Iterable[Network | Device]) -> dict[int, str]:
    names: dict[int, str] = {}
    for node in nodes:
        if node.number in names:
            raise ConfigError(f"{node.name} and {names[node.number]} have the same id {node.number}")
        if node.name in names.values():
            raise ConfigError(f"two nodes are called {node.name!r}: give each its own name")
        names[node.number] = node.name
    return names


def _read_links(root: Element, names: dict[int, str], switches: set[str]) -> tuple[LabLink, ...]:
    """Join the two elements of a link whose directions differ, and give each link its name."""
    links: list[LabLink] = []
    waiting: dict[
        tuple[Interface, Interface], int
    ] = {}  # one-way elements, by their ends as the other has them
    for element in root.iterfind("links/link"):
        first, second = (_read_end(element, end, names, switches) for end in ("1", "2"))
        one_way, options = _read_options(element, f"link {first.node}-{second.node}")
        if one_way and (partner := waiting.pop((first, second), None)) is not None:
            links[partner] = replace(links[partner], backward=options)
            continue
        if one_way:
            waiting[second, first] = len(links)
        name = _link_name(first.node, second.node, links)
        backward = LinkOptions() if one_way else options
        links.append(LabLink(len(links) + 1, name, first, second, options, backward))
    _check_interfaces(links)
    return tuple(links)


def _link_name(first: str, second: str, links: Iterable[LabLink]) -> str:
    parallel = sum({link.first.node, link.second.node} == {first, second} for link in links)
    return f"{first}-{second}" + (f":{parallel + 1}" if parallel else "")


def _read_end(element: Element, end: str, names: dict[int, str], switches: set[str]) -> Interface:
    number = _integer(element, f"node{end}", "link")
    if number not in names:
        raise ConfigError(f"a link names node {number}, which is neither a network nor a device")
    node, iface = names[number], element.find(f"iface{end}")
    if node in switches:
        # Its number tells parallel links apart; CORE makes the name of a switch's side anew.
        return Interface(node, _integer(iface, "id", f"interface of {node}") if iface is not None else 0)
    if iface is None:
        raise ConfigError(f"a link of {node} has no <iface{end}>: the node's interface lacks addresses")
    return _read_interface(node, iface)


def _read_interface(node: str, element: Element) -> Interface:
    number = _integer(element, "id", f"interface of {node}")
    name = element.get("name") or f"eth{number}"
    where = f"{node} {name}"
    mac = element.get("mac") or None
    if not _INTERFACE.fullmatch(name) or name == "lo":
        raise ConfigError(f"{where}: not an interface name (up to 15 of A-Z a-z 0-9 _ . -)")
    if mac and not _MAC.fullmatch(mac):
        raise ConfigError(f"{where}: mac {mac!r} is not a MAC address")
    ip4 = _address(element, "ip4", where, ipaddress.IPv4Interface)
    ip6 = _address(element, "ip6", where, ipaddress.IPv6Interface)
    addresses = tuple(address for address in (ip4, ip6) if address)
    if not addresses:
        raise ConfigError(f"{where}: no address: give the interface an ip4 and ip4_mask")
    return Interface(node, number, name, mac, addresses)


def _address(element: Element, key: str, where: str, kind: Callable[[str], T]) -> T | None:
    if not element.get(key):
        return None
    text = f"{element.get(key)}/{element.get(f'{key}_mask')}"
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{where}: {key} {text!r} is not an address and prefix length") from None


def _read_options(element: Element, where: str) -> tuple[bool, LinkOptions]:
    given = element.find("options")
    if given is None:
        return False, LinkOptions()
    number = {
        key: _option(key, text, where) for key, text in given.attrib.items() if key not in IGNORED_OPTIONS
    }
    try:
        options = LinkOptions(
            delay_us=int(number.pop("delay", 0)),
            jitter_us=int(number.pop("jitter", 0)),
            rate=int(number.pop("bandwidth", 0)),
            loss=number.pop("loss", 0.0),
            duplicate=number.pop("dup", 0.0),
            buffer=int(number.pop("buffer", 0)),
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    for key, value in number.items():
        if value:
            raise ConfigError(f"{where}: option {key}={value:g}: the lab cannot make it, set it to 0")
    return given.get("unidirectional", "0") == "1", options


def _option(key: str, text: str, where: str) -> float:
    if not re.fullmatch(r"-?\d{1,15}(\.\d{0,15})?", text):  # float() would also take nan, inf and 1_0
        raise ConfigError(f"{where}: option {key}={text!r} is not a number")
    return float(text)


def _check_interfaces(links: Iterable[LabLink]) -> None:
    seen: set[tuple[str, str]] = set()
    addresses: dict[str, str] = {}
    for end in (end for link in links for end in (link.first, link.second) if end.name):
        if (end.node, end.name) in seen:
            raise ConfigError(f"{end.node} has two interfaces {end.name}")
        seen.add((end.node, end.name))
        for address in end.addresses:
            here, ip = f"{end.node} {end.name}", str(address.ip)
            if ip in addresses:
                raise ConfigError(f"{here} and {addresses[ip]} both have the address {ip}")
            addresses[ip] = here


def _identity(element: Element, kind: str) -> tuple[int, str]:
    number, name = _integer(element, "id", kind), element.get("name", "")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{kind} {number}: {name!r} is not a name (letters, digits, _ . -; at most 32)")
    return number, name


def _integer(element: Element, key: str, where: str) -> int:
    text = element.get(key, "")
    if not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(f"{where}: {key}={text!r} is not a whole number")
    return int(text)


def _position(element: Element) -> CanvasPosition:
    place = element.find("position")
    try:
        return (
            CanvasPosition(float(place.get("x", 0)), float(place.get("y", 0)))
            if place is not None
            else CanvasPosition(0, 0)
        )
    except ValueError:
        raise ConfigError(f"{element.get('name')}: its position is not a pair of numbers") from None
