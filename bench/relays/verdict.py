"""From rounds to a verdict: medians, ratios of one round, goals. Pure.

Machines differ, and so does one machine from minute to minute. So contenders take turns, and what is judged
is the ratio to a reference *of the same round*, by its median over the rounds; or by the worst round, where
something must never happen. A round is one window; a turn, which starts a contender anew, may have several.
Each verdict tells how many there were of both, and is provisional if they are few.

A figure may be no more than a lower bound, as what could be fed did not reach a contender's limit. A goal
that would be met beside a reference of which no more is known stays open, and what is known is told.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

Figures = Mapping[str, float]
"""What one contender has shown in one round, by name."""
Rounds = Mapping[str, Sequence[Figures]]
"""By contender: its figures, round by round. Some take part in the first rounds only."""
ROUNDS, TURNS = 7, 4
"""So many make a verdict; one by fewer of either is provisional."""


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
    capped_by: str = ""  # the figure that says, if not 0, that this round's is only a lower bound

    def __str__(self) -> str:
        of = f" x {self.reference}" if self.reference else ""
        bound = f"at {'least' if self.is_least else 'most'} {self.bound:g}{of}"
        return f"{self.figure} of {self.contender} {bound}{' in every round' if self.by_worst else ''}"

    def judged(self, found: Spread) -> float:
        """Return the figure that decides."""
        worst = found.least if self.is_least else found.most
        return worst if self.by_worst else found.median

    def holds(self, found: Spread) -> bool:
        """Return whether that is within the bound."""
        judged = self.judged(found)
        return judged >= self.bound if self.is_least else judged <= self.bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a goal is met."""

    goal: Goal
    found: Spread | None  # None: the contender or the reference was not measured
    open_because: str = ""  # what is not installed or cannot be known here: it is neither met nor missed
    lacking: str = ""  # why nothing was found
    turns: int = 0
    is_once: bool = False  # one turn is enough

    @property
    def is_met(self) -> bool:
        return self.found is not None and not self.open_because and self.goal.holds(self.found)

    @property
    def is_missed(self) -> bool:
        return not (self.is_met or self.open_because)

    @property
    def is_provisional(self) -> bool:
        """Return whether it is by fewer rounds or turns than make a verdict."""
        few = self.found is not None and (self.found.rounds < ROUNDS or self.turns < TURNS)
        return few and not self.is_once

    def __str__(self) -> str:
        if self.open_because:
            return f"open   {self.goal}: {self.open_because}"
        return f"{'met   ' if self.is_met else 'MISSED'} {self.goal}: {self.told}"

    @property
    def told(self) -> str:
        """Return what was found, and by how many windows and turns."""
        if self.found is None:
            return self.lacking
        windows, turns = _counted(self.found.rounds, "window"), _counted(self.turns, "turn")
        by = turns if self.found.rounds == self.turns else f"{windows} of {turns}"
        return f"{self.found}, {'provisional: ' if self.is_provisional else ''}{by}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


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
    return [pair.ratio for pair in _pairs(rounds, Goal(0.0, figure, contender, reference))]


def judge(
    goal: Goal,
    rounds: Rounds,
    absent: Mapping[str, str],
    turns: Mapping[str, int] | None = None,
    *,
    is_once: bool = False,
) -> Verdict:
    """Return whether a goal is met by the rounds.

    `absent`: who is not installed, and why. `turns`: how many each contender has had (None: one a round);
    `is_once`: one is enough.
    """
    named = [name for name in (goal.contender, goal.reference) if name]
    for name in named:
        if name in absent:
            return Verdict(goal, None, absent[name])
    own = rounds.get(goal.contender, ())
    if silent := sum(goal.figure not in figures for figures in own):
        return Verdict(goal, None, lacking=f"not measured in {silent} of {_counted(len(own), 'window')}")
    pairs = _pairs(rounds, goal)
    if not pairs:
        are_both_here = own and rounds.get(goal.reference)
        why = f"{goal.reference} was no measure in any round" if are_both_here else "not measured"
        return Verdict(goal, None, lacking=why)
    found = spread([pair.ratio for pair in pairs])
    taken = min(found.rounds, *((turns or {}).get(name, found.rounds) for name in named))
    return Verdict(goal, found, _unknown(goal, pairs, found), turns=taken, is_once=is_once)


class _Pair(NamedTuple):
    """The figures of one round: a contender's, and the reference's (1, where it is judged as it is)."""

    own: float
    other: float
    is_own_least: bool  # it could have been more
    is_other_least: bool

    @property
    def ratio(self) -> float:
        return self.own / self.other


def _pairs(rounds: Rounds, goal: Goal) -> list[_Pair]:
    """Return the figures of each round that both have; a reference that has none to divide by is left out."""
    own = rounds.get(goal.contender, ())
    alone: Sequence[Figures] = [{goal.figure: 1.0}] * len(own)
    others = rounds.get(goal.reference, ()) if goal.reference else alone
    figure, cap = goal.figure, goal.capped_by
    return [
        _Pair(mine[figure], other[figure], bool(mine.get(cap)), bool(other.get(cap)))
        for mine, other in zip(own, others, strict=False)
        if figure in mine and 0 < other.get(figure, 0.0) < math.inf
    ]


def _unknown(goal: Goal, pairs: Sequence[_Pair], found: Spread) -> str:
    """Return what is told of a goal that the reference's real limit, beyond what could be fed, might miss.

    A contender that brought less is not excused by what could be fed: the reference was fed more.
    """
    real = spread([0.0 if pair.is_other_least else pair.ratio for pair in pairs])
    if goal.holds(real) or not goal.holds(found):
        return ""
    own, others = sum(pair.is_own_least for pair in pairs), sum(pair.is_other_least for pair in pairs)
    return (
        f"{found}, but {goal.reference} could do more than can be fed here in {others} of {len(pairs)} "
        f"rounds, {goal.contender} in {own}: it is not worse than what can be fed"
    )
