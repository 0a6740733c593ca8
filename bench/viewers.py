"""What one overlay node costs while many clients watch.

    python3 bench/viewers.py --clients 20 --mbits 5 --seconds 20

Starts a bootstrapper, a rendezvous point, one overlay node, one server and N clients (which
throw the stream away) as real processes on this machine, lets them settle, and reads from /proc what
CPU time and memory each role took. CPU is in per cent of one core; "per Gbit" is CPU
seconds of the node per gigabit that it delivered. Compare figures of one run only: machines differ.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tools.demo.processes import ProgramProcess, role_command, stop_all  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 5.0
"""Joins and fast starts are over by then."""


@dataclass(frozen=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    resident_mib: float


def usage(pid: int) -> Usage:
    """Read /proc: user and system time, and the resident set."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def free_ports(count: int) -> list[int]:
    """Let the system choose ports."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]


def make_content(folder: Path, mbits: float, size: str = "1280x720") -> None:
    """Make noise of the wanted rate: a picture that compresses badly."""
    rate = f"{mbits * 1e6 * 0.93:.0f}"  # the rest is sound, tables and headers of the transport stream
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25",
         "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "20",
         "-vf", "noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
         "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", f"{float(rate) / 2:.0f}",
         "-x264-params", "nal-hrd=cbr:open-gop=0", "-force_key_frames", "expr:gte(t,n_forced*2)",
         "-c:a", "aac", str(folder / "noise.mp4")],
        check=True,
    )  # fmt: skip


def write_configs(folder: Path, ports: list[int]) -> None:
    """Write the layout (rp - n1) and the server's file."""
    _, rp, node, server = ports
    (folder / "layout.toml").write_text(
        f'rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:{rp}"\nneighbours = ["n1"]\n'
        f'servers = ["127.0.0.1:{server}"]\n[nodes.n1]\naddress = "127.0.0.1:{node}"\n'
    )
    (folder / "server.toml").write_text(
        'cache = "cache"\n[[content]]\nname = "noise"\nsource = "noise.mp4"\n'
    )


def serve(folder: Path, port: int, started: list[ProgramProcess]) -> None:
    """Prepare the content, then start the server."""
    config = ("--config", str(folder / "server.toml"))
    started.append(
        ProgramProcess("prepare", role_command("server", "--prepare", *config), folder / "prepare.log")
    )
    started[-1].wait(300)
    address = f"127.0.0.1:{port}"
    command = role_command("server", "--address", address, *config)
    started.append(ProgramProcess("server", command, folder / "server.log"))


def start(folder: Path, clients: int, ports: list[int], started: list[ProgramProcess]) -> None:
    """Start everything; what runs is in `started` even when something fails."""
    boot, _, node, _ = ports
    here = f"127.0.0.1:{boot}"

    def run(name: str, *command: str) -> ProgramProcess:
        program = ProgramProcess(name, role_command(*command), folder / f"{name}.log")
        started.append(program)
        return program

    run("bootstrap", "bootstrap", "--address", here, "--config", str(folder / "layout.toml"))
    run("rp", "node", "--bootstrap", here, "--name", "rp").wait_for_event(
        "server_listed", 120, contents=["noise"]
    )
    run("n1", "node", "--bootstrap", here, "--name", "n1").wait_for_event("node_up")
    for number in range(clients):
        run(f"client{number}", "client", "--content", "noise", "--neighbour", f"127.0.0.1:{node}",
            "--output", os.devnull, "--report", str(folder / f"client{number}.json"))  # fmt: skip
    for program in started[-clients:]:
        program.wait_for_event("joined", 60)


def measure(folder: Path, clients: int, seconds: float, started: list[ProgramProcess]) -> None:
    """Let it run and print a table."""
    time.sleep(SETTLE_SECONDS)
    roles = {p.name: p for p in started if p.name in ("server", "rp", "n1", "client0")}
    before, began = {name: usage(p.pid) for name, p in roles.items()}, time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    after = {name: usage(p.pid) for name, p in roles.items()}
    print(f"{'process':<10}{'CPU %':>8}{'RSS MiB':>10}")
    for name in roles:
        cpu = after[name].cpu_seconds - before[name].cpu_seconds
        print(f"{name:<10}{100 * cpu / lasted:8.1f}{after[name].resident_mib:10.1f}")
    problems = stop_all(started)
    reports = [json.loads((folder / f"client{n}.json").read_text()) for n in range(clients)]
    rate = sum(r["bytes"] * 8 / r["duration_s"] for r in reports) / 1e9
    cpu = (after["n1"].cpu_seconds - before["n1"].cpu_seconds) / lasted
    print(f"n1 delivered {rate * 1000:.1f} Mbit/s to {clients} clients: {cpu / rate:.3f} CPU s per Gbit")
    print(f"lost datagrams: {sum(r['lost_datagrams'] for r in reports)}", *problems)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--mbits", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    started: list[ProgramProcess] = []
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder, ports = Path(name), free_ports(4)
        make_content(folder, options.mbits)
        write_configs(folder, ports)
        try:
            serve(folder, ports[3], started)
            start(folder, options.clients, ports, started)
            measure(folder, options.clients, options.seconds, started)
        finally:
            stop_all(started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
