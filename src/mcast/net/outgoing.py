"""The way out of a connection: frames, each of them whole, one after another, from any thread.

Most senders send a frame in one call, within a time. Who sends to many and waits for none of them *begins* a
frame: what the peer does not take at once goes out when there is room again.
"""

import socket
import threading

from mcast.net.deadline import Deadline
from mcast.net.waker import wait_writable

TURN = 0.2
"""Seconds that even a hurried sender waits for another thread's frame to go out: that takes microseconds, and
longer only on a busy machine. Behind a frame that its peer does not take nobody hurried waits."""

_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_NOTHING = memoryview(b"")


class Outgoing:
    """What goes out on one socket, which it does not own.

    Methods raise BlockingIOError if the peer takes nothing in time, OSError if it is lost. A frame that did
    not go out whole leaves the connection useless.
    """

    __slots__ = ("_is_blocked", "_rest", "_sock", "_turn")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._turn = threading.Lock()  # whose frame it is
        self._is_blocked = False  # that one waits for its peer
        self._rest = _NOTHING  # of the frame that was begun

    def send(self, frame: bytes, deadline: Deadline) -> None:
        """Send a frame."""
        self._take_turn(deadline)
        try:
            rest = memoryview(frame)
            while rest := self._send_some(rest):
                self._is_blocked = True
                if deadline.expired or not wait_writable([self._sock.fileno()], deadline):
                    raise BlockingIOError
        finally:
            self._end_turn()

    def begin(self, frame: bytes) -> bool:
        """Send what the peer takes at once of a frame; return whether that is all.

        If it is not, nobody else sends until the caller has gone on to the end, or given up.
        """
        self._take_turn(Deadline(0))
        self._rest = memoryview(frame)
        return self.go_on()

    def go_on(self) -> bool:
        """Send what the peer takes by now of the frame that was begun; return whether that is the rest."""
        try:
            self._rest = self._send_some(self._rest)
        except OSError:
            self.give_up()
            raise
        if is_out := not self._rest:
            self._end_turn()
        else:
            self._is_blocked = True
        return is_out

    def give_up(self) -> None:
        """Let nobody wait any longer for the frame that was begun. Harmless if there is none."""
        if self._rest:
            self._rest = _NOTHING
            self._end_turn()

    def _take_turn(self, deadline: Deadline) -> None:
        left = deadline.timeout()
        most = -1 if left is None else left if self._is_blocked else max(left, TURN)
        if not self._turn.acquire(timeout=most):
            raise BlockingIOError

    def _end_turn(self) -> None:
        self._is_blocked = False
        self._turn.release()

    def _send_some(self, rest: memoryview) -> memoryview:
        """Send what the peer takes now; return what is left."""
        while rest:
            try:
                rest = rest[self._sock.send(rest, _FLAGS) :]
            except BlockingIOError:
                break
        return rest
