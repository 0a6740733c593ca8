"""Ten minutes of churn: each two seconds a node dies or starts, and twenty clients miss nothing.

No client ever loses all its three neighbours at once: what it would prove is known. A node that was started
lives when it listens. Twice the bootstrapper dies and is started again; until it knows all nodes again
no kill may cut the overlay in two, as nobody could tell of links beyond the file.

Judged are the recordings and reports, the rings of parents (loops.py), and the threads, descriptors and
memory of survivors. On a machine that others use, ten minutes without one oversleep are rare, and a repeat
would be no better: so the row is not repeated, but tells how often the sleeper overslept.
"""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

from tools.demo.event_log import read_events
from tools.experiments.deployment import Viewer
from tools.resilience.case import WITNESS
from tools.resilience.findings import Row
from tools.resilience.footage import SMALL, prepared
from tools.resilience.grounds import Loopback
from tools.resilience.loops import Told, lasting_rings, paths_told, torn_paths
from tools.resilience.overlay import BOOTSTRAP, Overlay, Plan, time_of, wait_recording
from tools.resilience.setting import Setting
from tools.resilience.sleeper import MOST_OVERSLEPT_MS, Sleeper
from tools.resilience.stalls import gap_between, stops_of
from tools.resilience.trial import FLUSH, compared, witness_problems

NAME = "churn"
TITLE = "churn: 30 nodes, 20 clients with three neighbours each, a kill or a start every 2 s for 10 minutes"
GOAL = "0 missing, no stop at 1000 ms, 0 loops of 1 s; threads, descriptors, memory of survivors flat"
NODES, CLIENTS, NEIGHBOURS = 30, 20, 3
LATENCY_MS = 1000
SECONDS, STEP = 600.0, 2.0
MOST_DOWN = 8
"""Nodes that are dead at the same time, at most: a quarter."""
LINKS = 4
"""Of each node, about: two on a ring, so that no single node cuts it, and others at random."""
OUTAGES, OUTAGE = (0.25, 0.7), 10.0
"""When the bootstrapper dies, as shares of the time, and after how many seconds it is started again."""
SETTLING = 15.0
"""Seconds, once nothing is disturbed any more, until all paths fit together: a node that was started last may
just be joining, and one that lost its parent tells of the next one at once."""
GROWTH = {"threads": (1.2, 8), "descriptors": (1.2, 16), "MiB": (1.25, 12)}
"""Flat is: the median of the last third is at most so many times that of the second one, or so much above."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has at one moment."""

    threads: int
    descriptors: int
    mebibytes: float

    @property
    def by_name(self) -> dict[str, float]:
        return {"threads": self.threads, "descriptors": self.descriptors, "MiB": self.mebibytes}


