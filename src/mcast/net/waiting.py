"""Says what a program waits for, where nothing else does: a question that somebody is slow to answer."""

import logging
import threading
from types import TracebackType
from typing import Self

from mcast.net.threads import OnCrash, OwnedThread

logger = logging.getLogger(__name__)

SAY_AFTER = 1.0
"""Seconds: who gets an answer sooner has not noticed that he waited."""
SAY_EACH = 10.0
"""Seconds from one line to the next."""


class Waiting:
    """Owns a thread that says what is waited for, while entered and if that lasts."""

    def __init__(
        self, what: str, on_crash: OnCrash, *, after: float = SAY_AFTER, each: float = SAY_EACH
    ) -> None:
        """`what` completes "waiting: "."""
        self._what, self._after, self._each = what, after, each
        self._over = threading.Event()
        self._thread = OwnedThread("waiting", self._run, on_crash)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._after
        while not self._over.wait(pause):
            logger.info("waiting: %s", self._what)
            pause = self._each
