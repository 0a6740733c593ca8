"""A case: an overlay with some viewers, one thing that fails in it, and what must hold then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from tools.demo.contents import Picture
from tools.resilience.footage import STEADY
from tools.resilience.overlay import Plan
from tools.resilience.stalls import TOLERANCE

if TYPE_CHECKING:
    from tools.resilience.trial import Trial

WITNESS = "witness"
DEFAULT_LATENCY_MS = 500
"""A client's, without `--latency`."""


@dataclass(frozen=True, slots=True)
class Goals:
    """What must hold; None: is measured and told only. No run may ever lack a packet, but by `residual`."""

    gap_ms: float | None = None  # the median over all runs, at the clients below the failure
    noticed_ms: float | None = None  # in each run
    residual_percent: float | None = None  # of all packets of all runs
    copies: bool = False  # afterwards each node gets the stream once, or not at all
    unbroken: bool = True  # what comes when the buffer has run empty counts as missing: a viewer saw a stop

    def __str__(self) -> str:
        missing = f"≤ {self.residual_percent:g} % missing" if self.residual_percent else "0 missing"
        parts = [
            missing,
            self.unbroken and "no stop",
            self.gap_ms and f"gap ≤ {self.gap_ms:g} ms (median)",
            self.noticed_ms and f"noticed ≤ {self.noticed_ms:g} ms",
            self.copies and "one copy after 5 s",
        ]
        return ", ".join(part for part in parts if part)


def do_nothing(trial: "Trial") -> None:
    """Prepare nothing; mend nothing: what has ended is started again behind the run."""


class Outage(Enum):
    """When the bootstrapper is killed."""

    NEVER = auto()  # what fails heals by it
    BEFORE = auto()  # in every second run, just before something fails; it is back when that is mended
    MIDWAY = auto()  # in each run, for the second third of the failure


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    name: str
    title: str
    plan: Plan
    viewers: Mapping[str, tuple[str, ...]]  # by their names: whom they ask
    strike: Callable[["Trial"], None]
    mend: Callable[["Trial"], None] = do_nothing
    goals: Goals = Goals()
    latency_ms: int = DEFAULT_LATENCY_MS
    runs: int = 10
    aftermath: float = 3.0  # seconds from the failure on
    mended: float = 0.0  # seconds from its mending on
    in_lab: bool = False
    witnesses: tuple[str, ...] = ("rp",)  # whom the witness asks
    picture: Picture = STEADY
    client_options: tuple[str, ...] = ()
    delay_ms: float = 0.0  # of each hop one way, in the lab
    outage: Outage = Outage.BEFORE
    behind: float = TOLERANCE  # seconds by which the witness may be behind the content's clock in the end
    prepare: Callable[["Trial"], None] = do_nothing  # waits for what the row takes for granted
