"""What only this machine can tell, asked before the search: better a clear error than three tries."""

import contextlib
import socket
from collections.abc import Callable

from mcast.client.options import Options
from mcast.net.addresses import SockAddr, endpoint_of, family_of, resolve
from mcast.net.deadline import Deadline


def check_machine(options: Options, cancelled: Callable[[], bool] = lambda: False) -> None:
    """Raises ConfigError if a neighbour's name is unknown, or if no media port is free.

    Raises UnreachableError if the names cannot be looked up within the time to search, or `cancelled` says
    that nobody wants to know any more. Addresses are not looked up.
    """
    deadline = Deadline(options.patience)
    for neighbour in options.neighbours:
        address, *_ = resolve(neighbour.host, neighbour.port, deadline, cancelled=cancelled)
        if options.media_ports.low:
            _check_ports(options, address)


def _check_ports(options: Options, neighbour: SockAddr) -> None:
    # Connecting a UDP socket sends nothing; it tells from which address we would reach the neighbour.
    with contextlib.suppress(OSError), socket.socket(family_of(neighbour), socket.SOCK_DGRAM) as probe:
        probe.connect(neighbour)
        options.media_ports.open(endpoint_of(probe.getsockname()).ip).close()
