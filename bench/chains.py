"""What SRT, RIST and mcast make of the same chain of hosts, link for link.

    sudo python3 bench/chains.py                     3 hops, 20 ms round trip, 10 % loss each way, 60 s each
    sudo python3 bench/chains.py --seconds 20 --only srt

Their users chain them hop by hop: `srt-live-transmit` on every host, or `ristsender`, `ristreceiver`, joined
by plain UDP where one hands on to the next (Debian: srt-tools, rist-tools). mcast's chain is the case
`three-hops-10` of `make resilience`, over the same links. Then, without loss, the process in the middle of
the chain is killed with -9, and started again after a second, as a supervisor would do; mcast's is left dead.

Sent to SRT and RIST are datagrams of seven null TS packets with a number in each, 5 Mbit/s, in bursts of
10 ms as mcast's server sends them. Their latencies, 120 and 250 ms, are the least at which one such link is
clean.
"""

import argparse
import json
import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from mcast.errors import ConfigError  # noqa: E402
from tools.demo.processes import ProgramError, ProgramProcess  # noqa: E402
from tools.interrupting import run_command  # noqa: E402
from tools.lab.overview import table  # noqa: E402
from tools.packages import find  # noqa: E402
from tools.resilience.case import Case, Outage  # noqa: E402
from tools.resilience.footage import BROAD  # noqa: E402
from tools.resilience.grounds import Star  # noqa: E402
from tools.resilience.hops import THREE_HOPS_10  # noqa: E402
from tools.resilience.overlay import Plan  # noqa: E402
from tools.resilience.running import run_case  # noqa: E402
from tools.resilience.setting import Setting, machine  # noqa: E402
from tools.resilience.trial import Trial  # noqa: E402

HOPS, ONE_WAY_MS, LOSS = 3, 10.0, 10.0
BITS_PER_SECOND = 5_000_000
HEADER = struct.Struct("!4sQd")  # a null packet's header, a number, when it was sent (monotonic: one machine)
NULL_HEADER = bytes.fromhex("471fff10")
DATAGRAM = 7 * 188
BURST = 0.01  # seconds
MOST_AT_ONCE = 40  # datagrams
ENTRY, EXIT, BETWEEN, LINK = 6001, 6002, 6003, 6000  # ports; each host has all its own
WARM_UP = 5.0
"""Seconds that do not count: round trips are learned."""
SETTLE = 3.0
RESTART_AFTER = 1.0
WATCHED = 8.0
"""Seconds that are looked at from the kill of the middle process on."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A protocol: what runs on each host of a chain, and the latency of one hop."""

    name: str
    latency_ms: int
    commands: Callable[[Sequence[str], int], dict[str, list[list[str]]]]
    programs: tuple[str, ...]


def srt(hosts: Sequence[str], latency_ms: int) -> dict[str, list[list[str]]]:
    """Caller to listener at each hop; a host in the middle is both in one process."""
    last = len(hosts) - 1

    def source(at: int) -> str:
        return f"srt://:{LINK}?mode=listener&latency={latency_ms}" if at else f"udp://127.0.0.1:{ENTRY}"

    def target(at: int) -> str:
        if at == last:
            return f"udp://127.0.0.1:{EXIT}"
        return f"srt://{hosts[at + 1]}:{LINK}?mode=caller&latency={latency_ms}"

    command = ["srt-live-transmit", "-q", "-a:yes", f"-chunk:{DATAGRAM}"]
    return {f"h{at}": [[*command, source(at), target(at)]] for at in range(last + 1)}


def rist(hosts: Sequence[str], latency_ms: int) -> dict[str, list[list[str]]]:
    """Two processes on a host in the middle, with plain UDP between them."""
    last = len(hosts) - 1
    both = ["-p", "1", "-v", "3", "-S", "0"]

    def receiver(at: int) -> list[str]:
        out = EXIT if at == last else BETWEEN
        link = f"rist://@0.0.0.0:{LINK}?buffer={latency_ms}"
        return ["ristreceiver", *both, "-i", link, "-o", f"udp://127.0.0.1:{out}"]

    def sender(at: int) -> list[str]:
        source = BETWEEN if at else ENTRY
        link = f"rist://{hosts[at + 1]}:{LINK}?buffer={latency_ms}"
        return ["ristsender", *both, "-i", f"udp://@127.0.0.1:{source}", "-o", link]

    return {
        f"h{at}": [*([receiver(at)] if at else []), *([sender(at)] if at < last else [])]
        for at in range(last + 1)
    }


CHAINS = {
    chain.name: chain for chain in (
        Chain("srt", 120, srt, ("srt-live-transmit",)),
        Chain("rist", 250, rist, ("ristsender", "ristreceiver")),
    )
}  # fmt: skip


MCAST = "mcast"
WITHOUT_A_WAY = 2000
"""Milliseconds of latency where a chain has no other way and the rest of it must be linked anew."""


def _kill_middle_node(trial: Trial) -> None:
    trial.overlay.kill(trial.hit("n1"))


