"""Who is where in a scenario: `resources/configs/SCENARIO.core`, which `bin/core-*` read, too."""

from dataclasses import dataclass
from pathlib import Path

from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.config.reading import read_config
from mcast.errors import ConfigError
from mcast.hostport import HostPort, parse_address

CHECKOUT = Path(__file__).parents[2]
CONFIGS = CHECKOUT / "resources" / "configs"
BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True)
class ScenarioAddresses:
    """A scenario's bootstrapper, where servers listen, and whom clients ask."""

    bootstrap: HostPort
    hosts: dict[str, HostPort]
    layout: Layout

    def server_at(self, address: str) -> str:
        """Return the name of the server that listens at HOST:PORT."""
        for name, known in self.hosts.items():
            if str(known) == address:
                return name
        raise ConfigError(f"{address} is no server (known: {', '.join(map(str, self.hosts.values()))})")

    @property
    def servers(self) -> dict[str, HostPort]:
        """Return the servers, in the layout's order."""
        listed = self.layout.servers_of(self.layout.rendezvous[0])
        return {self.server_at(str(address)): address for address in listed}

    @property
    def clients(self) -> dict[str, HostPort]:
        """Return the overlay node that each client asks."""
        return {name: address for name, address in self.hosts.items() if name not in self.servers}


def load_addresses(scenario: str, configs: Path = CONFIGS) -> ScenarioAddresses:
    """Read a scenario's files. Raises ConfigError."""
    file, layout_file = configs / f"{scenario}.core", configs / f"{scenario}.bootstrap.toml"
    try:
        known = parse_addresses(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    if BOOTSTRAP not in known:
        raise ConfigError(f"{file}: no line '{BOOTSTRAP}=HOST:PORT'")
    layout = parse_layout(read_config(layout_file), str(layout_file))
    return ScenarioAddresses(known.pop(BOOTSTRAP), known, layout)


def parse_addresses(text: str, where: str) -> dict[str, HostPort]:
    """Read lines `NAME=HOST:PORT`; `#` begins a comment at the start of a line. Raises ConfigError."""
    found: dict[str, HostPort] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, address = line.partition("=")
        if not equals or not name or name in found:
            raise ConfigError(f"{where}, line {number}: {line!r}: expected NAME=HOST:PORT, each name once")
        try:
            found[name] = parse_address(address, lowest_port=1)
        except ConfigError as error:
            raise ConfigError(f"{where}, line {number}: {error}") from None
        if found[name].ip is None:
            raise ConfigError(f"{where}, line {number}: {address}: no names, nothing resolves them in CORE")
    return found