@dataclass(slots=True)
class Survey:
    """What each surviving program has used over time."""

    seen: dict[str, list[Usage]] = field(default_factory=dict)

    def look(self, pids: Mapping[str, int]) -> None:
        for name, pid in pids.items():
            self.seen.setdefault(name, []).append(usage(pid))

    def growing(self) -> list[str]:
        """Return what is not flat."""
        return [
            f"{name}: {of} grew from {before:.0f} to {after:.0f}"
            for name, usages in self.seen.items()
            for of in GROWTH
            for before, after in [thirds([each.by_name[of] for each in usages])]
            if after > max(before * GROWTH[of][0], before + GROWTH[of][1])
        ]

    def largest(self) -> str:
        """Return the most that any survivor had in the end."""
        last = [usages[-1].by_name for usages in self.seen.values()]
        return ", ".join(f"{max(each[of] for each in last):.0f} {of}" for of in GROWTH)


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the second third and of the last: in the first everything still grows."""
    third = max(1, len(values) // 3)
    return median(values[third : 2 * third] or values), median(values[-third:])


def usage(pid: int) -> Usage:
    """Read /proc."""
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text().split()[1])
    return Usage(
        len(os.listdir(place / "task")),  # noqa: PTH208 (a list of names is all that is wanted)
        len(os.listdir(place / "fd")),  # noqa: PTH208
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )  # fmt: skip


def graph(random: Random, nodes: int = NODES) -> dict[str, list[str]]:
    """Return a random graph on a ring."""
    names = ["rp", *(f"n{number}" for number in range(1, nodes))]
    links: dict[str, list[str]] = {name: [] for name in names}
    wanted = [(at, (at + 1) % nodes) for at in range(nodes)]
    wanted += [(random.randrange(nodes), random.randrange(nodes)) for _ in range(nodes * (LINKS - 2) // 2)]
    for one, other in wanted:
        first, second = sorted((one, other))
        if first != second and names[second] not in links[names[first]]:
            links[names[first]].append(names[second])
    return links


def is_whole(plan: Plan, dead: Collection[str]) -> bool:
    """Return whether all other nodes reach the rendezvous point by the links of the file."""
    reached, ways = set(plan.rendezvous), [*plan.rendezvous]
    while ways:
        new = plan.neighbours_of(ways.pop()) - reached - {*dead}
        reached |= new
        ways += new
    return len(reached) == len(plan.links) - len({*dead})


def run(setting: Setting) -> Row:
    """Run it once."""
    random = setting.random(NAME)
    plan = Plan(graph(random), log_options=setting.log_options)
    directory = setting.directory / NAME
    with Loopback(directory) as ground, Overlay(ground, plan, prepared(SMALL), directory) as overlay:
        overlay.start()
        return _Churn(overlay, random, setting).row()


class _Churn:
    def __init__(self, overlay: Overlay, random: Random, setting: Setting) -> None:
        self._overlay, self._random, self._setting = overlay, random, setting
        nodes = [name for name in overlay.plan.links if name != "rp"]
        self._asked = {
            f"c{number}": tuple(random.sample(nodes, NEIGHBOURS)) for number in range(1, CLIENTS + 1)
        }
        self._nodes = nodes
        self._down: list[str] = []
        self._kills = self._starts = 0
        self._joined = 0.0  # Unix seconds
        self._outages: list[float] = []  # of the bootstrapper, still to come; monotonic seconds
        self._outages_had = 0
        self._survey = Survey()
        self._problems: list[str] = []

    def row(self) -> Row:
        with Sleeper() as sleeper:
            self._join()
            began, seconds = time.monotonic(), self._setting.seconds or SECONDS
            self._outages = [began + share * seconds for share in OUTAGES]
            while time.monotonic() < began + seconds:
                self._disturb()
                self._end_or_start_bootstrapper(time.monotonic())
                time.sleep(STEP)  # the rhythm of the churn
                self._survey.look(self._survivors())
            self._settle()
            missing, packets = self._end()
        self._problems += self._survey.growing()
        measured = (
            f"{missing:,} of {packets:,} packets missing at {len(self._asked)} clients; {self._kills} kills, "
            f"{self._starts} starts; bootstrapper killed {self._outages_had} times; largest survivor: "
            f"{self._survey.largest()}; overslept {sleeper.times} times by more than "
            f"{MOST_OVERSLEPT_MS:.0f} ms, {sleeper.overslept_ms:.0f} ms at most"
        )
        passed = packets > 0 and not missing and not self._problems
        return Row(NAME, TITLE, GOAL, measured, passed, self._problems)

    def _join(self) -> None:
        watch, latency = self._overlay.watch, ("--latency", str(LATENCY_MS))
        wait_recording({WITNESS: watch(WITNESS, "rp", ("rp",), *latency)})
        wait_recording({name: watch(name, name, asked, *latency) for name, asked in self._asked.items()})
        self._joined = time.time()
        self._setting.say(f"{NAME}: {len(self._asked)} clients watch")

    def _disturb(self) -> None:
        """Kill a node or start one: kills until some are down, then either.

        When the bootstrapper is to die none is killed, so that the overlay becomes whole.
        """
        share = len(self._down) / MOST_DOWN
        awaits_whole = self._bootstrapper_is_up and self._is_time_for_bootstrapper(time.monotonic())
        if self._down and (awaits_whole or self._random.random() < share):
            name = self._down.pop(self._random.randrange(len(self._down)))
            self._overlay.restart(name, wait=False)
            self._starts += 1
        elif not awaits_whole and (candidates := [name for name in self._nodes if self._may_die(name)]):
            name = self._random.choice(candidates)
            self._overlay.kill(name)
            self._down.append(name)
            self._kills += 1

    def _may_die(self, name: str) -> bool:
        """Return whether every client would still have a neighbour that is up, and the overlay be whole."""
        if name in self._down:
            return False
        dead = {*self._dead(), name}
        if any(dead.issuperset(asked) for asked in self._asked.values()):
            return False
        return self._bootstrapper_helps(dead) or is_whole(self._overlay.plan, dead)

    def _dead(self) -> set[str]:
        """Return the nodes that are down, or do not listen yet: they wait for a bootstrapper, too."""
        programs = self._overlay.programs
        starting = (name for name in self._nodes if programs[name].events.find("listening") is None)
        return {*self._down, *starting}

    def _bootstrapper_helps(self, dead: set[str]) -> bool:
        """Return whether it is up, and knows again all nodes that live: of others it can tell nobody."""
        told = self._overlay.programs[BOOTSTRAP].events.read()
        known = {event.text("node") for event in told if event.name == "node_registered"}
        return self._bootstrapper_is_up and known >= {*self._nodes} - dead

    @property
    def _bootstrapper_is_up(self) -> bool:
        return self._overlay.programs[BOOTSTRAP].status is None

    def _end_or_start_bootstrapper(self, now: float) -> None:
        """Kill it when it is time to, and the overlay needs it not; start it again when its time is over."""
        if not self._is_time_for_bootstrapper(now):
            return
        if not self._bootstrapper_is_up:
            self._overlay.restart(BOOTSTRAP, wait=False)
            self._outages.pop(0)
        elif is_whole(self._overlay.plan, self._dead()):
            self._overlay.kill(BOOTSTRAP)
            self._outages_had += 1
            self._outages[0] = now + OUTAGE

    def _is_time_for_bootstrapper(self, now: float) -> bool:
        """Return whether it is to die, or to be started again."""
        return bool(self._outages) and now >= self._outages[0]

    def _settle(self) -> None:
        """Wait until the tree is at rest, and look whether it is one, and has always been."""
        if not self._bootstrapper_is_up:
            self._overlay.restart(BOOTSTRAP)
        if not self._outages_had:
            self._problems.append("the bootstrapper was never killed")
        deadline = time.monotonic() + SETTLING
        while torn_paths(paths_told(self._told())) and time.monotonic() < deadline:
            time.sleep(STEP / 4)  # all that was ever said is read at each look
        told = self._told()
        self._problems += [*lasting_rings(told, time.time()), *torn_paths(paths_told(told))]

    def _told(self) -> list[Told]:
        """Return what the bootstrapper has said, before it died, too."""
        return [(time_of(event), event) for event in read_events(self._overlay.programs[BOOTSTRAP].log)]

    def _survivors(self) -> dict[str, int]:
        """Return what is never killed: the root of the tree and all around it, but for the bootstrapper."""
        programs = self._overlay.programs
        kept = {name: programs[name].pid for name in (*self._overlay.plan.servers, "rp")}
        return kept | {
            name: viewer.program.pid for name, viewer in self._overlay.viewers.items()
            if viewer.program.status is None
        }  # fmt: skip

    def _end(self) -> tuple[int, int]:
        """End all clients and compare their recordings; return the missing packets, and all."""
        viewers = dict(self._overlay.viewers)
        witness = viewers.pop(WITNESS)
        moment, end, sent = time.time(), witness.recording.stat().st_size, self._overlay.footage.sent
        time.sleep(LATENCY_MS / 1000 + FLUSH)
        self._problems += self._overlay.stop_viewers()
        self._problems += witness_problems(witness, sent, end, moment, self._joined)
        self._problems += self._stops_of(WITNESS, witness, moment)
        packets = missing = 0
        for name, viewer in viewers.items():
            if not viewer.report.exists():
                self._problems.append(f"{name} has written no report")
                continue
            found = compared(viewer, witness, end, sent)
            packets, missing = packets + found.packets, missing + found.missing
            if not found.is_complete:
                self._problems.append(f"{name}: {found.missing} packets missing, {found.foreign} foreign")
            self._problems += self._stops_of(name, viewer, moment)
            viewer.recording.unlink(missing_ok=True)
        return missing, packets

    def _stops_of(self, name: str, viewer: Viewer, until: float) -> list[str]:
        """Return which stops a client was shown."""
        gap = gap_between(viewer.figures, self._joined, until)
        return stops_of(name, viewer.figures, gap, LATENCY_MS + self._overlay.footage.pause_ms)
