"""Does one address keep others out? Joins and losses while 127.0.0.2 attacks in every way at once.

    python3 bench/attack.py --seconds 20

Starts a bootstrapper, a rendezvous point, one overlay node, one server and a client that watches all along.
Then another process, at 127.0.0.2, opens thousands of silent connections to the node, the server and the
bootstrapper, floods the node with DISC for what nobody has and the server with WAKE, and the
node's media port with NACKs without a token. It takes streams and hears lists at the server until it is
refused, keeps them, and comes again. Meanwhile clients join one after the other. Printed are their times to
the first media, what the first client has lost, and how long a stranger elsewhere waits for the server's list
and for a stream of it. The attacker takes a whole core, or more: on a machine with few of them it delays
everybody by that alone.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from bench.viewers import free_ports, make_content, serve, start, write_configs  # noqa: E402
from mcast.net.connection import connect  # noqa: E402
from mcast.wire.frame import Message, encode  # noqa: E402
from mcast.wire.identity import Identity  # noqa: E402
from mcast.wire.node import Disc  # noqa: E402
from mcast.wire.rtcp import pack_compound  # noqa: E402
from mcast.wire.rtcp_packets import Nack, ReceiverReport  # noqa: E402
from mcast.wire.server import Contents, Send, Sending, SendStatus, Wake  # noqa: E402
from tools.demo.processes import ProgramProcess, role_command, stop_all  # noqa: E402

ATTACKER = "127.0.0.2"
SILENT = 1500
"""Connections without a byte to each program, kept open and opened again when they are closed."""
TAKERS, LISTENERS = 1100, 300
"""Connections that take a stream or hear the list, and are kept: more than there may be."""
TALKERS = 8
"""Connections that ask and ask, to the node and to the server each."""


def disc() -> Disc:
    return Disc(request=os.urandom(16), content="none", sender=Identity.client(bytes(16)), remaining_ms=4000)


def keep_open(port: int, count: int, first: Message | None = None) -> None:
    """Keep many connections open, say one thing on each, or nothing, and do not read what comes."""
    held: list[socket.socket] = []
    while True:
        for _ in range(count - len(held)):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", port), 1.0, (ATTACKER, 0)))
                if first is not None:
                    held[-1].sendall(encode(first))
        time.sleep(0.5)
        for sock in held:
            sock.setblocking(False)
        held = [sock for sock in held if not is_closed(sock)]


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def ask_again_and_again(port: int, message: Callable[[], Message]) -> None:
    """Ask, wait for the answer, ask again."""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 1.0, (ATTACKER, 0)) as sock,
        ):
            while True:
                sock.sendall(encode(message()))
                if not sock.recv(65_536):
                    break


def send_nacks(ports: list[int]) -> None:
    """Ask for repairs without a token, 900 a second."""
    data = pack_compound((ReceiverReport(1), Nack(1, 1, tuple(range(0, 4096, 17)))))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ATTACKER, 0))
        while True:
            for port in ports:
                with contextlib.suppress(OSError):
                    sock.sendto(data, ("127.0.0.1", port))
            time.sleep(1 / 900)


def attack(ports: list[int], media: list[int]) -> None:
    """Attack in every way at once until this process is killed."""
    boot, _, node, server = ports
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    work: list[Callable[[], None]] = [partial(keep_open, port, SILENT) for port in (boot, node, server)]
    work += [partial(keep_open, server, TAKERS, Send("noise")), partial(keep_open, server, LISTENERS, Wake())]
    work += [partial(ask_again_and_again, node, disc)] * TALKERS
    work += [partial(ask_again_and_again, server, Wake)] * TALKERS
    work += [partial(send_nacks, media)]
    threads = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def media_ports(pid: int) -> list[int]:
    """Return the UDP ports of a process, as the kernel lists them."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]]
    return sorted({int(row[1].split(":")[1], 16) for row in rows if row[9] in inodes})


def join(folder: Path, node: int, number: int) -> float:
    """Let a client watch for a moment; return the milliseconds until its first media."""
    report = folder / f"newcomer{number}.json"
    command = role_command(
        "client", "--content", "noise", "--neighbour", f"127.0.0.1:{node}", "--output", os.devnull,
        "--duration", "0.5", "--report", str(report),
    )  # fmt: skip
    ProgramProcess(f"newcomer{number}", command, folder / f"newcomer{number}.log").wait(60)
    return float(json.loads(report.read_text())["join_ms"] or "nan")


def ask_server(port: int) -> None:
    """Print how long the server lets a stranger wait for its list and for a stream."""
    for what, question in (("list", Wake()), ("stream", Send("noise"))):
        began = time.monotonic()
        with connect(f"127.0.0.1:{port}", 5.0, source="127.0.0.3") as connection:
            connection.send(question)
            answer = connection.receive(5.0)
        is_good = isinstance(answer, Contents) or (
            isinstance(answer, Sending) and answer.status is SendStatus.OK
        )
        print(f"                the server's {what} after {(time.monotonic() - began) * 1000:.0f} ms",
              "" if is_good else answer)  # fmt: skip


def figures(folder: Path, node: int, seconds: float, first: int) -> int:
    """Join again and again for so long; print how long that took, and return how often it was done."""
    times: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        times.append(join(folder, node, first + len(times)))
    print(f"{len(times)} joins: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")
    return len(times)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mbits", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    started: list[ProgramProcess] = []
    with tempfile.TemporaryDirectory(prefix="mcast-bench-") as name:
        folder, ports = Path(name), free_ports(4)
        make_content(folder, options.mbits)
        write_configs(folder, ports)
        attacker: multiprocessing.Process | None = None
        try:
            serve(folder, ports[3], started)
            start(folder, 1, ports, started)
            print("in peace:       ", end="", flush=True)
            count = figures(folder, ports[2], options.seconds / 2, 0)
            (node,) = [program for program in started if program.name == "n1"]
            attacker = multiprocessing.Process(
                target=attack, args=(ports, media_ports(node.pid)), daemon=True
            )
            attacker.start()
            time.sleep(3.0)
            print("under attack:   ", end="", flush=True)
            figures(folder, ports[2], options.seconds, count)
            ask_server(ports[3])
        finally:
            if attacker is not None:
                attacker.kill()
                attacker.join()
            for program in started:
                if program.name == "client0":  # before those that it watches
                    program.stop()
            problems = stop_all(started)
        report = json.loads((folder / "client0.json").read_text())
        print(
            f"who watched: {report['lost_datagrams']} datagrams lost in {report['duration_s']:.0f} s",
            *problems,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
