"""One content at one node: the `Receiver` that receives it, the `Fanout` that sends it on.

    upstream --UDP--> Receiver (thread forward-CONTENT) --train--> Fanout --UDP--> children

A relay never waits: a train is forwarded in the thread that received it, at once and as it came.
Order and completeness are restored by the final receiver.
"""

import os
import time
from collections.abc import Callable

from mcast.media.child import ChildState
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.receiver import Receiver
from mcast.media.upstream import ReceiverCounters, Upstream, UpstreamEvent
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.overlay.actions import ConnectionId, Path
from mcast.roles.node.inbound import Inbound
from mcast.roles.node.subscription import Subscription
from mcast.wire.node import TOKEN_SIZE, Port, Stream
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState

_TOLD = {Upstream.FED: FeedState.FED, Upstream.WAITING: FeedState.WAITING}
"""What the children are told of each state of the parent; all others are a cut."""


class Relay:
    """Receives what a subscription was granted, and sends it to children."""

    def __init__(
        self, subscription: Subscription, reader: FeedbackReader, ports: MediaPorts, cname: str, *,
        on_fed: Callable[[bool], None], on_child_lost: Callable[[ConnectionId, str], None], on_crash: OnCrash,
    ) -> None:  # fmt: skip
        """Begin to receive. Raises OSError if there is no way to the media's address.

        `on_fed` is called by the inlet's thread, `on_child_lost` by the reader's.
        """
        accepted = subscription.accepted
        assert accepted is not None  # the core opens a relay when PORT has come
        sock = subscription.connect_media()  # before anything is begun: it may fail
        self.content = subscription.content
        self._on_fed, self._cut_since = on_fed, None if not accepted.cut else time.monotonic()
        self.fanout = Fanout(
            self.content, accepted.stream, reader, ports, cname=cname,
            on_lost=lambda key, reason: on_child_lost(int(str(key)), reason),
        )  # fmt: skip
        self._inlet = Receiver(
            self.content, sock, accepted.token, accepted.stream, cname,
            self.fanout.push, self._on_upstream, on_crash,
        )  # fmt: skip
        self._inlet.start()

    @property
    def position(self) -> Position:
        """Return the stream, and the number of the next datagram."""
        return self.fanout.position

    @property
    def lost(self) -> int:
        """Return how many datagrams have not come (yet)."""
        return self._inlet.counters().lost

    def admit(self, link: Inbound, stream: Stream, path: Path, version: int) -> Port:
        """Take a child in; return the PORT to answer it with. Raises McastError if it cannot be."""
        token = os.urandom(TOKEN_SIZE)
        port = self.fanout.admit(
            link.number, str(stream.sender), link.connection.local.ip, link.connection.peer.ip, token,
            resume=stream.resume, start=stream.start, buffer_bytes=stream.buffer_bytes,
        )  # fmt: skip
        return Port(
            request=stream.request, content=stream.content, port=port, token=token, path=path,
            stream=self.position, version=version, cut=self._cut_since is not None,
        )  # fmt: skip

    def cut_seconds(self, now: float) -> float:
        """Return for how long no media has come; 0 while it does."""
        since = self._cut_since  # read once: the inlet's thread changes it
        return 0.0 if since is None else now - since

    def drained(self, last: int) -> bool:
        """Tell whether everything up to the number `last` has come and been sent on."""
        live = (ChildState.LIVE, ChildState.GONE)
        return self.position.next > last and all(child.state in live for child in self.fanout.children())

    def counters(self) -> ReceiverCounters:
        """Return what passed through."""
        return self._inlet.counters()

    def close(self) -> None:
        """Say BYE above, send nothing more below, end the thread."""
        self._inlet.stop()
        self.fanout.close()

    def _on_upstream(self, event: UpstreamEvent) -> None:
        told = _TOLD.get(event.kind, FeedState.CUT)
        self.fanout.set_state(told)
        fed = told is not FeedState.CUT
        if fed == (self._cut_since is None):
            return
        self._cut_since = None if fed else event.at
        self._on_fed(fed)
