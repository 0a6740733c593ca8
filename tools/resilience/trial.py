"""One run of a case: clients join, something fails at a random moment, and all recordings are compared."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from tools.demo.check import Sent
from tools.demo.processes import ProgramError
from tools.experiments.deployment import Viewer
from tools.experiments.recordings import sent_between
from tools.resilience.case import WITNESS, Case, Outage
from tools.resilience.comparing import Comparison, compare
from tools.resilience.grounds import Star
from tools.resilience.overlay import BOOTSTRAP, Overlay, wait_recording
from tools.resilience.sleeper import MOST_OVERSLEPT_MS, Sleeper
from tools.resilience.stalls import TOLERANCE, arrears_of, gap_between, stops_of

CALM = (0.5, 2.5)
"""Seconds from the last client's first bytes until something fails: any moment of a group of pictures."""
WITHOUT_BOOTSTRAPPER = 0.3
"""Seconds that the bootstrapper has been dead when something fails."""
FLUSH = 1.0
"""Seconds beyond `--latency` until what the witness had written is in each recording, too."""
COUNTED = 2.0
"""Seconds in which the copies that come to each host are counted."""
MOST_COPIES = 1.5
"""A second copy would be 2; repairs, PINGs and what a path still holds move the figure by a few per cent."""
MOVING = 2.0
"""Seconds before and behind its `better_way` for which a node that moves has two parents."""
MOST_COUNTS = 3
TELLING = ("parent_doubted", "cut", "parent_lost", "parent_taken")
"""Events by which a node or client shows that it has noticed a failure above it."""


@dataclass(slots=True)
class Outcome:
    """What was found in one run."""

    packets: int = 0  # TS packets that the clients together should have
    missing: int = 0
    gaps_ms: list[float] = field(default_factory=list)  # the longest of each client below the failure
    calm_gap_ms: float = 0.0  # the longest of the witness, which nothing has happened to
    noticed_ms: float | None = None  # the last of those right below the failure
    most_copies: float | None = None  # of the stream, at any host
    most_copies_at: str = ""  # which host that is
    victim: str = ""
    moment_s: float = 0.0
    without_bootstrapper: bool = False
    overslept_ms: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)  # further figures, by what they are

    @property
    def was_disturbed(self) -> bool:
        return self.overslept_ms > MOST_OVERSLEPT_MS


