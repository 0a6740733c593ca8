"""What must hold at the end of a soak. Pure.

A figure is *flat* if its median over the last quarter of the run is not above its median over the first
quarter behind the warm-up by more than a slack. Medians, because clients come and go; quarters, because a
leak that matters grows over hours: of 1 MB in ten minutes the last quarter of an hour sees four.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tools.experiments.verdict import Verdict
from tools.soak.samples import Sample

MOST_TOLD = 3
"""Problems of one kind that the table tells; the others are in the JSON file."""
WARM_UP = 1 / 6
"""Of the run: until then all clients have come, and every content has been streamed by every node."""
QUARTER = 1 / 4
FIGURES = {"resident": "MiB", "threads": "", "descriptors": ""}
MOST_RESIDENT = 40.0
"""MiB that a node may hold at the end, beside the last seconds of what it streams."""
SLACK = {"resident": (0.10, 4.0), "threads": (0.10, 4.0), "descriptors": (0.25, 16.0)}
"""Of each figure the share, and at least the amount, by which it may differ: some clients more or fewer."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure of one program, early and late."""

    program: str
    figure: str
    early: float
    late: float

    @property
    def allowed(self) -> float:
        """Return what it may be at the end."""
        share, least = SLACK[self.figure]
        return self.early + max(self.early * share, least)

    @property
    def is_flat(self) -> bool:
        return self.late <= self.allowed

    def __str__(self) -> str:
        unit = FIGURES[self.figure]
        return f"{self.program} {self.figure} {self.early:.1f} -> {self.late:.1f} {unit}".rstrip()


def trends(program: str, samples: Sequence[Sample], began: float, ended: float) -> list[Trend]:
    """Return the trend of each figure; none where the samples do not reach from quarter to quarter."""
    warm = began + (ended - began) * WARM_UP
    quarter = (ended - warm) * QUARTER
    early = [each for each in samples if warm <= each.moment < warm + quarter]
    late = [each for each in samples if ended - quarter <= each.moment <= ended]
    if not early or not late:
        return []
    return [Trend(program, figure, _median(early, figure), _median(late, figure)) for figure in FIGURES]


def _median(samples: Sequence[Sample], figure: str) -> float:
    return median(float(getattr(each, figure)) for each in samples)


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of a steady viewer."""

    name: str
    content: str
    seconds: float  # of media
    lost: int  # datagrams, by its own report
    broken: int  # continuity counters, found in what it put out
    longest_silence: float  # seconds between two pieces of its output
    problems: tuple[str, ...] = ()
    broken_at: tuple[float, ...] = ()  # monotonic seconds


@dataclass(slots=True)
class Outcome:
    """All that a soak has found out."""

    wanted_seconds: float
    watched: list[Watched] = field(default_factory=list)
    trends: list[Trend] = field(default_factory=list)
    unsampled: list[str] = field(default_factory=list)  # programs without a trend
    complaints: list[str] = field(default_factory=list)  # of logs
    ends: list[str] = field(default_factory=list)  # programs that did not end as they should
    joins: list[float] = field(default_factory=list)  # ms, of those who come and go
    history: float = 0.0  # MiB of media that a node holds, if it streams everything
    nodes: tuple[str, ...] = ()  # which of the programs are nodes
    longest_pause: float = 0.0  # seconds that this very program was late: so busy was the machine
    attacks: Mapping[str, float] = field(default_factory=dict)  # seconds of each


def judge(outcome: Outcome, *, least_joins: int, loss: float) -> Verdict:
    """Return the table of checks."""
    verdict = Verdict("soak", f"{outcome.wanted_seconds / 60:.0f} minutes under churn, loss and attack")
    _judge_viewers(verdict, outcome, loss)
    for figure in FIGURES:
        grown = [str(trend) for trend in outcome.trends if trend.figure == figure and not trend.is_flat]
        verdict.none(f"programs whose {figure} grew", _first(grown))
    most = MOST_RESIDENT + outcome.history
    held = [each for each in outcome.trends if each.figure == "resident" and each.program in outcome.nodes]
    large = [str(trend) for trend in held if trend.late > most]
    verdict.none(f"nodes that hold more than {most:.1f} MiB", _first(large))
    verdict.none("programs that were not sampled from beginning to end", _first(outcome.unsampled))
    verdict.none("complaints in logs", _first(outcome.complaints))
    verdict.none("programs that did not end in order", _first(outcome.ends))
    verdict.check("joins", len(outcome.joins), f"{least_joins} or more", len(outcome.joins) >= least_joins)
    idle = [name for name, seconds in outcome.attacks.items() if not seconds]
    verdict.check(
        "attacks", ", ".join(outcome.attacks) or "none", "each ran", bool(outcome.attacks) and not idle
    )
    return verdict


def _judge_viewers(verdict: Verdict, outcome: Outcome, loss: float) -> None:
    watched = outcome.watched
    lost, broken = sum(each.lost for each in watched), sum(each.broken for each in watched)
    verdict.check(
        f"datagrams missing at {len(watched)} steady viewers, {loss:g} % loss on each hop", lost, "0",
        bool(watched) and not lost,
    )  # fmt: skip
    verdict.check("breaks in their transport streams", broken, "0", not broken)
    least = min((each.seconds for each in watched), default=0.0)
    verdict.check(
        "seconds that each of them got, at least", f"{least:.0f}", f"{outcome.wanted_seconds:.0f}",
        least >= outcome.wanted_seconds,
    )  # fmt: skip
    problems = [f"{each.name}: {problem}" for each in watched for problem in each.problems]
    verdict.none("viewers whose bytes are not the server's", _first(problems))


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_TOLD
    return problems if more <= 0 else [*problems[:MOST_TOLD], f"and {more} more"]
