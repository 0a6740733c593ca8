"""What runs inside `mcast-node`: the overlay's decisions, wired to sockets and threads.

listener ---> InboundConnections --DISC, STREAM, ends--+
Flooder (warm connections) --------FOUND, MISS---------+--> Decider: core --> Performer --> all of them
upstreams (per parent) ------------PORT, MISS, STOP----+
NeighbourWatches ------------------ADVERT--------------+
RelayDb (a relay per content) -----fed or cut, drained-+
ServerMonitors --------------------lists, PINGs--------'
"""

import logging
import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mcast.errors import ConfigError
from mcast.eventlog import note
from mcast.hostport import HostPort
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.net.entrance import FIRST_QUESTION, Rules
from mcast.net.handshake import Credentials
from mcast.net.listener import Listener
from mcast.net.ports import MediaPorts
from mcast.net.task_thread import TaskThread
from mcast.net.threads import NoThreadError, OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay import trace
from mcast.overlay.actions import Due, ServerParent, Subscribe
from mcast.overlay.events import LayoutChanged, Offered
from mcast.overlay.node_core import NodeCore
from mcast.peer.adverts import Advertiser
from mcast.peer.decider import Decider
from mcast.peer.flooder import Flooder
from mcast.peer.trace import TraceWriter
from mcast.peer.upstream import NeighbourUpstream, Resume, Upstream
from mcast.peer.watching import NeighbourWatches
from mcast.roles.event_tap import EventTap
from mcast.roles.node.catalogue import CatalogueReporter
from mcast.roles.node.content_relay import Listeners, RelayHost
from mcast.roles.node.health import HealthReporter, UntoldEvents, Views
from mcast.roles.node.hop_meter import HopMeter
from mcast.roles.node.inbound import InboundConnections
from mcast.roles.node.layout_peers import LayoutPeers
from mcast.roles.node.load import ProcessLoad
from mcast.roles.node.options import DEFAULT_OPTIONS, NodeOptions
from mcast.roles.node.own_process import MediaSettings, OwnProcess
from mcast.roles.node.performer import Performer
from mcast.roles.node.relays import RelayDb
from mcast.roles.node.room_meter import RoomMeter
from mcast.roles.node.server_upstream import ServerUpstream
from mcast.roles.node.servers import ServerMonitors
from mcast.wire.bootstrap import Health, LayoutMessage, Links, NodeKind, Offer, Seek
from mcast.wire.handshake import Role
from mcast.wire.identity import Identity
from mcast.wire.position import Position

logger = logging.getLogger(__name__)

KEYLESS = Credentials(Role.NODE)
SEED_BYTES = 16
"""Of what request ids are drawn from: as many as an id has."""


