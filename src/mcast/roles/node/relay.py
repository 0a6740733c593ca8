"""One content at one node: the `Receiver` that receives it, the `Fanout` that sends it on.

    parents --UDP--> Receiver (a forwarder's thread) --train--> Fanout --UDP--> children

A relay never waits: a train is forwarded in the thread that received it, at once and as it came.
Order and completeness are restored by the final receiver.
"""

import socket
from collections.abc import Mapping

from mcast.media.delay import EndToEnd
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarder import Forwarder
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters, ParentEvent
from mcast.media.receiver import Receiver
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.ports import MediaPorts
from mcast.net.threads import NoThreadError
from mcast.overlay.actions import ConnectionId, Due, UpstreamId
from mcast.overlay.events import FeedChanged, Outdone
from mcast.roles.node.content_relay import ChildTimes, ContentRelay, Listeners, Newcomer
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState


class Relay(ContentRelay):
    """Receives and sends in this process."""

    def __init__(
        self, content: str, position: Position, reader: FeedbackReader, forwarder: Forwarder,
        ports: MediaPorts, cname: str, listeners: Listeners, *, start: int | None = None,
        gather: float = 0.0, timing: Timing = DEFAULT_TIMING,
    ) -> None:  # fmt: skip
        """Begin at a position; `start` is the first number that counts, where it is known.

        Raises NoThreadError.
        """
        super().__init__(content)
        self._post = post = listeners.post
        self._last: int | None = None  # the content's last number, once it is over
        self._drained: frozenset[ConnectionId] = frozenset()  # told already
        end_to_end = EndToEnd()
        self.fanout = Fanout(
            content, position, reader, ports, cname=cname, on_lost=listeners.on_child_lost,
            on_caught_up=listeners.on_child_caught_up, timing=timing, origin=end_to_end.origin,
            reach_back=lambda number: self._receiver.reach_back(number),
        )  # fmt: skip
        self._receiver = Receiver(
            content, position, cname, self.fanout.forward, self._on_parent, listeners.on_crash,
            on_outdone=lambda upstream: post(Outdone(upstream)), start=start, timing=timing,
            forwarder=forwarder, gather=gather, end_to_end=end_to_end,
        )  # fmt: skip
        try:
            self._receiver.start()
        except NoThreadError:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Relay [{self.content}] {self._receiver!r}, {self.fanout!r}>"

    @property
    def position(self) -> Position:
        return self.fanout.position

    @property
    def wanted(self) -> Position:
        return self._receiver.wanted

    def due(self, number: int) -> Due | None:
        at = self.fanout.due_at(number)
        return None if at is None else Due(number, at)

    def counters(self) -> ReceiverCounters:
        return self._receiver.counters()

    def delay(self) -> float | None:
        return self._receiver.delay()

    def parents(self) -> Mapping[UpstreamId, ParentCounters]:
        return self._receiver.parents()

    def child_times(self) -> Mapping[ConnectionId, ChildTimes]:
        children = self.fanout.children()
        return {child.key: ChildTimes(child.round_trip_ms, child.delay_us) for child in children}

    def add_parent(
        self, upstream: UpstreamId, sock: socket.socket, token: bytes, position: Position, start: int | None,
        answer: float = 0.0,
    ) -> None:  # fmt: skip
        self._receiver.add_parent(upstream, sock, token, position, start=start, answer=answer)

    def remove_parent(self, upstream: UpstreamId) -> None:
        self._receiver.remove_parent(upstream)

    def take_in(self, newcomer: Newcomer) -> int:
        resume = newcomer.resume
        if resume is not None and resume.ssrc == self.position.ssrc:
            # This node may have begun later than where that child goes on, for another one's sake.
            self._receiver.reach_back(resume.next)
        return self.fanout.admit(
            newcomer.key, newcomer.identity, newcomer.local_ip, newcomer.peer_ip, newcomer.token,
            resume=resume, start=newcomer.start, buffer_bytes=newcomer.buffer_bytes,
            heard_from=newcomer.heard_from,
        )  # fmt: skip

    def dismiss(self, child: ConnectionId) -> None:
        self.fanout.dismiss(child)

    def tell_state(self, state: FeedState, no_way: bool) -> None:
        self.fanout.set_state(state, no_way)

    def await_drain(self, last: int) -> None:
        self._last = last

    def newly_drained(self) -> tuple[ConnectionId, ...]:
        if self._last is None:
            return ()
        news = self.fanout.drained(self._last) - self._drained
        self._drained |= news
        return tuple(sorted(news))

    def ask_to_stop(self) -> None:
        self._receiver.ask_to_stop()

    def close(self) -> None:
        self._receiver.stop()
        self.fanout.close_soon()  # a hundred relays would wait for the feedback thread a hundred times

    def _on_parent(self, upstream: UpstreamId, event: ParentEvent) -> None:
        self._post(FeedChanged(upstream, event.kind, event.quiet_ms))
