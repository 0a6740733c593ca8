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


class CoreUse:
    """How busy a core is from the moment on in which this is made, whoever uses it."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._idle, self._all = _ticks(core)

    def share(self) -> float:
        """Return the share of the time in which it was not idle; what the hypervisor took was no rest."""
        idle, everything = _ticks(self._core)
        return 1.0 - (idle - self._idle) / max(everything - self._all, 1)


def on_core(cores: int | str, command: Iterable[str]) -> list[str]:
    """Return a command that runs on one core, or on several ("0-3")."""
    return ["taskset", "-c", str(cores), *command]


def family(pid: int) -> tuple[int, ...]:
    """Return a process and those that it has started: a node and its workers."""
    children = (each.read_text().split() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    return (pid, *(int(child) for each in children for child in each))


def _ticks(core: int) -> tuple[int, int]:
    """Return for how many ticks since boot a core was idle (or waited for a disk), and how many it had."""
    rows = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    fields = next([int(field) for field in row[1:9]] for row in rows if row[0] == f"cpu{core}")
    return fields[3] + fields[4], sum(fields)


def _cpu_clock(pid: int) -> int:
    return (~pid << 3) | 2  # CPUCLOCK_SCHED of a process, see clock_getcpuclockid(3)
