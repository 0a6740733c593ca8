"""Where an overlay's programs run: on addresses of 127.0.0.0/8, or each on a host of its own in the lab."""

import os
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mcast.errors import ConfigError
from tools.demo.plan import LoopbackAddresses
from tools.demo.processes import ProgramProcess, environment_with
from tools.lab.lab import Lab
from tools.lab.options import LinkOptions
from tools.lab.programs import NodeProcess
from tools.lab.topology import CanvasPosition, Device, Interface, LabLink, Network, Scenario

SWITCH = "sw"
PORT = 5000
"""Of every program in the lab: each has a host of its own."""


class Ground(Protocol):
    """Names hosts, and starts programs on them."""

    def of(self, name: str) -> str:
        """Return HOST:PORT of a program, always the same for the same name."""

    def start(self, host: str, name: str, command: Sequence[str]) -> ProgramProcess:
        """Start a program; `name` is that of its log."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Loopback:
    """All hosts are addresses of this machine. Their links are perfect, and cannot fail."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._addresses = directory, LoopbackAddresses()

    def of(self, name: str) -> str:
        return self._addresses.of(name)

    def start(self, host: str, name: str, command: Sequence[str]) -> ProgramProcess:  # noqa: ARG002
        return ProgramProcess(name, command, self._directory / f"{name}.log")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Star:
    """Hosts around one switch, each at a link of its own that can be cut and can lose what its host sends.

    So every hop from one host to another crosses two links and is impaired by the first alone: its figures
    are those of the sender's link, both ways.
    """

    def __init__(self, hosts: Sequence[str], directory: Path, seed: int) -> None:
        if os.geteuid() != 0:
            raise ConfigError("links that fail are made in the lab, which makes network namespaces: use sudo")
        self._numbers = {name: number for number, name in enumerate(hosts, 1)}
        self.lab = Lab(_star(hosts), directory=directory / "hosts", seed=seed)

    def of(self, name: str) -> str:
        return f"{_ip(self._numbers[name])}:{PORT}"

    def start(self, host: str, name: str, command: Sequence[str]) -> ProgramProcess:
        return NodeProcess(self.lab, host, name, command, environment=environment_with({}))

    def impair(self, host: str, *, delay_ms: float, loss: float) -> None:
        """Delay what a host sends, and lose some per cent of it."""
        self.lab.shape(link_of(host), towards=SWITCH, delay_us=round(delay_ms * 1000), loss=loss)

    def cut(self, host: str) -> None:
        """Let all packets from and to a host vanish, and tell nobody."""
        self.lab.cut(link_of(host))

    def heal(self, host: str) -> None:
        self.lab.heal(link_of(host))

    def entered(self) -> dict[str, int]:
        """Return how many bytes have come to each host so far."""
        return {
            flow.receiver: traffic.delivered_bytes
            for flow, traffic in self.lab.counters().items()
            if flow.sender == SWITCH
        }

    def left(self) -> dict[str, int]:
        """Return how many bytes each host has sent so far, what was lost behind it included."""
        return {
            flow.sender: traffic.sent_bytes
            for flow, traffic in self.lab.counters().items()
            if flow.receiver == SWITCH
        }

    def __enter__(self) -> Self:
        self.lab.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lab.close()


def link_of(host: str) -> str:
    return f"{host}-{SWITCH}"


def _star(hosts: Sequence[str]) -> Scenario:
    place = CanvasPosition(0, 0)
    devices = tuple(
        Device(number, name, "PC", place, forwards=False, default_route=False)
        for number, name in enumerate(hosts, 1)
    )
    links = tuple(
        LabLink(
            device.number, link_of(device.name),
            Interface(device.name, 0, "eth0", None, (IPv4Interface(f"{_ip(device.number)}/16"),)),
            Interface(SWITCH, device.number), LinkOptions(), LinkOptions(),
        )
        for device in devices
    )  # fmt: skip
    return Scenario("resilience", (Network(0, SWITCH, False, place),), devices, links)


def _ip(number: int) -> str:
    return f"10.77.{number // 250}.{number % 250 + 1}"
