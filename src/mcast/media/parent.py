"""A child's view of one parent: what to say to it and when, and whether it lives.

Told what was received and the time, it returns packets to send and events. Pure: no socket, no
clock. What is new of the stream is not its business (incoming.py): a content may have two
parents, and what one of them brings the other may have brought before.

    hello    at once, then every 50 ms until media or an SR of the stream comes
    report   RR every 500 ms, every 200 ms while datagrams are missing or nothing comes, every 100 ms while
             the parent hears none
    NACK     what is missing, at once and then again and again, until that has been in vain for too long

**Signs of life.** Media and SRs are both: the source is never silent for more than 100 ms, and a parent
without media sends an SR every 30 ms. Neither for 150 ms: SUSPECT; for 300 ms: SILENT. Where longer
gaps are the rule both come later (`rhythm`). Losses alone are no suspicion. The clock of silence
advances by at most 30 ms a look, so that a process that was asleep itself suspects nobody.

**Only media is a sign of the source.** An SR shows that the parent lives, no more: else a ring of
relays would keep itself alive. So there is a second clock, which media alone sets back: a parent that
says it is fed and brings no media is as good as cut off (CUT). And only media that goes on is a sign:
what goes round in a ring is never higher than what was there before. As long as media comes the
parent's word counts for nothing: it feeds us out of its history while it is cut off itself.

**Null packets alone are the source's sign, and no media.** They keep the numbers going while a live input has
nothing to say. So while the parent says that it waits for the server, they do not make it FED. And while more
and more is missing between them (`Lack`), they are a sign of life alone: larger datagrams vanish on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mcast.media.leap import Leap
from mcast.media.reception import Asking, Span
from mcast.media.report_block import ReportBlocks
from mcast.media.reports import Speaker, reference_delay, reference_time
from mcast.media.round_trip import RoundTrip
from mcast.media.silence import Lack, Silence
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.overlay.actions import UpstreamId
from mcast.overlay.events import Feed
from mcast.wire.position import Position
from mcast.wire.rtcp import NEXT_UNKNOWN, FeedState, Packet, SenderReport, UpstreamState

NACK_SPACING = 0.005
"""Seconds between two NACKs, so that a train's losses that come one by one share a packet."""
_MIN_ROUND_TRIP = 0.001
_FEEDING = (Feed.FED, Feed.WAITING)
_LIVING = (*_FEEDING, Feed.CUT, Feed.NO_WAY)


@dataclass(frozen=True, slots=True)
class ParentEvent:
    """How it is with a parent's media has changed."""

    kind: Feed
    at: float  # monotonic seconds
    quiet_ms: int = 0  # FED: how long nothing new had come from anybody; else: no media from this one


@dataclass(frozen=True, slots=True)
class ParentCounters:
    """What one parent has brought so far."""

    state: Feed | None  # None before anything has come
    datagrams: int  # each number once
    new: int  # of these, which no other parent had brought before
    lost: int  # that it has sent and that did not come from it (yet)
    skipped: int  # that did not come in their turn, whether repaired later or not
    next: int  # the number after the highest that it has sent
    jitter_ms: float
    round_trip_ms: float | None


