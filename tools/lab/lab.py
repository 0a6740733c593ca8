"""`Lab`: a scenario as real network namespaces, with real processes in them, for as long as a `with` block.

    with Lab("big_chungus") as lab:
        server = lab.popen("s1", ["mcast-server", ...])
        lab.shape("n1-n2", delay_us=20_000, loss=1.0)
        lab.cut("rp-n1")

Everything is taken down at the end of the block, whatever ended it. What a lab that was killed left behind,
the next one (or `mcast-lab clean`) takes down. Labs side by side know nothing of each other.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, Unpack

from mcast.errors import ConfigError
from tools.lab import capture, nodes, plumbing
from tools.lab.counters import Flow, LinkCounters, Traffic
from tools.lab.iproute import ip_batch, need_tool
from tools.lab.namespaces import inside, kill_processes_in, namespace_path, processes_in
from tools.lab.options import Changes, LinkOptions
from tools.lab.rundir import LabState, Registration, clean_dead_labs, delete_namespaces, make_directory
from tools.lab.scenario import load_scenario
from tools.lab.topology import Device, Scenario
from tools.lab.wiring import Carrier, Wiring

RUN_TIMEOUT = 30.0  # s, for `run`: commands that should be short
Argument = str | os.PathLike[str]


class Lab:
    """One running scenario. Not thread-safe but for `popen`, `run` and `counters`.

    `directory` holds what the nodes write; without it a temporary one is made, and removed at the end.
    `carrier` says what delays and loses packets: netem where the kernel has it (`auto`), else TAP devices.
    Equal seeds make an emulated (`tap`) link lose the same packets of the same traffic.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path,
        *,
        directory: Path | None = None,
        carrier: Carrier = "auto",
        seed: int = 0,
    ) -> None:
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        self._directory, self._carrier, self._seed = directory, carrier, seed
        self._cleanup = contextlib.ExitStack()
        self._processes_lock = threading.Lock()
        self._processes: list[tuple[str, subprocess.Popen[Any]]] = []  # with their nodes; not waited for yet

    def __enter__(self) -> Self:
        """Build it. Raises ConfigError, and then nothing is left behind."""
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.scenario.name}, {getattr(self, 'id', 'not built')})"

    def close(self) -> None:
        """End all programs in the nodes (SIGKILL, as CORE does) and remove everything."""
        self._cleanup.close()

    # --- programs ---

    def popen(self, node: str, argv: Sequence[Argument], **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in a node, in a process group of its own, as subprocess.Popen would.

        Its working directory is the node's; `NODE_NAME` and CORE's other variables are in its environment.
        A command that does not exist ends with status 127.
        """
        kwargs.setdefault("process_group", 0)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("cwd", self.node_directory(node))
        kwargs["env"] = nodes.environment_in(self.state, node, kwargs.get("env"))
        process = subprocess.Popen(nodes.command_in(self.state, node, argv), **kwargs)
        with self._processes_lock:
            self._processes = [known for known in self._processes if known[1].returncode is None]
            self._processes.append((node, process))
        return process

    def run(
        self, node: str, argv: Sequence[Argument], *, timeout: float = RUN_TIMEOUT, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command in a node and wait. Raises CalledProcessError and TimeoutExpired."""
        with self.popen(node, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        result = subprocess.CompletedProcess(list(argv), process.returncode, output, errors)
        if check:
            result.check_returncode()
        return result

    def start(self, node: str, argv: Sequence[Argument], log: str) -> subprocess.Popen[Any]:
        """Start a program whose output goes to the file `log` in the node's directory."""
        with (self.node_directory(node) / log).open("ab") as output:
            return self.popen(node, argv, stdout=output, stderr=subprocess.STDOUT)

    def kill(self, node: str) -> int:
        """SIGKILL everything in a node, as if its power had failed; return how many programs that were."""
        self.scenario.device(node)
        namespace = namespace_path(self._names.node(node))
        victims = set(processes_in([namespace])) | self._kill_started(node)
        kill_processes_in([namespace])
        return len(victims)

    def capture(self, node: str, path: Path) -> subprocess.Popen[Any]:
        """Write all packets of a node to a pcap file until the process is ended (SIGINT or SIGTERM)."""
        argv = [sys.executable, "-I", "-S", capture.__file__, str(path.absolute())]
        return self.start(node, argv, "capture.log")

    def node_directory(self, node: str) -> Path:
        return nodes.node_directory(self.state, node)

    # --- links: named A-B or B-A ---

    def cut(self, link: str) -> None:
        """Let packets vanish silently; interfaces, addresses and routes of the nodes stay."""
        self._wiring.set_cut(link, cut=True)

    def heal(self, link: str) -> None:
        self._wiring.set_cut(link, cut=False)

    def shape(self, link: str, *, towards: str | None = None, **changes: Unpack[Changes]) -> None:
        """Change what a link does to packets, both ways or only `towards` one of its ends.

        What is not named stays as it is. Raises ConfigError, and then nothing has changed.
        """
        self._wiring.shape(link, towards, changes)

    def options(self, link: str) -> tuple[LinkOptions, LinkOptions]:
        """Return what a link does at the moment: from its first end to its second, and back."""
        return self._wiring.options(link)

    def is_cut(self, link: str) -> bool:
        return self._wiring.is_cut(link)

    @property
    def carrier(self) -> Carrier:
        return self._wiring.carrier

    def counters(self) -> dict[Flow, Traffic]:
        """Return bytes and packets so far. Raises RuntimeError if the emulation process has died."""
        self._wiring.check()
        return self._counters.read(self.scenario.links)

    # --- building ---

    def _build(self) -> None:
        if os.geteuid() != 0:
            raise ConfigError("the lab makes network namespaces: run it as root (sudo)")
        need_tool("ip", "for everything")
        clean_dead_labs()
        self._register()
        self._make_namespaces()
        self._wiring = Wiring(
            self.scenario, self._names, self.directory / "emulation.log", self._carrier, self._seed
        )
        self._cleanup.callback(self._wiring.close)
        self._wiring.connect_all()
        self._counters = LinkCounters(namespace_path(self._names.fabric))
        self._cleanup.callback(self._counters.close)

    def _register(self) -> None:
        registration = Registration()
        self._cleanup.callback(registration.remove)
        self.id, self.run_directory = registration.lab, registration.path
        self._names = plumbing.Names(self.id)
        self.directory = self._directory or make_directory()
        if self._directory is None:
            self._cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.state = LabState(
            self.id,
            os.getpid(),
            self.scenario.name,
            str(self.directory.absolute()),
            self._directory is None,
            {device.name: device.number for device in self.scenario.devices},
        )
        registration.write(self.state)
        nodes.make_node_directories(self.state)

    def _make_namespaces(self) -> None:
        everything = self._names.all(self.scenario)
        self._cleanup.callback(self._reap)
        self._cleanup.callback(delete_namespaces, everything)
        self._cleanup.callback(self._kill_started)
        ip_batch(f"netns add {name}" for name in everything)
        fabric = namespace_path(self._names.fabric)
        # The fabric's own devices shall say nothing: no router solicitations on anybody's link.
        inside(fabric, lambda: _set_sysctls({"ipv6/conf/default/disable_ipv6": "1"}))
        ip_batch(plumbing.fabric(self.scenario, self._names), self._names.fabric)
        for device in self.scenario.devices:
            self._make_node(device)

    def _kill_started(self, node: str | None = None) -> set[int]:
        """Kill what `popen` has started, in one node or all: it may not have entered its namespace yet."""
        victims = [
            process for place, process in self._processes if node in (None, place) and process.poll() is None
        ]
        for process in victims:
            process.kill()
        return {process.pid for process in victims}

    def _reap(self) -> None:
        """Wait for the programs that the end of their namespaces has killed."""
        for _, process in self._processes:
            process.wait()

    def _make_node(self, device: Device) -> None:
        name = self._names.node(device.name)
        try:
            ip_batch(plumbing.node(self.scenario, device), name)
        except ConfigError as error:
            raise ConfigError(f"node {device.name}: {error}") from None
        if settings := plumbing.sysctls(device, self.scenario):
            inside(namespace_path(name), lambda: _set_sysctls(settings))


def _set_sysctls(settings: dict[str, str]) -> None:
    for path, value in settings.items():
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            Path("/proc/sys/net", path).write_text(value)
