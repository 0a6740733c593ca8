"""What runs inside `mcast-node`: the overlay's decisions, wired to sockets and threads.

    listener --connection--> links --watcher--> packets ---+
    neighbourhood (warm connections) ----- FOUND, MISS ----+--> decider --> actions --> here
    subscriptions (per content) ------ PORT, MISS, STOP ---+
    relays (one per content) -- fed or cut, leases ended --+

The decider's thread calls `_perform` and `_on_tick`; what other threads call stands under
"What comes in" and only posts.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mcast import eventlog
from mcast.errors import McastError, WireError
from mcast.hostport import HostPort
from mcast.media.feedback import FeedbackReader
from mcast.net.connection import Connection, PeerGone, say
from mcast.net.listener import Listener
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay import actions as do
from mcast.overlay.actions import Action, ConnectionId
from mcast.overlay.node_core import NodeCore
from mcast.overlay.tree import Streaming, ending, refusal
from mcast.roles.node.decider import Decider
from mcast.roles.node.flooder import Flooder
from mcast.roles.node.health import bounded
from mcast.roles.node.inbound import Inbound, InboundConnections
from mcast.roles.node.relay import Relay
from mcast.roles.node.servers import Servers
from mcast.roles.node.subscription import NeighbourSubscription, ServerSubscription, Subscription
from mcast.wire.bootstrap import Health, LayoutMessage, NodeKind, StreamHealth
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Stop, StopReason, Stream

logger = logging.getLogger(__name__)

HEALTH_INTERVAL = 1.0
"""Seconds between two reports to the bootstrapper; what changes in a tree is told at once."""
GIVE_UP_SECONDS = 5.0
"""Cut off for so long, a stream is over here; its children are free to look elsewhere."""
DRAIN_SECONDS = 2.0
"""How long the last datagrams of a content that ends may take to come, and to go on."""
MAX_REMAINING_MS = 4000
"""The time a flood may take, whatever its DISC says: what clients begin with."""
MAX_EXCLUDED = 64
"""Identities that a DISC may exclude: it must still fit a frame when we hand it on in our name."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """A content that is over above, while its last datagrams are still on the way."""

    reason: StopReason
    last: int
    text: str
    deadline: float


class NodeProgram:
    """One overlay node, or the rendezvous point."""

    def __init__(
        self,
        layout: LayoutMessage,
        address: HostPort,
        ports: MediaPorts,
        send_health: Callable[[Health], None],
        on_crash: OnCrash,
    ) -> None:
        """Listen at `address`. Raises ConfigError if that is not possible."""
        self._me = Identity.node(layout.name)
        self._rendezvous = layout.kind is NodeKind.RENDEZVOUS
        self._ports, self._on_crash, self._send_health = ports, on_crash, send_health
        self._log = RateLimitedLog(logger)
        self._began, self._next_health = time.monotonic(), 0.0
        self._listener = Listener(address, self._serve, on_crash, name="control")  # first: it may fail
        core = NodeCore(self._me, rendezvous=self._rendezvous)
        self._decider = Decider(core, self._perform, self._on_tick, on_crash)
        self._watcher = Watcher(on_crash)
        self._reader = FeedbackReader(on_crash)
        self._links = InboundConnections()
        self._subscriptions: dict[str, Subscription] = {}
        self._relays: dict[str, Relay] = {}
        self._endings: dict[str, _Ending] = {}
        self._neighbourhood = Flooder(self._watcher, self._on_answer, on_crash)
        self._servers = Servers(self._watcher, self._on_offers, on_crash)

    @property
    def address(self) -> HostPort:
        """Return where it listens, with the real port."""
        return self._listener.address

    def start(self, layout: LayoutMessage) -> None:
        """Start all threads and take part in the overlay."""
        for part in (self._watcher, self._reader, self._decider):
            part.start()
        self.update(layout)
        self._listener.start()

    def update(self, layout: LayoutMessage) -> None:
        """Take in a layout: the first, or a changed one. By one thread at a time."""
        if (layout.kind is NodeKind.RENDEZVOUS) != self._rendezvous:
            logger.warning(
                "the layout has changed this node's kind to %s: restart it", layout.kind.name.lower()
            )
        self._neighbourhood.update({n.name: n.address for n in layout.neighbours})
        self._servers.update(layout.servers)
        eventlog.note(
            logger, "node_up", "%s %s: neighbours %s%s",
            "rendezvous point" if self._rendezvous else "overlay node",
            layout.name,
            ", ".join(f"{n.name} at {n.address}" for n in layout.neighbours) or "none",
            f"; servers {', '.join(layout.servers)}" if layout.servers else "",
            node=layout.name, address=self.address, kind=layout.kind.name.lower(),
        )  # fmt: skip

    def stop(self) -> None:
        """Leave the overlay: children are told, upstreams too, every thread ends.

        Whatever start() has come to, and even if a thread has crashed.
        """
        self._listener.stop()
        self._decider.stop()
        for content in list(self._subscriptions):  # none, unless the decider has crashed
            self._close(content, StopReason.LEAVING)
        self._neighbourhood.stop()
        self._servers.stop()
        self._watcher.stop()
        for link in self._links.remove_all():
            link.connection.close()
        self._reader.stop()

    # What comes in: from the threads of handlers, watcher, monitors, feedback, forwarders

    def _serve(self, connection: Connection) -> None:
        link = self._links.add(connection)
        if link is None:
            self._log.warning("too_many_links", "refused %s: too many connections", connection.peer)
            return
        try:
            self._watcher.watch(
                connection,
                lambda message: self._on_message(link, message),
                lambda reason: self._on_link_gone(link, reason),
            )
        except PeerGone:
            self._links.remove(link.number)
            raise
        connection.detach()

    def _on_message(self, link: Inbound, message: Message) -> None:
        match message:
            case Disc() if len(message.excluded) > MAX_EXCLUDED:
                raise WireError(f"DISC excludes {len(message.excluded)}, the most is {MAX_EXCLUDED}")
            case Disc() if link.stream is None and not link.asking:
                logger.debug("< DISC [%s] %s, %d ms left", message.content, message.sender,
                             message.remaining_ms, extra=_about(link, message))  # fmt: skip
                link.asking = True
                taken = self._decider.offer(lambda core, now: self._on_disc(core, message, link, now))
            case Stream() if link.stream is None and not link.asking:
                logger.debug("< STREAM [%s] %s", message.content, message.sender, extra=_about(link, message))
                link.asking, link.stream = True, message
                taken = self._decider.offer(lambda core, now: core.on_stream(message, link.number, now))
            case Stop():  # also behind a STREAM that was refused: the child takes its leave
                raise PeerGone(f"STOP({message.reason.name.lower()})")
            case _:
                raise WireError(f"{type(message).__name__} has no place here")
        if not taken:
            raise WireError("too many requests at once")

    def _on_disc(self, core: NodeCore, disc: Disc, link: Inbound, now: float) -> list[Action]:
        core.set_neighbours(self._neighbourhood.round_trips_ms())
        in_time = replace(disc, remaining_ms=min(disc.remaining_ms, MAX_REMAINING_MS))
        return core.on_disc(in_time, link.number, now)

    def _on_link_gone(self, link: Inbound, reason: str) -> None:
        if link.stream is not None:
            self._note_child_left(link, link.stream, "%s has left: %s", reason)
        self._links.remove(link.number)
        self._decider.post(lambda core, _: core.on_link_gone(link.number))

    def _on_child_lost(self, number: ConnectionId, reason: str) -> None:
        link = self._links.get(number)
        if link is not None and link.stream is not None:
            stream, link.stream = link.stream, None  # it is said once that it has left
            self._note_child_left(link, stream, "%s is gone: %s", reason)
            if reason == "lease":
                say(link.connection, ending(stream, StopReason.LEASE, text="nothing was heard of you"))
            link.connection.close()  # the watcher sees that, and tells the core

    def _note_child_left(self, link: Inbound, stream: Stream, text: str, reason: str) -> None:
        eventlog.note(
            logger, "child_left", f"[%s] {text}", stream.content, stream.sender, reason,
            extra=_about(link, stream), content=stream.content, child=stream.sender, reason=reason,
        )  # fmt: skip

    def _on_answer(self, disc: Disc, neighbour: str, answer: Found | Miss) -> None:
        if isinstance(answer, Found):
            logger.debug("< FOUND from %s", neighbour, extra={"request": disc.request})
            self._decider.post(lambda core, now: core.on_found(disc.request, neighbour, answer, now))
        else:
            logger.debug("< MISS(%s) from %s", answer.reason.name.lower(), neighbour,
                         extra={"request": disc.request})  # fmt: skip
            self._decider.post(lambda core, _: core.on_miss(disc.request, neighbour, answer))

    def _on_offers(self) -> None:
        def tell(core: NodeCore, _: float) -> Iterable[Action]:
            # Asked for in here: two threads that each hand in a snapshot could do so in the wrong order.
            contents, doubts = self._servers.offers()
            core.set_offers(contents, doubts)
            return ()

        self._decider.post(tell)

    def on_port(self, subscription: Subscription, port: Port) -> None:
        """An upstream has accepted, or tells news."""
        self._post_of(
            subscription, lambda core: core.on_port(subscription.content, subscription.request, port)
        )

    def on_refused(self, subscription: Subscription, reason: MissReason, text: str) -> None:
        """An upstream has not accepted, or could not be reached."""

        def refuse(core: NodeCore) -> Iterable[Action]:
            logger.info("[%s] not followed: %s %s", subscription.content, reason.name.lower(), text,
                        extra={"request": subscription.request})  # fmt: skip
            return core.on_refused(subscription.content, subscription.request, reason, text)

        self._post_of(subscription, refuse)

    def on_stop(self, subscription: Subscription, reason: StopReason, last: int | None, text: str) -> None:
        """A stream has ended above. What is on its way is still awaited when it ended in order."""
        content = subscription.content

        def end(core: NodeCore) -> Iterable[Action]:
            logger.info("[%s] ended above: %s %s", content, reason.name.lower(), text)
            if reason is not StopReason.END or last is None:
                return core.on_upstream_end(content, reason, last, text)
            self._endings[content] = _Ending(reason, last, text, time.monotonic() + DRAIN_SECONDS)
            return ()

        self._post_of(subscription, end)

    def _post_of(self, subscription: Subscription, event: Callable[[NodeCore], Iterable[Action]]) -> None:
        """Post what concerns an upstream, unless it has been left (and another begun) meanwhile."""

        def current(core: NodeCore, _: float) -> Iterable[Action]:
            return event(core) if self._subscriptions.get(subscription.content) is subscription else ()

        self._decider.post(current)

    # What is to be done: in the decider's thread

    def _perform(self, action: Action) -> None:
        match action:
            case do.Reply(number, message):
                self._reply(number, message)
            case do.Ask():
                self._neighbourhood.ask(action)
            case do.CancelAsks(request, neighbours):
                self._neighbourhood.cancel(request, neighbours)
            case do.Follow():
                self._follow(action)
            case do.OpenRelay(content):
                self._open(content)
            case do.Accept():
                self._accept(action)
            case do.Update():
                self._update(action)
            case do.End(number, stop):
                self._end(number, stop)
            case do.Dismiss(number, content):
                self._dismiss(number, content)
            case do.CloseUpstream(content, reason):
                self._close(content, reason)
        if not isinstance(action, do.Reply | do.Ask | do.CancelAsks):
            self._next_health = 0.0  # a tree has changed

    def _reply(self, number: ConnectionId, message: Found | Miss) -> None:
        if (link := self._links.get(number)) is None:
            return
        if isinstance(message, Miss):
            link.stream = None  # if it was a STREAM that was refused: the connection may ask again
        link.asking = False
        logger.debug("> %s", type(message).__name__.upper(), extra=_about(link, message))
        say(link.connection, message)

    def _follow(self, follow: do.Follow) -> None:
        content, request = follow.content, follow.request
        subscription: Subscription
        if follow.via is None:
            ranking = self._servers.ranking(content)
            subscription = ServerSubscription(
                content, request, self._ports, self._watcher, self, self._on_crash, ranking=ranking
            )
        elif (neighbour := self._neighbourhood.get(follow.via)) is not None:
            subscription = NeighbourSubscription(
                content, request, self._ports, self._watcher, self, self._on_crash,
                neighbour=neighbour, me=self._me, hops=follow.hops,
            )  # fmt: skip
        else:  # the layout has changed since FOUND
            text = f"{follow.via} is no neighbour any more"
            self._decider.post(lambda core, _: core.on_refused(content, request, MissReason.GONE, text))
            return
        self._subscriptions[content] = subscription
        subscription.start()

    def _open(self, content: str) -> None:
        subscription = self._subscriptions[content]

        def on_fed(fed: bool) -> None:
            self._post_of(subscription, lambda core: self._on_fed(core, content, fed))

        try:
            self._relays[content] = Relay(
                subscription, self._reader, self._ports, str(self._me),
                on_fed=on_fed, on_child_lost=self._on_child_lost, on_crash=self._on_crash,
            )  # fmt: skip
        except OSError as error:  # the route has gone since PORT came
            self.on_stop(subscription, StopReason.ERROR, None, f"no way to the media: {error}")

    def _on_fed(self, core: NodeCore, content: str, fed: bool) -> Iterable[Action]:
        if content in self._endings:  # that no more media comes is in order
            return ()
        logger.info("[%s] %s", content, "fed again" if fed else "cut off: no media from above")
        return core.on_fed(content, fed)

    def _accept(self, accept: do.Accept) -> None:
        link, stream = self._links.get(accept.link), accept.stream
        relay = self._relays.get(stream.content)
        if link is None or relay is None:
            return  # it has left, or the relay could not be opened; the core hears of that next
        link.asking = False
        try:
            link.port = relay.admit(link, stream, accept.path, accept.version)
        except McastError as error:
            logger.warning("[%s] cannot take %s in: %s", stream.content, stream.sender, error)
            say(link.connection, refusal(stream, MissReason.FULL, str(error)))
            link.connection.close()  # the watcher sees that, and tells the core
            return
        say(link.connection, link.port)
        eventlog.note(
            logger, "attached", "[%s] %s attached below %s", stream.content, stream.sender,
            " > ".join(map(str, accept.path)), extra=_about(link, stream),
            content=stream.content, child=stream.sender, path=accept.path,
        )  # fmt: skip

    def _update(self, update: do.Update) -> None:
        link = self._links.get(update.link)
        if link is not None and link.port is not None:
            link.port = replace(link.port, path=update.path, version=update.version, cut=update.cut)
            say(link.connection, link.port)

    def _dismiss(self, number: ConnectionId, content: str) -> None:
        if (relay := self._relays.get(content)) is not None:
            relay.fanout.dismiss(number)

    def _end(self, number: ConnectionId, stop: Stop) -> None:
        if (link := self._links.remove(number)) is not None:
            self._watcher.unwatch(link.connection)
            say(link.connection, stop)
            link.connection.close()

    def _close(self, content: str, reason: StopReason) -> None:
        self._endings.pop(content, None)
        subscription = self._subscriptions.pop(content, None)
        relay = self._relays.pop(content, None)
        if subscription is not None:  # first: STOP says why, the relay's BYE is for when TCP is dead
            subscription.leave(reason)
        if relay is not None:
            relay.close()
            counters = relay.counters()
            eventlog.note(
                logger, "pruned", "[%s] pruned: %d datagrams, %d lost, %d repaired, %d duplicates", content,
                counters.datagrams, counters.lost, counters.repaired, counters.duplicates,
                content=content, received=counters.datagrams, lost=counters.lost,
                repaired=counters.repaired, duplicates=counters.duplicates,
            )  # fmt: skip

    # As time goes by: in the decider's thread, ten times a second

    def _on_tick(self, now: float) -> None:
        for content, relay in self._relays.items():
            self._check(content, relay, now)
        if now >= self._next_health:
            self._next_health = now + HEALTH_INTERVAL
            self._decider.post(lambda core, _: self._tell_health(core))

    def _check(self, content: str, relay: Relay, now: float) -> None:
        end = self._endings.get(content)
        if end is not None and (relay.drained(end.last) or now >= end.deadline):
            del self._endings[content]
            self._decider.post(lambda core, _: core.on_upstream_end(content, end.reason, end.last, end.text))
        elif relay.cut_seconds(now) > GIVE_UP_SECONDS:
            text = f"no media for {GIVE_UP_SECONDS:g} s"
            self._decider.post(lambda core, _: core.on_upstream_end(content, StopReason.CUT, text=text))

    def _tell_health(self, core: NodeCore) -> Iterable[Action]:
        streams = tuple(
            self._stream_health(content, running, self._relays[content])
            for content, running in core.streaming.items()
            if content in self._relays
        )
        told = bounded(streams)
        if told != streams:
            self._log.info("health_cut", "not all streams and children fit the report to the bootstrapper")
        self._send_health(Health(round((time.monotonic() - self._began) * 1000), told))
        return ()

    def _stream_health(self, content: str, running: Streaming, relay: Relay) -> StreamHealth:
        children = tuple(stream.sender for stream in running.children.values())
        return StreamHealth(content, running.path, children, relay.position, relay.lost, running.fed)


def _about(link: Inbound, message: Disc | Stream | Found | Miss) -> dict[str, object]:
    return {"peer": link.connection.peer, "request": message.request}
