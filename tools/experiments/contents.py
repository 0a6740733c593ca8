"""Experiment 7.2: two contents at once, each to two clients; one copy of each on every overlay link."""

import time
from collections import Counter
from pathlib import Path

from tools.demo.check import Sent
from tools.experiments.branches import Branch
from tools.experiments.counting import Counting
from tools.experiments.deployment import DeployedScenario, Viewer, deploy
from tools.experiments.findings import LINK_HEAD, LinkCopies, judge_copies, link_copies, map_of, rates_of
from tools.experiments.footage import make_all
from tools.experiments.rate_picture import Mark
from tools.experiments.recordings import judge_recordings
from tools.experiments.report import ExperimentReport
from tools.experiments.verdict import HEAD, Verdict
from tools.lab.counters import Flow
from tools.lab.overview import table

NAME, TITLE = "contents", "7.2 Different contents at the same time"
SCENARIO = "big_chungus"
CLIENTS = {"c1": "earth", "c2": "mars", "c3": "mars", "c4": "earth"}
SETTLE = 3.0
"""Seconds after the last client's join: fast starts take less than two."""
WINDOW = 6.0
"""Seconds in which copies are counted."""
FAREWELL = 0.6
"""Seconds for the trees to be torn down after the last client has left."""


def run(directory: Path) -> Verdict:
    """Run the experiment; its report is in `directory` then. Raises McastError."""
    with deploy(SCENARIO, directory) as (deployed, counting):
        return _Contents(deployed, counting, make_all()).run()


class _Contents:
    def __init__(self, deployed: DeployedScenario, counting: Counting, sent: dict[str, Sent]) -> None:
        self._deployed, self._counting, self._sent = deployed, counting, sent
        self._verdict, self._report = Verdict(NAME, TITLE), ExperimentReport(TITLE)
        self._marks: list[Mark] = []

    def run(self) -> Verdict:
        self._deployed.start()
        began, viewers = time.monotonic(), self._join_all()
        self._counting.observe(SETTLE)
        window = self._counting.observe(WINDOW)
        self._mark("all leave")
        for viewer in viewers.values():
            viewer.program.stop()
        _, ended = self._counting.observe(FAREWELL)
        judge_recordings(self._verdict, viewers, self._sent, SETTLE + WINDOW - 0.5)
        different = len({viewers[name].recording.read_bytes()[: 1 << 16] for name in ("c1", "c2")}) == 2
        said = "differ" if different else "ARE THE SAME"
        self._verdict.check("recordings of different contents", said, "differ", different)
        trees = {content: self._tree(content, viewers) for content in dict.fromkeys(CLIENTS.values())}
        units, links = self._count(trees, window)
        judge_copies(self._verdict, _all(trees), links)
        self._verdict.none("programs that did not end in order", self._deployed.end())
        self._write(trees, units, links, (began, ended))
        return self._verdict

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.monotonic(), text))

    def _join_all(self) -> dict[str, Viewer]:
        viewers = {}
        for name, content in CLIENTS.items():
            viewers[name] = self._deployed.watch_patiently(name, content)
            path = viewers[name].wait_joined()
            self._mark(f"{name}: {content}")
            self._deployed.say(f"{name} watches {content} by way of {' > '.join(path)}")
        return viewers

    def _tree(self, content: str, viewers: dict[str, Viewer]) -> list[Branch]:
        return self._deployed.tree(
            content, {name: viewers[name].figures["path"] for name in watching(content)}
        )

    def _count(
        self, trees: dict[str, list[Branch]], window: tuple[float, float]
    ) -> tuple[dict[str, float], list[LinkCopies]]:
        """Count copies; return the rate of each content, too. One copy is what a client's link carries."""
        carried, seconds = self._counting.tally.between(*window), window[1] - window[0]
        units: dict[str, float] = {}
        unicast: Counter[Flow] = Counter()
        for content, tree in trees.items():
            last = next(branch for branch in tree if branch.child == watching(content)[0]).flows[-1]
            units[content] = carried[last].sent_bytes
            unicast += self._deployed.branches.unicast(tree[0].parent, watching(content))
        links = link_copies(self._counting.tally, window, _all(trees), unicast, units)
        return {content: size * 8 / seconds for content, size in units.items()}, links

    def _write(
        self,
        trees: dict[str, list[Branch]],
        rates: dict[str, float],
        links: list[LinkCopies],
        span: tuple[float, float],
    ) -> None:
        rows = [link.row for link in links]
        print(f"\n{table(LINK_HEAD, rows)}\n")
        report = self._report
        report.heading("Result")
        report.table(HEAD, self._verdict.rows)
        report.heading("The trees over the topology")
        told = " and ".join(f"{rate / 1e6:.2f} Mbit/s of {content}" for content, rate in rates.items())
        picture = map_of(
            self._deployed, _all(trees), links, "Two streams at the same time, each to two clients",
            f"{SCENARIO}: {told} (interface counters; × = copies on a link)",
            f"over all links {sum(link.branches for link in links)} copies instead of "
            f"{sum(link.unicast for link in links)}",
        )  # fmt: skip
        report.picture("tree", picture, "The trees over the topology")
        report.heading("Copies on each link")
        report.paragraph(
            f"Bytes that entered each link within {WINDOW:g} s, by the interfaces' counters. One copy of a "
            "content is what the last link to one of its clients carries."
        )
        report.table(LINK_HEAD, rows)
        report.heading("Rates")
        title = "What entered each link of the trees (grey: both contents)"
        picture = rates_of(self._counting.tally, _all(trees), self._marks, *span, title)
        report.picture("rates", picture, "Rates over time of each link")
        report.write(self._deployed.directory)


def watching(content: str) -> list[str]:
    """Return the clients of a content."""
    return [name for name, watched in CLIENTS.items() if watched == content]


def _all(trees: dict[str, list[Branch]]) -> list[Branch]:
    return [branch for tree in trees.values() for branch in tree]
