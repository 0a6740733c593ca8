"""The `RelayDb`: all contents that this node relays, each with its relay."""

import logging
import os
from collections.abc import Iterator, Mapping

from mcast.eventlog import note
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.net.task_thread import TaskThread
from mcast.overlay.actions import Accept, ConnectionId, UpstreamId
from mcast.overlay.events import Drained
from mcast.overlay.further import usable
from mcast.peer.decider import Post
from mcast.peer.upstream import Upstream
from mcast.roles.node.content_relay import ContentRelay, Newcomer, RelayHost
from mcast.roles.node.inbound import Inbound
from mcast.wire.node import TOKEN_SIZE, Port
from mcast.wire.rtcp import FeedState

logger = logging.getLogger(__name__)


class RelayDb:
    """The relays by content. For the decider's thread."""

    def __init__(self, host: RelayHost, reaper: TaskThread, post: Post) -> None:
        """`host` carries the relays; `reaper` waits for their ends."""
        self._host, self._reaper, self._post = host, reaper, post
        self._relays: dict[str, ContentRelay] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._relays))

    def __len__(self) -> int:
        return len(self._relays)

    def get(self, content: str) -> ContentRelay | None:
        """Return the relay of a content, None if there is none."""
        return self._relays.get(content)

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        """Yield what has come of each content."""
        return ((content, relay.counters()) for content, relay in self._relays.items())

    def parents(self) -> Iterator[Mapping[UpstreamId, ParentCounters]]:
        """Yield what the parents of each content have brought."""
        return (relay.parents() for relay in self._relays.values())

    def receive(self, upstream: Upstream) -> None:
        """Receive from an upstream that has accepted; open the content's relay if there is none.

        Raises OSError if there is no way to the media's address, McastError if no relay can be opened.
        """
        accepted = upstream.accepted
        if accepted is None:
            raise RuntimeError(f"{upstream} has not accepted")
        sock = upstream.connect_media()  # before anything is begun: it may fail
        start = upstream.start_number
        relay = self._relays.get(upstream.content)
        try:
            relay = relay or self._host.open(upstream.content, accepted.stream, start)
        except BaseException:
            sock.close()
            raise
        self._relays[upstream.content] = relay
        relay.add_parent(upstream.id, sock, accepted.token, accepted.stream, start, upstream.answer_seconds)

    def leave(self, content: str, upstream: UpstreamId) -> None:
        """Receive from this upstream no more."""
        if (relay := self._relays.get(content)) is not None:
            relay.remove_parent(upstream)

    def dismiss(self, content: str, child: ConnectionId) -> None:
        """Send no more to this child."""
        if (relay := self._relays.get(content)) is not None:
            relay.dismiss(child)

    def supply(self, content: str, state: FeedState, *, no_way: bool = False) -> None:
        """Tell the content's children how this node itself is fed."""
        if (relay := self._relays.get(content)) is not None:
            relay.set_state(state, no_way=no_way)

    def await_drain(self, content: str, last: int) -> None:
        """Post, from now on, which of the content's children have got everything up to `last`."""
        if (relay := self._relays.get(content)) is not None:
            relay.await_drain(last)

    def on_tick(self) -> None:
        """Look who has got everything of what is over."""
        for content, relay in self._relays.items():
            if news := relay.newly_drained():
                self._post(Drained(content, news))

    def close(self, content: str) -> None:
        """Stop to receive and to send a content. Never waits: the reaper does."""
        if (relay := self._relays.pop(content, None)) is None:
            return
        relay.ask_to_stop()
        self._reaper.post(relay.close)
        counters = relay.counters()
        note(
            logger, "pruned", "[%s] pruned: %d datagrams, %d lost, %d repaired, %d duplicates", content,
            counters.datagrams, counters.lost, counters.repaired, counters.duplicates, content=content,
            received=counters.datagrams, lost=counters.lost, repaired=counters.repaired,
            duplicates=counters.duplicates,
        )  # fmt: skip


def admit(relay: ContentRelay, link: Inbound, accept: Accept) -> Port:
    """Take a child in; return the PORT to answer it with. Raises McastError if it cannot be."""
    stream, token = accept.stream, os.urandom(TOKEN_SIZE)
    here, there = link.connection.local.ip, link.connection.peer.ip
    newcomer = Newcomer(
        link.number, str(stream.sender), here, there, token, stream.resume, stream.start,
        stream.buffer_bytes,
    )  # fmt: skip
    return Port(
        request=stream.request, content=stream.content, port=relay.take_in(newcomer), token=token,
        path=accept.path, stream=relay.position, version=accept.version,
        cut=relay.state is FeedState.CUT, no_way=relay.no_way, further=usable(accept.further, here),
    )  # fmt: skip
