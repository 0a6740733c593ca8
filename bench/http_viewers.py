"""What the gateway costs while many viewers watch one content over HTTP.

    python3 bench/http_viewers.py --viewers 100 --mbits 5 --seconds 20

Starts an overlay of one node, a server and `mcast-client --http` as real processes on this machine, reads
/noise.ts by so many connections, lets them settle, and reads from /proc what CPU time and memory the gateway
took. CPU is in per cent of one core; "per Gbit" is CPU seconds per gigabit that was delivered.
"""

import argparse
import re
import selectors
import socket
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench.viewers import SETTLE_SECONDS, free_ports, make_content, serve, usage, write_configs  # noqa: E402
from tools.demo.processes import ProgramProcess, role_command, stop_all  # noqa: E402

CONNECT_SECONDS = 60.0


def start_gateway(folder: Path, ports: list[int], started: list[ProgramProcess]) -> ProgramProcess:
    """Start the overlay and the gateway; return the gateway."""
    boot, rp, _, server = ports
    write_configs(folder, ports)
    serve(folder, server, started)
    here = f"127.0.0.1:{boot}"

    def run(role: str, *options: str) -> ProgramProcess:
        started.append(ProgramProcess(role, role_command(role, *options), folder / f"{role}.log"))
        return started[-1]

    run("bootstrap", "--address", here, "--config", str(folder / "layout.toml"))
    run("node", "--bootstrap", here, "--name", "rp").wait_for_event("server_listed", 120, contents=["noise"])
    gateway = run("client", "--neighbour", f"127.0.0.1:{rp}", "--http", "127.0.0.1:0")
    gateway.wait_for_text("serving http://")
    return gateway


def address_of(gateway: ProgramProcess) -> tuple[str, int]:
    """Return where it serves."""
    found = re.search(r"serving http://([\d.]+):(\d+)/", gateway.text())
    assert found is not None
    return found[1], int(found[2])


def connect(address: tuple[str, int], viewers: int) -> list[socket.socket]:
    """Return so many connections that have asked for the stream, once the first has got some of it."""
    socks: list[socket.socket] = []
    deadline = time.monotonic() + CONNECT_SECONDS
    while len(socks) < viewers:
        sock = socket.create_connection(address, CONNECT_SECONDS)
        sock.sendall(b"GET /noise.ts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if sock.recv(12) == b"HTTP/1.1 200":
            socks.append(sock)
        elif time.monotonic() > deadline:
            raise SystemExit("the stream has not begun in time")
    return socks


def read_all(socks: list[socket.socket], seconds: float) -> int:
    """Read from all connections for so long; return how many bytes came."""
    buffer, total = bytearray(1 << 18), 0
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                size = key.fileobj.recv_into(buffer)
                if size == 0:
                    raise SystemExit("a viewer was cut")
                total += size
    return total


def measure(folder: Path, viewers: int, seconds: float, started: list[ProgramProcess]) -> None:
    """Print what the gateway has used over so many seconds."""
    gateway = start_gateway(folder, free_ports(4), started)
    socks = connect(address_of(gateway), viewers)
    read_all(socks, SETTLE_SECONDS)
    before, began = usage(gateway.pid), time.monotonic()
    total = read_all(socks, seconds)
    after, took = usage(gateway.pid), time.monotonic() - began
    for sock in socks:
        sock.close()
    gbit, cpu = total * 8 / 1e9, after.cpu_seconds - before.cpu_seconds
    print(f"viewers    {viewers}, {gbit / viewers / took * 1000:.2f} Mbit/s each, for {took:.0f} s")
    print(f"CPU        {100 * cpu / took:.0f} %, {cpu / gbit:.2f} s per Gbit")
    print(f"memory     {after.resident_mib:.0f} MiB")


def main() -> int:
    """Run the measurement; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--mbits", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    started: list[ProgramProcess] = []
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder = Path(name)
        make_content(folder, options.mbits)
        try:
            measure(folder, options.viewers, options.seconds, started)
        finally:
            stop_all(started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
