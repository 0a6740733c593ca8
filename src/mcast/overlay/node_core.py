"""All the decisions of one overlay node: discovery and tree put together.

Told what happened (a packet, a closed connection, the time), it answers with actions. It
holds no socket, thread or clock, so a test wires a hundred of these in a dict and floods a
ring in a millisecond. It is not thread-safe: one thread owns it.
"""

from collections.abc import Mapping

from mcast.overlay.actions import Action, ConnectionId
from mcast.overlay.discovery import Discovery, found, miss
from mcast.overlay.tree import Streaming, Tree
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, StopReason, Stream


class NodeCore:
    """What one node, overlay or rendezvous point, knows and decides."""

    def __init__(self, me: Identity, *, rendezvous: bool = False) -> None:
        self.me, self.rendezvous = me, rendezvous
        self._discovery = Discovery(me)
        self._tree = Tree(me, self._route)
        self._neighbours: dict[str, float] = {}  # name -> round trip in ms
        self._offers: frozenset[str] = frozenset()
        self._doubts = ""
        self._now = 0.0

    # What the shell knows of the world

    def set_neighbours(self, round_trips_ms: Mapping[str, float]) -> None:
        """Say who can be asked, and how far away each is."""
        self._neighbours = dict(round_trips_ms)

    def set_offers(self, contents: frozenset[str], doubts: str = "") -> None:
        """Say (at the rendezvous point) what the servers have.

        `doubts` tells why the list may be incomplete, e.g. a server that has not answered
        yet: while there are any, a content that is not listed is no `absent`.
        """
        self._offers, self._doubts = contents, doubts

    @property
    def streaming(self) -> Mapping[str, Streaming]:
        """Return what this node streams, by content."""
        return self._tree.streaming

    # What happened

    def on_disc(self, disc: Disc, asker: ConnectionId, now: float) -> list[Action]:
        """A neighbour or a client asks who can give a content."""
        return self._discovery.on_disc(disc, asker, self._answer, self._neighbours, now)

    def on_found(self, request: bytes, neighbour: str, answer: Found, now: float) -> list[Action]:
        """A neighbour that was asked has a way."""
        return self._discovery.on_found(request, neighbour, answer, now)

    def on_miss(self, request: bytes, neighbour: str, answer: Miss) -> list[Action]:
        """A neighbour that was asked has none, or could not be asked."""
        return self._discovery.on_miss(request, neighbour, answer)

    def on_stream(self, stream: Stream, link: ConnectionId, now: float) -> list[Action]:
        """A child wants to be subscribed."""
        self._now = now
        return self._tree.on_stream(stream, link, now)

    def on_port(self, content: str, request: bytes, port: Port) -> list[Action]:
        """The upstream has taken this node in, or tells news."""
        return self._tree.on_port(content, request, port)

    def on_refused(self, content: str, request: bytes, reason: MissReason, text: str = "") -> list[Action]:
        """The upstream has refused this node, or could not be reached."""
        return self._tree.on_refused(content, request, reason, text)

    def on_upstream_end(
        self, content: str, reason: StopReason, last: int | None = None, text: str = ""
    ) -> list[Action]:
        """A stream has ended above."""
        return self._tree.on_upstream_end(content, reason, last, text)

    def on_fed(self, content: str, fed: bool) -> list[Action]:
        """Media has stopped to reach this node, or does so again."""
        return self._tree.on_fed(content, fed)

    def on_link_gone(self, link: ConnectionId) -> list[Action]:
        """A connection made to this node has closed, its lease is over, or it said STOP."""
        return [*self._discovery.on_asker_gone(link), *self._tree.on_link_gone(link)]

    def on_time(self, now: float) -> list[Action]:
        """Time has passed; to be called some ten times a second."""
        return [*self._discovery.on_time(now), *self._tree.on_time(now)]

    def on_shutdown(self) -> list[Action]:
        """This node leaves the overlay."""
        return self._tree.on_shutdown()

    # What it knows by itself

    def _answer(self, disc: Disc) -> Found | Miss | None:
        if self._tree.gives(disc.content, disc.excluded):
            return found(disc, self.me)
        if not self.rendezvous:
            return None
        if disc.content in self._offers:
            return found(disc, self.me)
        if self._doubts:
            return miss(disc, MissReason.CUT, self._doubts)
        return miss(disc, MissReason.ABSENT)

    def _route(self, stream: Stream) -> tuple[bool, str | None]:
        if self.rendezvous:
            return stream.content in self._offers, None
        neighbour = self._discovery.route(stream.request, self._now)
        return neighbour is not None, neighbour
