"""Whether viewers keep their streams behind hops that lose packets both ways.

    sudo python3 bench/loss_hops.py --loss 25 --hops 4 --seconds 600

Makes a chain of hosts in network namespaces: a server, the rendezvous point, overlay nodes, and clients
behind the second hop and each further one. Each link of the chain loses packets at random, in both
directions, TCP and UDP alike. (The bootstrapper is reached by another network, without loss.) Prints for each
client whether it was still fed at the end and what it has missed, and for each program how often a control
connection was silent or a parent was lost. Exit status 1 if a client has ended.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from ipaddress import IPv4Interface
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench.viewers import make_content  # noqa: E402
from tools.demo.processes import ProgramProcess, role_command, stop_all  # noqa: E402
from tools.lab.lab import Lab  # noqa: E402
from tools.lab.nodes import command_in, environment_in  # noqa: E402
from tools.lab.options import LinkOptions  # noqa: E402
from tools.lab.topology import CanvasPosition, Device, Interface, LabLink, Network, Scenario  # noqa: E402

EVENTS = ("control_silent", "control_renewed", "parent_lost", "cut", "attached", "child_left")
"""What is counted of each log."""
JOIN_SECONDS = 120.0
LOOK = 0.2
"""Seconds between two looks at who has ended."""
HERE, CLEAN = CanvasPosition(0, 0), LinkOptions()
BOOTSTRAPPER = "10.99.0.100:4000"


def host(number: int) -> str:
    """Return the name of a host of the chain: h0 has the server."""
    return f"h{number}"


def address(number: int) -> str:
    """Return where a host is reached by way of the chain."""
    return f"10.0.{number}.2" if number else "10.0.1.1"


def beside(number: int) -> str:
    """Return where a host is reached by way of the network that loses nothing."""
    return f"10.99.0.{100 + number}"


def scenario(hops: int, loss: float) -> Scenario:
    """Return a chain of `hops` links that lose `loss` per cent each way, and a network beside it."""
    lossy, links = LinkOptions(loss=loss), []
    for hop in range(1, hops + 1):
        left = Interface(host(hop - 1), 1, "right", None, (IPv4Interface(f"10.0.{hop}.1/24"),))
        right = Interface(host(hop), 2, "left", None, (IPv4Interface(f"10.0.{hop}.2/24"),))
        links.append(LabLink(hop, f"{left.node}-{right.node}", left, right, lossy, lossy))
    for number in range(hops + 1):
        second = Interface(host(number), 3, "beside", None, (IPv4Interface(f"{beside(number)}/24"),))
        index = hops + 1 + number
        plug = Interface("switch", number)
        links.append(LabLink(index, f"{host(number)}-switch", second, plug, CLEAN, CLEAN))
    devices = tuple(
        # Each host knows the two neighbouring links; what lies one further is reached by a neighbour.
        Device(1 + number, host(number), "host", HERE, False, False, _routes(number, hops))
        for number in range(hops + 1)
    )
    return Scenario("loss_hops", (Network(100, "switch", False, HERE),), devices, tuple(links))


def _routes(number: int, hops: int) -> tuple[str, ...]:
    """Return the way to a neighbour's address at the far side of it."""
    left = f"route add 10.0.{number - 1}.0/24 via 10.0.{number}.1"
    return (left,) if 2 <= number <= hops else ()


