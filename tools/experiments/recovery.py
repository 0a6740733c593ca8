"""Experiment "failure recovery", step 6 of the course report: a relay is killed, then a link is cut.

Two clients watch all the time. The relay that feeds them is killed and started again; then the link that
feeds them is cut, so that packets vanish and nobody is told, and healed. They may miss nothing, and in the
end the overlay is as if nothing had been: one copy on each branch.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcast.hostport import parse_address
from tools.demo.check import Sent
from tools.demo.processes import wait_until
from tools.experiments.branches import Branch
from tools.experiments.counting import Counting
from tools.experiments.deployment import DeployedScenario, Viewer, deploy
from tools.experiments.findings import LINK_HEAD, draw_tree, judge_copies, link_copies, name_of, rates_of
from tools.experiments.footage import make_all
from tools.experiments.map_picture import Badge
from tools.experiments.rate_picture import Mark
from tools.experiments.recordings import judge_recordings
from tools.experiments.report import ExperimentReport
from tools.experiments.verdict import HEAD, Verdict

NAME, TITLE = "recovery", "Step 6: recovery from failures"
SCENARIO, CONTENT, CLIENTS = "big_chungus", "earth", ("c1", "c3")
SETTLE = 2.0
"""Seconds that the clients watch before something fails: their fast start is over then."""
AFTER = 4.0
"""Seconds of looking on behind each failure."""
REST = 12.0
"""Seconds after which the overlay is as if nothing had been: a node moves back to a way that is better again
only when that has been so for 5 s, and then compares both for 2 s."""
WINDOW = 3.0
"""Seconds in which copies are counted in the end."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One failure, and the trees before and behind it."""

    what: str
    before: list[Branch]
    after: list[Branch]
    seconds: float  # until the bootstrapper knew other ways to all clients


def run(directory: Path) -> Verdict:
    """Run the experiment; its report is in `directory` then. Raises McastError."""
    with deploy(SCENARIO, directory) as (deployed, counting):
        return _Recovery(deployed, counting, make_all()[CONTENT]).run()