MIDDLE_KILLED = Case(
    "middle-killed", "kill -9 of the node in the middle of a chain",
    Plan({"rp": ["n1"], "n1": ["n2"], "n2": []}, keys={"repair": "anyone"}), {"c1": ("n2",)},
    _kill_middle_node, latency_ms=WITHOUT_A_WAY, runs=1, aftermath=WATCHED, in_lab=True, picture=BROAD,
    delay_ms=ONE_WAY_MS, outage=Outage.NEVER,
)  # fmt: skip


# --- inside the first and the last host ---


def send(seconds: float) -> int:
    """Send numbered datagrams at the wanted rate; print how many."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        began, number = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            # After a stall not all at once: a first process with a socket's usual buffer would lose it.
            due = min(int((now - began) * BITS_PER_SECOND / 8 / DATAGRAM), number + MOST_AT_ONCE)
            for at in range(number, due):
                packet = HEADER.pack(NULL_HEADER, at, time.monotonic()).ljust(188, b"\xff")
                sock.sendto((packet * 7)[:DATAGRAM], ("127.0.0.1", ENTRY))
            number = max(number, due)
            time.sleep(BURST)
    return number


def receive(seconds: float) -> dict[str, object]:
    """Note when each number comes first, and when it was sent."""
    sent: dict[int, float] = {}
    came: dict[int, float] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", EXIT))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([sock], [], [], left)[0]:
                data = sock.recv(65536)
                for at in range(0, len(data) - DATAGRAM + 1, DATAGRAM):
                    header, number, moment = HEADER.unpack_from(data, at)
                    if header == NULL_HEADER and number not in came:
                        sent[number], came[number] = moment, time.monotonic()
    return {"sent": list(sent.items()), "came": list(came.items())}


# --- outside ---


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Which numbers came out of a chain, and when each was sent and came."""

    sent: dict[int, float]
    came: dict[int, float]

    def lost(self, first: int, last: int) -> list[int]:
        return [number for number in range(first, last) if number not in self.came]

    def latency_ms(self, first: int, last: int) -> float:
        """Return the median of how long a datagram was on its way."""
        known = sorted(self.came[n] - self.sent[n] for n in range(first, last) if n in self.came)
        return known[len(known) // 2] * 1000 if known else 0.0

    def silence(self, since: float, until: float) -> float:
        """Return the longest time without a new datagram between two moments, in seconds."""
        moments = [since, *sorted(at for at in self.came.values() if since <= at <= until), until]
        return max(after - before for before, after in pairwise(moments))


class Run:
    """One chain in the lab, with a source in front of it and a sink behind."""

    def __init__(self, chain: Chain, directory: Path, *, loss: float) -> None:
        self._chain, self._directory, self._loss = chain, directory, loss
        self._hosts = [f"h{at}" for at in range(HOPS + 1)]
        self._programs: dict[str, list[ProgramProcess]] = {}

    def play(self, seconds: float, kill: bool = False) -> tuple[Arrivals, int, float]:
        """Return what came, how many datagrams were sent, and when the middle process was killed."""
        with Star(self._hosts, self._directory, seed=1) as star:
            for host in self._hosts:
                star.impair(host, delay_ms=ONE_WAY_MS, loss=0.0)
            try:
                return self._play(star, seconds, kill)
            finally:
                for programs in self._programs.values():
                    for program in programs:
                        program.kill()

    def _play(self, star: Star, seconds: float, kill: bool) -> tuple[Arrivals, int, float]:
        addresses = [star.of(host).partition(":")[0] for host in self._hosts]
        commands = self._chain.commands(addresses, self._chain.latency_ms)
        for host in reversed(self._hosts):  # a caller finds its listener there
            self._start(star, host, commands[host])
        time.sleep(SETTLE)
        for host in self._hosts:
            star.impair(host, delay_ms=ONE_WAY_MS, loss=self._loss)
        total = WARM_UP + seconds + (WATCHED if kill else 0.0)
        sink = self._itself(star, self._hosts[-1], "receive", total + 3.0)
        source = self._itself(star, self._hosts[0], "send", total)
        struck = self._kill_middle(star, commands, seconds) if kill else 0.0
        sent = json.loads(self._result(source, total))
        found = json.loads(self._result(sink, total))
        return Arrivals(dict(map(tuple, found["sent"])), dict(map(tuple, found["came"]))), sent, struck

    def _kill_middle(self, star: Star, commands: dict[str, list[list[str]]], seconds: float) -> float:
        time.sleep(WARM_UP + seconds)
        middle = self._hosts[len(self._hosts) // 2]
        for program in self._programs[middle]:
            program.kill()
        struck = time.monotonic()
        time.sleep(RESTART_AFTER)
        self._start(star, middle, commands[middle])
        return struck

    def _start(self, star: Star, host: str, commands: list[list[str]]) -> None:
        self._programs[host] = [
            star.start(host, f"{host}-{number}", command) for number, command in enumerate(commands)
        ]

    def _itself(self, star: Star, host: str, what: str, seconds: float) -> ProgramProcess:
        file = str(self._directory / f"{what}.json")
        return star.start(host, what, [sys.executable, __file__, "--inside", what, file, str(seconds)])

    def _result(self, program: ProgramProcess, seconds: float) -> str:
        if status := program.wait(seconds + 30.0):
            raise program.error(f"ended with status {status}")
        return (self._directory / f"{program.name}.json").read_text()


def per_second(seconds: float) -> int:
    return int(seconds * BITS_PER_SECOND / 8 / DATAGRAM)


def lossy_row(chain: Chain, seconds: float, directory: Path) -> tuple[str, ...]:
    """Run a chain with loss; return its line."""
    arrivals, sent, _ = Run(chain, directory / f"{chain.name}-loss", loss=LOSS).play(seconds)
    first, last = per_second(WARM_UP), min(sent, per_second(WARM_UP + seconds))
    lost = len(arrivals.lost(first, last))
    return (
        chain.name, f"{chain.latency_ms} ms", f"{HOPS * chain.latency_ms} ms",
        f"{arrivals.latency_ms(first, last):.0f} ms", f"{lost:,} of {last - first:,}",
        f"{100 * lost / max(1, last - first):.4f} %",
    )  # fmt: skip


def killed_row(chain: Chain, directory: Path) -> tuple[str, ...]:
    """Kill the middle process of a chain; return its line."""
    arrivals, sent, struck = Run(chain, directory / f"{chain.name}-kill", loss=0.0).play(2.0, kill=True)
    lost = len(arrivals.lost(per_second(WARM_UP), sent - per_second(2.0)))
    silence = arrivals.silence(struck, struck + WATCHED - 1.0)
    return chain.name, f"{silence:.1f} s", f"{lost:,}", f"{lost / per_second(1.0):.1f} s"


def mcast_run(case: Case, setting: Setting) -> dict[str, Any]:
    """Run mcast's chain once; return what was found. Raises ProgramError if nothing can be said."""
    (found,) = run_case(case, setting).details
    if not found["packets"]:
        raise ProgramError(f"{case.name}: {'; '.join(found['problems']) or 'nothing came'}")
    return found


def mcast_lossy_row(setting: Setting) -> tuple[str, ...]:
    """Run mcast's chain with loss; return its line."""
    found = mcast_run(THREE_HOPS_10, setting)
    lost, packets = found["missing"], found["packets"]
    latency = f"{THREE_HOPS_10.latency_ms} ms"
    counts = f"{lost / 7:,.0f} of {packets / 7:,.0f}"
    return MCAST, "-", latency, latency, counts, f"{100 * lost / max(1, packets):.4f} %"


def mcast_killed_row(setting: Setting) -> tuple[str, ...]:
    """Kill the middle node of mcast's chain; return its line."""
    found = mcast_run(MIDDLE_KILLED, setting)
    silence, lost = max(found["gaps_ms"], default=0.0) / 1000, found["missing"] / 7
    return (
        f"{MCAST}, --latency {WITHOUT_A_WAY}",
        f"{silence:.1f} s",
        f"{lost:,.0f}",
        f"{lost / per_second(1.0):.1f} s",
    )


def main() -> int:
    """Run the comparison, or the part of it that runs inside a host."""
    if sys.argv[1:2] == ["--inside"]:
        what, file, seconds = sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
        result = send(seconds) if what == "send" else receive(seconds)
        file.write_text(json.dumps(result))
        return 0
    parser = argparse.ArgumentParser(description="SRT, RIST and mcast, chained over links of the lab.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each lossy run (default: 60)")
    parser.add_argument("--only", choices=[*CHAINS, MCAST], help="one of them")
    options = parser.parse_args()
    return run_command("chains", lambda: compare(options.seconds, options.only))


def compare(seconds: float, only: str | None) -> int:
    """Run all and print two tables. Raises ConfigError if a program is missing."""
    chains = [chain for name, chain in CHAINS.items() if only in (None, name)]
    for program in (program for chain in chains for program in chain.programs):
        if find(program) is None:
            raise ConfigError(f"{program}: not found: apt-get install srt-tools rist-tools")
    print(f"{HOPS} hops of {2 * ONE_WAY_MS:g} ms round trip; {machine()}", flush=True)
    has_mcast = only in (None, MCAST)
    with tempfile.TemporaryDirectory() as place:
        setting = Setting(Path(place), seed=1, runs=1, seconds=seconds, began=time.monotonic(), repeats=False)
        lossy = [lossy_row(chain, seconds, Path(place)) for chain in chains]
        lossy += [mcast_lossy_row(setting)] if has_mcast else []
        head = ("chain", "latency of a hop", "together", "measured", "missing", f"at {LOSS:g} % each way")
        print(table(head, lossy), flush=True)
        killed = [killed_row(chain, Path(place)) for chain in chains]
        killed += [mcast_killed_row(replace(setting, seconds=None))] if has_mcast else []
    print(f"\nmiddle process killed; of SRT and RIST started again after {RESTART_AFTER:g} s")
    print(table(("chain", "silence", "datagrams missing", "of the stream"), killed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
