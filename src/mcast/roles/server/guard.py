"""Who may ask a server: whoever is in `allow` of its file, and the host itself.

And who of these may say which SSRC and numbers a stream bears, and has some room kept for it: the rendezvous
points, if the file names them.
"""

from mcast.config.networks import Networks
from mcast.eventlog import event_extra
from mcast.hostport import IPAddress
from mcast.net.connection import Connection
from mcast.net.ratelimit import RateLimitedLog


class Guard:
    """Knows whom the file allows. Any thread may ask."""

    def __init__(self, allowed: Networks, file: str, rendezvous: Networks | None = None) -> None:
        """`rendezvous` is None where the file does not name them: then all who may ask are believed."""
        self._allowed, self._file, self._rendezvous = allowed, file, rendezvous

    def allow(self, allowed: Networks, rendezvous: Networks | None = None) -> None:
        """Put other networks in force, for connections and streams that begin from now on."""
        self._allowed, self._rendezvous = allowed, rendezvous

    def objection(self, connection: Connection) -> str | None:
        """Return why a connection gets no answer, None if it does."""
        peer, here = connection.peer.ip, connection.local.ip
        if peer == here or peer.is_loopback or peer in self._allowed:
            return None
        return f"{peer} is in no network of 'allow' in {self._file}: add it if this is the rendezvous point"

    def is_rendezvous(self, ip: IPAddress) -> bool:
        """Return whether the file names this address as a rendezvous point's: some room is kept for it."""
        rendezvous = self._rendezvous
        return rendezvous is not None and ip in rendezvous

    def disbelief(self, connection: Connection) -> str | None:
        """Return why a connection's word on SSRC and numbers does not count, None if it does."""
        peer, rendezvous = connection.peer.ip, self._rendezvous
        if rendezvous is None or peer in rendezvous:
            return None
        return f"{peer} is not in 'rendezvous' in {self._file}: add it if this is a rendezvous point"


def note_refusal(log: RateLimitedLog, kind: str, what: str, connection: Connection, reason: str) -> None:
    """Say that a connection was refused something; `log` counts each `kind` of it."""
    peer = connection.peer
    extra = event_extra("refused", whom=peer, reason=reason)
    log.warning(kind, "refused %s to %s: %s", what, peer, reason, extra=extra)
