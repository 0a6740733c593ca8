"""What an output's thread writes to: a descriptor, which is a file or a pipe.

A file ends with what can be decoded, however the stream ends: at whole packets, and behind the last whole
picture unless the content is over.
"""

import contextlib
import os
import select
import stat
from collections.abc import Callable
from typing import Protocol

from mcast.media.trimming import TAIL, without_open_picture
from mcast.net.waker import Waker
from mcast.wire.mpegts import PACKET

_PIPE_STEP = 4096  # PIPE_BUF: a pipe that polls writable takes so much without blocking
_FILE_STEP = 1024 * 1024


class Store(Protocol):
    """Takes the bytes of one output. `write` and `finish` are called by one thread."""

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        ...

    @property
    def written(self) -> int:
        """Return the bytes that it has taken."""
        ...

    def write(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
        """Write whole TS packets; it may wait until `is_given_up`, looked at after `wake`. Raises OSError."""
        ...

    def begin_anew(self) -> None:
        """Take in that what is written next is another stream, which does not go on with the last one."""
        ...

    def wake(self) -> None:
        """Have `write` look at once whether it is given up. From any thread."""
        ...

    def finish(self, *, is_over: bool) -> None:
        """Leave what is written in order; `is_over` if the content has come to its end. Raises OSError."""
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


def trim_file(fd: int, size: int) -> int:
    """Have an open file end with what can be decoded; return its new size. Raises OSError.

    Nothing is written: a full disk has no room, where a file system writes each block to a new place.
    """
    whole = size - size % PACKET
    begin = max(0, whole - TAIL)
    end = begin + len(without_open_picture(os.pread(fd, whole - begin, begin)))
    os.ftruncate(fd, end)
    return end


class Descriptor:
    """Owns a descriptor that is open for writing."""

    def __init__(self, fd: int, name: str, *, replace: bool = False) -> None:
        """Take it over.

        With `replace` the file (open for reading, too) is emptied, but only when the first bytes come: a
        stream that never begins does not cost an older recording.
        """
        self.name, self.written = name, 0
        self._fd, self._replace = fd, replace
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._waker = Waker()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._poll.register(self._waker, select.POLLIN)

    def write(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
        if self._replace and self._regular and self.written == 0:
            os.ftruncate(self._fd, 0)
        left = memoryview(data)
        while left and not is_given_up():
            if not self._regular:
                self._poll.poll()  # until there is room, the reader has gone, or somebody has waked us
                if is_given_up():
                    return
            done = os.write(self._fd, left[: _FILE_STEP if self._regular else _PIPE_STEP])
            self.written += done
            left = left[done:]

    def begin_anew(self) -> None:
        """Do nothing: the bytes are written as they come."""

    def wake(self) -> None:
        self._waker.wake()

    def finish(self, *, is_over: bool) -> None:
        if not (self._regular and self._replace and self.written):
            return
        if not is_over or self.written % PACKET:
            self.written = trim_file(self._fd, self.written)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._waker.close()
