"""From single runs to a row of the table: figures and a verdict. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tools.resilience.case import Case
from tools.resilience.trial import MOST_COPIES, Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, and what stands behind it in the JSON."""

    name: str
    title: str
    goal: str
    measured: str
    passed: bool
    problems: list[str] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cells(self) -> tuple[str, ...]:
        return self.name, self.measured, self.goal, "pass" if self.passed else "FAIL"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


HEAD = ("case", "measured", "goal", "result")


def judge(case: Case, outcomes: Sequence[Outcome], repeated: int) -> Row:
    """Return the row of a case."""
    problems = [problem for outcome in outcomes for problem in problems_in(case, outcome)]
    packets = sum(outcome.packets for outcome in outcomes)
    missing = sum(outcome.missing for outcome in outcomes)
    passed = bool(outcomes) and packets > 0 and not problems and _gap_is_short(case, outcomes)
    if case.goals.residual_percent is not None:
        passed = passed and 100 * missing <= case.goals.residual_percent * packets
    measured = [f"{missing:,} of {packets:,} packets missing in {_runs(len(outcomes))}"]
    measured += _times(outcomes)
    if without := sum(outcome.without_bootstrapper for outcome in outcomes):
        measured.append(f"{without} of the runs without bootstrapper")
    if repeated:
        measured.append(f"{_runs(repeated)} repeated: the machine slept")
    measured += _notes(outcomes)
    return Row(
        case.name, case.title, f"{case.goals} at {case.latency_ms} ms", "; ".join(measured), passed,
        problems, [asdict(outcome) for outcome in outcomes],
    )  # fmt: skip


def problems_in(case: Case, outcome: Outcome) -> list[str]:
    """Return all that is wrong with one run; what is judged over all runs is not looked at."""
    goals, found = case.goals, list(outcome.problems)
    if outcome.missing and goals.residual_percent is None:
        found.append(f"{outcome.missing} packets missing")
    if goals.noticed_ms is not None and (outcome.noticed_ms or 0.0) > goals.noticed_ms:
        found.append(f"noticed after {outcome.noticed_ms:.0f} ms")
    if goals.copies:
        if outcome.most_copies is None:
            found.append("copies were not counted")
        elif outcome.most_copies >= MOST_COPIES:
            found.append(f"{outcome.most_copies_at} gets {outcome.most_copies:.2f} copies of the stream")
    return [f"{outcome.victim or 'run'}: {problem}" for problem in found]


def _gap_is_short(case: Case, outcomes: Iterable[Outcome]) -> bool:
    gaps = [gap for outcome in outcomes for gap in outcome.gaps_ms]
    return case.goals.gap_ms is None or (bool(gaps) and median(gaps) <= case.goals.gap_ms)


def _times(outcomes: Sequence[Outcome]) -> list[str]:
    gaps = [gap for outcome in outcomes for gap in outcome.gaps_ms]
    noticed = [outcome.noticed_ms for outcome in outcomes if outcome.noticed_ms is not None]
    copies = [outcome.most_copies for outcome in outcomes if outcome.most_copies is not None]
    found = [f"{what} {median(of):.0f} ms, worst {max(of):.0f}" for what, of in
             (("gap", gaps), ("noticed after", noticed)) if of]  # fmt: skip
    if found and gaps:
        calm = median(outcome.calm_gap_ms for outcome in outcomes)
        found.append(f"gap at the witness {calm:.0f} ms")
    return [*found, f"at most {max(copies):.2f} copies"] if copies else found


def _notes(outcomes: Iterable[Outcome]) -> list[str]:
    """Add up the counts that the runs have noted; what is a share (%) is averaged."""
    total: Counter[str] = Counter()
    shares: dict[str, list[float]] = {}
    for outcome in outcomes:
        for key, value in outcome.notes.items():
            if key.endswith("%"):
                shares.setdefault(key, []).append(value)
            else:
                total[key] += round(value)
    counts = [f"{count:,} {key.replace('_', ' ')}" for key, count in total.items() if count]
    return [*counts, *(f"{key[:-1].strip()} {sum(of) / len(of):.1f} %" for key, of in shares.items())]


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
