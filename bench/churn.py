"""What one overlay node's memory does while clients come and go.

    python3 bench/churn.py --seconds 300 --contents 4 --mbits 3 --joins 3

Starts a bootstrapper, a rendezvous point, one overlay node and one server as real processes. Clients in this
process (`mcast.Subscription`) join one of the contents at random, stay for a moment and leave, so that
contents begin and end at the node all the time. Printed are, every 10 s, the node's resident memory beside
what its histories hold at most (bit rate x 8 s for each content that somebody watches), its threads and
descriptors. At the end the churn stops: what stays resident then is what is never given back.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench.viewers import free_ports, make_content, usage, write_configs  # noqa: E402
from mcast import Subscription  # noqa: E402
from mcast.errors import McastError  # noqa: E402
from mcast.media.history import MAX_SECONDS  # noqa: E402
from tools.demo.processes import ProgramProcess, role_command, stop_all  # noqa: E402

LOOK_SECONDS = 10.0
STAY_SECONDS = (1.0, 12.0)
"""Shorter and longer than a history's 8 s."""


class Churn:
    """Clients that come and go, in threads of this process."""

    def __init__(self, node: int, contents: list[str], joins: float) -> None:
        """`joins` a second, at the node's port."""
        self.joined = self.refused = self.lost = 0
        self._neighbour, self._contents, self._pause = f"127.0.0.1:{node}", contents, 1 / joins
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._watched: list[str] = []  # with the lock
        self._clients: list[threading.Thread] = []

    @property
    def watched(self) -> int:
        """Return how many contents have a viewer now."""
        with self._lock:
            return len(set(self._watched))

    def run(self, seconds: float) -> None:
        """Let clients come for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            client = threading.Thread(target=self._watch, args=(random.choice(self._contents),))
            client.start()
            self._clients = [other for other in self._clients if other.is_alive()] + [client]
            time.sleep(self._pause)

    def stop(self) -> None:
        """Let all clients leave."""
        self._stopping.set()
        for client in self._clients:
            client.join()

    def _watch(self, content: str) -> None:
        until = time.monotonic() + random.uniform(*STAY_SECONDS)
        try:
            with Subscription(neighbours=[self._neighbour], content=content) as subscription:
                self._count(content, subscription, until)
        except McastError:
            self.refused += 1

    def _count(self, content: str, subscription: Subscription, until: float) -> None:
        with self._lock:
            self._watched.append(content)
            self.joined += 1
        try:
            while time.monotonic() < until and not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):  # the machine is busy
                    subscription.read(1.0)
        finally:
            with self._lock:
                self._watched.remove(content)
                self.lost += subscription.statistics().lost_datagrams


def write_server(folder: Path, contents: list[str]) -> None:
    """Write the server's file: one source under several names."""
    listed = [{"name": name, "source": "noise.mp4"} for name in contents]
    (folder / "server.json").write_text(json.dumps({"cache": "cache", "content": listed}))


def start(
    folder: Path, ports: list[int], contents: list[str], started: list[ProgramProcess]
) -> ProgramProcess:
    """Start the programs; return the node."""
    boot, _, _, server = ports
    config, here = str(folder / "server.json"), f"127.0.0.1:{boot}"

    def run(name: str, *command: str) -> ProgramProcess:
        started.append(ProgramProcess(name, role_command(*command), folder / f"{name}.log"))
        return started[-1]

    run("prepare", "server", "--prepare", "--config", config).wait(300)
    run("server", "server", "--address", f"127.0.0.1:{server}", "--config", config)
    run("bootstrap", "bootstrap", "--address", here, "--config", str(folder / "layout.toml"))
    rendezvous = run("rp", "node", "--bootstrap", here, "--name", "rp")
    rendezvous.wait_for_event("server_listed", 120, contents=[*contents])
    node = run("n1", "node", "--bootstrap", here, "--name", "n1")
    node.wait_for_event("node_up")
    return node


def line(seconds: float, node: ProgramProcess, churn: Churn, mbits: float) -> str:
    """Describe the node at this moment."""
    held = churn.watched * mbits * MAX_SECONDS / 8 / 1.048576
    folder = Path(f"/proc/{node.pid}")
    threads, descriptors = len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))
    return (
        f"{seconds:7.0f}{usage(node.pid).resident_mib:10.1f}{held:10.1f}{churn.watched:10}{threads:9}"
        f"{descriptors:6}{churn.joined:8}{churn.refused:9}{churn.lost:6}"
    )


def measure(node: ProgramProcess, churn: Churn, options: argparse.Namespace) -> None:
    """Print the table while clients come and go, and after that."""
    print(f"{'s':>7}{'RSS MiB':>10}{'history':>10}{'contents':>10}{'threads':>9}{'fds':>6}", end="")
    print(f"{'joins':>8}{'refused':>9}{'lost':>6}", flush=True)
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < options.seconds:
        print(line(elapsed, node, churn, options.mbits), flush=True)
        churn.run(LOOK_SECONDS)
    churn.stop()
    time.sleep(LOOK_SECONDS)
    print(line(time.monotonic() - began, node, churn, options.mbits), " all clients have left", flush=True)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=270.0)
    parser.add_argument("--contents", type=int, default=4)
    parser.add_argument("--mbits", type=float, default=3.0, help="of each content")
    parser.add_argument("--joins", type=float, default=3.0, help="a second")
    options = parser.parse_args()
    started: list[ProgramProcess] = []
    contents = [f"noise{number}" for number in range(options.contents)]
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder, ports = Path(name), free_ports(4)
        make_content(folder, options.mbits)
        write_configs(folder, ports)
        write_server(folder, contents)
        churn = Churn(ports[2], contents, options.joins)
        try:
            measure(start(folder, ports, contents, started), churn, options)
        finally:
            churn.stop()
            problems = stop_all(started)
        print(*problems, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