class Parent:
    """One parent of a stream. Not thread-safe: the receiver's thread owns it, others may read counters()."""

    def __init__(
        self,
        upstream: UpstreamId,
        speaker: Speaker,
        position: Position,
        now: float,
        *,
        start: int | None = None,
        timing: Timing = DEFAULT_TIMING,
        answer: float = 0.0,
    ) -> None:
        """Expect a stream: `position` is what PORT says of it, `start` what STREAM asked to go on from.

        `answer` is how many seconds PORT has taken.
        """
        self.upstream = upstream
        self.state: Feed | None = None
        self.round_trip = RoundTrip()
        self.leap = Leap()
        self.start = start  # the first number that it is expected to send; None: not known yet
        self.next = position.next if start is None else start  # the number after the highest that it sent
        self.received = 0  # each number once
        self.new = 0  # what no other parent had brought before
        self.nack_sent = 0
        self.skipped = 0
        self.delay_us = 0  # what it is told of the way from the server to here; 0: not known
        self._speaker, self._timing = speaker, timing
        self._events: list[ParentEvent] = []
        self._begun = False
        self._hello_at = now
        self._hellos = 0
        self._report_due = self._nack_due = self._said_at = now
        self._silence = Silence(now, timing, answer)
        self._media_at: float | None = None
        self._starved = 0.0  # for how long it has brought no media though it says that it is fed
        self._says_fed = self._says_waiting = False
        self._idle = False  # null packets came last
        self._lack = Lack()
        self._beside = False
        self._lost = 0
        self._blocks = ReportBlocks(position.ssrc)

    def __repr__(self) -> str:
        return f"<Parent {self.upstream} {self.state} next={self.next} lost={self.lost}>"

    @property
    def lives(self) -> bool:
        """Return whether it has given a sign of life lately."""
        return self.state in _LIVING

    @property
    def feeds(self) -> bool:
        """Return whether it has all that there is of the stream, as far as it knows."""
        return self.state in _FEEDING

    @property
    def expected(self) -> int:
        """Return how many numbers should have come from it."""
        return 0 if self.start is None else self.next - self.start

    @property
    def lost(self) -> int:
        """Return how many of them have not (yet)."""
        return self.expected - self.received

    def has_sent(self, number: int) -> bool:
        """Return whether it has sent a number, so that it can be asked for it again."""
        return self.start is not None and self.start <= number < self.next

    def asking(self) -> Asking:
        """Return what it may be asked for."""
        begin = self.next if self.start is None else self.start
        return Asking(self.upstream, begin, self.next, self.round_trip.patience)

    @property
    def report_due(self) -> float:
        """Return when it is to hear the next report."""
        return self._report_due

    def is_due(self, now: float) -> bool:
        """Return whether it is to hear something, or somebody something about it."""
        return now >= self._report_due or bool(self._events)

    def may_ask(self, now: float) -> bool:
        """Return whether it is time for another NACK."""
        return now >= self._nack_due

    @property
    def has_news(self) -> bool:
        """Return whether `events` has something to tell."""
        return bool(self._events)

    def events(self) -> Sequence[ParentEvent]:
        """Return what has changed since the last call."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    def counters(self) -> ParentCounters:
        """Describe what has come from it so far."""
        rtt = self.round_trip.smoothed
        return ParentCounters(
            state=self.state,
            datagrams=self.received,
            new=self.new,
            lost=self.lost,
            skipped=self.skipped,
            next=self.next,
            jitter_ms=self._blocks.jitter_ms,
            round_trip_ms=None if rtt is None else rtt * 1000,
        )

    # What comes from it

    def on_media(
        self,
        first: int,
        count: int,
        spans: tuple[Span, ...],
        timestamp: int,
        now: float,
        *,
        idle: bool = False,
        missing: int = 0,
        quiet: float = 0.0,
    ) -> None:
        """Take in datagrams of the stream, of which `spans` had not come from anywhere before.

        `idle` tells that there is nothing in them but null packets, `missing` how much the stream lacks then,
        `quiet` for how many seconds nothing new had come from anybody.
        """
        if first == self.next and self.start is not None:
            self.next = first + count
            self.received += count
        elif not self._count(first, first + count, spans):
            return  # all of it has come from it before: no sign of life
        self._media_at = now
        self.new += spans[0][1] if len(spans) == 1 else sum(length for _, length in spans)
        lacks, self._idle = idle and self._lack.grows(missing, now), idle
        if lacks:
            self._silence.on_report(now, self.state is not Feed.SILENT)
        else:
            self._silence.on_media(now, self.state is not Feed.SILENT)
            self._starved = 0.0
        if self.state is not Feed.FED and not (lacks and self.state is Feed.CUT):
            kind = Feed.WAITING if idle and self._says_waiting else Feed.FED
            self._change(kind, now, quiet=quiet)
        if not self._begun:
            self._begin(now)
        self._blocks.note_arrival(timestamp, now)

    @property
    def is_steady(self) -> bool:
        """Return whether it feeds us and has begun to, so that one more train is no news."""
        return self.state is Feed.FED and self._begun and self.start is not None and not self._idle

    def on_followed(self, next_number: int, timestamp: int, now: float) -> None:
        """Take in trains that have come while it was steady, in order, each soon after the one before.

        Up to `next_number`; the last of them at `now`, and with this RTP timestamp.
        """
        count = next_number - self.next
        self.next = next_number
        self.received += count
        self.new += count
        self._starved, self._media_at = 0.0, now
        self._silence.on_steady(now)
        self._blocks.note_arrival(timestamp, now)

    def on_report(self, report: SenderReport, others: Sequence[Packet], now: float) -> None:
        """Take in its SR, and what comes with it."""
        self._silence.on_report(now, self.state is not Feed.SILENT)
        self._blocks.last_report = (report.ntp, now)
        if not self._begun:
            self._begin(now)
        answer = reference_delay(others, self._speaker.ssrc, now)
        if answer is None:
            return
        sample, age = answer
        if age < self._timing.unheard:
            self.round_trip.note(max(sample, _MIN_ROUND_TRIP))
        else:  # all reports since then have been lost
            self._report_due = min(self._report_due, self._said_at + self._timing.unheard_report)

    def reach_back(self, number: int) -> None:
        """Ask it for numbers below those that it has sent, as well."""
        if self.start is not None and number < self.start:
            self.start = number

    def go_on(self, number: int) -> None:
        """Take in its word that it goes on with `number`: what is below has been sent."""
        if self.start is None:
            self.start = self.next = number
        elif number > self.next:
            self.next = number

    def on_state(self, told: UpstreamState, now: float) -> None:
        """Take in what it says of its own supply, with the SR that has just come."""
        # While it waits for a keyframe for us, no media is no sign of anything.
        self._says_fed = told.state is FeedState.FED and told.next != NEXT_UNKNOWN
        self._says_waiting = told.state is FeedState.WAITING
        is_fed = self.state is Feed.FED and not (self._idle and self._says_waiting)
        if is_fed and self._silence.media <= self._timing.quiet:
            return
        if told.state is FeedState.CUT:
            self._change(Feed.NO_WAY if told.no_way else Feed.CUT, now)
        elif told.state is FeedState.FED and self.state is Feed.SUSPECT and self.received:
            self._change(Feed.FED, now)  # as it was; whether it is starved is for judge() to find out
        elif told.state is FeedState.WAITING or not self.lives:
            self._change(Feed.WAITING, now)

    def refused(self, now: float) -> None:
        """Take in that its port is closed."""
        self._change(Feed.REFUSED, now)

    # What is said to it

    def judge(self, now: float) -> None:
        """Find out by the clock whether it still lives; to be called after each receive and every 20 ms."""
        timing, silence = self._timing, self._silence
        step = silence.look(now)
        if silence.signs > timing.suspect or silence.signs > timing.silence:
            self._judge_silence(now)
        elif self._says_fed and silence.media > timing.quiet:
            self._starved += step
            if self._starved > timing.starved and self.state in (Feed.FED, Feed.WAITING):
                self._change(Feed.CUT, now)

    def _judge_silence(self, now: float) -> None:
        silence = self._silence
        if silence.signs > silence.sure:
            if self.state is not Feed.REFUSED:
                self._change(Feed.SILENT, now)
        elif silence.signs > silence.suspect and self.lives:
            self._change(Feed.SUSPECT, now)

    def due(self, now: float, missing: Sequence[int] = (), *, beside: bool = False) -> bytes | None:
        """Return the packet that is due now, if one is; with what is missing it is due at once.

        `beside` tells whether another parent delivers the stream, too; that it does no more is said at once.
        """
        if now < self._report_due and not missing and beside >= self._beside:
            return None
        self._beside = beside
        if missing:
            self.nack_sent += 1
            self._nack_due = now + NACK_SPACING
        return self._report(missing, now)

    def goodbye(self, now: float) -> bytes:
        """Return the last word."""
        block = self._blocks.next(self.expected, self.received, self.next, now)
        return self._speaker.compound(block, bye=True)

    def _count(self, first: int, end: int, spans: tuple[Span, ...]) -> bool:
        """Count what did not come in order; return whether any of it counts.

        What it brings late, after the other parent, counts as lost: to tell it from what it brings twice
        would take a second list of gaps.
        """
        if self.start is None:
            self.start = self.next = max(first, 0)
        before = self.next
        count = sum(min(begin + length, before) - begin for begin, length in spans if begin < before)
        if end > before:
            count += end - max(first, before)
            self.skipped += max(0, first - before)
            self.next = end
        self.received += count
        return count > 0

    def _begin(self, now: float) -> None:
        self._begun = True
        if self._hellos == 1:  # of several it is not known which one is answered (Karn's algorithm)
            self.round_trip.note(max(now - self._hello_at, _MIN_ROUND_TRIP))
        self._report_due = now + self._timing.lossy_report

    def _report(self, missing: Sequence[int], now: float) -> bytes:
        timing, self._said_at = self._timing, now
        if not self._begun:
            self._hello_at = now
            self._hellos += 1
            self._report_due = now + timing.hello
        else:
            lossy = self.lost > self._lost or self.state is not Feed.FED
            self._lost = self.lost
            self._report_due = now + (timing.lossy_report if lossy else timing.report)
        block = self._blocks.next(self.expected, self.received, self.next, now)
        return self._speaker.compound(
            block, missing, reference=reference_time(now), delay_us=self.delay_us, beside=self._beside
        )

    def _change(self, kind: Feed, now: float, quiet: float = 0.0) -> None:
        if self.state is kind:
            return
        self.state = kind
        if kind is not Feed.FED:
            quiet = 0.0 if self._media_at is None else now - self._media_at
        self._events.append(ParentEvent(kind, now, max(0, round(quiet * 1000))))
