"""What a row is told: how often, how long, from which seed, and where its files go."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random


@dataclass(frozen=True, slots=True)
class Setting:
    """How the rows are run."""

    directory: Path
    seed: int
    runs: int | None = None  # None: as often as each row says
    seconds: float | None = None  # of the long rows; None: as long as each says
    began: float = 0.0  # monotonic
    debug: bool = False  # all programs log what they decide on, and what follows
    repeats: bool = True  # runs beside which the sleeper overslept are repeated

    def random(self, name: str) -> Random:
        """Return a row's own randomness: it does not depend on which rows ran before."""
        return Random(f"{self.seed} {name}")

    @property
    def log_options(self) -> tuple[str, ...]:
        """Return the options of all nodes and clients that say how much they log."""
        return ("--log-level", "debug") if self.debug else ()

    def say(self, text: str) -> None:
        """Tell the user what happens."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)


def machine() -> str:
    """Return on what the figures were measured."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{os.cpu_count()} cores, load {load}"
    )
