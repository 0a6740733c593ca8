"""The socket that hears a parent: bound before a stream is asked for, connected when the answer is yes."""

import socket

from mcast.net.addresses import IPAddress, sockaddr_of
from mcast.net.ports import MediaPorts
from mcast.net.udp import enable_merging, request_receive_buffer


def open_media_socket(local_ip: IPAddress, ports: MediaPorts) -> tuple[socket.socket, int]:
    """Bind the socket that will hear a parent; return it and the receive buffer granted (for STREAM).

    To be bound to the control connection's local address, and connected (`connect_media_socket`) once the
    parent's PORT has come. Raises ConfigError.
    """
    sock = ports.open(local_ip)
    granted = request_receive_buffer(sock)
    enable_merging(sock)
    return sock, granted


def connect_media_socket(sock: socket.socket, parent_ip: IPAddress, port: int) -> None:
    """Accept media only from the parent's address and PORT's port. Raises OSError."""
    sock.connect(sockaddr_of(parent_ip, port))
