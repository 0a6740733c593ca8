"""Addresses as the kernel speaks them: resolving, and reading them off sockets.

Literal addresses never touch the resolver: where no name server answers (inside an emulator) a
single useless look-up costs 5 s.
"""

import errno
import socket
from ipaddress import IPv6Address
from typing import TypeAlias

from mcast.errors import ConfigError
from mcast.hostport import HostPort, IPAddress, literal_ip
from mcast.wire.endpoint import Endpoint

__all__ = [
    "IPAddress",
    "SockAddr",
    "endpoint_of",
    "family_of",
    "local_ip",
    "peer_ip",
    "resolve",
    "sockaddr_of",
    "unusable_address",
]

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


def resolve(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[SockAddr]:
    """Return the socket addresses of a host, the preferred one first, at least one.

    Raise ConfigError if the name is unknown. Names may block for as long as the resolver likes;
    literal addresses return at once.
    """
    ip = literal_ip(host)
    if ip is not None:
        return [sockaddr_of(ip, port)]
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "no valid name"
        raise ConfigError(f"cannot find the host '{host}': {reason}") from None
    return list(dict.fromkeys(_checked(info[4]) for info in found))


def sockaddr_of(ip: IPAddress, port: int) -> SockAddr:
    """Build what bind(), connect() and sendto() take; the scope of a link-local address is kept."""
    if isinstance(ip, IPv6Address):
        return (str(ip).partition("%")[0], port, 0, _scope_number(ip))
    return (str(ip), port)


def family_of(address: SockAddr) -> socket.AddressFamily:
    """Return the address family, known by the length of the tuple."""
    return socket.AF_INET if len(address) == 2 else socket.AF_INET6


def endpoint_of(address: SockAddr) -> Endpoint:
    """Read a socket address as the kernel gives it: IPv4-mapped becomes IPv4, scopes are kept."""
    ip = literal_ip(address[0])
    if ip is None:
        raise ValueError(f"{address[0]!r} is no literal address")
    if len(address) == 4 and address[3] and isinstance(ip, IPv6Address) and ip.scope_id is None:
        ip = IPv6Address(f"{ip}%{address[3]}")
    return Endpoint(ip, address[1])


def peer_ip(sock: socket.socket) -> IPAddress:
    """Return the address of the peer of a connected socket. Raise OSError if it is gone already."""
    return endpoint_of(_checked(sock.getpeername())).ip


def local_ip(sock: socket.socket) -> IPAddress:
    """Return the local address of a socket."""
    return endpoint_of(_checked(sock.getsockname())).ip


def unusable_address(address: HostPort, error: OSError) -> ConfigError:
    """Return an error that says why a socket could not be bound, and how to mend it."""
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {address.port} is in use on {address.host or 'this machine'}: choose another one"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"{address}: this machine has no address '{address.host}'")
    if error.errno == errno.EACCES:
        return ConfigError(f"{address}: no right to use port {address.port}: choose one above 1023")
    return ConfigError(f"cannot listen on {address}: {error.strerror or error}")


def _checked(address: object) -> SockAddr:
    """Narrow what the socket module calls an address (Any) to the two shapes of the internet."""
    match address:
        case (str(host), int(port)):
            return (host, port)
        case (str(host), int(port), int(flow), int(scope)):
            return (host, port, flow, scope)
        case _:
            raise OSError(errno.EAFNOSUPPORT, f"{address!r} is no internet address")


def _scope_number(ip: IPv6Address) -> int:
    scope = ip.scope_id
    if scope is None:
        return 0
    return int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
