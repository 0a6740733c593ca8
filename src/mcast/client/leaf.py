"""A leaf of the overlay: the decisions of a node without children elsewhere, wired to sockets and threads.

    neighbours --FOUND, MISS--> Flooder ----+
    parents --PORT, MISS, STOP-> upstreams -+--> Decider --> NodeCore --> actions --> here
    media ------> Intake --- fed, cut ------+
                     '--chunks--> the reader's queue

The one child (`LOCAL`) is the reader. Which neighbour is asked, how often and for how long, who becomes the
parent and when a stream is over: all of that is decided in `mcast.overlay`, here it is done. The thread
`decide` calls what stands under "What is decided"; what may wait is left to the thread `reaper`.
"""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from mcast import eventlog
from mcast.client.chunks import ChunkQueue
from mcast.client.failures import search_error, stop_error
from mcast.client.intake import Intake
from mcast.client.options import Options
from mcast.client.statistics import Statistics
from mcast.errors import McastError
from mcast.hostport import HostPort
from mcast.media.parent import ParentEvent
from mcast.net.handshake import Credentials
from mcast.net.task_thread import TaskThread
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay import actions as do
from mcast.overlay import trace
from mcast.overlay.actions import LOCAL, Action, Path, UpstreamId
from mcast.overlay.branch import Branch
from mcast.overlay.events import (
    Drained,
    FeedChanged,
    LayoutChanged,
    Offered,
    Outdone,
    Stopped,
    Unwanted,
    Wanted,
)
from mcast.overlay.node_core import NodeCore
from mcast.peer.decider import Decider
from mcast.peer.flooder import Flooder
from mcast.peer.trace import TraceWriter
from mcast.peer.upstream import NeighbourUpstream, begin
from mcast.wire.bootstrap import NamedAddress, Policy
from mcast.wire.handshake import Role
from mcast.wire.identity import CLIENT_ID_SIZE, MAX_NODE_NAME, Identity
from mcast.wire.node import Stop, StopReason
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState

logger = logging.getLogger(__name__)

SILENT_SOURCE = "the source is silent, or its next keyframe is to come"
_SEED_BYTES = 16


