"""Experiment 7.3: the rendezvous point measures its servers and takes the better one; then the other is it.

Server 10.0.6.11 is behind 256 kbit/s and 500 ms each way. The rendezvous point must measure that, and take
10.0.6.10. Then, while a client watches, the constraint is moved to 10.0.6.10: the stream that runs is not
moved, but as soon as the window of measurements has slid, the next one comes from 10.0.6.11.

What the rendezvous point has measured it says when it chooses, and it chooses when a stream begins: so a
client asks for the content again and again, for a moment each time.
"""

import time
from pathlib import Path

from tools.demo.check import Sent
from tools.experiments.asking import Asker
from tools.experiments.choices import HEAD as CHOICE_HEAD
from tools.experiments.choices import Choice, LoggedFigures
from tools.experiments.counting import Counting
from tools.experiments.deployment import DeployedScenario, Viewer, deploy
from tools.experiments.findings import map_of, rates_of
from tools.experiments.footage import make_all
from tools.experiments.line_picture import Line, draw_lines
from tools.experiments.rate_picture import Mark
from tools.experiments.recordings import problems_of
from tools.experiments.report import ExperimentReport
from tools.experiments.svg import CONTENT_COLOURS, Svg
from tools.experiments.verdict import HEAD, Verdict
from tools.lab.overview import table

NAME, TITLE = "monitoring", "7.3 Server monitoring"
SCENARIO, CONTENT = "simple_1", "moon"
FAST, SLOW = "s1", "s2"
ASKING_CLIENT = "c2"
WATCHING = 3.0
"""Seconds that a client watches before and after the constraint is moved."""
PATIENCE = 60.0
"""Seconds for the measurements to follow: 20 of them count, and on the slow link each takes one second."""
TOLERANCE = 0.1
SETTLED = 0.05
"""Of the latency, as jitter: one measurement of before the move among 20 makes it a tenth."""
UNHINDERED = 0.2
"""Of the emulated round trip: a free link's latency is a thousandth of it, and more on a busy machine."""


def run(directory: Path) -> Verdict:
    """Run the experiment; its report is in `directory` then. Raises McastError."""
    with deploy(SCENARIO, directory) as (deployed, counting):
        return _Monitoring(deployed, counting, make_all()[CONTENT]).run()


