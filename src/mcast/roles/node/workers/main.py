"""A worker: a process that carries some of a node's contents, and decides nothing.

    thread MainThread   reads orders, each done at once; tells every 100 ms how far the relays have come
    forward-N, feedback the media plane, as in a node without workers
    facts               sends what is to be told: nobody else waits for the node

It ends when its node lets go of the socketpair: by an orderly end or by its death. So signals that are meant
for the node, and reach all processes of its group, are none of its business.

An unexpected exception in any thread ends it at once, as SIGKILL would: an orderly end says BYE to the
parents, and they would end what another worker is to go on with.
"""

import contextlib
import logging
import os
import queue
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from mcast.errors import McastError
from mcast.media.child import ChildLost
from mcast.net.ports import MediaPorts
from mcast.net.task_thread import TaskThread
from mcast.net.threads import OwnedThread
from mcast.overlay.actions import ConnectionId, UpstreamId
from mcast.overlay.events import Drained, Event, Feed, FeedChanged, Outdone
from mcast.roles import interpreter
from mcast.roles.node.content_relay import ChildTimes, Listeners
from mcast.roles.node.load import resident_kb
from mcast.roles.node.own_process import MediaSettings, OwnProcess
from mcast.roles.node.relay import Relay
from mcast.roles.node.workers import messages
from mcast.roles.node.workers.log_records import RecordTeller
from mcast.roles.node.workers.pipe import NoDescriptorsError, Pipe, inherited
from mcast.roles.node.workers.values import ChildFigures, ParentFigures, RelayId, Stand

logger = logging.getLogger(__name__)

TICK = 0.1
"""Seconds from one telling how far the relays have come to the next."""
FIGURES_TICKS = 10
"""Ticks from one telling of all parents and children to the next."""
MAX_WAITING = 1_000
"""Facts that wait for a node that does not read; beyond, those are left out that come again."""


class Facts:
    """Owns the thread "facts", which sends what is to be told."""

    def __init__(self, pipe: Pipe[messages.Order]) -> None:
        self._pipe = pipe
        self._waiting: queue.SimpleQueue[messages.Fact | None] = queue.SimpleQueue()
        self._left_out = 0
        self._thread = OwnedThread("facts", self._run, self.crash)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def tell(self, fact: messages.Fact) -> None:
        """Have something told. Never waits."""
        if self._waiting.qsize() < MAX_WAITING or not isinstance(
            fact, messages.Stands | messages.Figures | messages.Line
        ):
            self._waiting.put(fact)
        else:
            self._left_out += 1

    def stop(self) -> None:
        """Tell what was said before, and end."""
        self._waiting.put(None)
        self._thread.join()

    def crash(self, error: BaseException) -> NoReturn:
        """Have an unexpected exception logged, and end the process: whatever thread it came in."""
        logger.critical("unexpected %s, the worker ends: %s", type(error).__name__, error, exc_info=error)
        self.stop()
        os._exit(1)

    def _run(self) -> None:
        while (fact := self._waiting.get()) is not None:
            with contextlib.suppress(OSError):  # the node has gone: the main thread sees that
                self._pipe.send(fact)
            if self._left_out and self._waiting.empty():
                count, self._left_out = self._left_out, 0
                logger.warning("%d facts were left out: the node did not read them in time", count)