class Trial:
    """One run. `strike` and `mend` of its case act upon it."""

    def __init__(self, case: Case, overlay: Overlay, random: Random, *, without_bootstrapper: bool) -> None:
        self.case, self.overlay, self.random = case, overlay, random
        self.outcome = Outcome(without_bootstrapper=without_bootstrapper)
        self.viewers: dict[str, Viewer] = {}
        self.paths: dict[str, list[str]] = {}  # of each client, when it had joined
        self.joining = self.joined = self.struck = self.over = 0.0  # Unix seconds

    def play(self) -> Outcome:
        """Play it from the first client to the last; what went wrong is in the outcome."""
        try:
            self._join()
            self.case.prepare(self)
            with Sleeper() as sleeper:  # not before: a dozen programs that start keep any machine busy
                self._fail_and_heal()
            self.outcome.overslept_ms = sleeper.overslept_ms
            self._end()
        except ProgramError as error:
            self.outcome.problems.append(str(error))
            self.overlay.stop_viewers()
        return self.outcome

    # --- what cases do ---

    @property
    def star(self) -> Star:
        assert isinstance(self.overlay.ground, Star), "only the lab has links"
        return self.overlay.ground

    def relays(self) -> list[str]:
        """Return the nodes on the clients' paths but for the rendezvous points."""
        on_paths = {name for path in self.paths.values() for name in path}
        return sorted(on_paths - set(self.overlay.plan.rendezvous))

    def hit(self, victim: str) -> str:
        """Note who is the victim, and that it is struck now; return its name."""
        self.outcome.victim, self.struck = victim, time.time()
        return victim

    def restore_bootstrapper(self) -> None:
        """Start the bootstrapper again if it is dead."""
        if self.overlay.programs[BOOTSTRAP].status is not None:
            self.overlay.restart(BOOTSTRAP)

    def rejoin(self, names: Collection[str]) -> None:
        """End clients and let them join anew. Raises ProgramError."""
        self.outcome.problems += self.overlay.stop_viewers(names)
        self._watch(names)

    def rest(self, seconds: float) -> None:
        """Let so much time pass, as that is part of the failure."""
        time.sleep(seconds)

    # --- the run ---

    def _fail_and_heal(self) -> None:
        self.outcome.moment_s = self.random.uniform(*CALM)
        time.sleep(self.outcome.moment_s)  # times that are part of what is measured, here and below
        if self.outcome.without_bootstrapper and self.case.outage is Outage.BEFORE:
            self.overlay.kill(BOOTSTRAP)
            time.sleep(WITHOUT_BOOTSTRAPPER)
        self.struck = time.time()
        self.case.strike(self)
        self._wait_for_aftermath()
        self.case.mend(self)
        time.sleep(self.case.mended)
        if self.case.goals.copies:
            self._count_copies()
        self._look_at_logs()

    def _wait_for_aftermath(self) -> None:
        """Let time pass behind the failure. The bootstrapper is up at its end."""
        if self.case.outage is Outage.MIDWAY:
            third = self.case.aftermath / 3
            time.sleep(third)
            self.overlay.kill(BOOTSTRAP)
            time.sleep(third)
            self.restore_bootstrapper()
            time.sleep(third)
        else:
            time.sleep(self.case.aftermath)
            self.restore_bootstrapper()

    def _join(self) -> None:
        """Let all clients join, the witness first: it has everything that the others have."""
        case = self.case
        witness_latency = ("--latency", str(case.latency_ms))
        host = case.witnesses[0]
        self.viewers[WITNESS] = self.overlay.watch(WITNESS, host, case.witnesses, *witness_latency)
        wait_recording(self.viewers)
        self.joining = time.time()
        self._watch(case.viewers)

    def _watch(self, names: Collection[str]) -> None:
        """Let clients join, and wait until all record."""
        options = ("--latency", str(self.case.latency_ms), *self.case.client_options)
        for name in names:
            self.viewers[name] = self.overlay.watch(name, name, self.case.viewers[name], *options)
        self.joined = time.time()
        self.paths |= wait_recording({name: self.viewers[name] for name in names})

    def _end(self) -> None:
        """End all clients once each must have what the witness has now, and compare their recordings."""
        self.over, end = time.time(), self.viewers[WITNESS].recording.stat().st_size
        time.sleep(self.case.latency_ms / 1000 + FLUSH)
        self.outcome.problems += self.overlay.stop_viewers()
        witness, sent = self.viewers.pop(WITNESS), self.overlay.footage.sent
        self.outcome.problems += witness_problems(
            witness, sent, end, self.over, self.joined, self.case.behind
        )
        self.outcome.calm_gap_ms = self._gap_of(WITNESS, witness)
        for name, viewer in self.viewers.items():
            self._judge(name, viewer, witness, end)
        for viewer in (witness, *self.viewers.values()):
            viewer.recording.unlink(missing_ok=True)

    def _judge(self, name: str, viewer: Viewer, witness: Viewer, end: int) -> None:
        if not viewer.report.exists():
            self.outcome.problems.append(f"{name} has written no report")
            return
        found, figures = compared(viewer, witness, end, self.overlay.footage.sent), viewer.figures
        self.outcome.packets += found.packets
        self.outcome.missing += found.missing
        if found.foreign:
            self.outcome.problems.append(f"{name} has {found.foreign} packets that the witness has not")
        gap = self._gap_of(name, viewer)
        if self.outcome.victim in self.paths[name]:
            self.outcome.gaps_ms.append(gap)
        for key in ("repaired_datagrams", "duplicate_datagrams", "parent_changes", "discontinuities"):
            self.outcome.notes[key] = self.outcome.notes.get(key, 0) + figures.get(key, 0)

    def _gap_of(self, name: str, viewer: Viewer) -> float:
        """Return a client's longest gap from the failure on, in ms; a stop that it was shown is a problem.

        What it has cost that programs were started before says nothing of the failure.
        """
        gap = gap_between(viewer.figures, self.struck, self.over)
        if self.case.goals.unbroken:
            hidden = self.case.latency_ms + self.overlay.footage.pause_ms
            self.outcome.problems += stops_of(name, viewer.figures, gap, hidden)
        return gap

    def _look_at_logs(self) -> None:
        """Find out when the last of those right below the victim had noticed that it fails."""
        heard = [self._told_by(name) for name in children_of(self.outcome.victim, self.paths)]
        before = [[at for at in moments if at < self.struck] for moments in heard]
        behind = [[at for at in moments if at >= self.struck] for moments in heard]
        known = [moments[0] for moments in behind if moments]
        if known:
            self.outcome.noticed_ms = (max(known) - self.struck) * 1000
        # Who has moved before was no child any more: a busy machine moves nodes without any failure.
        if self.case.goals.noticed_ms and any(
            not after and not early for after, early in zip(behind, before, strict=True)
        ):
            self.outcome.problems.append(f"not all children of {self.outcome.victim} have noticed")

    def _told_by(self, name: str) -> list[float]:
        """Return when a node or client has shown, in this run, that something fails above it."""
        said = self.overlay.said_since(name, self.joined)
        attached = [
            at for node in self.overlay.plan.links for at, event in self.overlay.said_since(node, self.joined)
            if event.name == "attached" and event.text("child") == name
        ]  # fmt: skip
        first = attached[:1] if min(attached, default=self.struck) < self.struck else []
        return sorted([*(at for at, event in said if event.name in TELLING), *attached[len(first) :]])

    def _count_copies(self) -> None:
        """Count how often the stream comes to each host of the lab: in units of what the server sends.

        A node that moves to a better way has two parents meanwhile, whatever has failed before, and a busy
        machine makes ways look worse than they are. So behind a move it is counted again.
        """
        for _ in range(MOST_COUNTS):
            begun = time.time()
            copies = self._copies()
            self.outcome.most_copies_at = max(copies, key=copies.__getitem__)
            self.outcome.most_copies = copies[self.outcome.most_copies_at]
            if self.outcome.most_copies < MOST_COPIES:
                break
            time.sleep(MOVING)  # who moves says so when its second parent has proven itself
            if not self._has_moved(self.outcome.most_copies_at, begun - MOVING):
                break
            time.sleep(MOVING)

    def _copies(self) -> dict[str, float]:
        """Return how many copies come to each host."""
        before, sent_before = self.star.entered(), self.star.left()
        time.sleep(COUNTED)
        after, sent_after = self.star.entered(), self.star.left()
        unit = max(sent_after[name] - sent_before[name] for name in self.overlay.plan.servers)
        nodes = [*self.overlay.plan.links, *self.case.viewers]
        return {name: (after[name] - before[name]) / max(1, unit) for name in nodes}

    def _has_moved(self, name: str, since: float) -> bool:
        return any(event.name == "better_way" for _, event in self.overlay.said_since(name, since))