class _Monitoring:
    def __init__(self, deployed: DeployedScenario, counting: Counting, sent: Sent) -> None:
        self._deployed, self._counting, self._sent = deployed, counting, sent
        self._verdict, self._report = Verdict(NAME, TITLE), ExperimentReport(TITLE)
        self._hosts = {name: address.host for name, address in deployed.addresses.servers.items()}
        link = deployed.link_of(SLOW)
        self._round_trip_us = link.forward.delay_us + link.backward.delay_us
        self._constraint = {"delay_us": link.forward.delay_us, "rate": link.forward.rate}
        self._marks: list[Mark] = []
        self._asker = Asker(deployed, ASKING_CLIENT, CONTENT, PATIENCE)

    def run(self) -> Verdict:
        deployed, verdict = self._deployed, self._verdict
        deployed.start()
        began = time.monotonic()
        first = self._asker.until("the slow server is measured", lambda c: self._is_settled(c, SLOW))
        self._judge("before", first, FAST, SLOW)
        viewer = deployed.watch("c1", CONTENT)
        viewer.wait_joined()
        self._mark("c1 watches")
        self._counting.observe(WATCHING)
        moved = self._move_constraint()
        self._counting.observe(WATCHING)
        viewer.program.stop()
        self._mark("c1 leaves")
        self._asker.until(f"{SLOW} is chosen", lambda c: c.best == self._hosts[SLOW])
        turned = self._asker.choices[-1][0] - moved
        deployed.say(f"{self._hosts[SLOW]} is chosen {turned:.1f} s after the constraint was moved")
        last = self._asker.until("the window has slid", lambda c: self._is_settled(c, FAST))
        self._judge("after", last, SLOW, FAST)
        verdict.check(
            "the choice has turned", f"{turned:.1f} s after the move", f"within {PATIENCE:g} s", True
        )
        watcher = self._watch_from_other()
        ended = time.monotonic()
        verdict.none("programs that did not end in order", deployed.end())
        self._write(first, last, viewer, watcher, (began, ended))
        return verdict

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.monotonic(), text))

    def _move_constraint(self) -> float:
        lab = self._deployed.lab
        moved = time.monotonic()
        lab.shape(
            self._deployed.link_of(FAST).name,
            delay_us=self._constraint["delay_us"],
            rate=self._constraint["rate"],
        )
        lab.shape(self._deployed.link_of(SLOW).name, delay_us=0, rate=0)
        self._mark("constraint moved")
        self._deployed.say(f"the constraint is moved from {self._hosts[SLOW]} to {self._hosts[FAST]}")
        return moved

    def _is_near(self, figures: LoggedFigures) -> bool:
        return abs(figures.latency - self._round_trip_us) <= TOLERANCE * self._round_trip_us

    def _is_settled(self, choice: Choice, constrained: str) -> bool:
        """Return whether the window holds only measurements of the link as it is now: they differ little.

        One alone has no jitter, and is not enough.
        """
        figures = choice.figures(self._hosts[constrained])
        known = all(other is not None for _, other in choice.servers)
        return known and figures is not None and 0 < figures.jitter <= SETTLED * figures.latency

    # Judging

    def _judge(self, when: str, choice: Choice, free: str, constrained: str) -> None:
        print(f"\n{table(CHOICE_HEAD, choice.rows)}\n", flush=True)
        hosts, check = self._hosts, self._verdict.check
        check(f"{when}: the choice", choice.best, hosts[free], choice.best == hosts[free])
        slow, fast = choice.figures(hosts[constrained]), choice.figures(hosts[free])
        assert slow is not None  # `_is_settled` has seen to it
        assert fast is not None
        emulated = self._round_trip_us / 1000
        check(
            f"{when}: latency of {hosts[constrained]}", f"{slow.latency / 1000:.1f} ms",
            f"{emulated:.0f} ms ± {TOLERANCE:.0%}", self._is_near(slow),
        )  # fmt: skip
        check(
            f"{when}: latency of {hosts[free]}", f"{fast.latency / 1000:.1f} ms",
            f"below {UNHINDERED * emulated:.0f} ms", fast.latency < UNHINDERED * self._round_trip_us,
        )  # fmt: skip

    def _watch_from_other(self) -> Viewer:
        """See that the next stream really comes from the other server, and whole."""
        viewer = self._deployed.watch("c2", CONTENT)
        viewer.wait_joined()
        self._mark("c2 watches")
        start, end = self._counting.observe(WATCHING)
        viewer.program.stop()
        carried = self._counting.tally.between(start, end)
        deployed = self._deployed
        target = deployed.addresses.bootstrap.host
        first_links = {name: deployed.routes.path(name, target)[0] for name in self._hosts}
        rates = {
            name: carried[link].sent_bytes * 8 / (end - start) / 1000 for name, link in first_links.items()
        }
        self._verdict.check(
            "after: the next stream's rate at " + " and ".join(self._hosts.values()),
            " and ".join(f"{rate:.0f} kbit/s" for rate in rates.values()),
            "only the second", rates[FAST] < 20 < 100 < rates[SLOW],
        )  # fmt: skip
        problems = problems_of(viewer, self._sent, WATCHING - 0.5)
        said = "; ".join(problems) or f"{viewer.figures['duration_s']:.1f} s"
        self._verdict.check("after: its recording", said, "complete, nothing lost", not problems)
        return viewer

    def _write(
        self, first: Choice, last: Choice, before: Viewer, after: Viewer, span: tuple[float, float]
    ) -> None:
        report, deployed = self._report, self._deployed
        report.heading("Result")
        report.table(HEAD, self._verdict.rows)
        report.heading("What the rendezvous point has measured")
        report.paragraph(
            "Delay is the newest round trip of a PING, latency the average of the last 20, jitter their mean "
            "difference from one to the next; metric = 0.6 × latency + 0.4 × jitter, and the least wins. "
            f"Emulated at the constrained server: {self._round_trip_us / 1000:.0f} ms for both ways "
            f"together, and {self._constraint['rate'] / 1000:g} kbit/s."
        )
        for when, choice in (("At first:", first), ("After the constraint was moved:", last)):
            report.paragraph(when)
            report.table(CHOICE_HEAD, choice.rows)
        lost = before.figures["lost_datagrams"]
        got = before.figures["ts_packets"] // 7
        report.paragraph(
            f"c1 watched from {self._hosts[FAST]} while the constraint was moved there. A stream that runs "
            f"is not moved: of its datagrams {lost} were lost, {lost / max(1, lost + got):.0%} of all, as "
            "its rate does not fit through the link any more."
        )
        report.picture("latency", self._latency_picture(span), "Latency of both servers over time")
        report.heading("The next stream over the topology")
        tree = deployed.tree(CONTENT, {"c2": list(after.figures["path"])})
        picture = map_of(
            deployed, tree, [], "The next stream comes from the other server",
            f"{SCENARIO}: {self._hosts[FAST]} ({FAST}) is behind "
            f"{self._constraint['rate'] / 1000:g} kbit/s and {self._constraint['delay_us'] / 1000:g} ms now",
            f"latency {last.rows[0][3]} against {last.rows[1][3]}",
        )  # fmt: skip
        report.picture("tree", picture, "The next stream's tree over the topology")
        report.heading("Rates")
        first_tree = deployed.branches.tree(CONTENT, FAST, {"c1": list(before.figures["path"])})
        rates = rates_of(
            self._counting.tally,
            [*first_tree, *tree],
            self._marks,
            *span,
            "What entered each link of both trees",
        )
        report.picture("rates", rates, "Rates over time of each link")
        report.write(deployed.directory)

    def _latency_picture(self, span: tuple[float, float]) -> Svg:
        lines = []
        for colour, host in zip(CONTENT_COLOURS, self._hosts.values(), strict=False):
            known = [(at, choice.figures(host)) for at, choice in self._asker.choices]
            points = [(at, figures.latency / 1000) for at, figures in known if figures is not None]
            lines.append(Line(f"latency of {host}", colour, points))
        return draw_lines("Latency as the rendezvous point measures it", "ms", lines, self._marks, *span)
