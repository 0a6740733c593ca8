"""A content's children at one node: who waits for a parent's answer, and who has been taken in.

One source cannot have all places: when they are scarce, each is held to its share, but for neighbours of the
layout, who are counted under no source and have some room of their own.

The child inside this process (LOCAL, a client's output) waits and is taken in like any other; only
that nobody was found is told to it by `Fail`, as it has no request to be answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mcast.overlay.actions import (
    LOCAL,
    Accept,
    Action,
    ConnectionId,
    End,
    Fail,
    Parent,
    Path,
    Reply,
    SearchFailure,
    Update,
)
from mcast.shares import UNCOUNTED, Places, Source
from mcast.wire.identity import Identity, IdentityKind
from mcast.wire.node import MAX_PATH, Miss, MissReason, Stop, StopReason, Stream

MAX_CHILDREN = 4096
"""Children of one content at a time, and as many that wait. Beyond, or beyond its share for one address:
MISS(full)."""

CUT_RETRY_MS = 500
"""When who joins is to ask a node again that is cut off: most of what heals does so within a second."""


def cut_off(node: Identity | Parent) -> str:
    """Say of a node why it takes nobody in now."""
    return f"{node} is cut off from the source"


def refusal(stream: Stream, reason: MissReason, text: str = "", retry_ms: int = 0) -> Miss:
    """Answer a STREAM with no."""
    return Miss(
        request=stream.request, hops=stream.hops, content=stream.content, reason=reason, text=text,
        retry_ms=retry_ms,
    )  # fmt: skip


def _full() -> str:
    return f"{MAX_CHILDREN} children, or a quarter of that from one address"


def _places() -> Places[ConnectionId]:
    return Places(MAX_CHILDREN)


@dataclass(slots=True)
class Admission:
    """Children by the connection on which they have asked."""

    content: str
    waiters: dict[ConnectionId, Stream] = field(default_factory=dict)
    children: dict[ConnectionId, Stream] = field(default_factory=dict)
    _waiting: Places[ConnectionId] = field(default_factory=_places, repr=False, compare=False)
    _taken: Places[ConnectionId] = field(default_factory=_places, repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """Return whether nobody takes the content or waits for it."""
        return not self.waiters and not self.children

    def holds(self, connection: ConnectionId) -> bool:
        """Return whether this connection takes the content or waits for it."""
        return connection in self.children or connection in self.waiters

    def remove(self, connection: ConnectionId) -> bool:
        """Forget a child; tell whether it had been taken in."""
        self._waiting.leave(connection)
        self._taken.leave(connection)
        self.waiters.pop(connection, None)
        return self.children.pop(connection, None) is not None

    def wait_first(self, stream: Stream, connection: ConnectionId, source: Source = UNCOUNTED) -> None:
        """Let the first child wait: what is asked for is asked for it."""
        self._waiting.take(connection, source)
        self.waiters[connection] = stream

    def wait_behind(
        self, pending: bytes, stream: Stream, connection: ConnectionId, source: Source = UNCOUNTED
    ) -> list[Action]:
        """Let a child wait for what was asked under the id `pending`, or refuse it as busy."""
        if connection != LOCAL and pending >= stream.request:
            return [self.refuse(stream, connection, MissReason.BUSY)]
        if not self._waiting.take(connection, source, favoured=source == UNCOUNTED):
            return [self.refuse(stream, connection, MissReason.FULL, _full())]
        self.waiters[connection] = stream
        return []

    def admit(
        self, stream: Stream, connection: ConnectionId, path: Path, version: int, source: Source = UNCOUNTED
    ) -> list[Action]:
        """Take a child in, unless it is on the path itself or there is no room."""
        if connection != LOCAL and stream.sender in path:
            return [self.refuse(stream, connection, MissReason.LOOP)]
        if connection != LOCAL and len(path) > MAX_PATH:  # longer than PORT can tell
            return [self.refuse(stream, connection, MissReason.FULL, f"it is {MAX_PATH} hops away")]
        if not self._taken.take(connection, source, favoured=source == UNCOUNTED):
            return [self.refuse(stream, connection, MissReason.FULL, _full())]
        self.children[connection] = stream
        return [Accept(connection, stream, path, version)]

    def admit_all(self, path: Path, version: int) -> list[Action]:
        """Take in all who wait."""
        waiters, self.waiters = self.waiters, {}
        return [
            action
            for connection, stream in waiters.items()
            for action in self.admit(stream, connection, path, version, self._waiting.leave(connection))
        ]

    def refuse_all(
        self, reason: MissReason, text: str, failure: SearchFailure | None, retry_ms: int = 0
    ) -> list[Action]:
        """Tell all who wait that nothing comes of it."""
        waiters, self.waiters, self._waiting = self.waiters, {}, _places()
        return [
            self.refuse(stream, connection, reason, text, failure, retry_ms)
            for connection, stream in waiters.items()
        ]

    def refuse(
        self,
        stream: Stream,
        connection: ConnectionId,
        reason: MissReason,
        text: str = "",
        failure: SearchFailure | None = None,
        retry_ms: int = 0,
    ) -> Action:
        """Answer one child with no."""
        if connection == LOCAL:
            return Fail(self.content, failure or SearchFailure(reason, text, tries=0))
        return Reply(connection, refusal(stream, reason, text, retry_ms))

    def tell_all(
        self,
        path: Path,
        version: int,
        *,
        cut: bool,
        no_way: bool = False,
        leaving: bool = False,
        clients_only: bool = False,
    ) -> list[Action]:
        """Tell all children, or the clients among them, what has changed."""
        return [
            Update(connection, self.content, path, version, cut, no_way, leaving)
            for connection, stream in self.children.items()
            if not clients_only or stream.sender.kind is IdentityKind.CLIENT
        ]

    def end(
        self, connections: Iterable[ConnectionId], reason: StopReason, last: int | None, text: str
    ) -> list[Action]:
        """Send these children away."""
        ended: list[Action] = []
        for connection in connections:
            stream = self.children.pop(connection, None)
            self._taken.leave(connection)
            if stream is not None:
                stop = Stop(request=stream.request, content=self.content, reason=reason, last=last, text=text)
                ended.append(End(connection, stop))
        return ended
