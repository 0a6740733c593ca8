"""Find out which node calls: by the name that it gives, or by the address that it calls from.

Where the layout is open to all, a node of the file may be on another host than the file says. Then it is
reached where it calls from, as a newcomer is: whoever else is at the file's address, it is not there.
"""

import logging
import threading
import time
from dataclasses import replace

from mcast.config.layout import Layout, NodeSpec
from mcast.config.tables import some
from mcast.errors import McastError
from mcast.hostport import HostPort, IPAddress, literal_ip
from mcast.net.addresses import SockAddr, endpoint_of, resolve
from mcast.net.connection import Connection
from mcast.wire.bootstrap import Register

logger = logging.getLogger(__name__)

RESOLVED_TTL = 30.0
"""Seconds for which a host name's addresses are remembered: many callers must not flood the resolver."""
RESOLVE_SECONDS = 5.0
"""For a name server to answer: as long as a node waits for its place."""


class Identification:
    """Finds callers in a layout. Any thread may ask; to look up a host name may take seconds."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._names = _Names()

    def give_up(self) -> None:
        """Have nobody wait for a resolver any more."""
        self._names.given_up.set()

    def find(self, layout: Layout, register: Register, connection: Connection) -> NodeSpec | str:
        """Return the node that calls and where it is reached, or a sentence that tells why there is none."""
        peer = connection.peer
        if register.name:
            named = layout.find_by_name(register.name)
            if named is None:
                return self._newcomer(layout, register, connection)
            if not layout.open.to_all and _is_here(connection):  # who is on this very host may end us as well
                return named
            if self._calls_from_its_own(layout, named, connection):
                return named
            if layout.open.to_all:
                return _elsewhere(named, register, connection)
            return (
                f"'{named.name}' does not call from {peer.ip}, says {self._source}: add it to the aliases of "
                f"nodes.{named.name}, or write open = true to let any address bear any name"
            )
        found = layout.find_by_address(peer.ip, register.port, self._names.resolve)
        if len(found) == 1:
            return found[0]
        if not found:
            return (
                f"no node has the address {peer.ip} in {self._source}: "
                "add it as its address or alias, or start the node with --name NAME"
            )
        names = some([node.name for node in found])
        return f"several nodes may call from {peer.ip} ({names}): start the node with --name NAME"

    def _newcomer(self, layout: Layout, register: Register, connection: Connection) -> NodeSpec | str:
        """Return a node that the file does not name, if it may join."""
        name, ip = register.name, connection.peer.ip
        if not layout.open:
            return f"no node is called '{name}' in {self._source} (nodes: {some(layout.nodes)})"
        if not layout.open.admits(name, ip):
            return (
                f"{self._source} does not name '{name}', and is open to {layout.open}: neither {ip} nor the "
                "name is among these"
            )
        if not register.port:
            return (
                f"{self._source} does not name '{name}': start it with --address HOST:PORT, so that others "
                "know where it listens"
            )
        if ip.version == 6 and ip.is_link_local:
            return f"{ip} is link-local, it means nothing on other hosts: call from another address"
        # What TCP has proven, and nothing that it says: nobody can have others connect to a third one.
        return NodeSpec(name, HostPort(str(ip), register.port))

    def _calls_from_its_own(self, layout: Layout, node: NodeSpec, connection: Connection) -> bool:
        ip = connection.peer.ip
        hosts = layout.hosts_of(node.name)
        literal = [literal_ip(host) for host in hosts]
        return ip in literal or any(
            ip in self._names.resolve(host)
            for host, found in zip(hosts, literal, strict=True)
            if found is None
        )


def _elsewhere(node: NodeSpec, register: Register, connection: Connection) -> NodeSpec:
    """Return a node of the file that calls from an address which is none of its own."""
    ip, port = connection.peer.ip, register.port or node.address.port
    # Two addresses tell nothing of where others reach a node: one of this very host, which has more of them
    # (but that the node listens at another port than the file says, does), and one that holds on one link.
    if (_is_here(connection) and port == node.address.port) or (ip.version == 6 and ip.is_link_local):
        return node
    return replace(node, address=HostPort(str(ip), port))


def _is_here(connection: Connection) -> bool:
    """Return whether a caller is on this very host."""
    return connection.peer.ip.is_loopback or connection.peer.ip == connection.local.ip


class _Names:
    """The addresses of the layout's host names, remembered for RESOLVED_TTL. Any thread may ask."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, tuple[IPAddress, ...]]] = {}

    def resolve(self, host: str) -> tuple[IPAddress, ...]:
        now = time.monotonic()
        with self._lock:
            until, ips = self._known.get(host, (0.0, ()))
        if now < until or self.given_up.is_set():
            return ips
        try:
            ips = tuple(endpoint_of(address).ip for address in self._look_up(host))
        except McastError as error:
            logger.debug("! %s", error)
            ips = ()
        with self._lock:
            self._known[host] = (now + RESOLVED_TTL, ips)
        return ips

    def _look_up(self, host: str) -> list[SockAddr]:
        return resolve(host, 0, RESOLVE_SECONDS, cancelled=self.given_up.is_set)
