"""Experiment 7.1: one content, four clients behind four overlay nodes, and one copy on each overlay link."""

import time
from collections.abc import Mapping
from pathlib import Path

from tools.demo.check import Sent
from tools.experiments import skew
from tools.experiments.branches import Branch
from tools.experiments.counting import Counting
from tools.experiments.deployment import DeployedScenario, Viewer, deploy
from tools.experiments.findings import (
    LINK_HEAD,
    LinkCopies,
    judge_copies,
    link_copies,
    map_of,
    name_of,
    rates_of,
)
from tools.experiments.footage import make_all
from tools.experiments.rate_picture import Mark
from tools.experiments.recordings import judge_recordings, sent_between
from tools.experiments.report import ExperimentReport
from tools.experiments.verdict import HEAD, Verdict
from tools.lab.overview import table

NAME, TITLE = "clients", "7.1 Several clients, one content"
SCENARIO, CONTENT, CLIENTS = "big_chungus", "earth", ("c1", "c2", "c3", "c4")
SETTLE = 3.0
"""Seconds after the last client's join: its fast start, at four times the rate, takes less than two."""
WINDOW = 8.0
"""Seconds in which copies are counted and outputs are compared: four groups of pictures."""
FAREWELL = 0.6
"""Seconds for the tree to be torn down after the last client has left."""
MOST_SKEW = 0.2
"""Seconds from the earliest to the latest client. Paths differ by 20 ms, the playout's step is 10 ms."""
MOST_OVERHEAD = 0.08
"""Of the stream's bytes: headers (54 on 1,316) are 4.1 %; PINGs, lists and reports the rest."""
HEADERS = 14 + 20 + 8 + 12  # bytes a datagram: Ethernet, IPv4, UDP, RTP
SKEW_HEAD = ("client", "behind the earliest: least", "mean", "most", "latency of its playout")


def run(directory: Path) -> Verdict:
    """Run the experiment; its report is in `directory` then. Raises McastError."""
    with deploy(SCENARIO, directory) as (deployed, counting):
        sent = make_all()[CONTENT]
        return _Clients(deployed, counting, sent).run()