class Chain:
    """All programs, in their hosts."""

    def __init__(self, lab: Lab, folder: Path, hops: int, clients: int, latency_ms: int) -> None:
        self.lab, self.folder, self.latency_ms = lab, folder, latency_ms
        self.nodes = {number: "rp" if number == 1 else f"n{number - 1}" for number in range(1, hops)}
        self.programs: dict[str, ProgramProcess] = {}
        self.clients = [f"c{number}.{index}" for number in range(2, hops + 1) for index in range(clients)]

    def run(self, number: int, name: str, *command: str) -> ProgramProcess:
        """Start one of mcast's programs on a host."""
        inside = command_in(self.lab.state, host(number), role_command(*command))
        surroundings = environment_in(self.lab.state, host(number))
        self.programs[name] = ProgramProcess(
            name, inside, self.folder / f"{name}.log", environment=surroundings
        )
        return self.programs[name]

    def start(self) -> None:
        """Start everything, the clients last; return when all have joined."""
        names = list(self.nodes.values())
        layout = {
            name: {
                "address": f"{address(number)}:5000",
                "aliases": [beside(number)],  # where it calls the bootstrapper from
                "neighbours": [names[number]] if number < len(names) else [],
            }
            for number, name in self.nodes.items()
        }
        layout["rp"]["servers"] = [f"{address(0)}:7000"]
        (self.folder / "layout.json").write_text(json.dumps({"rendezvous": "rp", "nodes": layout}))
        config = str(self.folder / "server.toml")
        Path(config).write_text('cache = "cache"\n[[content]]\nname = "noise"\nsource = "noise.mp4"\n')
        self.run(0, "server", "server", "--address", f"{address(0)}:7000", "--config", config)
        self.programs["server"].wait_for_event("prepared", 300)
        layout_file = str(self.folder / "layout.json")
        self.run(0, "bootstrap", "bootstrap", "--address", BOOTSTRAPPER, "--config", layout_file)
        for number, name in self.nodes.items():
            self.run(number, name, "node", "--bootstrap", BOOTSTRAPPER, "--name", name)
        self.programs["rp"].wait_for_event("server_listed", JOIN_SECONDS)
        for client in self.clients:
            self.start_client(client)
        for client in self.clients:
            self.programs[client].wait_for_event("joined", JOIN_SECONDS)

    def start_client(self, name: str) -> None:
        """Start a client at the node one hop before its host. It throws the stream away."""
        number = int(name[1:].partition(".")[0])
        neighbour, report = f"{address(number - 1)}:5000", str(self.folder / f"{name}.json")
        self.run(number, name, "client", "--content", "noise", "--neighbour", neighbour, "--wait", "60",
                 "--latency", str(self.latency_ms), "--output", os.devnull, "--report", report)  # fmt: skip

    def watch(self, seconds: float) -> dict[str, float]:
        """Let it run; return which clients have ended, and after how many seconds.

        Print for how long this process was not run, at worst: then the others were not, either.
        """
        began, ended, stalled = time.monotonic(), dict[str, float](), 0.0
        while (lasted := time.monotonic() - began) < seconds and len(ended) < len(self.clients):
            time.sleep(LOOK)
            stalled = max(stalled, time.monotonic() - began - lasted - LOOK)
            for name in self.clients:
                if self.programs[name].status is not None:
                    ended.setdefault(name, lasted)
        print(f"this machine stood still for up to {stalled * 1000:.0f} ms")
        return ended

    def count(self) -> dict[str, Counter[str]]:
        """Return how often each program has said what, so far."""
        return {
            name: Counter(event.name for event in program.events.read())
            for name, program in self.programs.items()
        }

    def print_figures(self, ended: dict[str, float], said: dict[str, Counter[str]]) -> None:
        """Print what clients have missed, and what was said until then."""
        print(f"{'client':<9}{'hops':>5}  {'until':<12}{'seconds':>9}{'lost':>7}{'longest gap ms':>16}")
        for name in self.clients:
            file = self.folder / f"{name}.json"
            report = json.loads(file.read_text()) if file.exists() else {}
            until = f"{ended[name]:.0f} s" if name in ended else "the end"
            figures = [report.get(key, "?") for key in ("duration_s", "lost_datagrams", "longest_gap_ms")]
            print(f"{name:<9}{name[1]:>5}  {until:<12}{figures[0]:>9}{figures[1]:>7}{figures[2]:>16}")
        print(f"\n{'program':<9}" + "".join(f"{event:>17}" for event in EVENTS))
        for name, counted in said.items():
            print(f"{name:<9}" + "".join(f"{counted[event]:>17}" for event in EVENTS))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", type=float, default=25.0, help="per cent, each way of each hop")
    parser.add_argument("--hops", type=int, default=4, choices=range(2, 9), help="from the server on")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=2, help="behind each hop but the first")
    parser.add_argument("--latency", type=int, default=2000, help="of the clients, in milliseconds")
    parser.add_argument("--mbits", type=float, default=1.0, help="rate of the content")
    parser.add_argument("--keep", type=Path, help="an empty directory for the logs, to be kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        make_content(folder, options.mbits)
        with Lab(scenario(options.hops, 0)) as lab:
            chain = Chain(lab, folder, options.hops, options.clients, options.latency)
            try:
                chain.start()
                for hop in range(1, options.hops + 1):  # only now: who joins is not the question
                    lab.shape(f"{host(hop - 1)}-{host(hop)}", loss=options.loss)
                ended = chain.watch(options.seconds)
                said = chain.count()
                for problem in stop_all(list(chain.programs.values()), 10):
                    print(problem)
                print(f"{options.hops} hops, {options.loss:g} % each way, {options.seconds:g} s")
                chain.print_figures(ended, said)
            finally:
                for program in chain.programs.values():
                    program.kill()
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main())
