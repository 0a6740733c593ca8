"""Child processes that end when this one does, however it ends: by SIGKILL, too.

A process that is killed cannot end its children, and not all of them notice: an ffmpeg that waits for a
sender at a UDP port writes nothing, so no broken pipe ends it, and it keeps the port.

So the kernel is asked to do it. Parent and child share a pipe: the parent alone holds its end for writing,
and never writes; the child inherits the other end, which is set up to send a signal to the child's process
group (signal-driven input, fcntl(2), F_SETOWN). When the parent has gone, however that came, its end closes,
and the signal is sent. That costs 20 us.

PR_SET_PDEATHSIG was decided against: it is sent when the *thread* that has started the child ends, and is to
be set by the child between fork and exec, where a process of many threads must run no code of ours.
"""

import fcntl
import os
import signal
import subprocess
from collections.abc import Sequence


class TiedProcess(subprocess.Popen[bytes]):
    """A child process in a process group of its own; the group gets a signal when this process has gone.

    A kill in the very millisecond in which it is started is missed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int | None = None,
        end_by: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start it. Raises OSError."""
        reading, writing = os.pipe()
        self._tie = os.fdopen(writing, "wb", buffering=0)  # close() may be repeated, by any thread
        try:
            super().__init__(
                command, stdin=stdin, stdout=stdout, stderr=stderr, process_group=0, pass_fds=(reading,)
            )
            _have_signalled(reading, self.pid, end_by)
        except BaseException:
            self._tie.close()
            raise
        finally:
            os.close(reading)  # the child's copy stays open: it is the same open file

    def poll(self) -> int | None:
        return self._noted(super().poll())

    def wait(self, timeout: float | None = None) -> int:
        status = super().wait(timeout)
        self._noted(status)
        return status

    def _noted(self, status: int | None) -> int | None:
        if status is not None:
            self._tie.close()
        return status


def _have_signalled(reading: int, group: int, number: signal.Signals) -> None:
    """Have the kernel send a signal to a process group when nobody holds the pipe's other end any more."""
    fcntl.fcntl(reading, fcntl.F_SETOWN, -group)
    fcntl.fcntl(reading, fcntl.F_SETSIG, number)
    flags = fcntl.fcntl(reading, fcntl.F_GETFL)
    fcntl.fcntl(reading, fcntl.F_SETFL, flags | os.O_ASYNC)
