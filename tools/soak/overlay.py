r"""Bootstrapper, eight nodes and two servers in the lab.

 s1, s2                     s1 and s2 have the files, s1 alone the live input
   |
   rp ------ n2 ----- n5
  /  \        |       |
n1    n3 --- n6       |        n1 -- n2, n4 -- n5, n5 -- n6, n6 -- n7, too
 |             \      |
n4 ------------ n7 ---'
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mcast.media.history import MAX_SECONDS
from tools.demo.check import sent_by
from tools.demo.contents import Picture, make
from tools.demo.processes import ProgramError, ProgramProcess, environment_with, role_command, stop_all
from tools.lab.lab import Lab
from tools.lab.programs import NodeProcess

LINKS = {
    "rp": ["n1", "n2", "n3"],
    "n1": ["n2", "n4"],
    "n2": ["n5", "n6"],
    "n3": ["n6"],
    "n4": ["n5", "n7"],
    "n5": ["n6", "n7"],
    "n6": ["n7"],
    "n7": [],
}
SERVERS = ("s1", "s2")
BOOTSTRAP_PORT, NODE_PORT, SERVER_PORT = 4000, 5000, 7000
MEDIA_PORTS = (20_000, 20_255)
"""Of the nodes: known, so that the attacker needs not look for them."""
PACE = ("--pace-ms", "20")
"""Fewer and longer trains: a machine of two cores carries it all."""
READY_TIMEOUT = 180.0
STOP_TIMEOUT = 30.0

EARTH = Picture(
    "earth", "testsrc2=size=320x180:rate=25", "sine=frequency=440:sample_rate=48000",
    seconds=60.0, bit_rate=280_000,
)  # fmt: skip
MARS = Picture(
    "mars", "testsrc2=size=256x144:rate=25,hue=h=140", "sine=frequency=330:sample_rate=48000",
    seconds=45.0, bit_rate=150_000,
)  # fmt: skip
LIVE = "studio"
LIVE_SOURCE = "testsrc2=size=256x144:rate=12"
LIVE_BIT_RATE = 150_000
FILES = (EARTH, MARS)
HISTORY_MIB = MAX_SECONDS * (EARTH.bit_rate + MARS.bit_rate + LIVE_BIT_RATE) / 8 / 2**20
"""Of media that a node holds which streams everything."""
CONTENTS = (EARTH.name, MARS.name, LIVE)


class SoakOverlay:
    """The programs that run from beginning to end; a `with` block is not needed, as `end` ends them."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        """`directory` holds contents and cache, which the next soak uses again."""
        self._lab, self._directory, self.cache = lab, directory.absolute(), directory.absolute() / "cache"
        self.programs: dict[str, NodeProcess] = {}
        self.sources: Mapping[str, Path] = {}

    def address(self, host: str) -> str:
        """Return HOST:PORT of a node."""
        return f"{self._lab.scenario.address(host)}:{NODE_PORT}"

    @property
    def bootstrap(self) -> str:
        return f"{self._lab.scenario.address('boot')}:{BOOTSTRAP_PORT}"

    @property
    def servers(self) -> list[str]:
        return [f"{self._lab.scenario.address(name)}:{SERVER_PORT}" for name in SERVERS]

    def prepare(self) -> None:
        """Make and prepare the contents before the servers need them. Raises ConfigError."""
        self.sources = {picture.name: make(picture, self._directory / "contents") for picture in FILES}
        for source in self.sources.values():
            sent_by(source, self.cache)

    def start(self) -> None:
        """Start all programs and wait until they are ready. Raises ProgramError."""
        layout = self._write("layout.json", self._layout())
        bootstrapper = self.run("boot", "bootstrap", "--address", self.bootstrap, "--config", str(layout))
        for name, address in zip(SERVERS, self.servers, strict=True):
            self.run(name, "server", "--address", address, "--config", str(self._contents(name)), *PACE)
        low, high = MEDIA_PORTS
        for name in LINKS:
            self.run(
                name, "node", "--bootstrap", self.bootstrap, "--name", name, "--media-ports", f"{low}-{high}"
            )
        for name in LINKS:
            bootstrapper.wait_for_event("node_registered", READY_TIMEOUT, node=name)
        for address in self.servers:
            self.programs["rp"].wait_for_event("server_listed", READY_TIMEOUT, server=address)

    def run(self, host: str, role: str, *options: str) -> NodeProcess:
        """Start a program, to be ended with the others."""
        self.programs[host] = start_role(self._lab, host, host, role, *options)
        return self.programs[host]

    def check(self) -> None:
        """Raise ProgramError if a program has ended."""
        for program in self.programs.values():
            if program.status is not None:
                raise program.error(f"ended with status {program.status}")

    def end(self) -> list[str]:
        """End all; return what was not as it should be. Nodes first: servers have then nobody to feed."""
        return stop_all([*self.programs.values()], STOP_TIMEOUT)

    def _layout(self) -> dict[str, object]:
        nodes: dict[str, dict[str, object]] = {
            name: {"address": self.address(name), "neighbours": neighbours}
            for name, neighbours in LINKS.items()
        }
        nodes["rp"]["servers"] = self.servers
        return {"rendezvous": "rp", "nodes": nodes}

    def _contents(self, server: str) -> Path:
        listed: list[dict[str, object]] = [
            {"name": name, "source": str(source)} for name, source in self.sources.items()
        ]
        if server == "s1":
            listed.append(
                {"name": LIVE, "source": LIVE_SOURCE, "format": "lavfi", "max_bit_rate": LIVE_BIT_RATE}
            )
        rendezvous = [self._lab.scenario.address("rp")]
        whole = {"cache": str(self.cache), "rendezvous": rendezvous, "content": listed}
        return self._write(f"{server}.json", whole)

    def _write(self, name: str, what: object) -> Path:
        file = self._directory / name
        file.write_text(json.dumps(what, indent=2) + "\n")
        return file


def start_role(
    lab: Lab, host: str, name: str, role: str, *options: str, stdout: int | None = None
) -> NodeProcess:
    """Start one of mcast's programs in a host of the lab."""
    command = role_command(role, *options)
    return NodeProcess(lab, host, name, command, stdout=stdout, environment=environment_with({}))


def complaints(program: ProgramProcess) -> list[str]:
    """Return what a program has said that none should ever say."""
    return [
        f"{program.name}: {line.strip()[:200]}"
        for line in program.text().splitlines()
        if "Traceback" in line or "unexpected" in line
    ]


__all__ = ["CONTENTS", "FILES", "LINKS", "LIVE", "ProgramError", "SoakOverlay", "complaints", "start_role"]
