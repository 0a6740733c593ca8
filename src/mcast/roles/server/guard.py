"""Who may ask a server: whoever is in `allow` of its file, and the host itself."""

from mcast.config.networks import Networks
from mcast.net.connection import Connection


class Guard:
    """Knows whom the file allows. Any thread may ask."""

    def __init__(self, allowed: Networks, file: str) -> None:
        self._allowed, self._file = allowed, file

    def allow(self, allowed: Networks) -> None:
        """Put other networks in force, for connections that are made from now on."""
        self._allowed = allowed

    def objection(self, connection: Connection) -> str | None:
        """Return why a connection gets no answer, None if it does."""
        peer, here = connection.peer.ip, connection.local.ip
        if peer == here or peer.is_loopback or peer in self._allowed:
            return None
        return f"{peer} is in no network of 'allow' in {self._file}: add it if this is the rendezvous point"
