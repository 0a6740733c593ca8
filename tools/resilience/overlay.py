"""An overlay on some ground: its programs are started, killed, frozen and started again."""

import json
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from mcast.hostport import parse_address
from tools.demo.event_log import JsonValue, LoggedEvent
from tools.demo.plan import LOOPBACK, write_contents, write_layout
from tools.demo.processes import ProgramProcess, role_command, stop_all, wait_until
from tools.experiments.deployment import Viewer
from tools.resilience.footage import Footage
from tools.resilience.grounds import Ground

BOOTSTRAP = "bootstrap"
READY_TIMEOUT = 60.0
"""Seconds for all programs to be up: thirty nodes that start at once take a while on two cores."""
JOIN_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0
"""Seconds for clients to end together: each still writes what it holds, and its report."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which programs there are. The first rendezvous point is the root of the tree."""

    links: Mapping[str, Sequence[str]]
    rendezvous: tuple[str, ...] = ("rp",)
    servers: tuple[str, ...] = ("s1",)
    keys: Mapping[str, JsonValue] = field(default_factory=dict)  # at the top of the layout file
    node_options: tuple[str, ...] = ()
    log_options: tuple[str, ...] = ()  # of nodes and clients

    @property
    def hosts(self) -> list[str]:
        return [BOOTSTRAP, *self.servers, *self.links]

    def neighbours_of(self, name: str) -> set[str]:
        return {*self.links[name], *(other for other, links in self.links.items() if name in links)}


class Overlay:
    """Bootstrapper, servers and nodes, and the clients of one run after the other; all end with the block."""

    def __init__(self, ground: Ground, plan: Plan, footage: Footage, directory: Path) -> None:
        self.ground, self.plan, self.footage, self.directory = ground, plan, footage, directory
        self.programs: dict[str, ProgramProcess] = {}
        self.viewers: dict[str, Viewer] = {}
        self._watched = 0
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start all programs but clients, and wait until they are ready. Raises ProgramError."""
        for name in self.plan.hosts:
            self._start(name)
        for name in self.plan.hosts:
            self._wait_up(name, {})

    def restart(self, name: str, *, wait: bool = True) -> None:
        """Start a program again that has ended, and wait until it is up."""
        behind = {known: len(program.events) for known, program in self.programs.items() if known != name}
        self._start(name)
        if wait:
            self._wait_up(name, behind)

    def restore(self) -> None:
        """Start again whatever has ended."""
        for name in self.plan.hosts:
            if self.programs[name].status is not None:
                self.restart(name)

    def kill(self, name: str) -> None:
        """End a program at once, as if its power had failed."""
        self.programs[name].send(signal.SIGKILL)
        self.programs[name].process.wait()

    def freeze(self, name: str) -> None:
        self.programs[name].send(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.programs[name].send(signal.SIGCONT)

    def watch(self, name: str, host: str, neighbours: Sequence[str], *options: str) -> Viewer:
        """Let a client record."""
        recording, report = self.directory / f"{name}.ts", self.directory / f"{name}.json"
        named = [part for each in neighbours for part in ("--neighbour", self.ground.of(each))]
        command = role_command(
            "client", "--content", self.footage.name, *named,
            "--output", str(recording), "--report", str(report), *options, *self.plan.log_options,
        )  # fmt: skip
        for former in (recording, report):  # or what an earlier client has written seems to be its own
            former.unlink(missing_ok=True)
        self._watched += 1  # a log of its own for each: nobody shall find what an earlier client has said
        program = self.ground.start(host, f"{name}-{self._watched}", command)
        self.viewers[name] = Viewer(host, self.footage.name, program, recording, report)
        return self.viewers[name]

    def stop_viewers(self, names: Collection[str] | None = None) -> list[str]:
        """End all clients together, or some; return what was not in order. Their files stay."""
        ended = [self.viewers.pop(name) for name in [*self.viewers] if names is None or name in names]
        return stop_all([viewer.program for viewer in ended], STOP_TIMEOUT)

    def said_since(self, name: str, moment: float) -> list[tuple[float, LoggedEvent]]:
        """Return what a program or client has logged since a moment (Unix seconds), and when."""
        program = self.viewers[name].program if name in self.viewers else self.programs[name]
        return [(at, event) for event in program.events.read() if (at := time_of(event)) >= moment]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        viewers = [viewer.program for viewer in self.viewers.values()]
        stop_all([*viewers, *self.programs.values()])

    def _start(self, name: str) -> None:
        self.programs[name] = self.ground.start(name, name, self._command(name))

    def _command(self, name: str) -> list[str]:
        here = self.ground.of(name)
        if name == BOOTSTRAP:
            return role_command("bootstrap", "--address", here, "--config", str(self._layout()))
        if name in self.plan.servers:
            callers = (parse_address(self.ground.of(each)).host for each in self.plan.rendezvous)
            config = write_contents(
                self.directory / "contents.json", {self.footage.name: self.footage.source},
                self.footage.cache, [LOOPBACK, *callers],
            )  # fmt: skip
            return role_command("server", "--address", here, "--config", str(config))
        options = ("--bootstrap", self.ground.of(BOOTSTRAP), "--name", name)
        return role_command("node", *options, *self.plan.node_options, *self.plan.log_options)

    def _layout(self) -> Path:
        servers = tuple(self.ground.of(name) for name in self.plan.servers)
        links = {name: list(neighbours) for name, neighbours in self.plan.links.items()}
        return write_layout(
            self.directory / "layout.json", self.ground, links, servers,
            *self.plan.rendezvous[1:], keys=self.plan.keys,
        )  # fmt: skip

    def _wait_up(self, name: str, behind: Mapping[str, int]) -> None:
        """Wait until a program is up, by events behind those that each program has logged before."""
        if name in self.plan.servers:
            for rendezvous in self.plan.rendezvous:
                self._wait_listed(rendezvous, name, behind.get(rendezvous, 0))
            return
        self.programs[name].wait_for_event("listening", READY_TIMEOUT)
        if name in self.plan.rendezvous:
            for server in self.plan.servers:
                self._wait_listed(name, server, 0)

    def _wait_listed(self, rendezvous: str, server: str, after: int) -> None:
        if self.programs[rendezvous].status is None and self.programs[server].status is None:
            self.programs[rendezvous].wait_for_event(
                "server_listed", READY_TIMEOUT, after=after, server=self.ground.of(server)
            )


def time_of(event: LoggedEvent) -> float:
    """Return when something was logged, in Unix seconds."""
    return datetime.fromisoformat(event.text("time")).timestamp()


def wait_recording(viewers: Mapping[str, Viewer]) -> dict[str, list[str]]:
    """Wait until all clients have written something; return the path of each by its name."""
    paths = {}
    for name, viewer in viewers.items():
        wait_until(partial(_has_written, viewer), f"{viewer.program.name}'s first bytes", JOIN_TIMEOUT)
        paths[name] = viewer.program.wait_for_event("joined", JOIN_TIMEOUT).names("path")
    return paths


def _has_written(viewer: Viewer) -> bool:
    if viewer.program.status:
        raise viewer.program.error(f"ended with status {viewer.program.status} before it recorded")
    return viewer.recording.exists() and viewer.recording.stat().st_size > 0


def figures_of(viewer: Viewer) -> dict[str, float]:
    """Return the numbers of an ended client's report."""
    found = json.loads(viewer.report.read_text(encoding="utf-8"))
    return {key: value for key, value in found.items() if isinstance(value, int | float)}
