"""A content's UDP sockets: a common one per local address, and one per child.

Children say hello to the common socket. Each child then has a socket of its own, bound to the same
address and port (SO_REUSEPORT) and connected to the child: the kernel gives it exactly that
child's packets, and the common socket the rest.
"""

import socket
import threading
from collections.abc import Callable
from functools import partial

from mcast.media.feedback import FeedbackReader
from mcast.net.addresses import IPAddress, SockAddr
from mcast.net.ports import MediaPorts
from mcast.net.udp import open_udp, share_port


def open_common(ports: MediaPorts, local_ip: IPAddress) -> socket.socket:
    """Open the common socket of a content at a local address. Raises ConfigError if no port is free."""
    sock = ports.open(local_ip)
    share_port(sock)
    return sock


class ChildSockets:
    """Opens sockets and has the reader read them."""

    def __init__(
        self, ports: MediaPorts, reader: FeedbackReader, on_readable: Callable[[socket.socket], None]
    ) -> None:
        self._ports, self._reader, self._on_readable = ports, reader, on_readable
        self._lock = threading.Lock()
        self._common: dict[IPAddress, socket.socket] = {}

    def port_at(self, local_ip: IPAddress) -> int:
        """Return the port at a local address; its socket is opened if need be. Raises ConfigError."""
        with self._lock:
            sock = self._common.get(local_ip)
            if sock is None:
                sock = open_common(self._ports, local_ip)
                self._take(local_ip, sock)
            port: int = sock.getsockname()[1]
            return port

    def adopt(self, local_ip: IPAddress, sock: socket.socket) -> None:
        """Have this as the common socket of an address: another process has opened it, and told its port."""
        with self._lock:
            if local_ip in self._common:  # it has come before: no second copy
                sock.close()
            else:
                self._take(local_ip, sock)

    def _take(self, local_ip: IPAddress, sock: socket.socket) -> None:
        self._common[local_ip] = sock
        self._reader.call(partial(self._reader.register, sock, self._on_readable))

    def common_at(self, local_ip: IPAddress) -> socket.socket | None:
        """Return the common socket of an address, None if there is none (yet)."""
        with self._lock:
            return self._common.get(local_ip)

    def connect(
        self, local_ip: IPAddress, address: SockAddr, on_readable: Callable[[socket.socket], None]
    ) -> socket.socket:
        """Make a child's socket, which `on_readable` reads. In the feedback thread. Raises OSError."""
        sock = open_udp(local_ip, self.port_at(local_ip), shared=True)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self._reader.register(sock, on_readable)
        return sock

    def close(self) -> None:
        """Close the common sockets. In the feedback thread."""
        for sock in self._common.values():
            self._reader.close(sock)
