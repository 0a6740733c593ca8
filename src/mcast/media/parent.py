"""A child's view of one parent: what to say to it and when, and whether it lives.

Told what was received and the time, it returns packets to send and events; it holds no socket and
no clock. What is new of the stream is not its business (incoming.py): a content may have two
parents, and what one of them brings the other may have brought before.

    hello    at once, then each 50 ms until media or an SR of the stream comes
    report   RR each 500 ms, each 200 ms while datagrams are missing or nothing comes
    NACK     what is missing, at once and then once per round trip, until it is too old
    silence  neither media nor SR for 300 ms: something above is broken, as the source is never
             silent for more than 100 ms and a parent without media sends an SR each 100 ms

Only media is a sign of the source. An SR shows that the parent lives, no more: else a ring of
relays would keep itself alive. And only media that goes on is one: what goes round in a ring is
never higher than what was there before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mcast.media.reception import Asking, Span
from mcast.media.reports import Speaker
from mcast.media.timing import DEFAULT_TIMING, Timing
from mcast.overlay.actions import UpstreamId
from mcast.wire.position import Position
from mcast.wire.rtcp import NEXT_UNKNOWN, FeedState, ReportBlock, SenderReport, UpstreamState, middle32
from mcast.wire.rtp import CLOCK_RATE

MIN_ASK_SECONDS = 0.02
DEFAULT_ROUND_TRIP = 0.05
"""Seconds, as long as it has not been measured."""
_ASK_ROUND_TRIPS = 1.25
_MIN_ROUND_TRIP = 0.001
_DELAY_UNITS = 65_536
_MAX_CUMULATIVE = (1 << 23) - 1  # 24 bits, signed (RFC 3550, A.3)


class ParentState(Enum):
    """How it is with a parent."""

    FED = auto()  # media comes
    WAITING = auto()  # it lives, media is to come
    CUT = auto()  # it says that it is cut off itself, or no media comes though it says it is fed
    SILENT = auto()  # nothing comes
    REFUSED = auto()  # nobody listens at its port any more


_LIVING = (ParentState.FED, ParentState.WAITING, ParentState.CUT)


@dataclass(frozen=True, slots=True)
class ParentEvent:
    """A parent's state has changed."""

    kind: ParentState
    at: float  # monotonic seconds
    cut_ms: int = 0  # since when it is cut off, by its own word


