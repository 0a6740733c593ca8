"""A model of media: which numbers come where and when, and what each child sees of its parent.

As in mcast.media a parent's side (`SimFanout`: what it has, its children) and a child's side
(`SimReceiver`: the stream, and one `Inlet` per parent). Numbers travel in trains over links that delay
or lose them; what is missing is asked for once per look; each number is handed on once, whoever brings
it. Only media is a sign of the source, an SR only of the parent.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from mcast.media.race import Race
from mcast.media.silence import SIGN_ANSWERS
from mcast.overlay.actions import LOCAL, ConnectionId, UpstreamId
from mcast.overlay.better_paths import Quality
from mcast.overlay.events import Feed, FeedChanged, Outdone
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from overlay.sim_world import Process

KEYFRAME = 50
"""Each so many numbers a child may begin."""
HISTORY = 400
"""Numbers that a relay keeps: 8 s."""
SUSPECT, SILENCE, START_SILENCE, STARVED = 0.15, 0.3, 1.0, 1.0
QUIET, QUIET_REPORT = 0.05, 0.03
"""Seconds without media after which a parent sends SRs, and from one to the next."""
OUTDONE = 2.0
LEASE, FIRST_HELLO = 2.5, 10.0
HELLO = 0.1
REPAIR_SECONDS = 1.5

Span: TypeAlias = tuple[int, int]
"""From a number up to another, which does not belong to it."""


class Numbers:
    """A set of numbers, as spans in order."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []

    def __repr__(self) -> str:
        return f"<Numbers {self.spans}>"

    @property
    def spans(self) -> list[Span]:
        return list(zip(self._begins, self._ends, strict=True))

    @property
    def first(self) -> int:
        return self._begins[0] if self._begins else 0

    @property
    def next(self) -> int:
        return self._ends[-1] if self._ends else 0

    def add(self, begin: int, end: int) -> list[Span]:
        """Take numbers in; return those that are new."""
        if self._ends and begin == self._ends[-1]:  # what comes in order
            self._ends[-1] = end
            return [(begin, end)]
        new = self.missing(begin, end)
        if new:
            low = bisect_right(self._ends, begin - 1)
            high = bisect_right(self._begins, end)
            if low < high:
                begin, end = min(begin, self._begins[low]), max(end, self._ends[high - 1])
            self._begins[low:high], self._ends[low:high] = [begin], [end]
        return new

    def missing(self, begin: int, end: int) -> list[Span]:
        """Return what is not there of a span."""
        gaps: list[Span] = []
        at = bisect_right(self._ends, begin)
        while begin < end:
            if at == len(self._begins) or self._begins[at] >= end:
                gaps.append((begin, end))
                break
            if begin < self._begins[at]:
                gaps.append((begin, self._begins[at]))
            begin, at = self._ends[at], at + 1
        return gaps

    def within(self, begin: int, end: int) -> list[Span]:
        """Return what is there of a span."""
        return [(max(a, begin), min(b, end)) for a, b in self.spans if a < end and b > begin]

    def has(self, begin: int, end: int) -> bool:
        return not self.missing(begin, end)


@dataclass
class SimChild:
    """What a parent knows of a child: where its media goes, once it has said hello."""

    process: Process
    resume: Position | None
    heard: float
    inlet: "Inlet | None" = None  # that of the last hello


