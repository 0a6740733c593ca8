"""Clients that come and go: any content, any neighbour, a while, and an end of any kind."""

import json
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.processes import ProgramError, ProgramProcess, stop_all
from tools.lab.lab import Lab
from tools.soak.overlay import complaints, start_role

STAY = (10.0, 45.0)
"""Seconds after it has joined: shorter and longer than leases, histories and what a lost child leaves."""
PAUSE = (10.0, 60.0)
WAIT_SECONDS = 30.0
"""For a way to the content: the neighbour may be under attack."""
ENDS = (signal.SIGINT, signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
"""Drawn from: most leave in order, some are gone without a word."""
END_TIMEOUT = 10.0


@dataclass(slots=True)
class _Visit:
    """One client, from its start until it has ended."""

    program: ProgramProcess
    report: Path
    end: signal.Signals
    leaves_at: float | None = None  # from when it has joined
    end_by: float | None = None  # once it has been told to end: when it must have


class Churn:
    """So many places, of which each is empty for a moment or has a client. For one thread."""

    def __init__(self, lab: Lab, hosts: Sequence[str], neighbours: Sequence[str], contents: Sequence[str],
                 chance: random.Random) -> None:  # fmt: skip
        self._lab, self._hosts, self._neighbours, self._contents = lab, hosts, neighbours, contents
        self._chance = chance
        self._visits: dict[int, _Visit] = {}
        self._free_at: dict[int, float] = {}
        self._count = 0
        self.joins: list[float] = []  # ms
        self.lost = self.datagrams = 0  # of those who have left in order
        self.problems: list[str] = []
        self.complaints: list[str] = []

    def open(self, places: int) -> None:
        """Begin: the clients come one after another."""
        now = time.monotonic()
        self._free_at = {place: now + place for place in range(places)}

    @property
    def present(self) -> int:
        return len(self._visits)

    @property
    def visits(self) -> int:
        return self._count

    def on_tick(self) -> None:
        """Let come and go who is to. Never waits."""
        now = time.monotonic()
        for place, visit in list(self._visits.items()):
            if visit.program.status is not None:
                self._leave(place, visit)
            elif visit.leaves_at is None:  # before it has joined it cannot be told to leave in order
                if visit.program.events.find("joined"):
                    visit.leaves_at = now + self._chance.uniform(*STAY)
            elif visit.end_by is None and now >= visit.leaves_at:
                visit.end_by = now + END_TIMEOUT
                visit.program.send(visit.end)
            elif visit.end_by is not None and now > visit.end_by:
                self.problems.append(f"{visit.program.name} did not end within {END_TIMEOUT:g} s")
                visit.program.kill()
        for place, moment in list(self._free_at.items()):
            if now >= moment:
                del self._free_at[place]
                self._visits[place] = self._come(place)

    def close(self) -> None:
        """Let all who have joined leave in order; who is about to join is not waited for."""
        visits, self._visits = self._visits, {}
        self._free_at.clear()
        for visit in visits.values():
            if visit.leaves_at is None:
                visit.program.kill()
        self.problems += stop_all([visit.program for visit in visits.values()], END_TIMEOUT)
        for visit in visits.values():
            self._read(visit)

    def _come(self, place: int) -> _Visit:
        self._count += 1
        host = self._hosts[place % len(self._hosts)]
        name = f"guest{self._count}"
        report = self._lab.node_directory(host) / f"{name}.json"
        program = start_role(
            self._lab, host, name, "client", "--content", self._chance.choice(self._contents),
            "--neighbour", self._chance.choice(self._neighbours), "--output", "/dev/null",
            "--wait", str(WAIT_SECONDS), "--report", str(report),
        )  # fmt: skip
        return _Visit(program, report, self._chance.choice(ENDS))

    def _leave(self, place: int, visit: _Visit) -> None:
        del self._visits[place]
        self._free_at[place] = time.monotonic() + self._chance.uniform(*PAUSE)
        expected = -signal.SIGKILL if visit.end is signal.SIGKILL and visit.end_by is not None else 0
        if visit.program.status != expected:
            self.problems.append(str(ProgramError(visit.program.error(f"ended with {visit.program.status}"))))
        self._read(visit)

    def _read(self, visit: _Visit) -> None:
        """Keep what one client has found; its files go, if it has nothing to complain of."""
        said = complaints(visit.program)
        self.complaints += said
        figures = _figures(visit.report)
        if figures.get("join_ms") is not None:
            self.joins.append(figures["join_ms"])
            self.lost += figures["lost_datagrams"]
        if not said and visit.program.status in (0, -signal.SIGKILL):
            visit.program.log.unlink(missing_ok=True)
            visit.report.unlink(missing_ok=True)


def _figures(report: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(report.read_text())
    except (OSError, ValueError):
        return {}
    return found