class _Recovery:
    def __init__(self, deployed: DeployedScenario, counting: Counting, sent: Sent) -> None:
        self._deployed, self._counting, self._sent = deployed, counting, sent
        self._verdict, self._report = Verdict(NAME, TITLE), ExperimentReport(TITLE)
        self._marks: list[Mark] = []
        self._viewers: dict[str, Viewer] = {}

    def run(self) -> Verdict:
        deployed = self._deployed
        deployed.start()
        began = time.monotonic()
        self._viewers = {name: deployed.watch_patiently(name, CONTENT) for name in CLIENTS}
        for name, viewer in self._viewers.items():
            deployed.say(f"{name} joined by way of {' > '.join(viewer.wait_joined())}")
        self._mark("both watch")
        self._counting.observe(SETTLE)
        recoveries = [self._kill_relay(), self._cut_link()]
        self._counting.observe(REST)
        tree = self._judge_rest()
        self._mark("both leave")
        for viewer in self._viewers.values():
            viewer.program.stop()
        _, ended = self._counting.observe(SETTLE / 2)
        self._judge_viewers()
        self._verdict.none("programs that did not end in order", deployed.end())
        self._write(recoveries, tree, (began, ended))
        return self._verdict

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(time.monotonic(), text))

    # --- what fails ---

    def _kill_relay(self) -> Recovery:
        """Kill the relay right below the rendezvous point, look on, and start it again."""
        victim = self._path("c1")[1]
        recovery = self._recover(
            f"kill -9 of {victim}", self._deployed.program(victim).kill,
            lambda branch: victim not in (branch.parent, branch.child),
        )  # fmt: skip
        self._deployed.restart(victim)
        self._mark(f"{victim} is back")
        self._counting.observe(SETTLE)
        return recovery

    def _cut_link(self) -> Recovery:
        """Cut the link over which the rendezvous point feeds the clients now, look on, and heal it."""
        root, child = self._path("c1")[:2]
        (link,) = (
            branch.flows[-1].link for branch in self._tree() if (branch.parent, branch.child) == (root, child)
        )
        lab = self._deployed.lab
        recovery = self._recover(
            f"link {link} cut", lambda: lab.cut(link),
            lambda branch: link not in [flow.link for flow in branch.flows],
        )  # fmt: skip
        lab.heal(link)
        self._mark(f"{link} healed")
        return recovery

    def _recover(self, what: str, strike: Callable[[], None], avoids: Callable[[Branch], bool]) -> Recovery:
        """Let something fail, and see how long it takes until all clients are fed by another way."""
        before, struck = self._tree(), time.monotonic()
        self._mark(what)
        strike()
        wait_until(lambda: all(map(avoids, self._tree())), f"ways around what failed: {what}")
        seconds = time.monotonic() - struck
        self._deployed.say(
            f"{what}: {' and '.join(CLIENTS)} are fed by other ways after {seconds * 1000:.0f} ms"
        )
        self._counting.observe(max(0.0, struck + AFTER - time.monotonic()))
        after = self._tree()
        self._verdict.check(
            f"{what}: another way", f"after {seconds * 1000:.0f} ms: {_shown(after)}",
            "around what failed", all(map(avoids, after)),
        )  # fmt: skip
        return Recovery(what, before, after, seconds)

    # --- where the media goes ---

    def _path(self, client: str) -> list[str]:
        """Return the nodes on a client's way now: who is below whom, as the bootstrapper was told.

        A node that moves takes all below it along, which say so a moment later.
        """
        parents = {
            event.text("node"): event.names("path")[-2:-1]
            for event in self._deployed.bootstrapper.events.read() if event.name == "node_streams"
        }  # fmt: skip
        path = [self._neighbour(client)]
        while parent := parents.get(path[0], []):
            path[:0] = parent
        return path

    def _neighbour(self, client: str) -> str:
        """Return the node that feeds a client now: where it has joined, or which it has taken since."""
        events = self._viewers[client].program.events.read()
        taken = [event.text("parent") for event in events if event.name == "parent_taken"]
        if not taken:
            return self._viewers[client].wait_joined()[-1]
        if (ip := parse_address(taken[-1]).ip) is None:
            return taken[-1]
        (node,) = self._deployed.addresses.layout.find_by_address(ip)
        return node.name

    def _tree(self) -> list[Branch]:
        return self._deployed.tree(CONTENT, {name: self._path(name) for name in CLIENTS})

    # --- what must hold ---

    def _judge_rest(self) -> list[Branch]:
        """Count the copies on each branch, now that everything is mended."""
        tree, window = self._tree(), self._counting.observe(WINDOW)
        unicast = self._deployed.branches.unicast(tree[0].parent, CLIENTS)
        unit = self._counting.tally.between(*window)[tree[0].flows[0]].sent_bytes
        links = link_copies(self._counting.tally, window, tree, Counter(unicast), {CONTENT: unit})
        judge_copies(self._verdict, tree, links)
        self._report.heading("One copy again")
        self._report.table(LINK_HEAD, [link.row for link in links])
        return tree

    def _judge_viewers(self) -> None:
        watched = SETTLE + 2 * AFTER + SETTLE + REST + WINDOW - 0.5
        judge_recordings(self._verdict, self._viewers, {CONTENT: self._sent}, watched)
        for name, viewer in self._viewers.items():
            gap = viewer.figures["longest_gap_ms"]
            self._verdict.check(
                f"{name}'s longest gap before its buffer", f"{gap:.0f} ms", "told, not judged", passed=True
            )  # fmt: skip

    # --- what is told ---

    def _write(self, recoveries: list[Recovery], tree: list[Branch], span: tuple[float, float]) -> None:
        report = self._report
        report.heading("Result")
        report.table(HEAD, self._verdict.rows)
        for number, recovery in enumerate(recoveries, 1):
            report.heading(recovery.what)
            report.paragraph(
                f"The bootstrapper knew other ways to all clients after {recovery.seconds * 1000:.0f} ms."
            )
            for when, branches in (("before", recovery.before), ("after", recovery.after)):
                badges = {flow: Badge(f"{b.parent} > {b.child}") for b in branches for flow in b.flows[:1]}
                picture = draw_tree(
                    self._deployed, branches, badges, f"The tree {when}: {recovery.what}",
                    f"{SCENARIO}: how {CONTENT} reaches {' and '.join(CLIENTS)}", _shown(branches),
                )  # fmt: skip
                report.picture(f"tree-{number}-{when}", picture, f"The tree {when}: {recovery.what}")
        report.heading("Rates")
        seen = {branch: None for each in recoveries for branch in (*each.before, *each.after)}
        branches = [*dict.fromkeys([*seen, *tree])]
        title = "What entered each link that fed the clients at some time"
        report.picture(
            "rates", rates_of(self._counting.tally, branches, self._marks, *span, title),
            f"Rates over time; links: {', '.join(name_of(branch.flows[0]) for branch in branches)}",
        )  # fmt: skip
        report.write(self._deployed.directory)


def _shown(branches: list[Branch]) -> str:
    """Return a tree in words."""
    return ", ".join(f"{branch.parent} > {branch.child}" for branch in branches)
