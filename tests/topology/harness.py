"""Whole topologies as real processes: started, asked, ended, and looked at from outside.

Nothing waits for a time: a topology is ready when every node has answered FOUND for every content,
and idle when no server streams any more. All hosts of a topology are addresses of one network in
127.0.0.0/8 that is drawn at random, with ports chosen by the system.
"""

import contextlib
import itertools
import json
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mcast.wire.node import Found
from mcast.wire.position import Position
from tools.demo.check import decode_problems, head_problems, origin_problems, size_problems
from tools.demo.plan import LoopbackAddresses, write_layout
from tools.demo.processes import ProgramError, ProgramProcess, role_command, stop_all, wait_until
from topology.asking import ask, contents_of
from topology.contents import Stock
from topology.outside import command, descendants, exists

START = 60.0
"""Seconds for a topology to be ready; only a failing test waits so long."""
IDLE = 6.0
"""Seconds until nothing streams after the last client has gone: a lease, and some."""
SETTLE = 3.0
"""Seconds until what a program has started, and left to the kernel to end, is gone."""
LINE = {"rp": ["n1"], "n1": ["n2"], "n2": ["n3"], "n3": []}
RING = {"rp": ["n1", "n4"], "n1": ["n2"], "n2": ["n3"], "n3": ["n4"], "n4": []}
STAR = {"rp": ["n1", "n2", "n3", "n4", "n5"], "n1": [], "n2": [], "n3": [], "n4": [], "n5": []}
MESH = {"rp": ["n1", "n2"], "n1": ["n2", "n3", "n4"], "n2": ["n3", "n4"], "n3": ["n4"], "n4": []}

Links = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Client:
    """A running or ended client, its recording and its report."""

    program: ProgramProcess
    content: str
    recording: Path
    report_file: Path

    def wait_for_media(self, size: int = 1, timeout: float = START) -> None:
        """Wait until it has written some bytes."""

        def written() -> bool:
            if self.program.status is not None and not self.written >= size:
                raise self.program.error(f"ended with status {self.program.status} before it wrote anything")
            return self.written >= size

        wait_until(written, f"{size} bytes from {self.program.name} (log: {self.program.log})", timeout)

    @property
    def written(self) -> int:
        return self.recording.stat().st_size if self.recording.exists() else 0

    def finish(self, timeout: float = START) -> dict[str, Any]:
        """Wait for its end with status 0; return its report."""
        status = self.program.wait(timeout)
        if status:
            raise self.program.error(f"ended with status {status}")
        return self.report()

    def stop(self) -> dict[str, Any]:
        """End it with SIGINT; return its report."""
        if status := self.program.stop():
            raise self.program.error(f"ended with status {status}")
        return self.report()

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.report_file.read_text())
        return found


