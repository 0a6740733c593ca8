"""A stream as one child receives it, from one parent or two: what is new of it, and whom to ask for the rest.

    parent ──┐                      ┌── trains: each number once, whoever brings it
             ├──► IncomingStream ───┤
    parent ──┘                      └── per parent: hellos, reports, NACKs, goodbyes

A train that goes on where the last one ended, from the only parent, while nothing lacks, takes the short
way (forwarding.py): what it means for the parent is taken in at the next look (`settle`), all else at once.

The state of the stream is here (its SSRC, which numbers have come, its clock), the state of a parent
in parent.py. With two parents each is asked only for what it has sent, and for what one of them has
not answered the other is asked next. One of the two is soon outdone (race.py). Pure: no socket, no clock.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from mcast.errors import WireError
from mcast.media.delay import EndToEnd, as_told
from mcast.media.leap import MAX_DROPOUT
from mcast.media.parent import Parent, ParentCounters
from mcast.media.race import Race
from mcast.media.reception import Reception, extend
from mcast.media.reports import Speaker
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import Feed
from mcast.wire.burst import Run, is_whole_run, sort_burst
from mcast.wire.position import Position
from mcast.wire.rtcp import NEXT_UNKNOWN, SenderReport, read_state, unpack_compound
from mcast.wire.rtp import timestamp_at
from mcast.wire.train import Train, only_nulls

MAX_NACK = 256
"""Numbers asked for in one packet: at worst 1,024 bytes."""


@dataclass(frozen=True, slots=True)
class ReceiverCounters:
    """What has come of a stream so far, from all its parents."""

    datagrams: int  # each number once
    bytes: int
    lost: int  # missing now, or for good
    duplicates: int
    reordered: int
    repaired: int
    foreign: int  # RTP of another SSRC
    garbage: int
    next: int
    longest_gap_ms: float  # between two new datagrams
    nack_sent: int  # packets
    doubted: int  # leaps that were not believed, or not yet
    dropped: int = 0  # times that a socket of this host had no room for what came

    def plus(self, later: "ReceiverCounters") -> "ReceiverCounters":
        """Return what has come of this stream and of one that came in its place."""
        ours, theirs = asdict(self), asdict(later)
        sums = {name: ours[name] + theirs[name] for name in ours}
        longest = max(self.longest_gap_ms, later.longest_gap_ms)
        return ReceiverCounters(**{**sums, "next": later.next, "longest_gap_ms": longest})


NOTHING_YET = ReceiverCounters(
    datagrams=0, bytes=0, lost=0, duplicates=0, reordered=0, repaired=0, foreign=0, garbage=0, next=0,
    longest_gap_ms=0.0, nack_sent=0, doubted=0,
)  # fmt: skip


FLOWING = 0.02
"""Seconds: silence is longer than that. The receiver looks as often, and judges what is no longer flowing."""


class IncomingStream:
    """One stream and its parents. Not thread-safe: the receiver's thread owns it."""

    def __init__(
        self,
        position: Position,
        *,
        start: int | None = None,
        repair: bool = True,
        timing: Timing = DEFAULT_TIMING,
        wall: Callable[[], float] | None = None,
        end_to_end: EndToEnd | None = None,
    ) -> None:
        """Expect a stream. `start` is the first number that counts, where it is known.

        `wall` is the clock, in Unix seconds, by which the delay from the server is measured; `end_to_end` is
        where that is written down, if others look at it.
        """
        self.ssrc = position.ssrc
        self.reception = Reception(position.next, start)
        self.bytes = self.foreign = self.garbage = 0
        self.steady: Parent | None = None  # the only parent, while all is in order
        self.followed: Train | None = None  # the last that has taken the short way since the last look
        self.new_at = float("inf")  # when something new has come last
        self.longest_gap = 0.0
        self.end_to_end = end_to_end or EndToEnd()
        self._repair, self._timing, self._wall = repair, timing, wall
        self._parents: dict[UpstreamId, Parent] = {}
        self._race: Race | None = None
        self._nacks_of_former = self._doubted = 0
        self._reach: int | None = None  # wanted from before the start, once that is known
        self._unfed_since: float | None = None  # no parent can answer, while something is missing

    def __repr__(self) -> str:
        return f"<IncomingStream {self.ssrc:08x} {self.reception!r} {list(self._parents.values())}>"

    # Parents

    def add(
        self,
        upstream: UpstreamId,
        speaker: Speaker,
        position: Position,
        now: float,
        start: int | None = None,
        answer: float = 0.0,
    ) -> Parent:
        """Expect the stream from a parent, too; `start` is the number that it was asked to go on from.

        `answer` is how many seconds it took to say yes.
        The first parent is held to the start of the stream, unless it was asked for another number.
        """
        if start is None and not self.reception.received and not self._parents:
            start = self.reception.start
        parent = Parent(upstream, speaker, position, now, start=start, timing=self._timing, answer=answer)
        self.settle()
        self.reception.renew(now)
        self._parents[upstream] = parent
        self._race = self.steady = None
        return parent

    def remove(self, upstream: UpstreamId) -> None:
        """Expect nothing more from a parent."""
        self.settle()
        self.steady = None
        former = self._parents.pop(upstream, None)
        if former is not None:
            self._nacks_of_former += former.nack_sent
        self._race = None

    def reach_back(self, number: int, now: float) -> None:
        """Want the stream from a lower number on: somebody below lacks what this child never asked for."""
        self.settle()
        self.steady = None
        if self.reception.start is None:  # nothing has come: from where there is to go back is not known yet
            self._reach = number if self._reach is None else min(number, self._reach)
        elif self.reception.reach_back(number, now):
            for parent in self._parents.values():
                parent.reach_back(number)

    def parents(self) -> dict[UpstreamId, ParentCounters]:
        """Describe what each parent has brought so far. From any thread."""
        return {upstream: parent.counters() for upstream, parent in dict(self._parents).items()}

    # What comes

    def settle(self) -> bool:
        """Let all know that look at the stream what has taken the short way; return whether anything has."""
        train, parent = self.followed, self.steady
        if train is None or parent is None:
            return False
        self.end_to_end.passage.note(train.last_timestamp(), self.new_at)
        parent.on_followed(self.reception.next, timestamp_at(train.data, 0), self.new_at)
        self.followed = None
        return True

    def flows(self, now: float) -> bool:
        """Return whether it takes the short way, and something has come lately."""
        return self.steady is not None and now - self.new_at < FLOWING

    def _find_steady(self) -> None:
        """Find out whether what follows may take the short way."""
        self.steady = None
        if len(self._parents) == 1 and not self.reception.missing:
            (parent,) = self._parents.values()
            if parent.is_steady and parent.next == self.reception.next:
                self.steady = parent

    def receive(self, parent: Parent, data: bytes, size: int, now: float) -> list[Train]:
        """Take in one receive, in segments of `size`; return what is new of the stream."""
        self.settle()
        trains = self._receive(parent, data, size, now)
        self._find_steady()
        return trains

    def _receive(self, parent: Parent, data: bytes, size: int, now: float) -> list[Train]:
        if is_whole_run(data, size, self.ssrc):  # of two parents, or after a loss: still nearly always
            sequence, expected = data[2] << 8 | data[3], parent.next
            if sequence == expected & 0xFFFF and parent.start is not None:
                return self._take(parent, Train(expected, size, data), now)
            return self._on_run(parent, Run(sequence, size, data), now)
        burst = sort_burst(data, size, self.ssrc)
        self.foreign += burst.foreign
        self.garbage += burst.garbage
        for packet in burst.rtcp:
            self._on_rtcp(parent, packet, now)
        return [train for run in burst.runs for train in self._on_run(parent, run, now)]

    def counters(self) -> ReceiverCounters:
        """Describe what has come so far. From any thread."""
        reception, parents = self.reception, list(self._parents.values())
        return ReceiverCounters(
            datagrams=reception.received,
            bytes=self.bytes,
            lost=reception.lost,
            duplicates=reception.duplicates,
            reordered=reception.reordered,
            repaired=reception.repaired,
            foreign=self.foreign,
            garbage=self.garbage,
            next=reception.next,
            longest_gap_ms=self.longest_gap * 1000,
            nack_sent=self._nacks_of_former + sum(parent.nack_sent for parent in parents),
            doubted=self._doubted,
        )

    def delay(self, now: float) -> float | None:
        """Return the seconds from the server to here by its clock and ours, None if not known. Any thread."""
        return None if self._wall is None else self.end_to_end.seconds(now, self._wall())

    def _on_run(self, parent: Parent, run: Run, now: float, first: int | None = None) -> list[Train]:
        """Take in a run from the number `first` on, found out by what has come from the parent before."""
        if first is None:
            first = extend(run.sequence, parent.next)
            if first != parent.next:
                return self._on_leap(parent, first, run, now)
        return self._take(parent, Train(first, run.size, run.data), now)

    def _take(self, parent: Parent, train: Train, now: float) -> list[Train]:
        """Take in what a parent has brought; return what of it is new."""
        data, size, first, count = train.data, train.size, train.first, train.count
        spans = self.reception.accept(first, count, now)
        idle = only_nulls(data, size)
        missing = self.reception.lost if idle else 0
        quiet = max(0.0, now - self.new_at)  # nothing has come yet: it is infinite
        parent.on_media(
            first, count, spans, timestamp_at(data, 0), now, idle=idle, missing=missing, quiet=quiet
        )
        if self._reach is not None:
            number, self._reach = self._reach, None
            self.reach_back(number, now)
        if not spans:
            return []
        if first + count == self.reception.next:  # neither late nor sent again
            self.end_to_end.passage.note(train.timestamp(count - 1), now)
        if now - self.new_at > self.longest_gap:
            self.longest_gap = now - self.new_at
        self.new_at = now
        if len(spans) == 1 and spans[0][1] == count:
            self.bytes += len(data)
            return [train]
        parts = [train.slice(begin, begin + length) for begin, length in spans]
        self.bytes += sum(len(part.data) for part in parts)
        return parts

    def _on_leap(self, parent: Parent, first: int, run: Run, now: float) -> list[Train]:
        """Take in what does not follow on what has come from a parent, unless it is too good to be true."""
        leap, expected = parent.leap, parent.next
        if leap.next is not None and leap.next > expected and not leap.is_one(first, expected):
            claimed = extend(run.sequence, leap.next)  # further than 16 bits can tell: an SR has said so
            first = claimed if 0 <= claimed - leap.next <= MAX_DROPOUT else first
        if not leap.is_one(first, expected):
            return self._on_run(parent, run, now, first)
        if not leap.believe(first, first + run.count, expected, run):
            self._doubted += 1
            return []
        kept = leap.take()
        trains = [] if kept is None else self._on_run(parent, kept[1], now, kept[0])
        return [*trains, *self._on_run(parent, run, now, first)]

    def _on_rtcp(self, parent: Parent, packet: bytes, now: float) -> None:
        try:
            packets = unpack_compound(packet)
            told = read_state(packets)
        except WireError:
            self.garbage += 1
            return
        report = packets[0]
        if not isinstance(report, SenderReport) or report.ssrc != self.ssrc:
            self.foreign += 1
            return
        parent.on_report(report, packets[1:], now)
        if told is None:
            return
        if told.origin is not None:
            self.end_to_end.tell(told.origin, now)
        parent.delay_us = as_told(self.delay(now))
        if told.next != NEXT_UNKNOWN and self._is_believed(parent, told.next, now):
            parent.go_on(told.next)
        parent.on_state(told, now)

    def _is_believed(self, parent: Parent, number: int, now: float) -> bool:
        """Take in a parent's word that it goes on with `number`; return whether it is believed."""
        leap = parent.leap
        if leap.is_one(number, parent.next):
            if not leap.believe(number, number, parent.next):
                self._doubted += 1
                return False
            leap.take()  # what was kept of it is missing from now on, and asked for
        return self.reception.begin(number, now)

    # What is said

    def on_time(self, parent: Parent, now: float) -> bytes | None:
        """Return the packet for a parent that is due now; to be asked after each receive and every 20 ms."""
        self.settle()
        parent.judge(now)
        self._find_steady()
        alone = len(self._parents) < 2
        missing = self._to_ask(parent, now) if self._repair and self.reception.missing else ()
        return parent.due(now, missing, beside=not alone and self._others_deliver(parent))

    def outdone(self, now: float) -> UpstreamId | None:
        """Return which of two parents has just been outdone by the other, if one has."""
        if len(self._parents) != 2 or any(p.state is not Feed.FED for p in self._parents.values()):
            self._race = None
            return None
        if self._race is None:
            older, newer = self._parents.values()
            self._race = Race(older, newer, now)
        return self._race.loser(now, self._timing.outdone)

    def _others_deliver(self, parent: Parent) -> bool:
        return any(p.state is Feed.FED for p in self._parents.values() if p is not parent)

    def _give_up(self, now: float) -> None:
        """Miss no longer what has been asked for in vain. That is not in vain while nobody can answer."""
        if not any(parent.feeds for parent in self._parents.values()):
            self._unfed_since = now if self._unfed_since is None else self._unfed_since
            return
        if self._unfed_since is not None:
            self.reception.defer(now - self._unfed_since, now)
            self._unfed_since = None
        self.reception.give_up(now - self._timing.repair)

    def _to_ask(self, parent: Parent, now: float) -> list[int]:
        """Return the missing numbers that a parent is to be asked for now."""
        self._give_up(now)
        if not parent.may_ask(now):
            return []
        others = [other for other in self._parents.values() if other is not parent and other.lives]
        if not others:
            return self.reception.to_ask(parent.asking(), now, MAX_NACK)
        if not parent.lives:
            return []
        return self.reception.to_ask(
            parent.asking(), now, MAX_NACK, lambda number: any(other.has_sent(number) for other in others)
        )
