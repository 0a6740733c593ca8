"""docs/deploy.md, typed from its first command to its last one, on machines that are network namespaces."""

import re
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from deploy.machines import ROOT, TYPING, Machines
from helpers import PATIENCE
from topology.netns import Networks

PAGE = (ROOT / "docs" / "deploy.md").read_text()
PLACES = {
    "head": ("rp", "10.0.1.10"), "studio": ("s1", "10.0.6.10"), "hall": ("n1", "10.0.2.10"),
    "desk": ("c1", "10.0.2.20"),
}  # fmt: skip

COMMANDS, PRINTED = r"^```sh (\w+)\n(.*?)^```\n", r"\n((?:    [^\n]*\n|\n(?=    ))+)"
BLOCK = re.compile(f"{COMMANDS}(?:{PRINTED})?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of the page: where they are typed, and what the page says that they print."""

    machine: str
    commands: str
    printed: str

    def matches(self, output: str) -> bool:
        return not self.printed or output.split("\n") == self.printed.split("\n")


STEPS = [
    Step(machine, commands, re.sub("^    ", "", printed, flags=re.MULTILINE))
    for machine, commands, printed in BLOCK.findall(PAGE)
]


def test_the_page_has_commands_for_each_machine() -> None:
    assert {step.machine for step in STEPS} == set(PLACES)
    assert [step for step in STEPS if step.printed]
    assert PAGE.count("```sh") == len(STEPS)


@pytest.mark.netns
@pytest.mark.ffmpeg
@pytest.mark.systemd
def test_the_page_leads_from_nothing_to_a_picture(tmp_path: Path) -> None:
    with Machines(tmp_path, PLACES) as machines:
        for step in STEPS:
            type_until_it_prints(machines, step)
        desk = machines.home_of("desk")
        assert size_of_png(desk / "film.png") == (640, 360)
        assert (desk / "film.ts").stat().st_size > 10_000
        for port, who in (("10.0.1.10:4000", "hall"), ("10.0.1.10:5000", "hall"), ("10.0.2.10:5000", "head"),
                          ("10.0.2.10:8080", "desk"), ("10.0.6.10:7000", "head")):  # fmt: skip
            assert machines.can_connect(who, port), f"{who} to {port}"
        assert machines.can_connect("head", "127.0.0.1:8080"), "the operator's page"
        for port in ("10.0.1.10:4000", "10.0.1.10:5000", "10.0.6.10:7000", "10.0.1.10:8080"):
            assert not machines.can_connect("desk", port), f"the firewall lets the desk reach {port}"


LIVE_INPUT = """
import socket
group = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
group.bind(("239.1.2.3", 1234))
member = socket.inet_aton("239.1.2.3") + socket.inet_aton("10.0.6.10")
group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
print("joined", flush=True)
print(*group.recvfrom(10)[1], flush=True)
"""
ENCODER = """
import socket
encoder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
encoder.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.6.20"))
encoder.bind(("10.0.6.20", 4321))
encoder.sendto(b"media", ("239.1.2.3", 1234))
"""


@pytest.mark.netns
@pytest.mark.systemd  # for nft
def test_the_studios_firewall_lets_in_the_group_that_the_page_names() -> None:
    (rules,) = re.findall(r"nftables.conf <<'END'\n(.*?)^END$", page_of("studio"), re.MULTILINE | re.DOTALL)
    assert "udp://239.1.2.3:1234" in PAGE
    with Networks() as networks:
        for host in ("studio", "camera"):
            networks.add(host)
        networks.link("studio", "10.0.6.10/24", "camera", "10.0.6.20/24")
        subprocess.run(networks.inside("studio", "nft", "-f", "-"), input=rules, text=True, check=True)
        with subprocess.Popen(
            networks.inside("studio", sys.executable, "-I", "-S", "-c", LIVE_INPUT),
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == "joined\n"
                subprocess.run(
                    networks.inside("camera", sys.executable, "-I", "-S", "-c", ENCODER), check=True
                )
                assert server.communicate(timeout=PATIENCE)[0] == "10.0.6.20 4321\n"
            finally:
                server.kill()


def page_of(machine: str) -> str:
    """Return all that is typed on a machine."""
    return "".join(step.commands for step in STEPS if step.machine == machine)


def size_of_png(file: Path) -> tuple[int, int]:
    """Return width and height of a picture (PNG, 11.2.2)."""
    head = file.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack("!II", head[16:])
    return width, height


def type_until_it_prints(machines: Machines, step: Step) -> None:
    """Type a step; again while it prints something else than the page says: that may be on its way."""
    deadline = time.monotonic() + TYPING
    for _ in count():
        output = machines.type(step.machine, step.commands)
        if step.matches(output):
            return
        assert time.monotonic() < deadline, f"{step.commands} prints\n{output}instead of\n{step.printed}"
        time.sleep(0.1)