class WorkerProgram:
    """Does the orders of a node, and tells what comes of them."""

    def __init__(self, pipe: Pipe[messages.Order], begin: messages.Begin, facts: Facts) -> None:
        self._pipe, self._facts = pipe, facts
        settings = MediaSettings(
            begin.cname, MediaPorts(), begin.forward_threads, begin.gather_us / 1_000_000, begin.max_bit_rate
        )
        listeners = Listeners(self._post, self._on_child_lost, self._on_child_caught_up, facts.crash)
        self._host, self._reaper = OwnProcess(settings, listeners), TaskThread("reaper", facts.crash)
        self._relays: dict[RelayId, Relay] = {}
        self._of: dict[UpstreamId, RelayId] = {}  # which relay a parent feeds
        self._ticks = 0

    def run(self) -> None:
        """Do orders until the node lets go; then say BYE to all parents."""
        self._host.start()
        self._reaper.start()
        with contextlib.suppress(EOFError):
            self._obey_all()
        self._reaper.stop()
        self._host.stop()

    def _obey_all(self) -> NoReturn:
        """Do orders, and tell how far the relays have come. Raises EOFError: the node has let go."""
        next_tick = 0.0
        while True:
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + TICK
                self._tick()
            with contextlib.suppress(TimeoutError):
                try:
                    self._obey(*self._pipe.receive(max(0.0, next_tick - now)))
                except NoDescriptorsError as error:
                    self._refuse(error.message)

    # Orders

    def _obey(self, order: messages.Order, sockets: Sequence[socket.socket]) -> None:
        if isinstance(order, messages.Open):
            self._relays[order.relay] = self._host.open(order.content, order.position, order.start)
            return
        match order:
            case messages.AddParent(number, upstream, token, position, start, answer_us):
                (sock,) = sockets
                self._of[upstream] = number
                answer = answer_us / 1_000_000
                self._relays[number].add_parent(upstream, sock, token, position, start, answer)
            case messages.RemoveParent(number, upstream):
                self._of.pop(upstream, None)
                self._relays[number].remove_parent(upstream)
            case messages.TakeIn(number, newcomer):
                relay = self._relays[number]
                for common in sockets:
                    relay.fanout.adopt(newcomer.local_ip, common)
                relay.take_in(newcomer)
            case messages.Dismiss(number, child):
                self._relays[number].dismiss(child)
            case messages.TellState(number, state, no_way):
                self._relays[number].set_state(state, no_way=no_way)
            case messages.AwaitDrain(number, last):
                self._relays[number].await_drain(last)
            case messages.Close(number):
                self._close(number)

    def _refuse(self, order: messages.Order | messages.Fact) -> None:
        """Tell the node that an order cannot be done without the socket that came with it."""
        logger.error("no descriptors are left for the socket of an order: %s", type(order).__name__)
        match order:
            case messages.AddParent(_, upstream):
                self._facts.tell(messages.FeedChanged(upstream, Feed.SILENT))
            case messages.TakeIn(number, newcomer):
                self._facts.tell(messages.NoSocket(number, newcomer.key))

    def _close(self, number: RelayId) -> None:
        relay = self._relays.pop(number)
        self._of = {upstream: fed for upstream, fed in self._of.items() if fed != number}
        relay.ask_to_stop()
        self._reaper.post(relay.close)

    # Facts

    def _tick(self) -> None:
        for relay in self._relays.values():
            if news := relay.newly_drained():
                self._post(Drained(relay.content, news))
        self._tell_stands(self._relays)
        self._ticks += 1
        if self._ticks % FIGURES_TICKS == 0:
            for number, relay in self._relays.items():
                self._facts.tell(_figures(number, relay))

    def _tell_stands(self, relays: Mapping[RelayId, Relay]) -> None:
        stands = tuple(_stand(number, relay) for number, relay in relays.items())
        cpu_us = round(time.process_time() * 1_000_000)
        self._facts.tell(messages.Stands(cpu_us, resident_kb(), stands))

    def _post(self, event: Event) -> None:
        match event:
            case FeedChanged(upstream, feed, quiet_ms):
                # What is decided now may be where another parent is to go on.
                number = self._of.get(upstream, 0)
                if (relay := self._relays.get(number)) is not None:
                    self._tell_stands({number: relay})
                self._facts.tell(messages.FeedChanged(upstream, feed, quiet_ms))
            case Outdone(upstream):
                self._facts.tell(messages.Outdone(upstream))
            case Drained(content, children):
                self._facts.tell(messages.Drained(content, children))
            case _:
                raise TypeError(f"no relay posts {event}")

    def _on_child_lost(self, child: ConnectionId, how: ChildLost) -> None:
        self._facts.tell(messages.ChildGone(child, how))

    def _on_child_caught_up(self, child: ConnectionId) -> None:
        self._facts.tell(messages.CaughtUp(child))


def _stand(number: RelayId, relay: Relay) -> Stand:
    wanted = relay.wanted.next
    due = relay.due(wanted)
    due_at = None if due is None else due.at
    return Stand(number, relay.position, wanted, due_at, relay.delay(), relay.counters())


def _figures(number: RelayId, relay: Relay) -> messages.Figures:
    parents = tuple(ParentFigures(upstream, told) for upstream, told in relay.parents().items())
    children = tuple(
        ChildFigures(
            child.key,
            0 if child.address is None else child.address[1],
            ChildTimes(child.round_trip_ms, child.delay_us),
        )
        for child in relay.fanout.children()
    )
    return messages.Figures(number, parents, children)


def _have_log_told(facts: Facts, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [RecordTeller(lambda record: facts.tell(messages.Line(record)))]
    root.setLevel(level)


def main(argv: Sequence[str]) -> None:
    """Run a worker whose end of the socketpair is the descriptor `argv[1]`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    interpreter.share_one_heap()
    pipe = inherited(int(argv[1]))
    with interpreter.settings():
        try:
            begin, _ = pipe.receive()
        except EOFError:
            return
        if not isinstance(begin, messages.Begin):
            raise McastError(f"a worker's first order is {type(begin).__name__}")
        facts = Facts(pipe)
        facts.start()
        _have_log_told(facts, begin.log_level)
        try:
            WorkerProgram(pipe, begin, facts).run()
        except BaseException as error:
            facts.crash(error)
        facts.stop()


if __name__ == "__main__":
    main(sys.argv)
    os._exit(0)  # what is left is the system's to clear away, at once
