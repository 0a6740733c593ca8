"""Find out which node calls: by the name that it gives, or by the address that it calls from."""

import logging
import threading
import time

from mcast.config.layout import Layout, NodeSpec
from mcast.config.tables import some
from mcast.errors import McastError
from mcast.hostport import IPAddress
from mcast.net.addresses import SockAddr, endpoint_of, resolve
from mcast.wire.bootstrap import Register
from mcast.wire.endpoint import Endpoint

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

    def find(self, layout: Layout, register: Register, peer: Endpoint) -> NodeSpec | str:
        """Return the node that calls, or a sentence that tells its user why there is none."""
        if register.name:
            named = layout.find_by_name(register.name)
            if named is not None:
                return named
            return f"no node is called '{register.name}' in {self._source} (nodes: {some(layout.nodes)})"
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
