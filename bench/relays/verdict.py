"""From rounds to a verdict: medians, ratios of one round, goals. Pure.

Machines differ, and so does one machine from minute to minute. So contenders take turns, and what is judged
is the ratio to a reference *of the same round*, by its median over the rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Rounds = Mapping[str, Sequence[float]]
"""A figure of each contender, one for each round; all have the same rounds."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure's median over the rounds, and between what it lay."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.most:.3g})"


@dataclass(frozen=True, slots=True)
class Goal:
    """A contender's figure may be at most so much: as it is, or in proportion to the reference's."""

    most: float
    figure: str = "CPU"
    contender: str = "mcast"
    reference: str = ""

    def __str__(self) -> str:
        of = f" x {self.reference}" if self.reference else ""
        return f"{self.figure} of {self.contender} at most {self.most:g}{of}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a goal is met."""

    goal: Goal
    found: Spread | None  # None: the contender or the reference was not measured

    @property
    def is_met(self) -> bool:
        return self.found is not None and self.found.median <= self.goal.most

    def __str__(self) -> str:
        found = "not measured" if self.found is None else str(self.found)
        return f"{'met   ' if self.is_met else 'MISSED'} {self.goal}: {found}"


def quantile(figures: Sequence[float], share: float) -> float:
    """Return the figure below which this share of all lies; infinite where there is none."""
    ordered = sorted(figures)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("inf")


def spread(figures: Sequence[float]) -> Spread:
    """Return the spread of at least one figure."""
    return Spread(median(figures), min(figures), max(figures))


def ratios(rounds: Rounds, contender: str, reference: str) -> list[float]:
    """Return a contender's figure divided by the reference's of the same round."""
    return [own / other for own, other in zip(rounds[contender], rounds[reference], strict=True) if other > 0]


def judge(goal: Goal, rounds: Rounds) -> Verdict:
    """Return whether a goal is met by the median of the rounds."""
    if goal.contender not in rounds or (goal.reference and goal.reference not in rounds):
        return Verdict(goal, None)
    figures = list(rounds[goal.contender])
    if goal.reference:
        figures = ratios(rounds, goal.contender, goal.reference)
    return Verdict(goal, spread(figures) if figures else None)
