"""What loopback cannot show: slow links, hosts with several addresses. In network namespaces."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.demo.check import origin_problems
from tools.demo.processes import ProgramProcess, role_command, stop_all, wait_until
from topology.contents import Stock
from topology.netns import Networks

pytestmark = pytest.mark.netns

CONFIGS = Path(__file__).parents[2] / "resources" / "configs"
LAYOUT = """
rendezvous = "rp"
[nodes.rp]
address = "127.0.0.1:5000"
servers = ["127.0.0.1:7000"]
neighbours = ["n1"]
[nodes.n1]
address = "127.0.0.2:5001"
"""


class Hosts:
    """Bootstrapper, rendezvous point, node n1 and server on one host, clients on others."""

    def __init__(self, networks: Networks, stock: Stock, directory: Path) -> None:
        self.networks, self.stock, self.directory = networks, stock, directory
        self.programs: list[ProgramProcess] = []

    def start_overlay(self, host: str, content: str = "clip") -> None:
        layout = self.directory / "layout.toml"
        layout.write_text(LAYOUT)
        config = self.stock.write_config(self.directory / "contents.toml", [content])
        self.run(host, "bootstrap", "bootstrap", "--address", "127.0.0.1:4000", "--config", str(layout))
        self.run(host, "s1", "server", "--address", "127.0.0.1:7000", "--config", str(config))
        self.run(host, "rp", "node", "--bootstrap", "127.0.0.1:4000", "--name", "rp")
        # On every address of its host, as a node on a host of its own does.
        self.run(
            host, "n1", "node", "--bootstrap", "127.0.0.1:4000", "--name", "n1", "--address", "0.0.0.0:5001"
        )
        self.programs[2].wait_for_event("server_listed")

    def client(self, host: str, neighbour: str, content: str, *options: str) -> ProgramProcess:
        name = f"client-{host}-{len(self.programs)}"
        return self.run(
            host, name, "client", "--neighbour", neighbour, "--content", content, "--wait", "20",
            "--output", str(self.recording(name)), "--report", str(self.directory / f"{name}.json"), *options,
        )  # fmt: skip

    def recording(self, name: str) -> Path:
        return self.directory / f"{name}.ts"

    def run(self, host: str, name: str, role: str, *options: str) -> ProgramProcess:
        command = self.networks.inside(host, *role_command(role, *options))
        program = ProgramProcess(
            name, command, self.directory / f"{name}.log", environment=self.stock.environment
        )
        self.programs.append(program)
        return program

    def assert_complete(self, client: ProgramProcess, content: str) -> None:
        """Fail unless the recording is what the server sent."""
        recording = self.recording(client.name).read_bytes()
        report = json.loads((self.directory / f"{client.name}.json").read_text())
        problems = origin_problems(recording, self.stock.sent(content), report["first_number"])
        assert not problems, problems
        assert (report["lost_datagrams"], report["continuity_errors"]) == (0, 0)


@pytest.fixture
def hosts(networks: Networks, stock: Stock, tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(networks, stock, tmp_path)
    try:
        yield hosts
    finally:
        problems = stop_all(hosts.programs)
        for program in hosts.programs:
            print(f"--- {program.name}", *program.text().splitlines()[-30:], sep="\n")
    assert not problems, problems


def test_a_child_behind_a_slow_link_costs_its_sibling_nothing(hosts: Hosts) -> None:
    for name in ("core", "fast", "slow"):
        hosts.networks.add(name)
    hosts.networks.link("core", "10.77.1.1/24", "fast", "10.77.1.2/24")
    to_slow, _ = hosts.networks.link("core", "10.77.2.1/24", "slow", "10.77.2.2/24")
    hosts.start_overlay("core")
    hosts.networks.slow_down("core", to_slow, "150kbit")  # the content has 400
    slow = hosts.client("slow", "10.77.2.1:5001", "clip")
    wait_until(lambda: size(hosts.recording(slow.name)) > 10_000, "media over the slow link")
    fast = hosts.client("fast", "10.77.1.1:5001", "clip", "--duration", "5")
    assert fast.wait(20) == 0
    hosts.assert_complete(fast, "clip")
    assert size(hosts.recording(fast.name)) > 1.5 * size(hosts.recording(slow.name))


def test_a_host_with_two_addresses_sends_from_the_one_it_was_asked_at(hosts: Hosts) -> None:
    for name in ("core", "edge"):
        hosts.networks.add(name)
    device, _ = hosts.networks.link("core", "10.77.1.1/24", "edge", "10.77.1.9/24")
    hosts.networks.ip("core", "address", "add", "10.77.1.2/24", "dev", device)
    hosts.start_overlay("core")
    for address in ("10.77.1.2", "10.77.1.1"):
        client = hosts.client("edge", f"{address}:5001", "clip", "--duration", "1")
        assert client.wait(30) == 0, client.text()
        hosts.assert_complete(client, "clip")


def test_a_viewer_whose_link_is_cut_is_forgotten_within_the_lease(hosts: Hosts) -> None:
    for name in ("core", "edge"):
        hosts.networks.add(name)
    device, _ = hosts.networks.link("core", "10.77.1.1/24", "edge", "10.77.1.9/24")
    hosts.start_overlay("core")
    client = hosts.client("edge", "10.77.1.1:5001", "clip")
    wait_until(lambda: size(hosts.recording(client.name)) > 10_000, "media")
    hosts.networks.ip("core", "link", "set", device, "down")
    server = next(program for program in hosts.programs if program.name == "s1")
    server.wait_for_event("stream_ended", timeout=3.0, content="clip")
    assert client.wait(20) == 5


def test_a_firewall_that_lets_no_udp_through_is_named_however_long_the_viewer_waits(hosts: Hosts) -> None:
    for name in ("core", "edge"):
        hosts.networks.add(name)
    _, device = hosts.networks.link("core", "10.77.1.1/24", "edge", "10.77.1.9/24")
    hosts.networks.drop_udp("edge", device)
    hosts.start_overlay("core")
    hint = re.compile(r"no UDP comes from 10\.77\.1\.1:\d+ though TCP is up: a firewall\?")
    for wait in ("1", "2"):
        client = hosts.client("edge", "10.77.1.1:5001", "clip", "--wait", wait)
        assert client.wait(30) == 4
        (line,) = [line for line in client.text().splitlines() if ": error: " in line]
        assert hint.search(line), line
        assert not hosts.recording(client.name).exists()


ASK = """
from mcast.net.connection import PeerGone, connect
from mcast.wire.server import Wake
try:
    with connect("10.77.1.1:7000", 10.0) as connection:
        connection.send(Wake())
        print(connection.receive(10.0))
