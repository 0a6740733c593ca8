"""From rounds to a verdict: medians, ratios of one round, goals. Pure.

Machines differ, and so does one machine from minute to minute. So contenders take turns, and what is judged
is the ratio to a reference *of the same round*, by its median over the rounds; or by the worst round, where
something must never happen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Figures = Mapping[str, float]
"""What one contender has shown in one round, by name."""
Rounds = Mapping[str, Sequence[Figures]]
"""By contender: its figures, round by round. Some take part in the first rounds only."""
ROUNDS = 7
"""So many make a verdict; one by fewer says so."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure's median over the rounds, between what it lay, and how many there were."""

    median: float
    least: float
    most: float
    rounds: int = ROUNDS

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.most:.3g})"


@dataclass(frozen=True, slots=True)
class Goal:
    """A contender's figure may be at most so much: as it is, or in proportion to the reference's."""

    bound: float
    figure: str
    contender: str = "mcast"
    reference: str = ""
    is_least: bool = False  # the figure must reach the bound instead
    by_worst: bool = False  # every round must; if not, the median decides

    def __str__(self) -> str:
        of = f" x {self.reference}" if self.reference else ""
        bound = f"at {'least' if self.is_least else 'most'} {self.bound:g}{of}"
        return f"{self.figure} of {self.contender} {bound}{' in every round' if self.by_worst else ''}"

    def judged(self, found: Spread) -> float:
        """Return the figure that decides."""
        worst = found.least if self.is_least else found.most
        return worst if self.by_worst else found.median


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a goal is met."""

    goal: Goal
    found: Spread | None  # None: the contender or the reference was not measured
    open_because: str = ""  # what is not installed here; then the goal is neither met nor missed

    @property
    def is_met(self) -> bool:
        if self.found is None:
            return False
        goal, judged = self.goal, self.goal.judged(self.found)
        return judged >= goal.bound if goal.is_least else judged <= goal.bound

    @property
    def is_missed(self) -> bool:
        return not (self.is_met or self.open_because)

    def __str__(self) -> str:
        if self.open_because:
            return f"open   {self.goal}: {self.open_because}"
        return f"{'met   ' if self.is_met else 'MISSED'} {self.goal}: {self.told}"

    @property
    def told(self) -> str:
        """Return what was found, and by how many rounds if they are few."""
        if self.found is None:
            return "not measured"
        count = self.found.rounds
        few = f", by {count} round{'s' * (count > 1)} only" if count < ROUNDS else ""
        return f"{self.found}{few}"


def quantile(figures: Sequence[float], share: float) -> float:
    """Return the figure below which this share of all lies; infinite where there is none."""
    ordered = sorted(figures)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("inf")


def spread(figures: Sequence[float]) -> Spread:
    """Return the spread of at least one figure."""
    return Spread(median(figures), min(figures), max(figures), len(figures))


def values(rounds: Rounds, contender: str, figure: str) -> list[float]:
    """Return a contender's figure of each round."""
    return [figures[figure] for figures in rounds.get(contender, ()) if figure in figures]


def ratios(rounds: Rounds, contender: str, reference: str, figure: str) -> list[float]:
    """Return a contender's figure divided by the reference's of the same round, for the rounds of both."""
    own, others = values(rounds, contender, figure), values(rounds, reference, figure)
    return [mine / other for mine, other in zip(own, others, strict=False) if other > 0]


def judge(goal: Goal, rounds: Rounds, absent: Mapping[str, str]) -> Verdict:
    """Return whether a goal is met by the rounds; `absent`: who is not installed, and why."""
    for name in (goal.contender, goal.reference):
        if name in absent:
            return Verdict(goal, None, absent[name])
    figures = (
        ratios(rounds, goal.contender, goal.reference, goal.figure)
        if goal.reference
        else values(rounds, goal.contender, goal.figure)
    )
    return Verdict(goal, spread(figures) if figures else None)