class NodeProgram:
    """One overlay node, or the rendezvous point."""

    def __init__(
        self,
        layout: LayoutMessage,
        address: HostPort,
        ports: MediaPorts,
        say: Callable[[Health | Seek | Links], None],
        ready: Callable[[], int | None],
        on_crash: OnCrash,
        *,
        options: NodeOptions = DEFAULT_OPTIONS,
        timing: Timing = DEFAULT_TIMING,
        credentials: Credentials = KEYLESS,
        beat: Callable[..., None] = lambda *_: None,
        events: UntoldEvents | None = None,
    ) -> None:
        """Listen at `address`. Raises ConfigError if that, or to write the trace, is not possible.

        `say` tells the bootstrapper something and must not wait; `ready` gives the connection that would
        carry it at once. `beat` gets, at each tick, the threads that the node cannot do without. `events` are
        told to the bootstrapper, too.
        """
        self._options, self._beat = options, beat
        self._me = Identity.node(layout.name)
        self._ports, self._on_crash, self._credentials = ports, on_crash, credentials
        self._peers = LayoutPeers()
        self._listener = self._make_listener(address)
        try:
            core, self._decider = self._make_decider(layout.kind is NodeKind.RENDEZVOUS)
        except ConfigError:
            self._listener.stop()
            raise
        post = self._decider.post
        self._watcher = Watcher(on_crash)
        self._reaper = TaskThread("reaper", on_crash)
        self._flooder = Flooder(self._watcher, post, on_crash, credentials=credentials)
        self._monitors = ServerMonitors(self._watcher, post, on_crash, credentials=credentials)
        self._advertiser = Advertiser(takes_clients=options.takes_clients)
        self._watches = NeighbourWatches(
            self._me, post, self._decider.offer, on_crash, credentials=credentials
        )  # fmt: skip
        self._inbound = InboundConnections(
            self._watcher, self._decider, self._advertiser.watch, is_favoured=self._peers.is_one
        )
        self._host = self._make_host(timing)
        self._relays = RelayDb(self._host, self._reaper, post)
        self._meter, self._room = HopMeter(self._relays, post), RoomMeter(self._relays, self._host, post)
        views = _views(core, events or EventTap(), ready)
        self._health = HealthReporter(views, self._relays, say, ProcessLoad(self._host.others_load))
        self._performer = Performer(
            self._inbound, self._flooder, self._advertiser, self._relays, self._reaper, self._upstream,
            post, self._health.on_tree_change, say,
        )  # fmt: skip

    def _make_listener(self, address: HostPort) -> Listener:
        rules = Rules(
            credentials=self._credentials, first_message=FIRST_QUESTION, is_favoured=self._peers.is_one
        )
        return Listener(
            address, lambda connection: self._inbound.take(connection), self._on_crash, name="control",
            rules=rules, waits=False,
        )  # fmt: skip

    def _make_decider(self, is_rendezvous: bool) -> tuple[NodeCore, Decider]:
        """Return the core, and who asks it. Raises ConfigError if the trace cannot be written."""
        seed, path = os.urandom(SEED_BYTES), self._options.trace_file
        header = trace.header(self._me, rendezvous=is_rendezvous, seed=seed)
        writer = None if path is None else TraceWriter(path, header)
        core = NodeCore(self._me, random.Random(seed), rendezvous=is_rendezvous)
        decider = Decider(
            core, lambda action: self._performer.perform(action), self._on_crash, on_tick=self._on_tick,
            trace=writer,
        )  # fmt: skip
        return core, decider

    def _make_host(self, timing: Timing) -> RelayHost:
        """Return what carries the contents: this process, or its workers."""
        options, inbound = self._options, self._inbound
        listeners = Listeners(
            self._decider.post, inbound.on_child_lost, inbound.on_child_caught_up, self._on_crash
        )  # fmt: skip
        settings = MediaSettings(
            str(self._me), self._ports, options.forward_threads, options.gather,
            -(-options.limits.bit_rate // options.workers), timing,
        )  # fmt: skip
        if options.workers == 1:
            return OwnProcess(settings, listeners)
        # Here, as it loads 0.8 MiB that no node without workers needs.
        from mcast.roles.node.workers.pool import WorkerPool

        return WorkerPool(options.workers, settings, listeners)

    @property
    def address(self) -> HostPort:
        """Return where it listens."""
        return self._listener.address

    def start(self, layout: LayoutMessage) -> None:
        """Begin to meet the neighbours and servers, to decide, and to take connections."""
        self._host.start()
        self._watcher.start()
        self._reaper.start()
        self._decider.post(self._options.limits)
        self._take_in(layout)
        self._decider.start()
        self._listener.start()

    def update(self, layout: LayoutMessage) -> None:
        """Take in a new layout: kind, neighbours, servers. Waits for the threads of those that are gone."""
        try:
            self._take_in(layout)
        except NoThreadError as error:  # a node that knows half of its neighbours is worse than none
            self._on_crash(error)

    def _take_in(self, layout: LayoutMessage) -> None:
        # The core first: what the new connections tell is then about those whom it knows.
        names = tuple(neighbour.name for neighbour in layout.neighbours)
        self._peers.update(neighbour.address for neighbour in layout.neighbours)
        policy = replace(layout.policy, parents=self._options.parents or layout.policy.parents)
        self._decider.post(LayoutChanged(names, layout.servers, _rendezvous(layout), policy, layout.joined))
        addresses = {each.name: each.address for each in layout.neighbours}
        self._advertiser.update(addresses)
        self._flooder.update(addresses)
        self._watches.update(addresses, {each.name: each.address for each in layout.seniors})
        self._monitors.update(layout.servers)
        note(
            logger, "node_up", "%s", _describe(layout), node=layout.name, address=self.address,
            kind=layout.kind.name.lower(),
        )  # fmt: skip

    def take_offer(self, offer: Offer) -> None:
        """Take in whom the bootstrapper offers."""
        self._decider.post(Offered(offer.nodes))

    def stop(self) -> None:
        """Leave the overlay: children are told, parents too, every thread ends.

        Whatever start() has come to, and even if a thread has crashed.
        """
        self._listener.stop()
        self._decider.stop()
        self._performer.stop()
        self._host.stop()
        self._flooder.stop()
        self._watches.stop()
        self._monitors.stop()
        self._watcher.stop()
        self._inbound.close()

    def _on_tick(self, now: float) -> None:
        self._inbound.on_tick(now)
        self._advertiser.on_tick(now)
        self._relays.on_tick()
        self._meter.on_tick(now)
        self._room.on_tick(now)
        self._health.on_tick(now)
        self._beat(self._watcher.call, *self._host.vital_threads)

    def _upstream(self, subscribe: Subscribe, resume: Resume) -> Upstream:
        surroundings = (self._ports, self._watcher, self._decider.post, self._on_crash)
        if isinstance(subscribe.parent, ServerParent):
            due = partial(self._due, subscribe)
            return ServerUpstream(
                subscribe, *surroundings, resume=resume, due=due, credentials=self._credentials
            )
        return NeighbourUpstream(subscribe, *surroundings, flooder=self._flooder, me=self._me, resume=resume)

    def _due(self, subscribe: Subscribe, resume: Position) -> Due | None:
        """Return when a number of the stream to resume was due: by what has come of it, or by hearsay."""
        relay = self._relays.get(subscribe.content)
        due = relay.due(resume.next) if relay is not None else None
        return due or subscribe.due


def _views(core: NodeCore, events: UntoldEvents, ready: Callable[[], int | None]) -> Views:
    """Return where the node's reports come from."""
    return Views(
        lambda: core.branches,
        lambda: core.parents_beyond,
        lambda: core.servers.measurements(),
        CatalogueReporter(lambda name: core.servers.behind(name), lambda: core.servers.changes),
        events,
        ready,
    )


def _rendezvous(layout: LayoutMessage) -> tuple[str, ...]:
    """Return the layout's rendezvous points, of which this node is one if its kind says so.

    A bootstrapper that knows of one alone names standbys, too, and has them relay.
    """
    if layout.kind is NodeKind.RENDEZVOUS:
        return layout.rendezvous if layout.name in layout.rendezvous else (layout.name,)
    return tuple(name for name in layout.rendezvous if name != layout.name)


def _describe(layout: LayoutMessage) -> str:
    kind = "rendezvous point" if layout.kind is NodeKind.RENDEZVOUS else "overlay node"
    neighbours = ", ".join(f"{each.name} at {each.address}" for each in layout.neighbours) or "none"
    servers = f"; servers {', '.join(layout.servers)}" if layout.servers else ""
    return f"{kind} {layout.name}: neighbours {neighbours}{servers}"