except PeerGone as error:
    print(error)
"""


def test_a_server_answers_nobody_outside_of_allow_and_names_that_key_in_one_line(hosts: Hosts) -> None:
    for name in ("core", "edge"):
        hosts.networks.add(name)
    hosts.networks.link("core", "10.77.1.1/24", "edge", "10.77.1.9/24")

    def ask() -> str:
        command = hosts.networks.inside("edge", sys.executable, "-c", ASK)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    config = hosts.stock.write_config(hosts.directory / "contents.toml", ["clip"])
    contents = config.read_text()
    config.write_text('allow = ["10.78.0.0/16", "192.168.0.0/16"]\n' + contents)
    server = hosts.run("core", "s1", "server", "--address", "10.77.1.1:7000", "--config", str(config))
    server.wait_for_event("listening")
    assert "your address may ask nothing here" in ask()
    server.wait_for_event("refused")
    (line,) = [line for line in server.text().splitlines() if "refused" in line]
    assert f"10.77.1.9 is in no network of 'allow' in {config}: add it if this is the rendezvous" in line
    config.write_text('allow = ["10.77.1.9"]\n' + contents)
    server.send(signal.SIGHUP)
    server.wait_for_text(f"SIGHUP: {config} was read again")
    assert "name='clip'" in ask()


def test_the_commands_in_the_example_files_work_as_they_stand_there(hosts: Hosts, tmp_path: Path) -> None:
    for file in ("demo-layout.toml", "demo-server.toml"):
        shutil.copy(CONFIGS / file, tmp_path)
    shutil.copy(hosts.stock.source("clip"), tmp_path / "earth.mp4")
    hosts.networks.add("laptop")
    lines = re.findall(
        r"^#     mcast-(\w+) (.*?)(?: +\((.*)\))?$", (tmp_path / "demo-layout.toml").read_text(), re.M
    )
    assert [role for role, _, _ in lines] == ["bootstrap", "node", "server", "client"]
    for role, options, remark in lines[:-1]:
        words = [str(tmp_path / word) if word.endswith(".toml") else word for word in shlex.split(options)]
        hosts.run("laptop", f"{role}-0", role, *words)
        for number in range(1, 5) if "likewise" in remark else ():
            hosts.run("laptop", f"{role}-{number}", role, *(w if w != "rp" else f"n{number}" for w in words))
    recording = tmp_path / "recording.ts"
    viewing = [*shlex.split(lines[-1][1]), "--output", str(recording), "--duration", "1", "--wait", "20"]
    hosts.programs[1].wait_for_event("server_listed", contents=["earth", "studio"])
    assert hosts.run("laptop", "client", "client", *viewing).wait(30) == 0
    assert recording.read_bytes() in hosts.stock.sent("clip").first_round


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
