"""Waits until this machine has the addresses at which a service is to listen.

A service may start before its network is there: `network-online.target` does not wait for an interface that
Debian calls allow-hotplug, a switch boots more slowly than the host behind it, an IPv6 address is of no use
until nobody else has turned out to have it (RFC 4862, 5.4), and a VPN comes up when it does. Nobody stands by
to start the service again. So where a service manager listens, it is told what is waited for. After PATIENCE
the program ends with status 4, which has `systemctl start` tell whoever has mistyped the address, and the
manager starts it anew. On a terminal nobody waits: a mistake is told at once, with status 2.

Decided against IP_FREEBIND, which binds a socket to an address that is not there. The service would be active
and reach nobody, after a mistyped address for ever; and it helps neither a name that no name server tells
yet, nor a link-local address whose interface is missing.
"""

import errno
import logging
import socket
import threading

from mcast.errors import ConfigError, UnreachableError
from mcast.hostport import HostPort
from mcast.net.addresses import SockAddr, family_of, resolve
from mcast.net.deadline import Deadline
from mcast.roles.service_manager import ServiceManager

logger = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for all addresses of a program together: less than the units' TimeoutStartSec."""
LOOK_EACH = 0.25
"""Seconds between two looks."""


def wait_for_own(manager: ServiceManager, stop: threading.Event, *addresses: HostPort | None) -> bool:
    """Return whether to go on: True once this machine has the addresses, False if the user wants to go.

    Raises UnreachableError if it still lacks one after PATIENCE. Where no manager listens, and for what else
    may be wrong with an address, it returns at once: whoever listens there will say so.
    """
    deadline = Deadline(PATIENCE)
    wanted = addresses if manager.listens else ()
    return all(_wait(manager, stop, each, deadline) for each in wanted if each is not None)


def _wait(manager: ServiceManager, stop: threading.Event, address: HostPort, deadline: Deadline) -> bool:
    if address.host and address.ip is None:
        manager.status(f"waiting: the address of {address.host}, to listen there")
    is_told = False
    while lack := _lack(address, deadline, stop):
        if stop.is_set():
            return False
        if deadline.expired:
            raise UnreachableError(
                f"{address}: {lack}, after {PATIENCE:g} s: check the address and the network"
            )
        if not is_told:
            logger.warning("%s: %s: waiting for it", address, lack)
            manager.status(f"waiting: {lack}")
            is_told = True
        stop.wait(deadline.sooner(LOOK_EACH).timeout())
    if is_told:
        logger.info("this machine has %s now", address.host)
    return True


def _lack(address: HostPort, deadline: Deadline, stop: threading.Event) -> str:
    """Return why nothing can listen at an address yet; empty if something can, or never will."""
    if address.host in ("", "::"):
        return ""
    try:
        found = resolve(address.host, address.port, deadline, cancelled=stop.is_set)
    except UnreachableError as error:
        return str(error)
    except ConfigError as error:  # of a name: nobody knows it; of an address: its interface is missing
        return "" if address.ip is None else str(error)
    missing = [each[0] for each in found if not _is_own(each)]
    return f"this machine has no address '{missing[0]}'" if missing else ""


def _is_own(address: SockAddr) -> bool:
    try:
        with socket.socket(family_of(address), socket.SOCK_STREAM) as probe:
            probe.bind((address[0], 0, *address[2:]))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV)
    return True
