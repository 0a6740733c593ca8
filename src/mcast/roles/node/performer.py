"""What the decisions say, done: each action on the part of the node that it concerns.

Runs in the decider's thread and never waits. What ends (an upstream's thread, a relay's) is asked to
end at once, and the reaper waits for it: so fifty contents end side by side.
"""

import logging
from collections.abc import Callable
from typing import TypeAlias

from mcast.errors import McastError
from mcast.eventlog import event_extra, note
from mcast.net.task_thread import TaskThread
from mcast.overlay import actions as do
from mcast.overlay.actions import Action, UpstreamId
from mcast.overlay.events import Stopped
from mcast.peer.adverts import Advertiser
from mcast.peer.decider import Post
from mcast.peer.flooder import Flooder
from mcast.peer.upstream import Resume, Upstream, begin
from mcast.roles.node.inbound import InboundConnections
from mcast.roles.node.relays import RelayDb, admit
from mcast.wire.bootstrap import Links, Seek
from mcast.wire.node import Miss, MissReason, StopReason

logger = logging.getLogger(__name__)

MakeUpstream: TypeAlias = Callable[[do.Subscribe, Resume], Upstream]
"""Make, but do not start, the subscription that is asked for, from the given position on if there is one."""


class Performer:
    """Does the actions. Owns the upstreams."""

    def __init__(
        self,
        inbound: InboundConnections,
        flooder: Flooder,
        advertiser: Advertiser,
        relays: RelayDb,
        reaper: TaskThread,
        make_upstream: MakeUpstream,
        post: Post,
        on_tree_change: Callable[[], None],
        say: Callable[[Seek | Links], None],
    ) -> None:
        """`on_tree_change` is called when who is whose parent, or how they are fed, has changed.

        `say` tells the bootstrapper something; it must not wait.
        """
        self._inbound, self._flooder, self._advertiser = inbound, flooder, advertiser
        self._relays, self._reaper = relays, reaper
        self._make_upstream, self._post, self._on_tree_change = make_upstream, post, on_tree_change
        self._say = say
        self._upstreams: dict[UpstreamId, Upstream] = {}

    def perform(self, action: Action) -> None:
        """Do one action. Raises TypeError for one that concerns a client's own reader only."""
        match action:
            case do.Reply(number, message):
                self._inbound.reply(number, message)
            case do.Ask() | do.AskList():
                self._flooder.ask(action)
            case do.CancelAsks(request, neighbours):
                self._flooder.cancel(request, neighbours)
            case do.Advertise():
                self._advertiser.advertise(action)
            case do.Introduce():
                self._advertiser.introduce(action)
            case do.Reach(nodes):
                for gone in self._flooder.meet({each.name: each.address for each in nodes}):
                    self._reaper.post(gone.stop)
            case do.Seek(content):
                self._say(Seek(content))
            case do.TakeLinks(names):
                self._say(Links(names))
            case do.Announce(event, text, fields):
                logger.info(text, extra=event_extra(event, **dict(fields)))
            case _:
                self._change_tree(action)
                self._on_tree_change()

    def _change_tree(self, action: Action) -> None:
        match action:
            case do.Accept():
                self._accept(action)
            case do.Update():
                self._inbound.update(action)
            case do.End(number, stop):
                self._inbound.end(number, stop)
            case do.Dismiss(number, content):
                self._relays.dismiss(content, number)
            case do.Subscribe():
                self._subscribe(action)
            case do.Receive(upstream):
                self._receive(self._upstreams[upstream])
            case do.Leave(upstream, _, reason):
                self._leave(self._upstreams.pop(upstream), reason)
            case do.CloseRelay(content) | do.BeginAnew(content):
                self._relays.close(content)
            case do.Supply(content, state, no_way):
                self._relays.supply(content, state, no_way=no_way)
            case do.AwaitDrain(content, last):
                self._relays.await_drain(content, last)
            case _:
                raise TypeError(f"a node has no child of its own: {action}")

    def stop(self) -> None:
        """End what is left, and wait for all that was ended. The decider's thread has ended before.

        Nothing is left, unless the decider has crashed.
        """
        for upstream in list(self._upstreams.values()):
            self._leave(self._upstreams.pop(upstream.id), StopReason.LEAVING)
        for content in self._relays:
            self._relays.close(content)
        self._reaper.stop()

    def _accept(self, accept: do.Accept) -> None:
        link, stream = self._inbound.get(accept.connection), accept.stream
        relay = self._relays.get(stream.content)
        if link is None or relay is None:
            return  # it has left, or the relay could not be opened; the core hears of that next
        try:
            port = admit(relay, link, accept)
        except McastError as error:
            logger.warning("[%s] cannot take %s in: %s", stream.content, stream.sender, error)
            no = Miss(request=stream.request, hops=stream.hops, content=stream.content,
                      reason=MissReason.FULL, text=str(error))  # fmt: skip
            self._inbound.refuse(link, no)
            return
        self._inbound.accepted(link, port)
        note(
            logger, "attached", "[%s] %s attached below %s",
            stream.content, stream.sender, " > ".join(map(str, accept.path)),
            content=stream.content, child=stream.sender, path=accept.path, extra=link.about(),
        )  # fmt: skip

    def _subscribe(self, subscribe: do.Subscribe) -> None:
        relay = self._relays.get(subscribe.content) if subscribe.resume else None
        upstream = self._make_upstream(subscribe, lambda: relay.wanted if relay else subscribe.onward)
        self._upstreams[subscribe.upstream] = upstream
        begin(upstream, self._post)

    def _receive(self, upstream: Upstream) -> None:
        try:
            self._relays.receive(upstream)
        except (OSError, McastError) as error:  # the route has gone since PORT came, or there is no thread
            self._post(Stopped(upstream.id, StopReason.ERROR, None, f"no way to the media: {error}"))

    def _leave(self, upstream: Upstream, reason: StopReason) -> None:
        upstream.leave(reason)  # first: STOP says why, the receiver's BYE is for when TCP is dead
        self._relays.leave(upstream.content, upstream.id)
        self._reaper.post(upstream.join)
