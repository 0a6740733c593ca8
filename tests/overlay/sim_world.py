"""What surrounds the processes of a simulated overlay: time, links that fail, connections.

A message takes a random time, and messages of one connection keep their order. A lost segment makes it
and what is behind it late, as TCP sends it again; over a dead link it waits until the link heals or the
connection is given up. A datagram that meets a dead link is gone.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Happen: TypeAlias = Callable[[], None]

PACE = 0.02
"""Seconds from one number of a stream to the next."""
RETRANSMIT = 0.2
"""Seconds until TCP sends a segment again for the first time; doubled each time."""
USER_TIMEOUT = 10.0
"""Seconds that unacknowledged data keeps a connection."""
KEEPALIVE_TIMEOUT = 15.0
"""Seconds after which a connection without data is found to be dead."""
SYN_RETRIES = (0.0, 1.0, 3.0)
"""Seconds after the beginning at which a connect is tried."""
CONNECT_TIMEOUT = 4.0
UDP_BUFFER = 256
"""Datagram trains that wait for a process that is frozen."""


class Clock:
    """The heap of what is still to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Happen]] = []
        self._count = 0

    def at(self, when: float, happen: Happen) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, happen))

    def after(self, seconds: float, happen: Happen) -> None:
        self.at(self.now + seconds, happen)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let so much time pass, or less: `until` is asked 20 times a second. Return what it said last."""
        end, look = self.now + seconds, self.now
        events = self._events
        while events and events[0][0] <= end:
            if until is not None and events[0][0] >= look:
                look = events[0][0] + 0.05
                if until():
                    return True
            self.now, _, happen = heapq.heappop(events)
            happen()
        self.now = end
        return until is None or until()


@dataclass
class Link:
    """The way between two processes' hosts. Times are seconds."""

    media_delay: float
    control_down_since: float | None = None
    media_is_down: bool = False
    media_loss: float = 0.0  # of a train


class World:
    """Time, chance and the links."""

    def __init__(self, seed: int, most_delay: float) -> None:
        self.clock, self.random = Clock(), Random(seed)
        self.most_delay = most_delay
        self.is_steady = False  # each message takes what its link takes; else as long as chance will have it
        self.train_seconds = PACE  # from one train to the next
        self.media_loss = 0.0  # of a train on a link
        self.control_loss = 0.0  # of a segment: it comes late
        self.one_way: set[tuple[str, str]] = set()  # from whom no datagram comes, and to whom not
        self.in_flight = 0  # control messages
        self._links: dict[tuple[str, str], Link] = {}
        self._wires: dict[Wire, None] = {}  # in order: a set's order is no part of the seed

    @property
    def now(self) -> float:
        return self.clock.now

    def delay(self, link: Link | None = None) -> float:
        if self.is_steady and link is not None:
            return link.media_delay
        return self.random.uniform(0.0001, self.most_delay)

    def soon(self, happen: Happen) -> None:
        """Do something after what is being done now: nothing happens within something else."""

        def arrive() -> None:
            self.in_flight -= 1
            happen()

        self.in_flight += 1
        self.clock.after(0.0, arrive)

    def link(self, one: str, other: str) -> Link:
        key = (one, other) if one < other else (other, one)
        if key not in self._links:
            self._links[key] = Link(min(self.delay(), 0.05))
        return self._links[key]

    def cut(self, one: str, other: str, *, control: bool = True, media: bool = True) -> None:
        """Let nothing through between two hosts, and tell nobody."""
        link = self.link(one, other)
        link.media_is_down |= media
        if control and link.control_down_since is None:
            link.control_down_since = since = self.now
            self.clock.after(KEEPALIVE_TIMEOUT, lambda: self._give_up(link, since))

    def mend(self, one: str, other: str) -> None:
        link = self.link(one, other)
        link.media_is_down, link.control_down_since = False, None

    def _give_up(self, link: Link, since: float) -> None:
        if link.control_down_since == since:
            for wire in [wire for wire in self._wires if wire.link is link]:
                wire.time_out()

    def opened(self, wire: "Wire") -> None:
        self._wires[wire] = None

    def closed(self, wire: "Wire") -> None:
        self._wires.pop(wire, None)


class Process:
    """A running program: it can be frozen and go on, and it can die."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.alive, self.frozen, self.frozen_at = True, False, 0.0
        self._backlog: deque[Happen] = deque()
        self._datagrams = 0

    def takes(self, happen: Happen) -> None:
        """Do what something that has arrived leads to: later, while the process is frozen."""
        if self.alive and not self.frozen:
            happen()
        elif self.alive:
            self._backlog.append(happen)

    def takes_datagram(self, happen: Happen) -> None:
        """Do the same where the socket's buffer is bounded and its excess gone."""
        if not self.frozen:
            self.takes(happen)
        elif self._datagrams < UDP_BUFFER:
            self._datagrams += 1
            self._backlog.append(happen)

    def freeze(self) -> None:
        self.frozen, self.frozen_at = True, self.world.now

    def thaw(self) -> None:
        self.frozen, self._datagrams = False, 0
        while self._backlog and not self.frozen:
            self._backlog.popleft()()

    def die(self) -> None:
        self.alive = False
        self._backlog.clear()

    def can_reach(self, other: "Process") -> bool:
        """Tell whether what this process says by datagrams is heard and answered by the other one."""
        link = self.world.link(self.name, other.name)
        if (self.name, other.name) in self.world.one_way:
            return False
        return self.alive and not self.frozen and other.alive and not link.media_is_down


