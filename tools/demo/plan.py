"""Who is where in the demonstration: five nodes, two servers, four clients, and their files.

              servers s1 s2
                    |
                   rp
                  /  \\
                n1 -- n2
                |      |
                n3 -- n4        c1 at n3, c2 at n4, c3 at n2, c4 at n4

Each program has an address of its own in 127.0.0.0/8, drawn at random, and ports that the system
has chosen: so two demonstrations can run at the same time, beside whatever else the machine does.
"""

import json
import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.demo.event_log import JsonValue

LINKS = {"rp": ["n1", "n2"], "n1": ["n2", "n3"], "n2": ["n4"], "n3": ["n4"], "n4": []}
SERVERS = ("s1", "s2")


@dataclass(frozen=True, slots=True)
class PlannedViewer:
    """A client: whom it asks for what, and how long after the first one."""

    name: str
    neighbour: str
    content: str
    delay: float  # seconds after the first client's start


VIEWERS = (
    PlannedViewer("c1", "n3", "news", 0.0),
    PlannedViewer("c2", "n4", "news", 2.0),
    PlannedViewer("c3", "n2", "sport", 3.5),
    PlannedViewer("c4", "n4", "news", 5.0),
)


LOOPBACK = "127.0.0.0/8"


class LoopbackAddresses:
    """An address and a free port for each name, on a network that nobody else uses."""

    def __init__(self) -> None:
        self._network = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}"
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return HOST:PORT, always the same for the same name."""
        if name not in self._known:
            self._known[name] = self.choose(len(self._known) + 1)
        return self._known[name]

    def choose(self, number: int) -> str:
        """Return the address of the host of this number."""
        return free_address(f"{self._network}.{number}")


def free_address(ip: str) -> str:
    """Let the system choose a port that is free at this address."""
    with socket.create_server((ip, 0), family=socket.AF_INET6 if ":" in ip else socket.AF_INET) as sock:
        port = sock.getsockname()[1]
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def http_address(port: int) -> str:
    """Return where a browser here finds a page: at this port if it is free, else at another one."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return free_address("127.0.0.1")
    return f"127.0.0.1:{port}"


class Addresses(Protocol):
    """Knows where each program is."""

    def of(self, name: str) -> str:
        """Return HOST:PORT, always the same for the same name."""


def write_layout(
    file: Path, addresses: Addresses, links: dict[str, list[str]], servers: tuple[str, ...],
    *standbys: str, keys: Mapping[str, JsonValue] | None = None,
) -> Path:  # fmt: skip
    """Write the bootstrapper's file; the first node is the rendezvous point, `servers` are addresses.

    `keys` stand at the top of the file.
    """
    rendezvous = next(iter(links))
    nodes = {
        name: {"address": addresses.of(name), "neighbours": neighbours} for name, neighbours in links.items()
    }
    layout = {
        "rendezvous": [rendezvous, *standbys],
        **(keys or {}),
        "nodes": {**nodes, rendezvous: {**nodes[rendezvous], "servers": list(servers)}},
    }
    file.write_text(json.dumps(layout, indent=2) + "\n")
    return file


def write_contents(file: Path, sources: dict[str, Path], cache: Path, rendezvous: Iterable[str]) -> Path:
    """Write a server's file; `rendezvous` is where the rendezvous points call from."""
    contents = [{"name": name, "source": str(source.resolve())} for name, source in sources.items()]
    whole = {"cache": str(cache.resolve()), "rendezvous": [*rendezvous], "content": contents}
    file.write_text(json.dumps(whole, indent=2) + "\n")
    return file
