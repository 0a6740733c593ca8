"""What simulated neighbours tell each other of themselves, each pair on a connection of its own."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from mcast.overlay import actions as do
from mcast.overlay.events import Advertised, AdvertsLost, Event, Introduced
from overlay.sim_world import Process, Wire, connect

if TYPE_CHECKING:
    from overlay.sim_node import SimNode

TICK = 0.1
"""Seconds for which a new path is held back: it may change again."""
RETRY = 1.0
"""Seconds until a neighbour that could not be reached is watched again."""
LOOK, SILENCE = 2.0, 6.0
"""Seconds between two looks whether a watched neighbour still says something, and until it has not."""
SENIOR_LOOK, SENIOR_SILENCE = 0.25, 0.75
"""The same for a rendezvous point, by one that stands behind it."""


class Watch:
    """One node listens to one neighbour."""

    def __init__(self, listener: "SimNode", name: str, *, is_senior: bool = False) -> None:
        self._listener, self._name = listener, name
        self._look_s, self._silence = (SENIOR_LOOK, SENIOR_SILENCE) if is_senior else (LOOK, SILENCE)
        self._wire: Wire | None = None
        self._is_over = False
        self._heard = listener.world.now
        self._connect()

    def stop(self) -> None:
        self._is_over = True
        if self._wire is not None:
            self._wire.hang_up()

    def tell(self, event: Event) -> None:
        """Carry a word of the neighbour's to who listens."""
        if self._wire is not None:
            self._listener.news += 1
            self._wire.answer(lambda: self._listener.handle(event))

    def _connect(self) -> None:
        if not self._is_over and self._listener.alive:
            find = partial(self._listener.net.process, self._name)
            connect(self._listener, find, self._name, self._connected, self._failed)

    def _connected(self, process: Process) -> None:
        from overlay.sim_node import SimNode

        assert isinstance(process, SimNode)
        self._heard = self._listener.world.now
        adverts = process.adverts
        wire = Wire(self._listener, process, self._gone, lambda: adverts.forget(self))
        self._wire = wire
        wire.ask(lambda: adverts.watched_by(self))
        if self._is_over:
            wire.hang_up()
        self._look(wire, process)

    def _failed(self, _text: str) -> None:
        self._listener.world.clock.after(RETRY, self._connect)

    def _gone(self, text: str) -> None:
        self._wire = None
        if not self._is_over:
            self._listener.handle(AdvertsLost(self._name))
            self._failed(text)

    def _look(self, wire: Wire, process: Process) -> None:
        """Find out by silence that the neighbour is gone: who lives says something every 2 s."""
        world = self._listener.world
        if self._wire is not wire or not self._listener.alive:
            return
        if process.alive and not process.frozen and wire.link.control_down_since is None:
            self._heard = world.now
        if self._listener.frozen or world.now - self._heard < self._silence:
            world.clock.after(self._look_s, lambda: self._look(wire, process))
        else:
            wire.hang_up()
            self._gone("silence")


class SimAdverts:
    """What one node tells, and whom it listens to."""

    def __init__(self, node: "SimNode") -> None:
        self._node = node
        self._watches: dict[str, Watch] = {}
        self._watchers: dict[Watch, None] = {}
        self._adverts: dict[str, do.Advertise] = {}
        self._held: set[str] = set()  # contents of which a new path is told in a moment
        self._distance: int | None = None
        self._is_leaving = self._is_full = False

    def update(self, names: Iterable[str], seniors: Iterable[str] = ()) -> None:
        """Listen to these neighbours, and to these rendezvous points, which may be some of them."""
        first = set(seniors)
        wanted = set(names) | first
        for name in [name for name in self._watches if name not in wanted]:
            self._watches.pop(name).stop()
        for name in sorted(wanted - set(self._watches)):
            self._watches[name] = Watch(self._node, name, is_senior=name in first)

    def close(self) -> None:
        for watch in self._watches.values():
            watch.stop()
        for watcher in self._watchers:
            if watcher._wire is not None:
                watcher._wire.drop()

    def watched_by(self, watch: Watch) -> None:
        self._watchers[watch] = None
        watch.tell(self._introduced())
        for advert in self._adverts.values():
            watch.tell(self._advertised(advert))

    def forget(self, watch: Watch) -> None:
        self._watchers.pop(watch, None)

    def advertise(self, news: do.Advertise) -> None:
        before = self._adverts.get(news.content)
        if news.path:
            self._adverts[news.content] = news
        else:
            self._adverts.pop(news.content, None)
        if before is None or not news.path or before.fed != news.fed or before.full != news.full:
            self._tell(self._advertised(news))
        elif news.content not in self._held:
            self._held.add(news.content)
            self._node.world.clock.after(TICK, partial(self._tell_held, news.content))

    def _tell_held(self, content: str) -> None:
        self._held.discard(content)
        if content in self._adverts and self._node.alive:
            self._tell(self._advertised(self._adverts[content]))

    def introduce(self, distance: int | None, *, leaving: bool, full: bool) -> None:
        self._distance, self._is_leaving, self._is_full = distance, leaving, full
        self._tell(self._introduced())

    def _tell(self, event: Event) -> None:
        for watch in self._watchers:
            watch.tell(event)

    def _advertised(self, news: do.Advertise) -> Advertised:
        return Advertised(
            self._node.name, news.content, news.path, news.fed, news.delay_ms, news.lost_permille,
            news.viewers, news.full,
        )  # fmt: skip

    def _introduced(self) -> Introduced:
        address = self._node.net.address_of(self._node.name)
        return Introduced(self._node.name, self._distance, address, self._is_leaving, self._is_full)
