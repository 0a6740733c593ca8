"""A network path for tests: between a child and its parent, losing and repeating what it is told to."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from mcast.net.waker import Waker


class Path:
    """Passes datagrams on in both directions, as often as `copies(datagram)` says (0: lost)."""

    def __init__(self, parent: tuple[str, int], copies: Callable[[bytes], int]) -> None:
        self._copies = copies
        self._child_side = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._child_side.bind(("127.0.0.1", 0))
        self._child_side.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._parent_side = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._parent_side.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._parent_side.connect(parent)
        self._child: tuple[str, int] | None = None
        self._stopping = threading.Event()
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name="path")
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port that the child takes for its parent's."""
        port: int = self._child_side.getsockname()[1]
        return port

    def move(self) -> None:
        """Call the parent from another port from now on, as a NAT does that has forgotten us."""
        fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fresh.connect(self._parent_side.getpeername())
        old, self._parent_side = self._parent_side, fresh
        self._waker.wake()
        old.close()

    def close(self) -> None:
        """End it."""
        self._stopping.set()
        self._waker.wake()
        self._thread.join(10)
        for thing in (self._child_side, self._parent_side, self._waker):
            thing.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            watched: list[socket.socket | Waker] = [self._child_side, self._parent_side, self._waker]
            with contextlib.suppress(OSError, ValueError):
                ready, _, _ = select.select(watched, [], [])
                if self._waker in ready:
                    self._waker.drain()
                if self._child_side in ready:
                    data, self._child = self._child_side.recvfrom(2048)
                    self._parent_side.send(data)
                if self._parent_side in ready:
                    data = self._parent_side.recv(2048)
                    for _ in range(self._copies(data) if self._child else 0):
                        self._child_side.sendto(data, self._child or ("", 0))