@dataclass(frozen=True, slots=True)
class ParentCounters:
    """What one parent has brought so far."""

    state: ParentState | None  # None before anything has come
    datagrams: int  # each number once
    new: int  # of these, which no other parent had brought before
    lost: int  # that it has sent and that did not come from it (yet)
    next: int  # the number after the highest that it has sent
    jitter_ms: float
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class WallClock:
    """Which RTP time is which wall-clock time, by a parent's last SR."""

    ntp: int
    rtp: int
    received: float  # monotonic seconds


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
    ) -> None:
        """Expect a stream: `position` is what PORT says of it, `start` what STREAM asked to go on from."""
        self.upstream, self.ssrc = upstream, position.ssrc
        self.state: ParentState | None = None
        self.clock: WallClock | None = None
        self.round_trip: float | None = None  # seconds
        self.start = start  # the first number that it is expected to send; None: not known yet
        self.next = position.next if start is None else start  # the number after the highest that it sent
        self.received = 0  # each number once
        self.new = 0  # what no other parent had brought before
        self._speaker, self._timing = speaker, timing
        self._events: list[ParentEvent] = []
        self._begun = False
        self._hello_at: float | None = None
        self._sign = now + timing.start_silence - timing.silence
        self._media = self._report_due = now
        self._lost = 0
        self._reported = (0, 0)  # expected and received at the last report
        self._jitter = 0.0  # RFC 3550, A.8, in ticks of 90 kHz
        self._transit: int | None = None

    def __repr__(self) -> str:
        return f"<Parent {self.upstream} {self.state} next={self.next} lost={self.lost}>"

    @property
    def lives(self) -> bool:
        """Return whether it has given a sign of life lately."""
        return self.state in _LIVING

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
        patience = max((self.round_trip or DEFAULT_ROUND_TRIP) * _ASK_ROUND_TRIPS, MIN_ASK_SECONDS)
        return Asking(self.upstream, begin, self.next, patience)

    def events(self) -> Sequence[ParentEvent]:
        """Return what has changed since the last call."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    def counters(self) -> ParentCounters:
        """Describe what has come from it so far."""
        rtt = self.round_trip
        return ParentCounters(
            state=self.state,
            datagrams=self.received,
            new=self.new,
            lost=self.lost,
            next=self.next,
            jitter_ms=self._jitter * 1000 / CLOCK_RATE,
            round_trip_ms=None if rtt is None else rtt * 1000,
        )

    # What comes from it

    def on_media(self, first: int, count: int, spans: tuple[Span, ...], timestamp: int, now: float) -> None:
        """Take in datagrams of the stream, of which `spans` had not come from anywhere before."""
        if first == self.next and self.start is not None:
            self.next = first + count
            self.received += count
        elif not self._count(first, first + count, spans):
            return  # all of it has come from it before: no sign of life
        self.new += spans[0][1] if len(spans) == 1 else sum(length for _, length in spans)
        self._sign = self._media = now
        if self.state is not ParentState.FED:
            self._change(ParentState.FED, now)
        if not self._begun:
            self._begin(now)
        self._note_arrival(timestamp, now)

    def on_report(self, report: SenderReport, now: float) -> None:
        """Take in its SR."""
        self._sign = max(now, self._sign)
        self.clock = WallClock(report.ntp, report.rtp, now)
        if not self._begun:
            self._begin(now)

    def go_on(self, number: int) -> None:
        """Take in its word that it goes on with `number`: what is below has been sent."""
        if self.start is None:
            self.start = self.next = number
        elif number > self.next:
            self.next = number

    def on_state(self, told: UpstreamState, now: float) -> None:
        """Take in what it says of its own supply."""
        if told.next == NEXT_UNKNOWN:
            self._media = now  # it waits for a keyframe: no media is no sign of anything
        if told.state is FeedState.CUT:
            self._change(ParentState.CUT, now, told.cut_ms)
        elif told.state is FeedState.WAITING or not self.lives:
            self._change(ParentState.WAITING, now)

    def refused(self, now: float) -> None:
        """Take in that its port is closed."""
        self._change(ParentState.REFUSED, now)

    # What is said to it

    def judge(self, now: float) -> None:
        """Find out by the clock whether it still lives."""
        timing = self._timing
        if now - self._sign > timing.silence:
            if self.state is not ParentState.REFUSED:
                self._change(ParentState.SILENT, now)
        elif self.state is ParentState.FED and now - self._media > timing.starved:
            self._change(ParentState.CUT, now)

    def due(self, now: float, missing: Sequence[int] = ()) -> bytes | None:
        """Return the packet that is due now, if one is; with what is missing it is due at once."""
        if now < self._report_due and not missing:
            return None
        return self._report(missing, now)

    def goodbye(self, now: float) -> bytes:
        """Return the last word."""
        return self._speaker.compound(self._block(now), bye=True)

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
            self.next = end
        self.received += count
        return count > 0

    def _begin(self, now: float) -> None:
        self._begun = True
        if self._hello_at is not None:
            self.round_trip = max(now - self._hello_at, _MIN_ROUND_TRIP)
        self._report_due = now + self._timing.lossy_report

    def _note_arrival(self, timestamp: int, now: float) -> None:
        """Take in an RTP timestamp and when it came, for the jitter; once a train is enough."""
        transit = int(now * CLOCK_RATE) - timestamp
        if self._transit is not None:
            difference = (transit - self._transit + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
            self._jitter += (abs(difference) - self._jitter) / 16
        self._transit = transit

    def _report(self, missing: Sequence[int], now: float) -> bytes:
        timing = self._timing
        if not self._begun:
            self._hello_at = now
            self._report_due = now + timing.hello
        else:
            lossy = self.lost > self._lost or self.state is not ParentState.FED
            self._lost = self.lost
            self._report_due = now + (timing.lossy_report if lossy else timing.report)
        return self._speaker.compound(self._block(now), missing)

    def _block(self, now: float) -> ReportBlock:
        """Build the report block (RFC 3550, 6.4.1 and A.3) and begin a new interval.

        Unlike A.3 a duplicate does not make up for a loss: each number counts once.
        """
        expected, received, lost_now = self.expected, self.received, 0
        interval = expected - self._reported[0]
        if interval > 0:
            lost_now = max(0, interval - (received - self._reported[1]))
            lost_now = (lost_now << 8) // interval
        self._reported = (expected, received)
        clock = self.clock
        delay = 0 if clock is None else int((now - clock.received) * _DELAY_UNITS)
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(lost_now, 255),
            cumulative_lost=min(self.lost, _MAX_CUMULATIVE),
            highest_sequence=(self.next - 1) & 0xFFFF_FFFF if expected else 0,
            jitter=min(int(self._jitter), 0xFFFF_FFFF),
            last_sr=0 if clock is None else middle32(clock.ntp),
            delay_since_sr=min(delay, 0xFFFF_FFFF),
        )

    def _change(self, kind: ParentState, now: float, cut_ms: int = 0) -> None:
        if self.state is not kind:
            self.state = kind
            self._events.append(ParentEvent(kind, now, cut_ms))
