"""A service manager for tests: a datagram socket that remembers nothing and hears everything."""

import socket

from helpers import PATIENCE
from mcast.net.deadline import Deadline


class Manager:
    """A service manager's socket, and what has come to it."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE)
        self.address = address

    def hear(self) -> str:
        """Wait for the next datagram."""
        return self._socket.recv(4096).decode()

    def hear_until(self, word: str) -> list[str]:
        """Wait for a datagram that holds a word; return all that came, it included."""
        heard, deadline = [self.hear()], Deadline(PATIENCE)
        while word not in heard[-1]:  # a sign of life comes again and again
            assert not deadline.expired, f"waited for {word!r}, and heard {heard}"
            heard.append(self.hear())
        return heard

    def hears_nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()