class Topology:
    """A bootstrapper, nodes, servers and clients. `close` ends them all and looks whether they are gone."""

    repair = "neighbours"
    """Of the layout. With "anyone" a node that was just started may stream by a link that the layout lacks:
    where the machine is slow it is asked for a content before it has reached its neighbours."""

    keys: Mapping[str, bool | int] = {}
    """What else stands at the top of the layout."""

    def __init__(
        self, directory: Path, stock: Stock, links: Links, *, contents: Sequence[str], servers: int = 1,
        addresses: LoopbackAddresses | None = None, standbys: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.standbys = tuple(standbys)
        self.directory, self.stock, self.contents = directory, stock, tuple(contents)
        self.links = {name: list(neighbours) for name, neighbours in links.items()}
        self.server_names = tuple(f"s{number + 1}" for number in range(servers))
        self.addresses = addresses or LoopbackAddresses()
        self.programs: list[ProgramProcess] = []
        self.nodes: dict[str, ProgramProcess] = {}
        self.servers: dict[str, ProgramProcess] = {}
        self.clients: list[Client] = []
        self.bootstrapper: ProgramProcess | None = None
        self._numbers = itertools.count(1)
        self.server_addresses = [self.addresses.of(name) for name in self.server_names]
        directory.mkdir(parents=True, exist_ok=True)

    # Starting

    def start(self) -> "Topology":
        """Start all programs and wait until every node can give every content."""
        self.start_bootstrapper()
        for name in self.server_names:
            self.start_server(name)
        for name in self.links:
            self.start_node(name)
        self.wait_ready()
        return self

    def run(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> ProgramProcess:
        """Start any program, to be ended with the topology."""
        log = self.directory / f"{name}.log"
        program = ProgramProcess(
            name, command, log, environment=self.stock.environment | dict(environment or {})
        )
        self.programs.append(program)
        return program

    def start_bootstrapper(self, *options: str) -> ProgramProcess:
        layout = write_layout(
            self.directory / "layout.json", self.addresses, self.links, tuple(self.server_addresses),
            *self.standbys, keys={"repair": self.repair, **self.keys},
        )  # fmt: skip
        address = self.addresses.of("bootstrap")
        command = role_command("bootstrap", "--address", address, "--config", str(layout), *options)
        self.bootstrapper = self.run("bootstrap", *command)
        return self.bootstrapper

    def start_node(self, name: str, *options: str) -> ProgramProcess:
        command = role_command(
            "node", "--bootstrap", self.addresses.of("bootstrap"), "--name", name, *options
        )
        self.nodes[name] = self.run(name, *command, "--log-level", "debug")
        return self.nodes[name]

    def start_server(self, name: str, *options: str, contents: Sequence[str] | None = None) -> ProgramProcess:
        config = self.stock.write_config(self.directory / f"{name}.toml", contents or self.contents)
        return self.start_configured_server(name, config, *options)

    def start_configured_server(self, name: str, config: Path, *options: str) -> ProgramProcess:
        """Start a server with a file of the test's own."""
        command = role_command(
            "server", "--address", self.addresses.of(name), "--config", str(config), *options
        )
        self.servers[name] = self.run(name, *command, "--log-level", "debug")
        return self.servers[name]

    def wait_ready(self, timeout: float = START) -> None:
        """Wait until every content is prepared, and a request at any node finds it."""
        for name in self.servers:
            wait_until(partial(self._is_prepared, name), f"the contents of {name}", timeout)
        for name in self.links:
            for content in self.contents:
                wait_until(partial(self.finds, name, content), f"{content} at {name}", timeout)

    def _is_prepared(self, name: str) -> bool:
        infos = contents_of(self.addresses.of(name))
        return bool(infos) and all(info.digest for info in infos)

    def finds(self, name: str, content: str) -> bool:
        """Return whether a node answers a DISC with FOUND."""
        for program in self.programs:
            if program.status not in (None, 0) and program in (self.bootstrapper, self.nodes.get(name)):
                raise program.error(f"ended with status {program.status}")
        return isinstance(ask(self.addresses.of(name), content), Found)

    def client(
        self,
        at: str,
        content: str | None = None,
        *options: str,
        seconds: float | None = None,
        name: str | None = None,
        output: str | None = None,
        player: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Client:
        """Start a client at a node; it records into a file unless told otherwise."""
        name = name or f"c{next(self._numbers)}"
        content = content or self.contents[0]
        recording, report = self.directory / f"{name}.ts", self.directory / f"{name}.json"
        neighbour = self.addresses.of(at)
        command = role_command("client", "--content", content, "--neighbour", neighbour, *options)
        command += ["--report", str(report), "--log-level", "debug"]
        if not player:
            command += ["--output", output or str(recording)]
        if seconds is not None:
            command += ["--duration", str(seconds)]
        client = Client(self.run(name, *command, environment=environment), content, recording, report)
        self.clients.append(client)
        return client

    # Asking

    def streams(self, content: str) -> list[Position]:
        """Return the streams of a content that run at any server now."""
        found: list[Position] = []
        for name, program in self.servers.items():
            if program.status is None:
                infos = contents_of(self.addresses.of(name))
                found += [position for info in infos if info.name == content for position in info.running]
        return found

    def _is_idle(self, content: str) -> bool:
        return not self.streams(content)

    def wait_idle(self, timeout: float = IDLE) -> None:
        """Wait until no server streams anything: the tree is pruned up to its root."""
        for content in self.contents:
            wait_until(partial(self._is_idle, content), f"the end of the stream {content}", timeout)

    def problems(self, client: Client, *, decode: bool = True) -> list[str]:
        """Return what is wrong with a recording; nothing if it is a piece of what the server sent."""
        data, report = client.recording.read_bytes(), client.report()
        sent = self.stock.sent(client.content)
        zero = ("lost_datagrams", "duplicate_datagrams", "reordered_datagrams", "continuity_errors")
        return [
            *(f"{key} {report[key]}" for key in zero if report[key]),
            *size_problems(report, len(data)),
            *head_problems(data, pictures=self.stock.has_pictures(client.content)),
            *origin_problems(data, sent, report["first_number"]),
            *(decode_problems(data) if decode else []),
        ]

    def assert_complete(self, *clients: Client, decode: bool = True) -> None:
        """Fail unless each recording is, byte for byte, a piece of what was sent."""
        found = {client.program.name: self.problems(client, decode=decode) for client in clients}
        assert not any(found.values()), f"{found} (logs: {self.directory})"

    def assert_nothing_missing(self, *clients: Client) -> None:
        """Fail unless each recording is a piece of what was sent, though some of it may have come twice."""
        for client in clients:
            data, report = client.recording.read_bytes(), client.report()
            wrong = [f"{key} {report[key]}" for key in ("lost_datagrams", "continuity_errors") if report[key]]
            wrong += origin_problems(data, self.stock.sent(client.content), report["first_number"])
            assert not wrong, f"{client.program.name}: {wrong} {report} (logs: {self.directory})"

    # Ending

    def end_clients(self) -> None:
        """End all clients that still run, by force if need be."""
        running = [client.program for client in self.clients if client.program.status is None]
        stop_all(running)
        for client in self.clients:
            client.recording.unlink(missing_ok=True)
            self.programs.remove(client.program)
        self.clients.clear()

    def close(self) -> None:
        """End everything; fail if something did not end by itself, or left something behind."""
        below = {pid: command(pid) for program in self.programs for pid in descendants(program.pid)}
        problems = stop_all(self.programs)
        with contextlib.suppress(ProgramError):  # what was killed may take a moment
            wait_until(lambda: not any(map(exists, below)), "all that they have started to end", SETTLE)
        problems += [f"process {pid} is left: {line}" for pid, line in below.items() if exists(pid)]
        problems += [
            f"{name} still listens" for name in (*self.links, *self.servers) if not self._is_free(name)
        ]
        assert not problems, "; ".join(problems)

    def _is_free(self, name: str) -> bool:
        """Return whether another program could listen where this one did."""
        host, _, port = self.addresses.of(name).rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        try:
            socket.create_server((host.strip("[]"), int(port)), family=family).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End everything at once, without a look at how."""
        for program in self.programs:
            if program.status is None:
                program.send(signal.SIGCONT)
            program.kill()

    def print_logs(self, lines: int = 40) -> None:
        """Show the end of each log: pytest prints it below a failed test."""
        for program in self.programs:
            tail = [line[:300] for line in program.text().splitlines()[-lines:]]
            print(f"--- {program.name} (status {program.status}): {program.log}", *tail, sep="\n")


@contextlib.contextmanager
def running(topology: Topology) -> Iterator[Topology]:
    """End a topology's programs whatever happens; show their logs if something did."""
    try:
        yield topology
    except BaseException:
        topology.print_logs()
        topology.kill()
        raise
    try:
        topology.close()
    except BaseException:
        topology.print_logs()
        topology.kill()
        raise
    shutil.rmtree(topology.directory, ignore_errors=True)
