"""A content's UDP sockets: a door per local address, and a socket per child.

Children say hello at a door. Each child then has a socket of its own, bound to the door's address
and port (SO_REUSEPORT) and connected to the child: the kernel gives it exactly that child's
packets, and the door the rest.
"""

import socket
import threading
from collections.abc import Callable

from mcast.media.feedback import FeedbackReader
from mcast.net.addresses import IPAddress, SockAddr
from mcast.net.ports import MediaPorts
from mcast.net.udp import open_udp, share_port


class ChildSockets:
    """Opens sockets and has the reader read them."""

    def __init__(
        self, ports: MediaPorts, reader: FeedbackReader, on_readable: Callable[[socket.socket], None]
    ) -> None:
        self._ports, self._reader, self._on_readable = ports, reader, on_readable
        self._lock = threading.Lock()
        self._doors: dict[IPAddress, socket.socket] = {}

    def port_at(self, local_ip: IPAddress) -> int:
        """Return the port of the door at an address; open it first if need be. Raises ConfigError."""
        with self._lock:
            door = self._doors.get(local_ip)
            if door is None:
                door = self._doors[local_ip] = self._ports.open(local_ip)
                share_port(door)
                opened = door
                self._reader.call(lambda: self._reader.register(opened, self._on_readable))
            port: int = door.getsockname()[1]
            return port

    def connect(self, local_ip: IPAddress, address: SockAddr) -> socket.socket:
        """Make a child's socket. In the reader's thread. Raises OSError."""
        sock = open_udp(local_ip, self.port_at(local_ip), shared=True)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self._reader.register(sock, self._on_readable)
        return sock

    def close(self) -> None:
        """Close the doors. In the reader's thread."""
        for door in self._doors.values():
            self._reader.close(door)
