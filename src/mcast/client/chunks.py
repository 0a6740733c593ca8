"""What has gone out and waits for the reader: a bounded queue between two threads.

    waiting --open--> open, chunks come and go --finish--> finished: what is queued can still be read
       '---------------------finish---------------------------^

The thread "playout" never waits for the reader. If the reader is too slow the *oldest* chunk gives way:
who watches live wants to see what happens now. What was dropped is counted.
"""

import threading
from collections import deque


class ChunkQueue:
    """The output of a playback that a program reads. Safe to use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._condition = threading.Condition()  # guards all below
        self._chunks: deque[tuple[bytes, int]] = deque()  # and how many breaks are before each
        self._breaks = self._read_breaks = 0
        self._queued = 0
        self._is_open = self._is_finished = False
        self._error: BaseException | None = None
        self._dropped = 0

    def __repr__(self) -> str:
        state = "finished" if self._is_finished else "open" if self._is_open else "waiting"
        return f"<ChunkQueue {state}, {self._queued} bytes queued, {self._dropped} dropped>"

    @property
    def is_finished(self) -> bool:
        """Return whether nothing more is to be queued."""
        return self._is_finished

    @property
    def dropped(self) -> int:
        """Return the bytes that gave way to newer ones."""
        return self._dropped

    def open(self) -> None:
        """Tell who waits that the stream has begun."""
        with self._condition:
            self._is_open = True
            self._condition.notify_all()

    def wait_open(self, timeout: float | None = None) -> bool:
        """Wait until the stream has begun, or never will; return whether it has.

        Raises the error that it was finished with before it began.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._is_open or self._is_finished, timeout)
            if not self._is_open and self._error is not None:
                raise self._error
            return self._is_open

    def wait_chunk(self, timeout: float | None = None) -> bool:
        """Wait until there is a chunk to read, or never will be; return whether there is.

        Raises the error that it was finished with before anything came.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._chunks or self._is_finished, timeout)
            if not self._chunks and self._error is not None:
                raise self._error
            return bool(self._chunks)

    def write(self, data: bytes) -> bool:
        """Queue whole TS packets, in the place of older ones if need be. Never waits."""
        with self._condition:
            if self._is_finished:
                return False
            self._chunks.append((data, self._breaks))
            self._queued += len(data)
            while self._queued > self._max_bytes and len(self._chunks) > 1:
                self._dropped += len(self._pop())
            self._condition.notify()
            return True

    def begin_anew(self) -> None:
        """Take in that what is written next is another stream, which does not go on with the last one."""
        with self._condition:
            self._breaks += 1

    @property
    def breaks(self) -> int:
        """Return how often another stream had begun, by the chunk that was read last."""
        return self._read_breaks

    def read(self, timeout: float | None = None) -> bytes:
        """Return the next chunk; b"" when all has been read and the stream is finished.

        Waits for `timeout` seconds at most, then raises TimeoutError. Raises, after the last chunk, the error
        that the stream was finished with.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._chunks or self._is_finished, timeout):
                raise TimeoutError("no media has come in time")
            if self._chunks:
                self._read_breaks = self._chunks[0][1]
                return self._pop()
            if self._error is not None:
                raise self._error
            return b""

    def finish(self, error: BaseException | None = None) -> None:
        """Let the stream end behind what is queued. Only the first call counts."""
        with self._condition:
            if not self._is_finished:
                self._is_finished, self._error = True, error
                self._condition.notify_all()

    def _pop(self) -> bytes:
        chunk, _ = self._chunks.popleft()
        self._queued -= len(chunk)
        return chunk
