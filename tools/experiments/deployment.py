"""A scenario with all its programs in the lab, started as in CORE: by `bin/core-*` in each node."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcast.errors import ConfigError
from tools.demo.event_log import JSON_LOGS, JsonValue
from tools.demo.processes import ProgramProcess, stop_all, wait_until
from tools.experiments.addresses import CHECKOUT, load_addresses
from tools.experiments.branches import Branch, Branches
from tools.experiments.counting import Counting
from tools.experiments.routes import Routes
from tools.lab.lab import Lab
from tools.lab.programs import NodeProcess
from tools.lab.topology import LabLink

PATIENT_MS = 2000
"""`--latency` where every packet counts. A cut link is noticed after 0.3 s, and the way around it leads
through a relay that does not stream yet; one link of the scenario loses packets; and the experiments share a
machine, where each step takes several times as long."""
READY_TIMEOUT = 30.0
"""Seconds for all nodes to be up and all servers to be heard: in simple_1 a handshake with s2 takes four."""
JOIN_TIMEOUT = 20.0
"""Seconds for a client to join."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A client that records."""

    node: str
    content: str
    program: ProgramProcess
    recording: Path
    report: Path

    @property
    def figures(self) -> dict[str, Any]:
        """Its report, once it has ended."""
        found: dict[str, Any] = json.loads(self.report.read_text(encoding="utf-8"))
        return found

    def wait_joined(self) -> list[str]:
        """Wait until it has joined; return its path from the rendezvous on. Raises ProgramError."""
        return self.program.wait_for_event("joined", JOIN_TIMEOUT, content=self.content).names("path")


class DeployedScenario:
    """Bootstrapper, nodes, servers and clients of a scenario; a `with` block ends them all."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.scenario = lab.scenario.name
        self.addresses = load_addresses(self.scenario)
        self.routes = Routes(lab.scenario)
        self.branches = Branches(self.routes, self.addresses)
        self._programs: list[NodeProcess] = []
        self._began = time.monotonic()
        self.problems: list[str] = []

    @property
    def rendezvous(self) -> str:
        return self.addresses.layout.rendezvous[0]

    def link_of(self, host: str) -> LabLink:
        """Return the one link of a host that has no more."""
        (link,) = (link for link in self.lab.scenario.links if host in (link.first.node, link.second.node))
        return link

    def say(self, text: str) -> None:
        """Tell the user what happens."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def start(self) -> None:
        """Start everything but the clients and wait until it is ready. Raises ProgramError."""
        bootstrapper = self._start(self.routes.owner(self.addresses.bootstrap.host), "core-bootstrap")
        for server in self.addresses.servers:
            self._start(server, "core-server")
        nodes = [*self.addresses.layout.nodes]
        for node in nodes:
            self._start(node, "core-node")
        for node in nodes:
            self._wait_for(bootstrapper, "node_registered", node=node)
        for address in self.addresses.servers.values():
            self._wait_for(self.program(self.rendezvous), "server_listed", server=str(address))
        self.say(f"{', '.join(nodes)} are up, {self.rendezvous} knows {', '.join(self.addresses.servers)}")

    def watch_patiently(self, node: str, content: str) -> Viewer:
        """Let a client record that waits long enough for whatever its link loses, on the busiest machine."""
        return self.watch(node, content, "--latency", str(PATIENT_MS))

    def watch(self, node: str, content: str, *options: str, name: str | None = None) -> Viewer:
        """Let a client record; `name` tells it from others in the same node."""
        name = name or node
        recording, report = self.directory / f"{name}.ts", self.directory / f"{name}.json"
        program = NodeProcess(
            self.lab, node, name,
            [
                str(CHECKOUT / "bin" / "core-client"), self.scenario, content,
                *JSON_LOGS, "--output", str(recording), "--report", str(report), *options,
            ],
            environment=_environment(),
        )  # fmt: skip
        self._programs.append(program)
        return Viewer(node, content, program, recording, report)

    def program(self, node: str) -> NodeProcess:
        """Return the overlay node or server that runs in a node."""
        (found,) = (program for program in self._programs if program.name in _names(node))
        return found

    @property
    def bootstrapper(self) -> NodeProcess:
        """The bootstrapper: it hears from every node where its media comes from."""
        (found,) = (program for program in self._programs if program.name.endswith("-bootstrap"))
        return found

    def restart(self, node: str) -> None:
        """Start an overlay node again that has ended, and wait until it is up."""
        ended = self.program(node)
        self._programs.remove(ended)
        self._start(node, "core-node").wait_for_event("listening", READY_TIMEOUT)

    def server_of(self, content: str) -> str:
        """Return which server the rendezvous takes a content from at present."""
        events = self.program(self.rendezvous).events.read()
        served = [event for event in events if event.name == "serves" and event.text("content") == content]
        return self.addresses.server_at(served[-1].text("server"))

    def tree(self, content: str, paths: dict[str, list[str]]) -> list[Branch]:
        """Return the branches of a content's tree."""
        return self.branches.tree(content, self.server_of(content), paths)

    def end(self) -> list[str]:
        """End all programs that still run, in order; return what was not as it should be."""
        self.problems += stop_all(self._programs)
        return self.problems

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _wait_for(self, program: NodeProcess, name: str, **fields: JsonValue) -> None:
        """Wait for a program's event; that *any* program has ended is an error at once."""

        def is_logged() -> bool:
            for known in self._programs:
                if known.status is not None:
                    raise known.error(f"ended with status {known.status}")
            return program.events.find(name, 0, **fields) is not None

        wait_until(is_logged, f"the event {name} {fields} in {program.log}", READY_TIMEOUT)

    def _start(self, node: str, command: str) -> NodeProcess:
        role = command.removeprefix("core-")
        program = NodeProcess(
            self.lab, node, f"{node}-{role}", [str(CHECKOUT / "bin" / command), self.scenario, *JSON_LOGS],
            environment=_environment(),
        )  # fmt: skip
        self._programs.append(program)
        return program


@contextmanager
def deploy(scenario: str, directory: Path) -> Iterator[tuple[DeployedScenario, Counting]]:
    """Build a scenario in a fresh directory and count what its links carry. Raises ConfigError."""
    if os.geteuid() != 0:
        raise ConfigError("the experiments run in the lab, which makes network namespaces: use sudo")
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}; choose another --directory") from None
    with (
        Lab(scenario, directory=directory / "nodes") as lab,
        Counting(lab) as counting,
        DeployedScenario(lab, directory) as deployed,
    ):
        deployed.say(f"{scenario}: {len(lab.scenario.devices)} nodes, {len(lab.scenario.links)} links")
        yield deployed, counting


def _names(node: str) -> tuple[str, str]:
    return f"{node}-node", f"{node}-server"


def _environment() -> dict[str, str]:
    """Return what `bin/core-*` are told: to run with this interpreter."""
    return {**os.environ, "MCAST_PYTHON": sys.executable}
