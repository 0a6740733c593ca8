"""The `RelayDb`: all contents that this node relays, each with its `Relay`."""

import logging
from collections.abc import Iterator, Mapping

from mcast.eventlog import note
from mcast.media.carriers import Carriers
from mcast.media.child import OnCaughtUp, OnLost
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarder import Forwarder
from mcast.media.incoming import ReceiverCounters
from mcast.media.parent import ParentCounters
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash
from mcast.net.worker import Worker
from mcast.overlay.actions import ConnectionId, UpstreamId
from mcast.overlay.events import Drained
from mcast.peer.decider import Post
from mcast.peer.upstream import Upstream
from mcast.roles.node.relay import Relay
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState

logger = logging.getLogger(__name__)


class RelayDb:
    """The relays by content. For the decider's thread."""

    def __init__(
        self, cname: str, reader: FeedbackReader, forwarders: Carriers[Forwarder], ports: MediaPorts,
        reaper: Worker, *,
        post: Post, on_child_lost: OnLost, on_child_caught_up: OnCaughtUp, on_crash: OnCrash,
        gather: float = 0.0, timing: Timing = DEFAULT_TIMING,
    ) -> None:  # fmt: skip
        """`cname` names this node in RTCP; the `forwarders` carry relays; `reaper` waits for their ends.

        `gather`: so many seconds each train may be held, to be sent on with others.
        """
        self._cname, self._reader, self._ports, self._reaper = cname, reader, ports, reaper
        self._forwarders = forwarders
        self._post, self._on_crash = post, on_crash
        self._on_child_lost, self._on_child_caught_up = on_child_lost, on_child_caught_up
        self._gather, self._timing = gather, timing
        self._relays: dict[str, Relay] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._relays))

    def __len__(self) -> int:
        return len(self._relays)

    def get(self, content: str) -> Relay | None:
        """Return the relay of a content, None if there is none."""
        return self._relays.get(content)

    def counters(self) -> Iterator[tuple[str, ReceiverCounters]]:
        """Yield what has come of each content."""
        return ((content, relay.counters()) for content, relay in self._relays.items())

    def busy_seconds(self) -> tuple[float, ...]:
        """Return how long each thread that carries relays has had the processor."""
        return tuple(forwarder.busy_seconds for forwarder in self._forwarders)

    def parents(self) -> Iterator[Mapping[UpstreamId, ParentCounters]]:
        """Yield what the parents of each content have brought."""
        return (relay.parents() for relay in self._relays.values())

    def receive(self, upstream: Upstream) -> None:
        """Receive from an upstream that has accepted; open the content's relay if there is none.

        Raises OSError if there is no way to the media's address.
        """
        accepted = upstream.accepted
        if accepted is None:
            raise RuntimeError(f"{upstream} has not accepted")
        sock = upstream.connect_media()  # before anything is begun: it may fail
        start = upstream.start_number
        relay = self._relays.get(upstream.content) or self._open(upstream.content, accepted.stream, start)
        relay.add_parent(upstream.id, sock, accepted.token, accepted.stream, start)

    def _open(self, content: str, position: Position, start: int | None) -> Relay:
        relay = self._relays[content] = Relay(
            content, position, self._reader, self._forwarders.pick(), self._ports, self._cname,
            post=self._post, on_child_lost=self._on_child_lost, on_child_caught_up=self._on_child_caught_up,
            on_crash=self._on_crash, start=start, gather=self._gather, timing=self._timing,
        )  # fmt: skip
        return relay

    def leave(self, content: str, upstream: UpstreamId) -> None:
        """Receive from this upstream no more."""
        if (relay := self._relays.get(content)) is not None:
            relay.remove_parent(upstream)

    def dismiss(self, content: str, child: ConnectionId) -> None:
        """Send no more to this child."""
        if (relay := self._relays.get(content)) is not None:
            relay.fanout.dismiss(child)

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
