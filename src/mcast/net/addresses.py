"""Addresses as the kernel speaks them: resolving, and reading them off sockets.

Literal addresses never touch the resolver: where no name server answers (inside an emulator) a
single useless look-up costs 5 s and more, and nothing can interrupt it. So each look-up has a daemon
thread, which is abandoned when nobody wants to wait any more; who asks for the same name then waits for
the same thread, so there are never more of them than names.
"""

import errno
import socket
import threading
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TypeAlias

from mcast.errors import ConfigError, UnreachableError
from mcast.hostport import HostPort, IPAddress, literal_ip
from mcast.net.deadline import Deadline
from mcast.net.threads import NoThreadError, start_thread
from mcast.wire.endpoint import Endpoint

__all__ = [
    "IPAddress",
    "SockAddr",
    "endpoint_of",
    "family_of",
    "local_ip",
    "peer_ip",
    "resolve",
    "shared_endpoint",
    "sockaddr_of",
    "unusable_address",
]

_CANCEL_CHECK = 0.05
"""Seconds between two looks at whether anybody still waits."""

SHARED_ENDPOINTS = 16
"""How many are kept: a node listens at one port, on a few addresses."""

_MAX_SCOPE = 2**32 - 1
_MAX_SCOPE_DIGITS = 10

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


def resolve(
    host: str,
    port: int,
    timeout: Deadline | float | None = None,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[SockAddr]:
    """Return the socket addresses of a host, the preferred one first, at least one.

    Raise ConfigError if the name is unknown, or if a literal address names an interface that this machine
    does not have. Raise UnreachableError if no name server answers in time, or `cancelled`, which is asked
    every 50 ms, says that nobody wants to know any more. Literal addresses return at once.
    """
    ip = literal_ip(host)
    if ip is not None:
        return [sockaddr_of(ip, port)]
    deadline = Deadline.of(timeout)
    look_up = _look_up(host, port)
    while not look_up.done.wait(deadline.sooner(_CANCEL_CHECK).timeout()):
        if cancelled():
            raise UnreachableError(f"cannot find the host '{host}': given up")
        if deadline.expired:
            raise UnreachableError(f"cannot find the host '{host}': no name server answers")
    return look_up.result()


class _LookUp:
    """One question to the resolver."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self._host, self._port = host, port
        self._found: list[SockAddr] = []
        self._reason = ""
        self._is_passing = False  # no name server has answered; one may soon
        self._thread = threading.Thread(target=self._run, name=f"look-up-{host}", daemon=True)
        try:
            start_thread(self._thread)
        except NoThreadError as error:  # as if no name server answered: it may pass
            raise UnreachableError(f"cannot find the host '{host}': {error}") from None

    def result(self) -> list[SockAddr]:
        """Return what was found. Raises ConfigError if nothing was, UnreachableError if nobody answered."""
        self._thread.join()  # it has said its last word
        if not self._found:
            kind = UnreachableError if self._is_passing else ConfigError
            raise kind(f"cannot find the host '{self._host}': {self._reason}")
        return list(self._found)

    def _run(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._found = list(dict.fromkeys(_checked(info[4]) for info in found))
        except UnicodeError:
            self._reason = "no valid name"
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._is_passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        finally:
            with _look_ups_lock:
                del _look_ups[self._host, self._port]
            self.done.set()


_look_ups: dict[tuple[str, int], _LookUp] = {}  # those that are under way
_look_ups_lock = threading.Lock()


def _look_up(host: str, port: int) -> _LookUp:
    """Ask the resolver, or wait for an answer together with who has asked before."""
    with _look_ups_lock:
        found = _look_ups.get((host, port))
        if found is None:
            found = _look_ups[host, port] = _LookUp(host, port)
        return found


def sockaddr_of(ip: IPAddress, port: int) -> SockAddr:
    """Build what bind(), connect() and sendto() take; the scope of a link-local address is kept.

    Raise ConfigError if that is no interface of this machine.
    """
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


@lru_cache(maxsize=SHARED_ENDPOINTS)
def shared_endpoint(address: SockAddr) -> Endpoint:
    """Read a socket address that many have: that of a listener is the near end of all who connect to it."""
    return endpoint_of(address)


def peer_ip(sock: socket.socket) -> IPAddress:
    """Return the address of the peer of a connected socket. Raise OSError if it is gone already."""
    return endpoint_of(_checked(sock.getpeername())).ip


def local_ip(sock: socket.socket) -> IPAddress:
    """Return the local address of a socket."""
    return endpoint_of(_checked(sock.getsockname())).ip


def unusable_address(address: HostPort, error: OSError, holder: str = "") -> ConfigError:
    """Return an error that says why a socket could not be bound, and how to mend it.

    `holder` is the program of ours that has the port already, where that is known.
    """
    if error.errno == errno.EADDRINUSE and holder:
        return ConfigError(
            f"{holder} runs here already, at port {address.port}: stop it first, or choose another port"
        )
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
    """Return the number of the interface that an address names, 0 if it names none. Raises ConfigError."""
    scope = ip.scope_id
    if scope is None:
        return 0
    if scope.isascii() and scope.isdigit() and len(scope) <= _MAX_SCOPE_DIGITS:
        number = int(scope)
        if number <= _MAX_SCOPE:
            return number
    try:
        return socket.if_nametoindex(scope)
    except (OSError, ValueError):  # ValueError: what no name can have, like a NUL
        raise ConfigError(f"'{ip}': this machine has no interface '{scope}'") from None
