"""What each thread of a process uses, a second: where its time goes, and how often it wakes up.

Read from /proc before and after a window, by programs that are not measured, on the other core. Threads of
one name are one line: a process that is asked again may have started one anew.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias, TypedDict

MAIN = "main"
LEAST_MS = 0.1
"""A second: what uses less is not told."""


class ThreadUse(TypedDict):
    """What a thread uses a second."""

    cpu_ms: float
    switches: float  # voluntary: it waited, so it was woken up as often


Profile: TypeAlias = Mapping[str, ThreadUse]
"""By the thread's name."""


@dataclass(frozen=True, slots=True)
class _Counters:
    """What the kernel has counted for a thread since it began."""

    name: str
    cpu_ns: int
    switches: int


class Profiler:
    """Counts from the moment in which it is made."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._before, self._began = dict(_counted(pids)), time.monotonic()

    def taken(self) -> Profile:
        """Return what each thread has used a second since then."""
        seconds = time.monotonic() - self._began
        found: dict[str, ThreadUse] = {}
        for thread, now in _counted(self._pids):
            before = self._before.get(thread, _Counters(now.name, 0, 0))
            use = found.setdefault(now.name, ThreadUse(cpu_ms=0.0, switches=0.0))
            use["cpu_ms"] += (now.cpu_ns - before.cpu_ns) / 1e6 / seconds
            use["switches"] += (now.switches - before.switches) / seconds
        return found


def middle(profiles: Sequence[Profile]) -> Profile:
    """Return the medians over some windows, who uses most first; who was not there has used nothing."""
    names = dict.fromkeys(name for profile in profiles for name in profile)
    idle = ThreadUse(cpu_ms=0.0, switches=0.0)
    of = {name: [profile.get(name, idle) for profile in profiles] for name in names}
    found = {
        name: ThreadUse(
            cpu_ms=median(use["cpu_ms"] for use in uses), switches=median(use["switches"] for use in uses)
        )
        for name, uses in of.items()
    }
    ordered = sorted(found.items(), key=lambda each: -each[1]["cpu_ms"])
    return {name: use for name, use in ordered if use["cpu_ms"] >= LEAST_MS}


def line(profile: Profile) -> str:
    """Return a profile as one line."""
    return "; ".join(f"{name} {use['cpu_ms']:.1f}, {use['switches']:.0f}" for name, use in profile.items())


def _counted(pids: Sequence[int]) -> Iterator[tuple[tuple[int, int], _Counters]]:
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):  # it has just ended
                yield (pid, int(task.name)), _counters(task, is_main=task.name == str(pid))


def _counters(task: Path, *, is_main: bool) -> _Counters:
    status = dict(row.split(":", 1) for row in (task / "status").read_text().splitlines() if ":" in row)
    name = MAIN if is_main else (task / "comm").read_text().strip()
    cpu_ns = int((task / "schedstat").read_text().split()[0])
    return _Counters(name, cpu_ns, int(status["voluntary_ctxt_switches"]))
