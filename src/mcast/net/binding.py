"""Sockets that listen for TCP connections at HOST:PORT."""

import socket

from mcast.hostport import HostPort
from mcast.net.addresses import SockAddr, family_of, resolve, unusable_address
from mcast.net.holder import holder_of
from mcast.net.threads import OnCrash
from mcast.net.waiting import Waiting

BACKLOG = 1024
"""Connections that wait for accept(): the default of 128 overflows when an audience joins at once."""


def listen(address: HostPort, on_crash: OnCrash) -> list[socket.socket]:
    """Return sockets that listen, one for each address that a host stands for, all at one port.

    An empty host and `::` are every address, IPv4 and IPv6. A name may take its time: the log says so.
    Raises ConfigError, which names the port, and UnreachableError if no name server answers.
    """
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for candidate in _candidates(address, on_crash):
            sock = _bound(candidate, port)
            sockets.append(sock)
            port = sock.getsockname()[1]  # a name with several addresses has one port
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise unusable_address(address._replace(port=port), error, holder_of(address, error)) from None
    return sockets


def _candidates(address: HostPort, on_crash: OnCrash) -> list[SockAddr]:
    if address.host in ("", "::"):
        return [("::", 0, 0, 0)] if socket.has_dualstack_ipv6() else [("0.0.0.0", 0)]
    with Waiting(f"the address of {address.host}, to listen there", on_crash):
        return resolve(address.host, address.port)


def _bound(address: SockAddr, port: int) -> socket.socket:
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Lets a restarted program have its port back although old connections linger in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        sock.bind((address[0], port, *address[2:]))
        sock.listen(BACKLOG)  # here, as only this shows for sure whether the port is free
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
