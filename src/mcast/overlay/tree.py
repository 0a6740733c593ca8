"""One node's part of the distribution trees: whom it follows, and who follows it.

A content is in one of three states here:

    absent     --STREAM-->     following   upstream asked, children wait for its answer
    following  --PORT-->       streaming   media flows from the upstream to the children
    following  --last waiter leaves, MISS, time over--> absent
    streaming  --last child leaves, upstream ends-->    absent

**Who may wait.** Concurrent STREAMs for one content make one follow, but one may wait only
behind a follow with a *smaller* request id; otherwise it gets MISS(busy) at once and its
client tries again with a new id. A follow under id r waits at the next node only behind an
id below r, so along any chain of waiting nodes the ids fall, and no chain can close to a
ring: nobody waits for ever.

**No loops.** PORT names the path from the rendezvous point. A node that finds itself in it
leaves that parent; a child that is in it is refused. A node that is cut off from the source
takes nobody in, so it cannot attach below itself while its news is still on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mcast.overlay.actions import (
    Accept,
    Action,
    CloseUpstream,
    ConnectionId,
    Dismiss,
    End,
    Follow,
    OpenRelay,
    Path,
    Reply,
    Update,
)
from mcast.wire.identity import Identity
from mcast.wire.node import Miss, MissReason, Port, Stop, StopReason, Stream
from mcast.wire.position import Position

FOLLOW_TIMEOUT = 5.0
"""Seconds until an upstream must have answered STREAM: more than a TCP connect at 25 % loss."""
MAX_CONTENTS = 256
"""Contents that one node relays at a time. Beyond: MISS(full)."""
MAX_CHILDREN = 4096
"""Children of one content at a time. Beyond: MISS(full)."""


@dataclass(slots=True)
class Following:
    """The upstream has been asked; these children wait for what it says."""

    request: bytes
    via: str | None
    deadline: float
    waiters: dict[ConnectionId, Stream] = field(default_factory=dict)


@dataclass(slots=True)
class Streaming:
    """The upstream has answered; these children are fed."""

    via: str | None
    path: Path
    position: Position
    upstream_version: int
    version: int = 1
    fed: bool = True
    children: dict[ConnectionId, Stream] = field(default_factory=dict)


def refusal(stream: Stream, reason: MissReason, text: str = "") -> Miss:
    """Answer a STREAM with no."""
    return Miss(request=stream.request, source=None, hops=stream.hops, content=stream.content, port=0,
                reason=reason, text=text)  # fmt: skip


def ending(stream: Stream, reason: StopReason, last: int | None = None, text: str = "") -> Stop:
    """Tell a child that the stream it took ends."""
    return Stop(request=stream.request, source=None, hops=0, content=stream.content, port=0,
                reason=reason, last=last, text=text)  # fmt: skip


class Tree:
    """Per content, the follow or the stream. Times are monotonic seconds."""

    def __init__(self, me: Identity, route: Callable[[Stream], tuple[bool, str | None]]) -> None:
        """`route` says where a STREAM goes on: (known?, neighbour or None for a server)."""
        self._me, self._route = me, route
        self._following: dict[str, Following] = {}
        self._streaming: dict[str, Streaming] = {}

    @property
    def streaming(self) -> dict[str, Streaming]:
        """Return the streams, by content. Not to be changed."""
        return self._streaming

    def gives(self, content: str, excluded: tuple[Identity, ...] = ()) -> bool:
        """Tell whether a new child would be fed from here, by nodes that are not excluded."""
        stream = self._streaming.get(content)
        return stream is not None and stream.fed and not set(excluded) & set(stream.path)

    def on_stream(self, stream: Stream, link: ConnectionId, now: float) -> list[Action]:
        """Take in a child's request to be subscribed."""
        if (running := self._streaming.get(stream.content)) is not None:
            return [self._attach(running, stream, link)]
        if (pending := self._following.get(stream.content)) is not None:
            return self._wait(pending, stream, link)
        return self._follow(stream, link, now)

    def on_port(self, content: str, request: bytes, port: Port) -> list[Action]:
        """Take in the upstream's answer, or news that it sends later on the same subscription."""
        if (running := self._streaming.get(content)) is not None:
            return self._on_news(content, running, port)
        pending = self._following.get(content)
        if pending is None or pending.request != request:
            return []  # cancelled meanwhile: the shell has closed, or is closing, that connection
        del self._following[content]
        if self._me in port.path:
            return [*_refuse_all(pending, MissReason.LOOP), CloseUpstream(content, StopReason.UNSUBSCRIBE)]
        return self._open(content, pending, port)

    def on_refused(self, content: str, request: bytes, reason: MissReason, text: str = "") -> list[Action]:
        """Take in that the follow has failed: the upstream's MISS, or it could not be reached."""
        pending = self._following.get(content)
        if pending is None or pending.request != request:
            return []
        del self._following[content]
        return [*_refuse_all(pending, reason, text), CloseUpstream(content, StopReason.UNSUBSCRIBE)]

    def on_upstream_end(
        self, content: str, reason: StopReason, last: int | None = None, text: str = ""
    ) -> list[Action]:
        """Take in that a stream has ended above: tell the children, and forget it."""
        running = self._streaming.pop(content, None)
        if running is None:
            return []
        ends = [End(link, ending(s, reason, last, text)) for link, s in running.children.items()]
        return [*ends, CloseUpstream(content, StopReason.UNSUBSCRIBE)]

    def on_fed(self, content: str, fed: bool) -> list[Action]:
        """Take in whether media still reaches this node; a change is told to the children at once."""
        running = self._streaming.get(content)
        if running is None or running.fed == fed:
            return []
        running.fed = fed
        return self._tell_children(content, running)

    def on_link_gone(self, link: ConnectionId) -> list[Action]:
        """Remove a child that has left, in whichever state; prune what nobody takes any more."""
        return [
            *(action for content in list(self._streaming) for action in self._leave(content, link)),
            *(action for content in list(self._following) for action in self._stop_waiting(content, link)),
        ]

    def on_time(self, now: float) -> list[Action]:
        """Give up the follows that nobody has answered."""
        late = [(c, f.request) for c, f in self._following.items() if f.deadline <= now]
        return [action for content, request in late
                for action in self.on_refused(content, request, MissReason.DEADLINE)]  # fmt: skip

    def on_shutdown(self) -> list[Action]:
        """Leave every stream: children get STOP(leaving), upstreams STOP."""
        ends = [action for content in list(self._streaming)
                for action in self.on_upstream_end(content, StopReason.LEAVING)]  # fmt: skip
        pending = [(content, f.request) for content, f in self._following.items()]
        refused = [action for content, request in pending
                   for action in self.on_refused(content, request, MissReason.GONE, "leaving")]  # fmt: skip
        return [*ends, *refused]

    def _attach(self, running: Streaming, stream: Stream, link: ConnectionId) -> Action:
        if stream.sender in running.path:
            return Reply(link, refusal(stream, MissReason.LOOP))
        if not running.fed:
            return Reply(link, refusal(stream, MissReason.CUT))
        if len(running.children) >= MAX_CHILDREN:
            return Reply(link, refusal(stream, MissReason.FULL, f"{MAX_CHILDREN} children"))
        running.children[link] = stream
        return Accept(link, stream, running.path, running.version)

    def _wait(self, pending: Following, stream: Stream, link: ConnectionId) -> list[Action]:
        if pending.request >= stream.request:
            return [Reply(link, refusal(stream, MissReason.BUSY))]
        if len(pending.waiters) >= MAX_CHILDREN:
            return [Reply(link, refusal(stream, MissReason.FULL, f"{MAX_CHILDREN} children"))]
        pending.waiters[link] = stream
        return []

    def _follow(self, stream: Stream, link: ConnectionId, now: float) -> list[Action]:
        known, via = self._route(stream)
        if not known:
            return [Reply(link, refusal(stream, MissReason.GONE))]
        if len(self._following) + len(self._streaming) >= MAX_CONTENTS:
            return [Reply(link, refusal(stream, MissReason.FULL, f"{MAX_CONTENTS} contents"))]
        pending = Following(stream.request, via, now + FOLLOW_TIMEOUT, {link: stream})
        self._following[stream.content] = pending
        return [Follow(stream.content, stream.request, via, stream.hops + 1)]

    def _open(self, content: str, pending: Following, port: Port) -> list[Action]:
        running = Streaming(pending.via, (*port.path, self._me), port.stream, port.version, fed=not port.cut)
        self._streaming[content] = running
        attached = [self._attach(running, stream, link) for link, stream in pending.waiters.items()]
        if not running.children:
            del self._streaming[content]
            return [*attached, CloseUpstream(content, StopReason.UNSUBSCRIBE)]
        return [OpenRelay(content, port.stream), *attached]

    def _on_news(self, content: str, running: Streaming, port: Port) -> list[Action]:
        if port.version <= running.upstream_version:
            return []  # an older one, overtaken
        if self._me in port.path:
            return self.on_upstream_end(content, StopReason.CUT, text="the parent is below this node")
        if port.stream.ssrc != running.position.ssrc:
            return self.on_upstream_end(content, StopReason.REPLACED, text="the stream was begun anew")
        running.upstream_version = port.version
        running.path, running.fed = (*port.path, self._me), not port.cut
        return self._tell_children(content, running)

    def _tell_children(self, content: str, running: Streaming) -> list[Action]:
        running.version += 1
        return [
            Update(link, content, running.path, running.version, cut=not running.fed)
            for link in running.children
        ]

    def _leave(self, content: str, link: ConnectionId) -> list[Action]:
        running = self._streaming[content]
        if running.children.pop(link, None) is None:
            return []
        if running.children:
            return [Dismiss(link, content)]
        del self._streaming[content]
        return [Dismiss(link, content), CloseUpstream(content, StopReason.UNSUBSCRIBE)]

    def _stop_waiting(self, content: str, link: ConnectionId) -> list[Action]:
        pending = self._following[content]
        if pending.waiters.pop(link, None) is None or pending.waiters:
            return []
        del self._following[content]
        return [CloseUpstream(content, StopReason.UNSUBSCRIBE)]


def _refuse_all(pending: Following, reason: MissReason, text: str = "") -> list[Action]:
    return [Reply(link, refusal(stream, reason, text)) for link, stream in pending.waiters.items()]
