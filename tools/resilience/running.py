"""Runs a case as often as it says: one overlay for run after run, a new one where a run has failed."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tools.resilience.case import Case, Outage
from tools.resilience.findings import Row, judge, problems_in
from tools.resilience.footage import prepared
from tools.resilience.grounds import Ground, Loopback, Star
from tools.resilience.overlay import Overlay
from tools.resilience.setting import Setting
from tools.resilience.trial import Outcome, Trial

MOST_REPEATS = 3
"""Runs that are repeated at least, if need be; at most as many as are wanted. Then they count as they are."""


def run_case(case: Case, setting: Setting) -> Row:
    """Run a case; return its row. Raises ConfigError if it cannot run here, else ProgramError."""
    if setting.seconds is not None and case.picture.name == "broad":
        case = replace(case, aftermath=setting.seconds)
    plan = replace(case.plan, log_options=setting.log_options)
    return _Runs(replace(case, plan=plan), setting).row()


class _Runs:
    """The runs of one case."""

    def __init__(self, case: Case, setting: Setting) -> None:
        self._case, self._setting = case, setting
        self._random = setting.random(case.name)
        self._wanted = setting.runs or case.runs
        self._outcomes: list[Outcome] = []
        self._disturbed = 0
        self._overlays = 0

    def row(self) -> Row:
        while not self._is_over():
            self._with_one_overlay()
        return judge(self._case, self._outcomes, self._disturbed)

    def _is_over(self) -> bool:
        return len(self._outcomes) >= self._wanted

    def _with_one_overlay(self) -> None:
        """Do runs until all are done, or one has failed: what it leaves behind harms no other."""
        self._overlays += 1
        directory = self._setting.directory / f"{self._case.name}-{self._overlays}"
        with ExitStack() as stack:
            ground = stack.enter_context(self._ground(directory))
            footage = prepared(self._case.picture)
            overlay = stack.enter_context(Overlay(ground, self._case.plan, footage, directory))
            self._impair(ground)
            overlay.start()
            while not self._is_over() and self._run_once(overlay):
                overlay.restore()

    def _ground(self, directory: Path) -> Ground:
        if not self._case.in_lab:
            return Loopback(directory)
        hosts = [*self._case.plan.hosts, *self._case.viewers]
        return Star(hosts, directory, self._random.randrange(1 << 30))

    def _impair(self, ground: Ground) -> None:
        if isinstance(ground, Star) and self._case.delay_ms:
            for host in (*self._case.plan.links, *self._case.viewers):
                ground.impair(host, delay_ms=self._case.delay_ms, loss=0.0)

    def _run_once(self, overlay: Overlay) -> bool:
        """Do one run; return whether the overlay is good for another. A disturbed one is repeated."""
        case, number = self._case, len(self._outcomes)
        without = case.outage is Outage.MIDWAY or (case.outage is Outage.BEFORE and number % 2 == 1)
        outcome = Trial(case, overlay, self._random, without_bootstrapper=without).play()
        may_repeat = self._setting.repeats and self._disturbed < max(MOST_REPEATS, self._wanted)
        repeat = outcome.was_disturbed and may_repeat
        if repeat:
            self._disturbed += 1
        else:
            self._outcomes.append(outcome)
        problems = problems_in(case, outcome)
        self._setting.say(_told(outcome, number + 1, problems, repeated=repeat))
        return not problems


def _told(outcome: Outcome, number: int, problems: list[str], *, repeated: bool) -> str:
    gap = f", gap {max(outcome.gaps_ms):.0f} ms" if outcome.gaps_ms else ""
    gap += f" (witness {outcome.calm_gap_ms:.0f} ms)"
    noticed = f", noticed after {outcome.noticed_ms:.0f} ms" if outcome.noticed_ms is not None else ""
    what = f"{outcome.victim or 'all links'} after {outcome.moment_s:.2f} s"
    said = f"run {number}: {what}: {outcome.missing} missing"
    copies = f", {outcome.most_copies:.2f} copies" if outcome.most_copies is not None else ""
    disturbed = f"; overslept {outcome.overslept_ms:.0f} ms: to be repeated" if repeated else ""
    return "; ".join([f"{said}{gap}{noticed}{copies}{disturbed}", *problems])
