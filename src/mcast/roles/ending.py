"""How a program ends when it is told to: in order, but soon, and in every state.

SIGINT and SIGTERM set the stop event, and whoever waits for anything looks at it. That takes less than a
second. For the rest (a disk that hangs, a bug) there is a watch, so that nobody ever needs `kill -9`:

    has not begun yet    nothing is to be put in order: the program is ended, status 0
    is at work           END_SECONDS for an orderly end, then the program is ended, status 1
    signal comes again   the program is ended at once, status 1; within ECHO_SECONDS it is the same one

Ended by the watch, a program takes its child processes with it: each is in a process group of its own and
would hear of nothing.
"""

import contextlib
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mcast.net.threads import NoThreadError, start_thread
from mcast.roles import logs

logger = logging.getLogger(__name__)

BEGIN_SECONDS = 0.3
"""How long a program that has not begun yet may take to notice that it is to end."""
END_SECONDS = 3.0
"""How long an orderly end may take: three times what it should."""
ECHO_SECONDS = 0.3
"""Who is told to end is often told twice: by `timeout`, which signals its child and then the whole group, or
by a terminal and by the script that runs there. So soon nobody has lost patience and pressed Ctrl-C again."""
LOG_SECONDS = 0.1
"""How long the last lines of a program that is ended may take, and as long what it has printed."""
_LOOK = 0.05
"""Seconds between two looks at the clock, which goes on by no more at each: on a machine that is too busy to
let us look, nothing else can have ended, either."""

ERROR_STATUS = 1


class Ending:
    """Hears SIGINT and SIGTERM, and watches that an end follows."""

    def __init__(
        self, stop: threading.Event, begun: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`stop` is set at the first signal; as long as `begun` is not set, nothing must end in order."""
        self._stop, self._begun, self._clock = stop, begun, clock
        self._asked_at = -math.inf
        self._is_over = threading.Event()
        self._watch: threading.Thread | None = None

    def asked(self, name: str) -> None:
        """Take in a signal. Called by the thread `signals` alone."""
        now = self._clock()
        if now < self._asked_at + ECHO_SECONDS:
            logger.debug("%s again, at the same time: taken for one", name)
            return
        if self._asked_at > -math.inf:
            logger.warning("%s again: ending at once, whatever is unfinished", name)
            _end(ERROR_STATUS)
        self._asked_at = now
        if not self._stop.is_set():
            logger.info("%s: stopping", name)
        self._begin_watch()
        self._stop.set()

    def _begin_watch(self) -> None:
        watch = threading.Thread(target=self._run, name="end-watch", daemon=True)
        try:
            start_thread(watch)
        except NoThreadError as error:
            logger.warning("nobody watches that the end comes: %s", error)
        else:
            self._watch = watch  # before the program may end, which joins it

    def over(self) -> None:
        """Take in that the program has ended in order."""
        self._is_over.set()
        if self._watch is not None:
            self._watch.join()

    def _run(self) -> None:
        waited = 0.0
        while not self._is_over.wait(_LOOK):
            waited += _LOOK
            if waited >= BEGIN_SECONDS and not self._begun.is_set():
                _end(0)
            if waited >= END_SECONDS:
                threads = ", ".join(each.name for each in threading.enumerate() if not each.daemon)
                logger.error("still not stopped: ending at once (threads: %s)", threads)
                _end(ERROR_STATUS)


def _end(status: int) -> NoReturn:
    """End this process and its child processes, now."""
    for child in _children():
        with contextlib.suppress(OSError):
            # Only a group of its own: a child in ours shares it with us, and perhaps with who started us.
            (os.killpg if os.getpgid(child) == child else os.kill)(child, signal.SIGKILL)
    if (lines := logs.writer()) is not None:
        lines.flush(LOG_SECONDS)
    _flush_stdout()
    os._exit(status)


def _flush_stdout() -> None:
    """Put out what has been printed, unless nobody reads it: then whoever prints holds the stream's lock."""

    def flush() -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()

    flusher = threading.Thread(target=flush, daemon=True)
    with contextlib.suppress(NoThreadError):
        start_thread(flusher)
        flusher.join(LOG_SECONDS)


def _children() -> list[int]:
    """Return the processes that this one has started. /proc knows: nobody has to keep a list."""
    me, found = str(os.getpid()), []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # The name in parentheses may hold spaces and parentheses; behind it: state, parent, ...
            if entry.read_text(errors="replace").rpartition(")")[2].split()[1] == me:
                found.append(int(entry.parent.name))
    return found
