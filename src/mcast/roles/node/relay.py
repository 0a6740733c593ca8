"""One content at one node: the `Receiver` that receives it, the `Fanout` that sends it on.

    parents --UDP--> Receiver (a forwarder's thread) --train--> Fanout --UDP--> children

A relay never waits: a train is forwarded in the thread that received it, at once and as it came.
Order and completeness are restored by the final receiver.
"""

import os
import socket
from collections.abc import Mapping

from mcast.media.child import OnCaughtUp, OnLost
from mcast.media.delay import EndToEnd
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarder import Forwarder
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters, ParentEvent
from mcast.media.receiver import Receiver
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.overlay.actions import Accept, ConnectionId, UpstreamId
from mcast.overlay.events import Feed, FeedChanged, Outdone
from mcast.overlay.further import usable
from mcast.peer.decider import Post
from mcast.roles.node.inbound import Inbound
from mcast.wire.node import TOKEN_SIZE, Port
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState


class Relay:
    """Receives one content from its parents, and sends it to its children.

    All methods are for the decider's thread, but for `close`, which waits.
    """

    def __init__(
        self, content: str, position: Position, reader: FeedbackReader, forwarder: Forwarder,
        ports: MediaPorts, cname: str, *, post: Post, on_child_lost: OnLost,
        on_child_caught_up: OnCaughtUp, on_crash: OnCrash, start: int | None = None, gather: float = 0.0,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:  # fmt: skip
        """Begin at a position; `start` is the first number that counts, where it is known.

        `post` is handed what becomes of the parents; `on_child_lost` and
        `on_child_caught_up` are the reader's to call.
        """
        self.content = content
        self._post, self._state, self._no_way = post, FeedState.WAITING, False
        self._last: int | None = None  # the content's last number, once it is over
        self._drained: frozenset[ConnectionId] = frozenset()  # told already
        end_to_end = EndToEnd()
        self.fanout = Fanout(
            content, position, reader, ports, cname=cname, on_lost=on_child_lost,
            on_caught_up=on_child_caught_up, timing=timing, origin=end_to_end.origin,
        )  # fmt: skip
        self._receiver = Receiver(
            content, position, cname, self.fanout.push, self._on_parent, on_crash,
            on_outdone=lambda upstream: post(Outdone(upstream)), start=start, timing=timing,
            forwarder=forwarder, gather=gather, end_to_end=end_to_end,
        )  # fmt: skip
        self._receiver.start()

    def __repr__(self) -> str:
        return f"<Relay [{self.content}] {self._receiver!r}, {self.fanout!r}>"

    @property
    def position(self) -> Position:
        """Return the stream, and the number of the next datagram."""
        return self.fanout.position

    @property
    def wanted(self) -> Position:
        """Return the stream, and the lowest number that is still wanted."""
        return self._receiver.wanted

    def due_at(self, number: int) -> float | None:
        """Return when a number was due, in monotonic seconds; None before anything has come."""
        return self.fanout.due_at(number)

    def counters(self) -> ReceiverCounters:
        """Return what has come so far."""
        return self._receiver.counters()

    def delay(self) -> float | None:
        """Return the seconds from the server to here, by its clock and ours; None if not known."""
        return self._receiver.delay()

    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        """Return what each parent has brought."""
        return self._receiver.parents()

    def add_parent(
        self, upstream: UpstreamId, sock: socket.socket, token: bytes, position: Position, start: int | None
    ) -> None:
        """Receive from one more parent, which was asked to go on from the number `start`."""
        self._receiver.add_parent(upstream, sock, token, position, start=start)

    def remove_parent(self, upstream: UpstreamId) -> None:
        """Receive from this parent no more; harmless if there is none."""
        self._receiver.remove_parent(upstream)

    def admit(self, link: Inbound, accept: Accept) -> Port:
        """Take a child in; return the PORT to answer it with. Raises McastError if it cannot be."""
        stream, token = accept.stream, os.urandom(TOKEN_SIZE)
        if stream.resume is not None and stream.resume.ssrc == self.position.ssrc:
            # This node may have begun later than where that child goes on, for another one's sake.
            self._receiver.reach_back(stream.resume.next)
        port = self.fanout.admit(
            link.number, str(stream.sender), link.connection.local.ip, link.connection.peer.ip, token,
            resume=stream.resume, start=stream.start, buffer_bytes=stream.buffer_bytes,
        )  # fmt: skip
        return Port(
            request=stream.request, content=stream.content, port=port, token=token, path=accept.path,
            stream=self.position, version=accept.version, cut=self._state is FeedState.CUT,
            no_way=self._no_way, further=usable(accept.further, link.connection.local.ip),
        )  # fmt: skip

    def set_state(self, state: FeedState, *, no_way: bool = False) -> None:
        """Tell the children, in the SRs, how this node itself is fed."""
        self._state, self._no_way = state, no_way
        self.fanout.set_state(state, no_way)

    def await_drain(self, last: int) -> None:
        """Look from now on which children have got everything up to the number `last`."""
        self._last = last

    def newly_drained(self) -> tuple[ConnectionId, ...]:
        """Return the children that have got everything and were not returned before."""
        if self._last is None:
            return ()
        news = self.fanout.drained(self._last) - self._drained
        self._drained |= news
        return tuple(sorted(news))

    def ask_to_stop(self) -> None:
        """Begin to end, without waiting: so many relays end side by side."""
        self._receiver.ask_to_stop()

    def close(self) -> None:
        """Say BYE above, send nothing more below, and wait until nothing is received any more."""
        self._receiver.stop()
        self.fanout.close()

    def _on_parent(self, upstream: UpstreamId, event: ParentEvent) -> None:
        self._post(FeedChanged(upstream, Feed[event.kind.name], event.cut_ms))