class _Clients:
    def __init__(self, deployed: DeployedScenario, counting: Counting, sent: Sent) -> None:
        self._deployed, self._counting, self._sent = deployed, counting, sent
        self._verdict, self._report = Verdict(NAME, TITLE), ExperimentReport(TITLE)
        self._marks: list[Mark] = []

    def run(self) -> Verdict:
        self._deployed.start()
        began, viewers = time.monotonic(), self._join_all()
        self._counting.observe(SETTLE)
        settled = time.time()
        window = self._counting.observe(WINDOW)
        self._mark("all leave")
        for viewer in viewers.values():
            viewer.program.stop()
        _, ended = self._counting.observe(FAREWELL)
        tree = self._deployed.tree(
            CONTENT, {name: viewer.figures["path"] for name, viewer in viewers.items()}
        )
        judge_recordings(self._verdict, viewers, {CONTENT: self._sent}, SETTLE + WINDOW - 0.5)
        links = self._judge_copies(tree, window)
        self._judge_bytes(tree[0], began, ended)
        self._judge_skew(viewers, settled)
        self._verdict.none("programs that did not end in order", self._deployed.end())
        self._write(tree, links, (began, ended))
        return self._verdict

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.monotonic(), text))

    def _join_all(self) -> dict[str, Viewer]:
        """Let one client after the other join, so that the tree grows branch by branch."""
        viewers = {}
        for name in CLIENTS:
            viewers[name] = self._deployed.watch_patiently(name, CONTENT)
            path = viewers[name].wait_joined()
            self._mark(f"{name} joins")
            self._deployed.say(f"{name} joined by way of {' > '.join(path)}")
        return viewers

    def _judge_copies(self, tree: list[Branch], window: tuple[float, float]) -> list[LinkCopies]:
        source, server = tree[0].flows[0], tree[0].parent
        unicast = self._deployed.branches.unicast(server, CLIENTS)
        unit = self._counting.tally.between(*window)[source].sent_bytes
        links = link_copies(self._counting.tally, window, tree, unicast, {CONTENT: unit})
        judge_copies(self._verdict, tree, links)
        self._verdict.check(
            f"copies on {name_of(source)}, and by unicast", f"1, {unicast[source]}", f"1, {len(CLIENTS)}",
            unicast[source] == len(CLIENTS),
        )  # fmt: skip
        rows = [link.row for link in links]
        self._report.heading("One copy on each link")
        self._report.paragraph(
            f"Bytes that entered each link within {WINDOW:g} s, by the interfaces' counters, in units of "
            f"those on {name_of(source)}, the server's link. A link that several branches of the tree "
            "cross (to a router with two clients behind it) carries one copy for each. The last column: "
            f"what the link would carry if {server} sent to each client by itself."
        )
        self._report.table(LINK_HEAD, rows)
        print(f"\n{table(LINK_HEAD, rows)}\n")
        return links

    def _judge_bytes(self, branch: Branch, began: float, ended: float) -> None:
        """Compare all that the server's link carried, from the first join on, with the stream's own bytes."""
        flow = branch.flows[0]
        carried = self._counting.tally.between(began, ended)[flow].sent_bytes
        over = self._deployed.program(branch.parent).wait_for_event("stream_ended", content=CONTENT)
        datagrams = over.number("next")
        size = sent_between(self._sent, 0, datagrams)
        overhead = carried / size - 1
        self._verdict.check(
            f"bytes on {name_of(flow)}", f"{carried:,} for {size:,} of TS: {overhead:+.1%}",
            f"0 to {MOST_OVERHEAD:+.0%}", 0 <= overhead <= MOST_OVERHEAD,
        )  # fmt: skip
        self._report.heading("Bytes on the server's link")
        self._report.paragraph(
            f"The stream had {datagrams:,} datagrams with {size:,} bytes of TS packets. {name_of(flow)} "
            f"carried {carried:,} bytes, {overhead:.1%} more. Ethernet, IP, UDP and RTP headers are "
            f"{HEADERS * datagrams / size:.1%} ({HEADERS} bytes a datagram; a train of datagrams that "
            "crosses a link unsegmented has them once); PING four times a second, the list of contents and "
            "TCP's acknowledgements are the rest."
        )

    def _judge_skew(self, viewers: Mapping[str, Viewer], settled: float) -> None:
        figures = {name: viewer.figures for name, viewer in viewers.items()}
        behind = skew.behind_the_first(
            {name: [(rtp, unix) for rtp, unix in known["output_times"]] for name, known in figures.items()},
            settled,
        )
        widest = skew.widest(behind)
        self._verdict.check(
            f"skew of the {len(viewers)} outputs", f"{widest * 1000:.0f} ms, medians",
            f"below {MOST_SKEW * 1000:.0f} ms", widest < MOST_SKEW,
        )  # fmt: skip
        rows = [
            (name, *(f"{value * 1000:.0f} ms" for value in spread), f"{figures[name]['latency_ms']:.0f} ms")
            for name, spread in skew.spreads(behind).items()
        ]
        self._report.heading("Skew between the clients")
        moments = len(next(iter(behind.values()), []))
        self._report.paragraph(
            f"When the same RTP timestamp left each client, compared at {moments} moments. Nothing "
            "synchronises the clients: each puts a datagram out `--latency` after its own path has brought "
            "it, so they differ as their paths do."
        )
        self._report.table(SKEW_HEAD, rows)
        print(f"{table(SKEW_HEAD, rows)}\n")

    def _write(self, tree: list[Branch], links: list[LinkCopies], span: tuple[float, float]) -> None:
        first = next(link for link in links if link.flow == tree[0].flows[0])
        unicast, total = sum(link.unicast for link in links), sum(link.branches for link in links)
        picture = map_of(
            self._deployed, tree, links,
            f"One stream, {len(CLIENTS)} clients, one copy on each overlay link",
            f"{SCENARIO}: {first.bits_per_second / 1e6:.2f} Mbit/s leave {tree[0].parent} once and reach all "
            "(interface counters; × = copies of the stream on a link)",
            f"over all links {total} copies instead of {unicast}, "
            f"on {tree[0].parent}'s 1 instead of {first.unicast}",
        )  # fmt: skip
        report = self._report
        report.heading("Result")
        report.table(HEAD, self._verdict.rows)
        report.heading("The tree over the topology")
        report.picture("tree", picture, "The tree over the topology")
        report.heading("Rates")
        rates = rates_of(self._counting.tally, tree, self._marks, *span, "What entered each link of the tree")
        report.picture("rates", rates, "Rates over time of each link")
        report.write(self._deployed.directory)