class Channel:
    """One direction of a connection."""

    def __init__(self, world: World, link: Link, time_out: Happen) -> None:
        self._world, self._link, self._time_out = world, link, time_out
        self._free = world.now
        self._stuck: deque[Happen] = deque()

    def send(self, deliver: Happen, *, wait: float = 0.0) -> None:
        """Deliver in order, at the earliest after `wait` seconds."""
        world = self._world
        world.in_flight += 1
        late = RETRANSMIT if world.control_loss and world.random.random() < world.control_loss else 0.0
        self._free = max(self._free, world.now + world.delay(self._link) + late + wait)
        world.clock.at(self._free, lambda: self._arrive(deliver))

    def _arrive(self, deliver: Happen) -> None:
        if self._link.control_down_since is None and not self._stuck:
            self._world.in_flight -= 1
            deliver()
            return
        self._stuck.append(deliver)
        if len(self._stuck) == 1:
            self._world.clock.after(RETRANSMIT, lambda: self._retry(RETRANSMIT, RETRANSMIT))

    def _retry(self, pause: float, waited: float) -> None:
        if self._link.control_down_since is None:
            self._world.in_flight -= len(self._stuck)
            while self._stuck:
                self._stuck.popleft()()
        elif waited >= USER_TIMEOUT:
            self._world.in_flight -= len(self._stuck)
            self._stuck.clear()
            self._time_out()
        else:
            self._world.clock.after(2 * pause, lambda: self._retry(2 * pause, waited + 2 * pause))


class Wire:
    """A TCP connection that one process has made to another. Each end hears of the other's end once."""

    def __init__(
        self, caller: Process, callee: Process, on_gone: Callable[[str], None], on_hung_up: Happen
    ) -> None:
        """`on_gone(text)` tells the caller that it was closed, `on_hung_up()` the callee."""
        world = caller.world
        self.caller, self.callee, self._world = caller, callee, world
        self.link = world.link(caller.name, callee.name)
        self._on_gone, self._on_hung_up = on_gone, on_hung_up
        self._caller_open = self._callee_open = True
        self._up = Channel(world, self.link, self.time_out)
        self._down = Channel(world, self.link, self.time_out)
        world.opened(self)

    @property
    def is_open(self) -> bool:
        return self._caller_open and self._callee_open

    def ask(self, deliver: Happen, *, wait: float = 0.0) -> None:
        """Carry a message to the callee."""
        self._up.send(lambda: self.callee.takes(lambda: deliver() if self._callee_open else None), wait=wait)

    def answer(self, deliver: Happen) -> None:
        """Carry a message to the caller."""
        self._down.send(lambda: self.caller.takes(lambda: deliver() if self._caller_open else None))

    def hang_up(self) -> None:
        """Close it at the caller's end."""
        if self._caller_open:
            self._caller_open = False
            self._world.closed(self)
            self._up.send(lambda: self.callee.takes(self._hung_up))

    def drop(self, text: str = "closed by the peer") -> None:
        """Close it at the callee's end."""
        if self._callee_open:
            self._callee_open = False
            self._world.closed(self)
            self._down.send(lambda: self.caller.takes(lambda: self._gone(text)))

    def time_out(self) -> None:
        """Let both kernels find that it is dead."""
        self._world.closed(self)
        self.caller.takes(lambda: self._gone("timed out"))
        self.callee.takes(self._hung_up)

    def _hung_up(self) -> None:
        if self._callee_open:
            self._callee_open = False
            self._on_hung_up()

    def _gone(self, text: str) -> None:
        if self._caller_open:
            self._caller_open = False
            self._on_gone(text)


def connect(
    caller: Process,
    callee: Callable[[], Process | None],
    name: str,
    connected: Callable[[Process], None],
    failed: Callable[[str], None],
) -> None:
    """Connect to whoever runs under a name then; tell the caller how that went."""
    world = caller.world
    link = world.link(caller.name, name)

    def attempt(number: int) -> None:
        if link.control_down_since is not None:
            again = number + 1
            if again < len(SYN_RETRIES):
                world.clock.after(SYN_RETRIES[again] - SYN_RETRIES[number], lambda: attempt(again))
            else:
                world.clock.after(CONNECT_TIMEOUT - SYN_RETRIES[number], lambda: finish("no answer"))
            return
        process = callee()
        if process is None or not process.alive:
            world.clock.after(2 * world.delay(link), lambda: finish("connection refused"))
        else:
            world.clock.after(2 * world.delay(link), lambda: finish("", process))

    def finish(text: str, process: Process | None = None) -> None:
        world.in_flight -= 1
        if process is not None and process.alive:
            caller.takes(lambda: connected(process))
        else:
            caller.takes(lambda: failed(text or "connection refused"))

    world.in_flight += 1
    attempt(0)
