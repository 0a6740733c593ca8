"""A bare process beside each run that only sleeps, and tells how much longer than asked it was made to.

On a machine that is busy, or that its host takes away for a while, everything is late: a run in which even
this process slept too long tells nothing about mcast.

    python -m tools.resilience.sleeper      sleeps until its standard input ends, then prints the longest
                                            oversleep in milliseconds, and how many were above the limit
"""

import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Self, TextIO

from tools.demo.processes import ends_with_us, environment_with

STEP = 0.005  # seconds that it asks for
MOST_OVERSLEPT_MS = 50.0
"""A run beside which it overslept by more is repeated: a fifth of what a failure's notice may take."""


class Sleeper:
    """Owns the process while entered; how it has slept is known afterwards."""

    overslept_ms = 0.0  # the most
    times = 0  # that it was more than MOST_OVERSLEPT_MS

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.resilience.sleeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment_with({}), process_group=0, preexec_fn=ends_with_us(),
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        said, _ = self._process.communicate()
        if said:
            longest, times = said.split()
            self.overslept_ms, self.times = float(longest), int(times)


def oversleeps(
    readable: list[TextIO], step: float = STEP, limit_ms: float = MOST_OVERSLEPT_MS
) -> tuple[float, int]:
    """Sleep again and again until something can be read.

    Return the most that a sleep was too long, in milliseconds, and how many were by more than the limit.
    """
    longest, times = 0.0, 0
    while True:
        began = time.monotonic()
        if select.select(readable, [], [], step)[0]:
            return longest, times
        overslept = (time.monotonic() - began - step) * 1000
        longest, times = max(longest, overslept), times + (overslept > limit_ms)


if __name__ == "__main__":
    print(*oversleeps([sys.stdin]))
