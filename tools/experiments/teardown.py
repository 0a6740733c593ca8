"""Experiment 7.4: a client leaves, politely or not, and the tree behind it falls silent up to the server.

A link is silent when it carries no media any more. What stays are the programs' connections: a PING four
times a second, a report now and then.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.demo.check import Sent
from tools.experiments.branches import Branch, copies
from tools.experiments.counting import INTERVAL, Counting
from tools.experiments.deployment import DeployedScenario, Viewer, deploy
from tools.experiments.findings import draw_tree, name_of, rates_of
from tools.experiments.footage import make_all
from tools.experiments.map_picture import Badge
from tools.experiments.rate_picture import Mark
from tools.experiments.recordings import problems_of
from tools.experiments.report import ExperimentReport
from tools.experiments.tally import LOUD_BYTES
from tools.experiments.verdict import HEAD, Verdict
from tools.lab.counters import Flow

NAME, TITLE = "teardown", "7.4 Tearing the tree down"
SCENARIO, CONTENT = "big_chungus", "earth"
WATCHING = 1.5
"""Seconds that a client watches before it leaves: its fast start is over then."""
STOP_LIMIT, LOST_LIMIT = 1.0, 3.0
"""Seconds until each link is silent after STOP, and after a client is lost without a word."""
BEYOND = 0.5
"""Seconds of looking on after the limit: what was silent stays so."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """One way to leave, and when each link of the tree fell silent, in seconds."""

    name: str
    limit: float
    silent_after: dict[Flow, float]


def run(directory: Path) -> Verdict:
    """Run the experiment; its report is in `directory` then. Raises McastError."""
    with deploy(SCENARIO, directory) as (deployed, counting):
        return _Teardown(deployed, counting, make_all()[CONTENT]).run()


class _Teardown:
    def __init__(self, deployed: DeployedScenario, counting: Counting, sent: Sent) -> None:
        self._deployed, self._counting, self._sent = deployed, counting, sent
        self._verdict, self._report = Verdict(NAME, TITLE), ExperimentReport(TITLE)
        self._marks: list[Mark] = []
        self._trees: list[Branch] = []

    def run(self) -> Verdict:
        deployed = self._deployed
        deployed.start()
        began = time.monotonic()
        leavings = [
            self._leave("STOP", STOP_LIMIT, lambda viewer: viewer.program.stop()),
            self._leave("kill -9", LOST_LIMIT, lambda viewer: viewer.program.kill()),
            self._leave("link cut", LOST_LIMIT, self._cut_off),
        ]
        self._one_of_two()
        ended = time.monotonic()
        self._verdict.none("programs that did not end in order", deployed.end())
        self._write(leavings, (began, ended))
        return self._verdict

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.monotonic(), text))

    def _watch(self, node: str, name: str) -> tuple[Viewer, list[str]]:
        viewer = self._deployed.watch(node, CONTENT, name=name)
        path = viewer.wait_joined()
        self._mark(f"{node} joins")
        return viewer, path

    def _leave(self, how: str, limit: float, leave: Callable[[Viewer], object]) -> Leaving:
        """Let c1 watch and leave in some way; see when each link of its tree falls silent."""
        viewer, path = self._watch("c1", f"c1-{how.replace(' ', '-')}")
        tree = self._deployed.tree(CONTENT, {"c1": path})
        self._trees = self._trees or tree
        loud = self._counting.tally.loud(*self._counting.observe(WATCHING))
        flows = {flow for branch in tree for flow in branch.flows}
        self._verdict.check(
            f"{how}: links with media before", _compared(loud, flows), f"the {len(flows)} of the tree",
            loud == flows,
        )  # fmt: skip
        left = time.monotonic()
        self._mark(how)
        leave(viewer)
        self._counting.observe(max(0.0, left + limit + BEYOND - time.monotonic()))
        tally = self._counting.tally
        leaving = Leaving(how, limit, {flow: tally.silent_since(flow, left) - left for flow in sorted(loud)})
        last = max(leaving.silent_after, key=lambda flow: leaving.silent_after[flow])
        seconds = leaving.silent_after[last]
        self._verdict.check(
            f"{how}: silent links", f"all after {seconds:.2f} s (last: {name_of(last)})",
            f"all within {limit:g} s", seconds <= limit,
        )  # fmt: skip
        self._deployed.say(f"c1: {how}: all links silent after {seconds:.2f} s")
        self._restore(viewer)
        return leaving

    def _cut_off(self, _: Viewer) -> None:
        self._deployed.lab.cut(self._deployed.link_of("c1").name)

    def _restore(self, viewer: Viewer) -> None:
        link = self._deployed.link_of("c1").name
        if self._deployed.lab.is_cut(link):
            self._deployed.lab.heal(link)
        viewer.program.kill()

    def _one_of_two(self) -> None:
        """Let one of two clients leave: its own links fall silent, the other one misses nothing."""
        leaver, leaver_path = self._watch("c1", "c1-of-two")
        stayer, stayer_path = self._watch("c3", "c3-of-two")
        both = self._deployed.tree(CONTENT, {"c1": leaver_path, "c3": stayer_path})
        rest = self._deployed.tree(CONTENT, {"c3": stayer_path})
        self._counting.observe(WATCHING)
        left = time.monotonic()
        self._mark("c1 leaves")
        leaver.program.stop()
        _, end = self._counting.observe(STOP_LIMIT + WATCHING)
        tally = self._counting.tally
        loud = tally.loud(left + STOP_LIMIT, end)
        remaining = set(copies(rest))
        self._verdict.check(
            "one of two leaves: links with media after 1 s", _compared(loud, remaining),
            f"{len(remaining)} (before: {len(copies(both))})", loud == remaining,
        )  # fmt: skip
        stayer.program.stop()
        self._mark("c3 leaves")
        self._counting.observe(BEYOND)
        problems = problems_of(stayer, self._sent, WATCHING + STOP_LIMIT + WATCHING - 0.5)
        figures = stayer.figures
        counts = {
            key: figures[key] for key in ("lost_datagrams", "duplicate_datagrams", "reordered_datagrams")
        }
        problems += [f"{key} {count}" for key, count in counts.items() if count and key != "lost_datagrams"]
        said = "; ".join(problems) or f"{figures['duration_s']:.1f} s, 0 lost, twice or out of order"
        self._verdict.check(
            "one of two leaves: the other's recording", said, "complete, nothing missed", not problems
        )

    def _write(self, leavings: list[Leaving], span: tuple[float, float]) -> None:
        report = self._report
        report.heading("Result")
        report.table(HEAD, self._verdict.rows)
        report.heading("When each link fell silent")
        report.paragraph(
            f"Seconds after c1 left, to the end of the last {INTERVAL * 1000:.0f} ms in which the link "
            f"carried {LOUD_BYTES:,} bytes or more. That is media: a PING and its answer, or a report, has "
            "far less."
        )
        flows = [flow for branch in self._trees for flow in branch.flows]
        report.table(
            ("link", *(leaving.name for leaving in leavings)),
            [
                (name_of(flow), *(f"{leaving.silent_after.get(flow, 0.0):.2f} s" for leaving in leavings))
                for flow in flows
            ],
        )
        polite, killed = leavings[0].silent_after, leavings[1].silent_after
        badges = {
            flow: Badge(f"{polite.get(flow, 0.0):.2f} s", f"kill -9: {killed.get(flow, 0.0):.2f} s")
            for flow in flows
        }
        picture = draw_tree(
            self._deployed, self._trees, badges,
            "A client leaves, and the tree falls silent up to the server",
            f"{SCENARIO}: seconds from c1's STOP, and from kill -9 of c1, to the last media on each link",
            f"all silent {max(polite.values()):.2f} s after STOP",
        )  # fmt: skip
        report.picture("tree", picture, "The tree that is torn down")
        report.heading("Rates")
        rates = rates_of(
            self._counting.tally, self._trees, self._marks, *span, "What entered each link to c1"
        )
        report.picture("rates", rates, "Rates over time of each link")
        report.write(self._deployed.directory)


def _compared(found: set[Flow], expected: set[Flow]) -> str:
    """Return how many there are and what is wrong with them."""
    wrong = [
        *(f"also {name_of(flow)}" for flow in sorted(found - expected)),
        *(f"not {name_of(flow)}" for flow in sorted(expected - found)),
    ]
    return ", ".join([str(len(found)), *wrong])
