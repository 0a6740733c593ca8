"""A bootstrapper, a server and a rendezvous point on one core, and on the other the node that is measured.

Where the server has many contents of one rate, all are the same file: what differs between two loads is what
the relay does, never what it is given.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.relays.machine import CORE_UNDER_TEST, OTHER_CORE, on_core
from bench.viewers import free_ports
from mcast.hostport import HostPort
from tools.demo.processes import ProgramProcess, role_command, stop_all

HERE = "127.0.0.1"
PREPARE_SECONDS = 600.0
"""For dozens of contents, which are copied one after another."""
LIST_SECONDS = 60.0


class Overlay:
    """One server with many contents, a rendezvous point, and places for the nodes n1, n2 ... in a chain."""

    def __init__(
        self, folder: Path, sources: Sequence[Path], *, nodes: int = 1, pace_ms: int | None = None
    ) -> None:
        """Each source is a content."""
        self.folder, self._started = folder, list[ProgramProcess]()
        names = ["rp", *(f"n{number}" for number in range(1, nodes + 1))]
        boot, server, *ports = free_ports(2 + len(names))
        self.contents = tuple(f"c{number}" for number in range(len(sources)))
        self.addresses = {name: HostPort(HERE, port) for name, port in zip(names, ports, strict=True)}
        self._boot, self._server = f"{HERE}:{boot}", f"{HERE}:{server}"
        self._layout, self._config = folder / "layout.toml", folder / "server.toml"
        self._layout.write_text(_layout(names, self.addresses, self._server))
        self._config.write_text(_server(self.contents, sources, folder))
        self._pace = ("--pace-ms", str(pace_ms)) if pace_ms is not None else ()

    def start(self) -> None:
        """Prepare the contents and start all but the nodes. Raises ProgramError."""
        config = ("--config", str(self._config))
        prepare = self._run("prepare", "server", "--prepare", *config)
        if status := prepare.wait(PREPARE_SECONDS):
            raise prepare.error(f"ended with status {status}")
        self._run("bootstrap", "bootstrap", "--address", self._boot, "--config", str(self._layout))
        self._run("server", "server", "--address", self._server, *config, *self._pace)
        rendezvous = self._run("rp", "node", "--bootstrap", self._boot, "--name", "rp")
        rendezvous.wait_for_event("server_listed", LIST_SECONDS)

    @contextlib.contextmanager
    def node(
        self,
        name: str = "n1",
        *,
        checkout: Path | None = None,
        options: Sequence[str] = (),
        cores: str = str(CORE_UNDER_TEST),
    ) -> Iterator[ProgramProcess]:
        """Run a node on some cores; `checkout` has other sources than these."""
        sources = {} if checkout is None else {"PYTHONPATH": str(checkout / "src")}
        command = on_core(cores, role_command("node", "--bootstrap", self._boot, "--name", name, *options))
        program = self._start(name, command, sources)
        try:
            program.wait_for_event("node_up")
            yield program
        finally:
            self._started.remove(program)
            stop_all([program])

    def close(self) -> None:
        """End all that runs."""
        stop_all(self._started)

    def _run(self, name: str, *command: str) -> ProgramProcess:
        return self._start(name, on_core(OTHER_CORE, role_command(*command)), {})

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> ProgramProcess:
        # A log of its own for each start: what an earlier node of this name has said is not waited for.
        with tempfile.NamedTemporaryFile(
            prefix=f"{name}-", suffix=".log", dir=self.folder, delete=False
        ) as log:
            path = Path(log.name)
        program = ProgramProcess(name, command, path, environment=environment)
        self._started.append(program)
        return program


def _layout(names: Sequence[str], addresses: Mapping[str, HostPort], server: str) -> str:
    nexts = dict(zip(names, [[name] for name in names[1:]], strict=False))
    tables = [
        f'[nodes.{name}]\naddress = "{addresses[name]}"\nneighbours = {nexts.get(name, [])!r}\n'
        for name in names
    ]
    return 'rendezvous = "rp"\n' + "".join(tables).replace(
        "[nodes.rp]\n", f'[nodes.rp]\nservers = ["{server}"]\n'
    )


def _server(contents: Sequence[str], sources: Sequence[Path], folder: Path) -> str:
    tables = [
        f'[[content]]\nname = "{name}"\nsource = "{source}"\n'
        for name, source in zip(contents, sources, strict=True)
    ]
    return f'cache = "{folder / "cache"}"\n' + "".join(tables)
