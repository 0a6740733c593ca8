"""The machine a benchmark runs on: what it is, and what processes use of it."""

import os
import platform
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CORE_UNDER_TEST, OTHER_CORE = 0, 1
"""The relay under test has a core for itself; all that feeds it and takes from it shares the other."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds."""

    resident_mib: float
    threads: int
    descriptors: int


def describe() -> str:
    """Return a line that says which machine this is."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = model[1] if model else platform.machine()
    python = platform.python_version()
    return f"{name}, {os.cpu_count()} cores, Linux {platform.release()}, Python {python}"


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return what these processes have used, to the nanosecond: user and system time of every thread."""
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def footprint(pid: int) -> Footprint:
    """Return what a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    resident = int(fields["VmRSS"].split()[0]) / 1024
    return Footprint(resident, int(fields["Threads"]), len(list(Path(f"/proc/{pid}/fd").iterdir())))


def stolen_ticks() -> tuple[int, int]:
    """Return how much of the CPU time since boot the hypervisor gave to others, and all of it."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[7], sum(ticks)


def on_core(cores: int | str, command: Iterable[str]) -> list[str]:
    """Return a command that runs on one core, or on several ("0-3")."""
    return ["taskset", "-c", str(cores), *command]


def family(pid: int) -> tuple[int, ...]:
    """Return a process and those that it has started: a node and its workers."""
    children = (each.read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    return (pid, *(int(child) for each in children for child in each))


def udp_drops(ports: Iterable[int]) -> int:
    """Return how many datagrams the sockets on these ports have had no room for."""
    wanted, rows = set(ports), Path("/proc/net/udp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return sum(int(each[-1]) for each in fields if int(each[1].split(":")[1], 16) in wanted)


def _cpu_clock(pid: int) -> int:
    return (~pid << 3) | 2  # CPUCLOCK_SCHED of a process, see clock_getcpuclockid(3)
