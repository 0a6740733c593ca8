"""What only this machine can tell, asked before the search: better a clear error than three tries."""

import contextlib
import socket

from mcast.client.options import Options
from mcast.net.addresses import SockAddr, endpoint_of, family_of, resolve


def check_machine(options: Options) -> None:
    """Raises ConfigError if a neighbour's name is unknown, or if no media port is free.

    Looking up a name takes as long as the resolver likes; addresses are not looked up.
    """
    for neighbour in options.neighbours:
        address, *_ = resolve(neighbour.host, neighbour.port)
        if options.media_ports.low:
            _check_ports(options, address)


def _check_ports(options: Options, neighbour: SockAddr) -> None:
    # Connecting a UDP socket sends nothing; it tells from which address we would reach the neighbour.
    with contextlib.suppress(OSError), socket.socket(family_of(neighbour), socket.SOCK_DGRAM) as probe:
        probe.connect(neighbour)
        options.media_ports.open(endpoint_of(probe.getsockname()).ip).close()
