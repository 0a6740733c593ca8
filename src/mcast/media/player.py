"""A player process that is fed the transport stream by its standard input.

ffplay unless the user names another. Its options keep it from collecting 5 s before it shows
anything (measured: first picture after 0.4 s). It has a process group of its own, so that a
Ctrl-C at the terminal reaches mcast, which then ends it: standard input closed, SIGTERM, SIGKILL.
If mcast is killed the kernel sends SIGTERM.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcast.errors import ConfigError, StreamEndedError
from mcast.media.output import MAX_QUEUED, Ended, Writer
from mcast.media.stores import Descriptor
from mcast.media.tied import TiedProcess
from mcast.media.tools import find_tool
from mcast.net.deadline import Deadline
from mcast.net.threads import NoThreadError, OnCrash

END_SECONDS = 8.0
"""How long a player may show what it has after the stream's end: its buffers hold a few seconds."""
TERM_SECONDS = 0.4
_BROKEN_PIPE_SECONDS = 0.3
_LOOK = 0.05  # seconds between two looks at whether somebody is in a hurry


def player_command(command: str | None, title: str, environment: Mapping[str, str]) -> list[str]:
    """Return the player's arguments: the user's command, or ffplay's.

    Raises ConfigError if the command is no command line, if the player is missing, or if ffplay would have
    no display: it would hang without a word.
    """
    if command is not None:
        try:
            arguments = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--player '{command}': {error}") from None
        if not arguments:
            raise ConfigError("--player: no command is given")
        if shutil.which(arguments[0]) is None:
            raise ConfigError(f"--player: there is no program '{arguments[0]}': install it, or name another")
        return arguments
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        raise ConfigError(
            "no display (neither DISPLAY nor WAYLAND_DISPLAY is set): write to a file with --output FILE, "
            "to standard output with --output -, or name a --player"
        )
    return [
        *(find_tool("ffplay"), "-hide_banner", "-loglevel", "error", "-nostats"),
        *("-f", "mpegts", "-probesize", "100000", "-analyzeduration", "200000"),
        *("-autoexit", "-window_title", title, "-i", "-"),
    ]


class Player:
    """Owns the player's process and the writer to its standard input."""

    def __init__(
        self,
        arguments: Sequence[str],
        on_crash: OnCrash,
        *,
        max_queued: int = MAX_QUEUED,
        hurry: threading.Event | None = None,
    ) -> None:
        """Start it. Raises ConfigError if it cannot be. `hurry` is set when nobody waits for it any more."""
        self._hurry = hurry or threading.Event()
        self.name = Path(arguments[0]).name
        try:
            self._process = TiedProcess(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, end_by=signal.SIGTERM
            )
        except OSError as error:
            raise ConfigError(f"--player: cannot start '{arguments[0]}': {error.strerror}") from None
        assert self._process.stdin is not None
        fd = os.dup(self._process.stdin.fileno())  # the writer owns its descriptor
        self._process.stdin.close()
        store = Descriptor(fd, self.name)
        try:
            self._writer = Writer(store, on_crash, max_queued=max_queued, hurry=self._hurry)
        except NoThreadError:
            self._end()
            raise

    def __repr__(self) -> str:
        return f"<Player {self.name} pid={self._process.pid} {self._writer!r}>"

    @property
    def dropped(self) -> int:
        """Return the bytes that found no room (a player that is paused)."""
        return self._writer.dropped

    @property
    def written(self) -> int:
        """Return the bytes that it has taken."""
        return self._writer.written

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def write(self, data: bytes) -> bool:
        """Queue whole TS packets; drop them if there is no room. Never waits."""
        return self._writer.write(data)

    def begin_anew(self) -> None:
        """Do nothing: a player sees by the stream that another one begins."""

    def ended(self) -> Ended | None:
        """Return how the player ended; None while it runs."""
        status = self._process.poll()
        if status is not None:
            return self._judge(status)
        ended = self._writer.ended()
        if ended is None or ended.error is not None:
            return ended
        with contextlib.suppress(subprocess.TimeoutExpired):  # it has closed its input: it is about to end
            return self._judge(self._process.wait(_BROKEN_PIPE_SECONDS))
        return ended

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        """Close the player's input and end it: with `drain` it may first show what it has got, unless
        nobody waits for it any more."""
        del is_over  # it is a player's own affair how it shows the last picture
        before, drain = self.ended(), drain and not self._hurry.is_set()
        self._writer.close(drain=drain)
        if drain and before is None and self._has_shown_all():
            return None
        self._end()
        return before

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._ends_within(TERM_SECONDS)

    def _has_shown_all(self) -> bool:
        """Wait until it has ended by itself; return False if it takes too long, or somebody is in a hurry."""
        deadline = Deadline(END_SECONDS)
        while not deadline.expired and not self._hurry.is_set():
            if self._ends_within(_LOOK):
                return True
        return False

    def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def _judge(self, status: int) -> Ended:
        if status == 0:
            return Ended(f"{self.name} was closed")
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        text = f"the player {self.name} ended with {how}"
        return Ended(text, StreamEndedError(text))
