"""What an output's thread writes to: a recording's file, or a descriptor, which mostly is a pipe.

A recording ends with what can be decoded, however it ends: behind the last whole picture unless the content
is over. As `kill -9` gives nobody the time to see to that, it holds at any moment.
"""

import contextlib
import os
import select
import stat
from collections.abc import Callable
from typing import Protocol

from mcast.media.cancelling import never
from mcast.media.trimming import TAIL, WholePictures, without_open_picture
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


class RecordingFile:
    """A file that ends with whole pictures while it is written, too. For one thread."""

    def __init__(self, open_file: Callable[[], int]) -> None:
        """`open_file`, asked at the first whole picture, gives a descriptor to own, for reading, too."""
        self.size = 0
        self._open_file, self._fd = open_file, -1
        self._pictures = WholePictures()
        self._is_torn = False  # not all has been written of what was to be

    def write(self, packets: bytes, is_given_up: Callable[[], bool] = never) -> None:
        """Write what is whole now. Raises OSError; then, or where it was given up, nothing may follow."""
        if whole := self._pictures.feed(packets):
            self._append(whole, is_given_up)

    def finish(self, *, is_over: bool) -> None:
        """Leave it in order; `is_over` if its last picture has come to its end. Raises OSError."""
        if self._is_torn:
            self.size = trim_file(self._fd, self.size)
        elif is_over and (rest := self._pictures.take_rest()):
            self._append(rest, never)

    def close(self) -> None:
        """Close it, once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _append(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
        if self._fd < 0:
            self._fd = self._open_file()
            os.ftruncate(self._fd, 0)
        self._is_torn, left = True, memoryview(data)
        while left and not is_given_up():
            done = os.write(self._fd, left[:_FILE_STEP])
            self.size += done
            left = left[done:]
        self._is_torn = bool(left)


class FileStore:
    """Owns a recording's file; an older recording in it is replaced when the new one has a picture."""

    def __init__(self, fd: int, name: str) -> None:
        """Take over a descriptor that is open for reading and writing."""
        self.name, self._fd = name, fd
        self._file = RecordingFile(lambda: os.dup(fd))

    @property
    def written(self) -> int:
        return self._file.size

    def write(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
        self._file.write(data, is_given_up)

    def begin_anew(self) -> None:
        """Do nothing: the bytes are written as they come."""

    def wake(self) -> None:
        """Do nothing: a disk is not waited for as a reader is."""

    def finish(self, *, is_over: bool) -> None:
        # Half a picture is more than none.
        self._file.finish(is_over=is_over or not self.written)

    def close(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            os.close(self._fd)


class Descriptor:
    """Owns a descriptor that is open for writing: what it leads to gets the bytes as they come."""

    def __init__(self, fd: int, name: str) -> None:
        """Take it over."""
        self.name, self.written = name, 0
        self._fd = fd
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._waker = Waker()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._poll.register(self._waker, select.POLLIN)

    def write(self, data: bytes, is_given_up: Callable[[], bool]) -> None:
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
        """Do nothing: what has gone out is gone."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._waker.close()
