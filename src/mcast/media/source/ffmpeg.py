"""ffmpeg and ffprobe as child processes: found, started, listened to, ended.

Each runs in a process group of its own, so that a Ctrl-C at the terminal reaches mcast alone and mcast
ends its children in order: SIGINT, a bounded wait, SIGKILL. If mcast is killed the kernel ends them. Their
stderr is always drained (a full pipe would stop them) and its first and last lines are kept: they say why a
child failed.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from types import TracebackType
from typing import IO, Self

from mcast.errors import ConfigError
from mcast.media.cancelling import Cancelled, check_wanted, never
from mcast.media.source.complaints import SourceError, missing_encoder, of_ffmpeg
from mcast.media.tied import TiedProcess
from mcast.media.tools import find_tool
from mcast.net.threads import NoThreadError, start_thread

logger = logging.getLogger(__name__)

GRACE = 0.3
"""Seconds between SIGINT and SIGKILL: ffmpeg needs a few milliseconds to end what it writes, and the
server is to end within a second."""
KILLED = 1.0
"""Seconds to wait after SIGKILL: whoever is not gone by then hangs in the kernel (a camera's driver, a
network drive), and ends when that lets go of it."""
LAST_LINES = 2.0
"""Seconds to wait for the end of stderr, once the child has ended: a grandchild may hold it open."""
KEPT_LINES = 10
"""Lines of stderr that are kept, of its beginning and of its end: a broken file makes thousands."""
MAX_LINE = 400  # characters of a line that are kept
_POLL_MS = 100  # milliseconds between two looks at whether a child is still wanted
_BLOCK = 1 << 20
BACKGROUND = 10  # niceness: encoding must not delay the streams that run already


class Child:
    """One ffmpeg or ffprobe whose stdout is read by the caller; `with` ends it."""

    def __init__(
        self, command: Sequence[str], *, background: bool = False, stdin: int = subprocess.DEVNULL
    ) -> None:
        """Start it. Raises ConfigError if it cannot be started. `stdin` is a descriptor to read from."""
        self.name = command[0].rpartition("/")[2]
        try:
            self._process = TiedProcess(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}") from None
        if background:
            with contextlib.suppress(OSError):  # it has ended already
                os.setpriority(os.PRIO_PGRP, self._process.pid, BACKGROUND)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout: IO[bytes] = self._process.stdout
        self._stderr: IO[bytes] = self._process.stderr
        self._first_lines: list[str] = []
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        # A daemon: it ends with the child, and a child that hangs in the kernel must not keep mcast alive.
        name = f"{self.name}-{self._process.pid}"
        self._drain = threading.Thread(target=self._keep_lines, name=name, daemon=True)
        self._start_drain()

    def _start_drain(self) -> None:
        try:
            start_thread(self._drain)
        except NoThreadError as error:  # nobody would read what the child complains of
            self.stdout.close()
            self._end()
            self._stderr.close()
            raise ConfigError(f"{self.name} cannot be started: {error}") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end by itself, give the exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def read(self, cancelled: Cancelled) -> bytes:
        """Return what comes next on stdout; nothing at its end. Raises CancelledError."""
        poll = select.poll()
        poll.register(self.stdout, select.POLLIN)
        while True:
            check_wanted(cancelled)
            if poll.poll(_POLL_MS):
                return os.read(self.stdout.fileno(), _BLOCK)

    def last_lines(self) -> list[str]:
        """Return the last lines of stderr; complete once the child has ended and was closed."""
        return list(self._lines)

    def complaint(self, source: str) -> SourceError:
        """Return why it failed with this source. For a child that has ended and was closed."""
        return of_ffmpeg([*self._first_lines, *self._lines], source, self._status)

    def close(self) -> int:
        """End the child if it still runs, wait for it, give its exit status: SIGKILL's if it hangs."""
        self.stdout.close()  # ffmpeg may stand before a full pipe, where no SIGINT reaches it
        self._end()
        if self._process.poll() is None:
            text = "%s, pid %d, has not ended %.1f s after SIGKILL: it hangs in the kernel"
            logger.error(text, self.name, self.pid, KILLED)
        else:
            self._drain.join(LAST_LINES)
        return self._status

    @property
    def _status(self) -> int:
        status = self._process.poll()
        return -signal.SIGKILL if status is None else status

    def _end(self) -> None:
        for ask, patience in ((signal.SIGINT, GRACE), (signal.SIGKILL, KILLED)):
            if self._process.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, ask)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)

    def _keep_lines(self) -> None:
        # readline(limit): a child that writes one endless line costs no memory either.
        with self._stderr:
            while line := self._stderr.readline(4 * MAX_LINE):
                if text := line.decode(errors="replace").strip()[:MAX_LINE]:
                    if len(self._first_lines) < KEPT_LINES:
                        self._first_lines.append(text)
                    self._lines.append(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Child({self.name}, pid {self.pid}, status {self._process.poll()})"


def lines_of(command: Sequence[str], source: str = "", cancelled: Cancelled = never) -> Iterator[str]:
    """Yield the lines of stdout as they come.

    Raises SourceError about `source` if the command fails, and CancelledError.
    """
    with Child(command) as child:
        rest = b""
        while block := child.read(cancelled):
            *lines, rest = (rest + block).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")
        child.wait()
    if child.wait():
        raise child.complaint(source)


@cache
def input_formats() -> frozenset[str]:
    """Return the names that ffmpeg's -f knows for inputs. Raises ConfigError if ffmpeg is missing."""
    return frozenset(name for flags, name in _listed("-demuxers") if flags.startswith("D"))


def require_encoders(names: Iterable[str]) -> None:
    """Make sure that ffmpeg has these encoders. Raises ConfigError that names the one it lacks."""
    tool = find_tool("ffmpeg")
    known = _encoders(tool)
    for name in names:
        if name not in known:
            raise ConfigError(missing_encoder(tool, name))


@cache
def _encoders(tool: str) -> frozenset[str]:
    return frozenset(name for _, name in _listed("-encoders", tool))


def _listed(what: str, tool: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield flags and names of one of ffmpeg's lists."""
    for line in lines_of([tool or find_tool("ffmpeg"), "-hide_banner", "-v", "error", what]):
        flags, _, rest = line.strip().partition(" ")
        if rest.strip():
            yield from ((flags, name) for name in rest.split()[0].split(","))
