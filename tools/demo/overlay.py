"""The demonstration's programs, from the first to the last."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.demo.check import sent_by
from tools.demo.plan import (
    LINKS,
    LOOPBACK,
    SERVERS,
    VIEWERS,
    LoopbackAddresses,
    PlannedViewer,
    write_contents,
    write_layout,
)
from tools.demo.processes import (
    ProgramError,
    ProgramProcess,
    role_command,
    stop_all,
)
from tools.demo.tree import TreeView

READY_TIMEOUT = 20.0
"""Seconds for all nodes to be up and both servers to be measured."""


class DemoOverlay:
    """Bootstrapper, nodes, servers and clients; ends them all, whatever happens."""

    def __init__(self, directory: Path, sources: dict[str, Path], cache: Path, *, shown_at: str = "") -> None:
        """`shown_at`: where the bootstrapper shows the overlay; who looks may also kill a node."""
        self.directory, self.sources, self.cache, self.shown_at = directory, sources, cache, shown_at
        self._addresses = LoopbackAddresses()
        self._servers = [self._addresses.of(name) for name in SERVERS]
        self._programs: dict[str, ProgramProcess] = {}
        self._ended: set[str] = set()
        self.viewers: dict[str, ProgramProcess] = {}
        self.problems: list[str] = []
        names = dict(zip(self._servers, SERVERS, strict=True))
        self._view = TreeView(tuple(sources), next(iter(LINKS)), names)
        self._began = time.monotonic()

    def prepare(self) -> None:
        """Prepare the contents beforehand; a terminal shows how far. Raises ConfigError."""
        for source in self.sources.values():
            sent_by(source, self.cache)

    def start(self) -> None:
        """Start everything but the clients and wait until it is ready. Raises ProgramError."""
        layout = write_layout(self.directory / "layout.json", self._addresses, LINKS, tuple(self._servers))
        bootstrap = self._addresses.of("bootstrap")
        page = ("--http", self.shown_at) if self.shown_at else ()
        self._start("bootstrap", "bootstrap", "--address", bootstrap, "--config", str(layout), *page)
        for name in SERVERS:
            self._start(name, "server", *self._server_options(name))
        for name in LINKS:
            self._start(name, "node", "--bootstrap", bootstrap, "--name", name)
        for name in LINKS:
            self._programs["bootstrap"].wait_for_event("node_registered", READY_TIMEOUT, node=name)

    def watch(self, viewer: PlannedViewer, *options: str) -> None:
        """Start a client."""
        neighbour = self._addresses.of(viewer.neighbour)
        self.viewers[viewer.name] = self._start(
            viewer.name, "client", "--content", viewer.content, "--neighbour", neighbour, *options
        )

    def serve(self, address: str) -> str:
        """Serve all contents over HTTP; return where. Raises ProgramError."""
        neighbour = self._addresses.of(VIEWERS[0].neighbour)
        gateway = self._start("gateway", "client", "--neighbour", neighbour, "--http", address)
        self.viewers["gateway"] = gateway
        return gateway.wait_for_event("listening", READY_TIMEOUT).text("address")

    def recording(self, viewer: PlannedViewer) -> Path:
        return self.directory / f"{viewer.name}.ts"

    def report(self, viewer: PlannedViewer) -> Path:
        return self.directory / f"{viewer.name}.json"

    def record_all(self, seconds: float) -> None:
        """Let the clients record, each from its own moment on, and show the trees meanwhile."""
        self._began = time.monotonic()
        for viewer in VIEWERS:
            self._show_until(self._began + viewer.delay)
            self.watch(
                viewer, "--output", str(self.recording(viewer)), "--report", str(self.report(viewer)),
                "--duration", str(seconds),
            )  # fmt: skip
        self.show_until_all_end(seconds + READY_TIMEOUT)

    def show_until_all_end(self, timeout: float | None = None) -> None:
        """Show the trees until no client runs any more. Raises ProgramError if that takes too long."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while any(program.status is None for program in self.viewers.values()):
            if deadline is not None and time.monotonic() > deadline:
                running = [name for name, program in self.viewers.items() if program.status is None]
                raise ProgramError(f"{', '.join(running)} should have ended; logs: {self.directory}")
            self._show_until(time.monotonic() + 0.3)

    def end(self) -> None:
        """End all programs; what was not in order goes to `problems`."""
        self.problems += stop_all([*self.viewers.values(), *self._programs.values()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _start(self, name: str, role: str, *options: str) -> ProgramProcess:
        program = ProgramProcess(name, role_command(role, *options), self.directory / f"{name}.log")
        if role != "client":
            self._programs[name] = program
        return program

    def _server_options(self, name: str) -> list[str]:
        # A file for each: who has just been started reads his while the next one's is written.
        config = write_contents(self.directory / f"{name}.json", self.sources, self.cache, [LOOPBACK])
        return ["--address", self._addresses.of(name), "--config", str(config)]

    def _look_who_has_ended(self) -> None:
        for name, program in self._programs.items():
            if program.status is None or name in self._ended:
                continue
            if not self.shown_at or name == "bootstrap":
                raise program.error(f"ended with status {program.status}")
            print(f"demo: {name} has ended: the others go on without it", flush=True)
            self._ended.add(name)

    def _show_until(self, moment: float) -> None:
        """Look at the logs a few times a second; a program that has ended too early is an error."""
        while True:
            watching = {n: p.events.read() for n, p in self.viewers.items() if p.status is None}
            self._view.read(
                self._programs["bootstrap"].events.read(), self._programs["rp"].events.read(), watching
            )
            self._view.show(time.monotonic() - self._began)
            self._look_who_has_ended()
            left = moment - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.3, left))
