"""Counts what the links of a lab carry, all the time, in a thread of its own."""

import threading
import time
from types import TracebackType
from typing import Self

from tools.demo.processes import ProgramError
from tools.experiments.tally import Sample, Tally
from tools.lab.lab import Lab

INTERVAL = 0.05
"""Seconds: a tenth of what an experiment has to tell apart, and 2 % of a processor for 60 interfaces."""


class Counting:
    """Owns the thread "counting", which adds to `tally` from the beginning of a `with` block to its end."""

    def __init__(self, lab: Lab) -> None:
        self.tally = Tally()
        self._lab = lab
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._count()
        self._thread = threading.Thread(target=self._run, name="counting")

    def observe(self, seconds: float) -> tuple[float, float]:
        """Let so much time pass, as that is what is measured; return its beginning and end.

        Raises ProgramError if the lab's links or the counting have failed.
        """
        start = time.monotonic()
        self._stopping.wait(seconds)
        end = time.monotonic()
        while self.tally.samples[-1].at < end and not self._stopping.wait(INTERVAL / 5):
            pass
        if self._failure is not None:
            raise ProgramError(f"counting has failed: {self._failure}") from self._failure
        return start, end

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(INTERVAL):
                self._count()
        except Exception as error:  # told to the main thread by `observe`
            self._failure = error
            self._stopping.set()

    def _count(self) -> None:
        self.tally.add(Sample(time.monotonic(), self._lab.counters()))
