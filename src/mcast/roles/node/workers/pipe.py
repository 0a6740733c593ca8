"""One end of the socketpair between a node and one of its workers."""

import array
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from mcast.errors import WireError
from mcast.net.deadline import Deadline
from mcast.net.waker import wait_readable
from mcast.roles.node.workers.messages import Fact, Order, unpack_fact, unpack_order

MAX_MESSAGE = 160_000
"""Bytes: more than the longest message (`Figures` of 4,096 children, whose rows fill a field of 64 KiB), and
less than a socket's buffer holds."""
MAX_SOCKETS = 1
"""That come with a message."""
_RIGHTS = socket.CMSG_LEN(MAX_SOCKETS * array.array("i").itemsize)


class NoDescriptorsError(Exception):
    """A message has come, and the socket that came with it has not: this process has no descriptor left."""

    def __init__(self, message: Order | Fact) -> None:
        super().__init__(type(message).__name__)
        self.message = message


T = TypeVar("T", Order, Fact)
"""What comes in."""


class Pipe(Generic[T]):
    """Sends and receives whole messages. One thread may send, and one receive."""

    def __init__(self, sock: socket.socket, unpack: Callable[[bytes], T]) -> None:
        self._sock = sock
        self._unpack: Callable[[bytes], T] = unpack

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: Order | Fact, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a message, and let the other end share some sockets. Waits for room. Raises OSError."""
        descriptors = array.array("i", [each.fileno() for each in sockets])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if descriptors else []
        self._sock.sendmsg([message.pack()], rights)

    def receive(self, timeout: float | None = None) -> tuple[T, list[socket.socket]]:
        """Wait for the next message; return it and the sockets that came with it.

        Raises EOFError when the other end is closed or has died, TimeoutError, NoDescriptorsError, and
        WireError for what no node and no worker has written.
        """
        # Not settimeout(): it would hold for whoever sends in this moment, too.
        if not wait_readable([self.fileno()], Deadline(timeout)):
            raise TimeoutError
        try:
            # Not recv_fds(), which leaves out the flags: no process that we start is to have these sockets.
            data, rights, flags, _ = self._sock.recvmsg(MAX_MESSAGE, _RIGHTS, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            raise EOFError from None
        descriptors = array.array("i", b"".join(value for _, _, value in rights))
        sockets = [socket.socket(fileno=each) for each in descriptors]
        if not data:
            raise EOFError
        try:
            if flags & socket.MSG_TRUNC or (sockets and flags & socket.MSG_CTRUNC):
                raise WireError(f"a message of more than {MAX_MESSAGE} bytes, or {MAX_SOCKETS} sockets")
            message = self._unpack(data)
        except WireError:
            for each in sockets:
                each.close()
            raise
        if flags & socket.MSG_CTRUNC:
            raise NoDescriptorsError(message)
        return message, sockets

    def finish(self) -> None:
        """Let the other end know that nothing more is sent to it."""
        with contextlib.suppress(OSError):  # it is gone
            self._sock.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """End it for both ends; whoever sends gets an OSError, who receives EOFError."""
        with contextlib.suppress(OSError):  # it is gone
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give it back. For the thread that sends, behind `cut`; nobody may receive any more."""
        self._sock.close()


def pair() -> tuple[Pipe[Fact], socket.socket]:
    """Return the node's end, and the socket that a worker is to inherit."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Pipe(ours, unpack_fact), theirs


def inherited(descriptor: int) -> Pipe[Order]:
    """Return a worker's end."""
    os.set_inheritable(descriptor, False)
    return Pipe(socket.socket(fileno=descriptor), unpack_order)
