"""Wake a thread that waits for sockets."""

import contextlib
import select
import socket

from mcast.net.deadline import Deadline


class Waker:
    """A descriptor that becomes readable when another thread, or a signal, wakes it."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    @property
    def signal_fd(self) -> int:
        """The end to write to, for `signal.set_wakeup_fd`."""
        return self._writer.fileno()

    def wake(self) -> None:
        """Make the descriptor readable; harmless when it is already, and after close()."""
        # A full buffer (BlockingIOError) means that plenty of wake-ups wait there.
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def drain(self) -> bytes:
        """Take what came, so that the descriptor is quiet until the next wake()."""
        with contextlib.suppress(BlockingIOError):
            return self._reader.recv(4096)
        return b""

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


def wait_readable(descriptors: list[int], deadline: Deadline) -> list[int]:
    """Wait until some are readable, hung up or broken, and return those; none when time is over."""
    return _wait(descriptors, select.POLLIN, deadline)


def wait_writable(descriptors: list[int], deadline: Deadline) -> list[int]:
    """Wait until some have room to send, or have failed, and return those; none when time is over."""
    return _wait(descriptors, select.POLLOUT, deadline)


def _wait(descriptors: list[int], events: int, deadline: Deadline) -> list[int]:
    # poll(), as select() refuses descriptors above 1,023 and one epoll object per wait costs more.
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, events)
    left = deadline.timeout()
    return [fd for fd, _ in poll.poll(None if left is None else left * 1000)]