class SimFanout:
    """The parent's side of one stream in one process."""

    def __init__(
        self, process: Process, ssrc: int, supply: FeedState, depth: int = HISTORY,
        reach_back: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self.process, self.ssrc, self.supply, self._depth = process, ssrc, supply, depth
        self._reach_back = reach_back
        self.have = Numbers()
        self.children: dict[ConnectionId, SimChild] = {}
        self.viewer: Callable[[int, int], None] | None = None  # the child inside this process
        self.is_open = True
        self.last_media = process.world.now
        self._no_way = False
        self._is_watched = False

    @property
    def tail(self) -> int:
        return max(self.have.first, self.have.next - self._depth)

    def push(self, begin: int, end: int) -> None:
        """Hand on what is new here."""
        for span in self.have.add(begin, end):
            self.last_media = self.process.world.now
            self._send(span)

    def _send(self, span: Span) -> None:
        if self.viewer is not None:
            self.viewer(*span)
        for child in self.children.values():
            if child.inlet is not None:
                child.inlet.carry(*span)

    def admit(self, key: ConnectionId, process: Process, resume: Position | None) -> None:
        self.children[key] = SimChild(process, resume, self.process.world.now)
        if not self._is_watched:
            self._is_watched = True
            self._watch()

    def _watch(self) -> None:
        """Say something to the children as soon as no media does, as long as there are any."""
        self._is_watched = self.is_open and self.process.alive and bool(self.children)
        if not self._is_watched:
            return
        now, due = self.process.world.now, self.last_media + QUIET
        if now >= due - 1e-9:
            due = now + QUIET_REPORT
            if not self.process.frozen:
                self.report()
        self.process.world.clock.at(due, self._watch)

    def dismiss(self, key: ConnectionId) -> None:
        if key == LOCAL:
            self.viewer = None
        self.children.pop(key, None)

    def hello(self, key: ConnectionId, inlet: "Inlet") -> None:
        """Take in a child's hello: it is sent media from here on."""
        child = self.children.get(key)
        if child is None or child.inlet is inlet:
            return
        child.inlet, child.heard = inlet, self.process.world.now
        for span in self.have.within(self._start(child), self.have.next):
            inlet.carry(*span)
        if self.is_quiet:
            self._report(inlet)

    def _start(self, child: SimChild) -> int:
        if child.resume is not None and child.resume.ssrc == self.ssrc:
            return max(child.resume.next, self.tail)
        keyframe = (self.have.next - 1) // KEYFRAME * KEYFRAME
        return keyframe if keyframe >= self.tail else self.have.next

    @property
    def is_quiet(self) -> bool:
        return self.process.world.now - self.last_media >= QUIET

    def asked_again(self, inlet: "Inlet", gaps: Iterable[Span]) -> None:
        """Take in a NACK; what it asks for from before this process has begun is asked for above."""
        for gap in gaps:
            if self._reach_back is not None and gap[0] < self.have.first:
                self._reach_back(gap[0])
            for span in self.have.within(max(gap[0], self.tail), gap[1]):
                inlet.carry(*span)

    def set_supply(self, supply: FeedState, *, no_way: bool = False) -> None:
        if (supply, no_way) != (self.supply, self._no_way):
            self.supply, self._no_way = supply, no_way
            self.report()

    def report(self) -> None:
        """Send an SR to each child."""
        for child in self.children.values():
            if child.inlet is not None:
                self._report(child.inlet)

    def look(self) -> list[ConnectionId]:
        """Return the children whose lease is over; to be asked ten times a second."""
        now, over = self.process.world.now, []
        for key, child in self.children.items():
            inlet = child.inlet
            if inlet is not None and inlet.is_open and child.process.can_reach(self.process):
                child.heard = now
            elif now - child.heard > (FIRST_HELLO if inlet is None else LEASE):
                over.append(key)
        return over

    def drained(self, last: int) -> tuple[ConnectionId, ...]:
        """Return the children that have everything up to a number, and have said so."""
        end = last + 1
        if not self.have.has(self.tail, end):
            return ()
        done = [LOCAL] if self.viewer is not None else []
        for key, child in self.children.items():
            inlet = child.inlet
            if inlet is not None and child.process.can_reach(self.process) and inlet.receiver.has_all(end):
                done.append(key)
        return tuple(done)

    def _report(self, inlet: "Inlet") -> None:
        head = self.have.next
        state = _SAYS[self.supply] if not self._no_way else Feed.NO_WAY
        datagram(self.process, inlet.process, lambda: inlet.on_report(state, head))


_SAYS = {FeedState.FED: Feed.FED, FeedState.WAITING: Feed.WAITING, FeedState.CUT: Feed.CUT}


def datagram(sender: Process, receiver: Process, happen: Callable[[], None]) -> None:
    """Carry something by UDP: late, or not at all."""
    world = sender.world
    link = world.link(sender.name, receiver.name)
    loss = max(world.media_loss, link.media_loss)
    if link.media_is_down or (loss and world.random.random() < loss):
        return
    if (sender.name, receiver.name) in world.one_way:
        return
    world.clock.after(
        link.media_delay, lambda: None if link.media_is_down else receiver.takes_datagram(happen)
    )


@dataclass(eq=False)
class Inlet:
    """What a child sees of one parent."""

    upstream: UpstreamId
    process: Process  # the child's
    receiver: "SimReceiver"
    parent: Process
    fanout: Callable[[], SimFanout | None]  # the parent's, as long as its port is open
    key: ConnectionId  # of this child there
    answer: float = 0.0  # seconds that it took to say yes
    feed: Feed | None = None
    next: int = 0  # after the highest that it has brought
    begun: bool = False
    is_open: bool = True
    sign: float = 0.0
    media: float = 0.0
    new: int = 0  # numbers that it has brought before the other parent
    begin: int | None = None  # the first number that it has brought
    skipped: int = 0  # numbers that did not come in their turn

    def __post_init__(self) -> None:
        now = self.process.world.now
        self.link = self.process.world.link(self.process.name, self.parent.name)
        start_silence = max(START_SILENCE, min(SIGN_ANSWERS * self.answer, FIRST_HELLO))
        self.sign, self.media = now + start_silence - SILENCE, now - 1.0
        self._hello()
        self._watch()

    def _hello(self) -> None:
        if self.is_open and not self.begun and self.process.alive:
            datagram(self.process, self.parent, self._heard)
            self.process.world.clock.after(HELLO, self._hello)

    def _heard(self) -> None:
        if (fanout := self.fanout()) is not None and self.is_open:
            fanout.hello(self.key, self)

    def carry(self, begin: int, end: int) -> None:
        """Bring a train, as any datagram: the one event of which there are millions."""
        link, world = self.link, self.process.world
        loss = max(world.media_loss, link.media_loss)
        is_lost = link.media_is_down or (loss and world.random.random() < loss)
        if not is_lost and not (world.one_way and (self.parent.name, self.process.name) in world.one_way):
            world.clock.after(link.media_delay, partial(self._arrive, begin, end))

    def _arrive(self, begin: int, end: int) -> None:
        process = self.process
        if self.link.media_is_down:
            return
        if process.frozen:
            process.takes_datagram(partial(self.on_media, begin, end))
        elif process.alive:
            self.on_media(begin, end)

    def on_media(self, begin: int, end: int) -> None:
        if not self.is_open:
            return
        quiet = self.receiver.quiet
        new = self.receiver.take(begin, end)
        if not new and end <= self.next:
            return  # what goes round in a ring looks like this: no sign of life
        self.new += sum(end - begin for begin, end in new)
        if self.begin is None:
            self.begin = self.next = begin
        self.skipped += max(0, begin - self.next)
        self.next, self.begun = max(self.next, end), True
        self.sign = self.media = self.process.world.now
        self._change(Feed.FED, quiet=quiet)

    def on_report(self, says: Feed, head: int) -> None:
        if not self.is_open:
            return
        now = self.process.world.now
        self.sign, self.begun = max(self.sign, now), True
        self.receiver.begin(head)
        self.next = max(self.next, head)
        if self.feed is Feed.FED and now - self.media <= QUIET:
            return  # as long as media comes, its word counts for nothing
        if says in (Feed.CUT, Feed.NO_WAY):
            self._change(says)
        elif says is Feed.FED and self.feed is Feed.SUSPECT and self.new:
            self._change(Feed.FED)
        elif says is Feed.WAITING or self.feed in (None, Feed.SILENT, Feed.REFUSED):
            self._change(Feed.WAITING)

    def ask_again(self, gaps: list[Span]) -> None:
        def nacked() -> None:
            if (fanout := self.fanout()) is not None:
                fanout.asked_again(self, gaps)

        datagram(self.process, self.parent, nacked)

    def _watch(self) -> None:
        """Look whether it is silent: at the first moment at which it can be."""
        if not self.is_open or not self.process.alive:
            return
        now = self.process.world.now
        if self.process.frozen:
            self.sign = max(self.sign, now)  # who is asleep itself suspects nobody
        elif now > self.sign + SILENCE:
            self._silent()
        elif now > self.sign + SUSPECT and self.feed not in (None, Feed.SUSPECT, Feed.SILENT, Feed.REFUSED):
            self._change(Feed.SUSPECT)
        due = min((t for t in (self.sign + SUSPECT, self.sign + SILENCE) if t > now), default=now + QUIET)
        self.process.world.clock.at(due + 0.001, self._watch)

    def _silent(self) -> None:
        if not self.link.media_is_down and (not self.parent.alive or self.fanout() is None):
            self._change(Feed.REFUSED)  # the kernel says so to a report
        elif self.feed is not Feed.REFUSED:
            self._change(Feed.SILENT)

    def quality(self) -> Quality:
        """Return how it is with what it brings: the delay of its link, the losses of the whole way."""
        count = self.next - (self.begin or 0)
        return Quality(self.link.media_delay * 1000, 1000 * self.skipped // count if count else 0)

    def starved(self) -> None:
        if self.feed is Feed.FED and self.process.world.now - self.media > STARVED:
            self._change(Feed.CUT)

    def _change(self, feed: Feed, quiet: float = 0.0) -> None:
        if feed is not self.feed:
            self.feed = feed
            if feed is not Feed.FED and self.begin is not None:
                quiet = self.process.world.now - self.media
            self.receiver.on_event(FeedChanged(self.upstream, feed, round(quiet * 1000)))


@dataclass
class SimReceiver:
    """The child's side of one stream: what of it has come, from one or two parents."""

    process: Process
    ssrc: int
    on_new: Callable[[int, int], None]
    on_event: Callable[[FeedChanged | Outdone], None]
    have: Numbers = field(default_factory=Numbers)
    inlets: dict[UpstreamId, Inlet] = field(default_factory=dict)
    start: int | None = None
    next: int = 0
    new_at: float | None = None
    _gaps: dict[int, float] = field(default_factory=dict)  # where one begins -> when it was seen
    _looked_at: float = 0.0
    _reach: int | None = None  # wanted from before the start, once that is known
    _race: Race | None = None

    def add(self, inlet: Inlet) -> None:
        assert len(self.inlets) < 2, f"{self.process.name} receives from three parents"
        self.inlets[inlet.upstream] = inlet
        self._race = None

    def remove(self, upstream: UpstreamId) -> None:
        if (inlet := self.inlets.pop(upstream, None)) is not None:
            inlet.is_open = False

    def close(self) -> None:
        for upstream in list(self.inlets):
            self.remove(upstream)

    def take(self, begin: int, end: int) -> list[Span]:
        self.begin(begin)
        assert self.start is not None
        if begin < self.start:  # repaired for others: older than what counts here
            begin = min(self.start, end)
        new = self.have.add(begin, end) if begin < end else []
        self.next = max(self.next, end)
        if new:
            self.new_at = self.process.world.now
        for span in new:
            self.on_new(*span)
        return new

    @property
    def quiet(self) -> float:
        """Return for how many seconds nothing new has come."""
        return 0.0 if self.new_at is None else self.process.world.now - self.new_at

    def begin(self, number: int) -> None:
        """Take in a parent's word that it goes on with a number."""
        self.start_at(number)
        self.next = max(self.next, number)

    def start_at(self, number: int) -> None:
        """Begin with the number that the first parent was asked for."""
        if self.start is None:
            self.start = self.next = number
            if self._reach is not None:
                self.reach_back(self._reach)

    def reach_back(self, number: int) -> None:
        """Want the stream from a lower number on, for a child's sake."""
        if self.start is None:
            self._reach = number if self._reach is None else min(number, self._reach)
        elif self.next - HISTORY <= number < self.start:
            self.start = number

    def missing(self) -> list[Span]:
        return (
            [] if self.start is None else self.have.missing(max(self.start, self.next - HISTORY), self.next)
        )

    def has_all(self, end: int) -> bool:
        return self.start is not None and self.next >= end and not self.missing()

    @property
    def wanted(self) -> Position | None:
        """Return where who resumes goes on: at the first number that is missing, else after the highest."""
        if self.start is None:
            return None
        return Position(self.ssrc, next((gap[0] for gap in self.missing()), self.next))

    def _compare(self, now: float) -> None:
        """Name the one that is not needed of two parents that both bring media, every 2 s."""
        if len(self.inlets) != 2 or any(inlet.feed is not Feed.FED for inlet in self.inlets.values()):
            self._race = None
            return
        if self._race is None:
            older, newer = self.inlets.values()
            self._race = Race(older, newer, now)
        if (loser := self._race.loser(now, OUTDONE)) is not None:
            self.on_event(Outdone(loser))

    def look(self) -> None:
        """Ask for what is missing, ten times a second."""
        now = self.process.world.now
        for inlet in list(self.inlets.values()):
            inlet.starved()
        self._compare(now)
        gaps = self.missing()
        is_fed = any(inlet.feed in (Feed.FED, Feed.WAITING) for inlet in self.inlets.values())
        in_vain = 0.0 if is_fed else now - self._looked_at  # nobody could answer meanwhile
        self._gaps = {gap[0]: min(self._gaps.get(gap[0], now) + in_vain, now) for gap in gaps}
        self._looked_at = now
        asked = [gap for gap in gaps if now - self._gaps[gap[0]] < REPAIR_SECONDS]
        if asked:
            for inlet in self.inlets.values():
                if inlet.feed is Feed.FED or inlet.feed is Feed.WAITING:
                    inlet.ask_again(
                        [(begin, min(end, inlet.next)) for begin, end in asked if begin < inlet.next]
                    )