class Leaf:
    """Takes one content from the overlay into a queue. To be used once."""

    def __init__(self, options: Options, chunks: ChunkQueue, on_crash: OnCrash) -> None:
        """Raises ConfigError if the trace cannot be written, OSError without descriptors."""
        self._options, self._chunks, self._on_crash = options, chunks, on_crash
        self._me = Identity.client(os.urandom(CLIENT_ID_SIZE))
        seed = os.urandom(_SEED_BYTES)
        self._core = NodeCore(self._me, random.Random(seed))
        self._decider = self._make_decider(seed)  # first: it may fail
        try:
            self._watcher = Watcher(on_crash)
        except OSError:
            self._decider.stop()
            raise
        self._flooder = Flooder(
            self._watcher, self._decider.post, on_crash, credentials=Credentials(Role.CLIENT, options.keys)
        )
        self._reaper = TaskThread("reaper", on_crash)
        self._hurry = threading.Event()  # the reader does not wait for the time of what is held
        # The thread `decide` owns what follows. Others read it: each value is replaced as a whole.
        self._upstreams: dict[UpstreamId, NeighbourUpstream] = {}
        self._intake: Intake | None = None
        self._last: int | None = None  # the content's last number, while it is waited for
        self._request, self._began = b"", 0.0  # the newest request, and when it was made
        self._path: tuple[str, ...] | None = None
        self._buffer_bytes = 0
        self._branch: Branch | None = None  # what the core knows of the content, once it is joined
        self._awaited = ""

    def _make_decider(self, seed: bytes) -> Decider:
        file = self._options.trace
        writer = (
            None if file is None else TraceWriter(file, trace.header(self._me, rendezvous=False, seed=seed))
        )
        return Decider(self._core, self._perform, self._on_crash, on_tick=self._on_tick, trace=writer)

    def __repr__(self) -> str:
        return f"<Leaf {self._me} [{self._options.content}] {self._intake!r}>"

    # For the subscription

    @property
    def path(self) -> tuple[str, ...]:
        """Return the names of the nodes that the stream comes through, the rendezvous point first."""
        return self._path or ()

    @property
    def awaited(self) -> str:
        """Return what the stream waits for, or what seems to be wrong with its way, for people."""
        return self._awaited or ("" if self._intake is None else self._intake.doubt)

    @property
    def doubt(self) -> str:
        """Return what seems to be wrong with the way, for people, however short a time that may be so."""
        intake = self._intake
        return "" if intake is None else intake.doubt or intake.muteness

    def start(self) -> None:
        """Begin to search."""
        self._watcher.start()
        self._reaper.start()
        self._decider.start()
        neighbours = names_of(self._options.neighbours)
        logger.info("[%s] searching by way of %s", self._options.content, ", ".join(neighbours.values()))
        self._flooder.update(neighbours)
        options = self._options
        if options.parents > len(neighbours):
            logger.warning("[%s] name two neighbours to be fed by two: one is all there is", options.content)
        self._decider.post(LayoutChanged(tuple(neighbours), policy=Policy(parents=options.parents)))
        if options.further:
            nodes = (NamedAddress(str(each), str(each)) for each in options.further)
            self._decider.post(Offered(tuple(nodes)))
        self._decider.post(Wanted(options.content, options.patience, options.start, options.give_up))

    def stop(self) -> None:
        """Say STOP, put out at once what is held, and end all threads; to be called once.

        Whatever start() has come to, and even if a thread has crashed.
        """
        self._hurry.set()
        self._decider.post(Unwanted(self._options.content))
        self._decider.stop()
        for upstream in tuple(self._upstreams):  # none, unless the decider has crashed
            self._leave(upstream, StopReason.UNSUBSCRIBE)
        self._flooder.stop()
        self._reaper.stop()
        if self._intake is not None:  # here, as it is over already only where the overlay has ended it
            self._intake.stop()
            self._intake.put_out(None, unbroken=True)
        self._watcher.stop()

    def statistics(self) -> Statistics:
        """Describe what has come so far."""
        if self._intake is None:
            return Statistics(path=self.path)
        figures = self._intake.statistics(self.path, self._request, self._began, self._buffer_bytes)
        return replace(figures, parent_changes=0 if self._branch is None else self._branch.parent_changes)

    # What is decided: called by the thread `decide`

    def _perform(self, action: Action) -> None:
        match action:
            case do.Ask():
                self._ask(action)
            case do.CancelAsks():
                self._flooder.cancel(action.request, action.neighbours)
            case do.Meet():
                self._meet(action)
            case do.Subscribe():
                self._subscribe(action)
            case do.Receive():
                self._receive(action)
            case do.Leave():
                self._leave(action.upstream, action.reason)
            case do.CloseRelay():
                self._close_intake()
            case do.BeginAnew():
                self._begin_anew(action)
            case do.AwaitDrain():
                self._last = action.last
            case do.Announce():
                self._announce(action)
            case do.Accept() | do.Update() | do.End() | do.Fail() | do.Await() | do.Supply():
                self._tell(action)
            case do.Reply() | do.AskList() | do.Dismiss() | do.Advertise() | do.Introduce():
                pass  # for children and neighbours that ask: a leaf has none
            case do.Reach() | do.Seek() | do.TakeLinks():
                pass  # a leaf knows no bootstrapper

    def _tell(self, action: do.Accept | do.Update | do.End | do.Fail | do.Await | do.Supply) -> None:
        """Tell the reader what has become of its wish."""
        match action:
            case do.Accept():
                self._on_joined(action.path)
            case do.Update():
                self._on_path(action.path)
            case do.End():
                self._on_over(action.stop)
            case do.Fail():
                self._chunks.finish(search_error(self._options, action.failure))
            case do.Await():
                self._awaited = action.text
            case do.Supply():
                self._awaited = SILENT_SOURCE if action.state is FeedState.WAITING else ""

    def _ask(self, action: do.Ask) -> None:
        if self._path is None and action.disc.request != self._request:
            self._request, self._began = action.disc.request, time.monotonic()
        self._flooder.ask(action)

    def _meet(self, action: do.Meet) -> None:
        for gone in self._flooder.meet({str(each): str(each) for each in action.neighbours}):
            self._reaper.post(gone.stop)

    def _announce(self, action: do.Announce) -> None:
        logger.info("%s", action.text, extra=eventlog.event_extra(action.event, **dict(action.fields)))

    def _subscribe(self, action: do.Subscribe) -> None:
        intake = self._intake if action.resume else None
        upstream = NeighbourUpstream(
            action, self._options.media_ports, self._watcher, self._decider.post, self._on_crash,
            flooder=self._flooder, me=self._me,
            resume=lambda: None if intake is None else intake.wanted,
        )  # fmt: skip
        self._upstreams[action.upstream] = upstream
        begin(upstream, self._decider.post)

    def _receive(self, action: do.Receive) -> None:
        upstream = self._upstreams[action.upstream]
        assert upstream.accepted is not None  # the core says Receive when PORT has come
        try:
            sock = upstream.connect_media()
        except OSError as error:
            text = f"no way to the media port: {error.strerror or error}"
            self._decider.post(Stopped(action.upstream, StopReason.ERROR, None, text))
            return
        self._buffer_bytes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        position = upstream.accepted.stream
        try:
            intake = self._intake = self._intake or self._open(position)
        except (OSError, McastError) as error:  # no descriptors, no threads
            sock.close()
            self._decider.post(Stopped(action.upstream, StopReason.ERROR, None, str(error)))
            return
        intake.add_parent(
            action.upstream, sock, upstream.accepted.token, position, upstream.start_number,
            upstream.answer_seconds,
        )  # fmt: skip

    def _open(self, position: Position) -> Intake:
        return Intake(
            self._options, position, self._chunks, self._on_parent, self._on_outdone, self._on_crash,
            self._hurry,
        )  # fmt: skip

    def _leave(self, number: UpstreamId, reason: StopReason) -> None:
        upstream = self._upstreams.pop(number)
        upstream.leave(reason)
        if self._intake is not None:
            self._intake.remove_parent(number)
        self._reaper.post(upstream.join)

    def _close_intake(self) -> None:
        if self._intake is not None:
            self._intake.ask_to_stop()
            self._reaper.post(self._intake.stop)

    def _begin_anew(self, action: do.BeginAnew) -> None:
        if self._intake is not None:
            former = self._intake.begin_anew(action.stream)
            self._reaper.post(former.stop)

    def _on_joined(self, path: Path) -> None:
        self._awaited, self._branch = "", self._core.branches[self._options.content]
        names = self._path = self._names_of(path)
        eventlog.note(
            logger, "joined", "[%s] joined by way of %s", self._options.content, " > ".join(names),
            content=self._options.content, path=names, request=self._request,
        )  # fmt: skip
        self._chunks.open()

    def _on_path(self, path: Path) -> None:
        names = self._names_of(path)
        if names != self._path and self._intake is not None:
            self._intake.change_way()
        self._path = names

    def _on_over(self, stop: Stop) -> None:
        """Let what is held go out, and the queue end behind it."""
        intake = self._intake
        error = stop_error(self._options, stop, "" if intake is None else intake.doubt)
        if intake is not None:
            self._reaper.post(lambda: intake.put_out(stop.last))
        self._reaper.post(lambda: self._chunks.finish(error))

    def _on_tick(self, _now: float) -> None:
        if self._last is not None and self._intake is not None and self._intake.is_drained(self._last):
            self._last = None
            self._decider.post(Drained(self._options.content, (LOCAL,)))

    def _names_of(self, path: Path) -> tuple[str, ...]:
        return tuple(node.name for node in path if node != self._me)

    # Called by the thread forward-CONTENT

    def _on_parent(self, upstream: UpstreamId, event: ParentEvent) -> None:
        self._decider.post(FeedChanged(upstream, event.kind, event.quiet_ms))

    def _on_outdone(self, upstream: UpstreamId) -> None:
        self._decider.post(Outdone(upstream))


def names_of(neighbours: Iterable[HostPort]) -> dict[str, str]:
    """Return the neighbours' addresses by name: a client does not know what the layout calls them.

    The address itself is the name, where it is not too long for one.
    """
    addresses = [str(neighbour) for neighbour in neighbours]
    return {
        address if len(address) <= MAX_NODE_NAME else f"neighbour {number}": address
        for number, address in enumerate(addresses, start=1)
    }