def children_of(victim: str, paths: dict[str, list[str]]) -> set[str]:
    """Return the nodes and clients right below a node, by the paths of the clients."""
    whole = [[*path, client] for client, path in paths.items()]
    return {below for path in whole for above, below in pairwise(path) if above == victim}


def compared(viewer: Viewer, witness: Viewer, end: int, sent: Sent) -> Comparison:
    """Compare an ended client's recording with the witness's, up to the byte `end` of that at least."""
    mine, first = viewer.figures["first_number"], witness.figures["first_number"]
    if mine is None:
        return Comparison(end // 188, end // 188)
    begun = sent_between(sent, first, mine) if mine >= first else -sent_between(sent, mine, first)
    return compare(viewer.recording.read_bytes(), witness.recording.read_bytes(), begun, end)


def witness_problems(
    witness: Viewer, sent: Sent, end: int, moment: float, since: float, behind: float = TOLERANCE
) -> list[str]:
    """Return what is wrong with an ended witness, which had written `end` bytes at a moment.

    `since` and `behind` are as in `arrears_of`. Raises ProgramError if it has told nothing: then no other can
    be held against it.
    """
    if not witness.report.exists():
        raise witness.program.error("has written no report")
    return [
        *origin_problems_of(witness, sent),
        *arrears_of(witness.figures, sent, end, moment, since, behind),
    ]


def origin_problems_of(witness: Viewer, sent: Sent) -> list[str]:
    """Return what is wrong unless the witness has, from its first datagram on, what the server has sent."""
    data, first = witness.recording.read_bytes(), witness.figures["first_number"]
    if first is None or not data:
        return ["the witness has recorded nothing"]
    return [] if data == sent.payload(first, len(data)) else ["the witness has not what the server sent"]
