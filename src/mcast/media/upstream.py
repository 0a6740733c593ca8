"""A child's view of its parent: what arrives, what to answer and when, and whether the stream lives.

Told what was received and the time, it returns trains, packets to send and events; it holds no
socket and no clock (the shell is inlet.py).

    hello    at once, then each 50 ms until media or an SR of the stream comes
    report   RR each 500 ms, each 200 ms while datagrams are missing or nothing comes
    NACK     what is missing, at once and then once per round trip, until it is too old (option)
    silence  neither media nor SR for 300 ms: something above is broken, as the source is never
             silent for more than 100 ms and a parent without media sends an SR each 100 ms

Only media is a sign of the source. An SR shows that the parent lives, no more: else a ring of
relays would keep itself alive.
"""

from dataclasses import dataclass
from enum import Enum, auto

from mcast.errors import WireError
from mcast.media.reception import Reception
from mcast.media.reports import Speaker
from mcast.wire.burst import Run, is_whole_run, sort_burst
from mcast.wire.position import Position
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    FeedState,
    ReportBlock,
    SenderReport,
    UpstreamState,
    middle32,
    read_state,
    unpack_compound,
)
from mcast.wire.train import Train

HELLO_SECONDS = 0.05
REPORT_SECONDS = 0.5
LOSSY_REPORT_SECONDS = 0.2
SILENCE_SECONDS = 0.3
START_SILENCE_SECONDS = 1.0
"""Silence before the first sign: some hellos and their answers may be lost."""
STARVED_SECONDS = 1.0
"""The parent says it is fed, and no media comes: its own watch would have told within 300 ms."""
REPAIR_SECONDS = 1.5
"""A missing datagram is asked for until then. Longer than any sensible `--latency` waits for it."""
MAX_NACK = 256
"""Numbers asked for in one packet: at worst 1,024 bytes."""
MIN_ASK_SECONDS = 0.02
DEFAULT_ROUND_TRIP = 0.05

_DELAY_UNITS = 65_536


class Upstream(Enum):
    """How it is with the parent."""

    FED = auto()  # media comes
    WAITING = auto()  # the parent lives, media is to come
    CUT = auto()  # the parent says that it is cut off itself, or no media comes though it says it is fed
    SILENT = auto()  # nothing comes
    REFUSED = auto()  # nobody listens at the parent's port any more
    REBASED = auto()  # another stream begins: `position` says which


@dataclass(frozen=True, slots=True)
class UpstreamEvent:
    """A change."""

    kind: Upstream
    at: float  # monotonic seconds
    cut_ms: int = 0  # since when the parent is cut off
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class ReceiverCounters:
    """What has come from the parent so far."""

    datagrams: int  # each number once
    bytes: int
    lost: int  # missing now, or for good
    duplicates: int
    reordered: int
    repaired: int
    foreign: int  # RTP of another SSRC
    garbage: int
    jitter_ms: float
    round_trip_ms: float | None
    next: int


@dataclass(frozen=True, slots=True)
class WallClock:
    """Which RTP time is which wall-clock time, by the parent's last SR."""

    ntp: int
    rtp: int
    received: float  # monotonic seconds


class UpstreamCore:
    """The decisions. Not thread-safe: the inlet's thread owns it."""

    def __init__(
        self,
        position: Position,
        speaker: Speaker,
        now: float,
        *,
        resume: Position | None = None,
        reception: Reception | None = None,
        repair: bool = True,
    ) -> None:
        """Expect a stream at a position. `resume` is the exact number asked for, `reception` what
        is known of the stream from another parent."""
        self.ssrc = position.ssrc
        start = resume.next if resume is not None and resume.ssrc == position.ssrc else None
        self.reception = reception or Reception(position.next, start)
        self.state: Upstream | None = None
        self.clock: WallClock | None = None
        self.round_trip: float | None = None
        self.bytes = self.foreign = self.garbage = 0
        self._speaker, self._repair = speaker, repair
        self._events: list[UpstreamEvent] = []
        self._begun = False
        self._hello_at: float | None = None
        self._sign = now + START_SILENCE_SECONDS - SILENCE_SECONDS
        self._media = now
        self._report_due = now
        self._lost = 0

    def receive(self, data: bytes, size: int, now: float) -> list[Train]:
        """Take in one receive, in segments of `size`; return what is new of the stream."""
        if is_whole_run(data, size, self.ssrc):
            return self._on_run(Run(data[2] << 8 | data[3], size, data), now)
        burst = sort_burst(data, size, self.ssrc)
        self.foreign += burst.foreign
        self.garbage += burst.garbage
        for packet in burst.rtcp:
            self._on_rtcp(packet, now)
        return [train for run in burst.runs for train in self._on_run(run, now)]

    def refused(self, now: float) -> None:
        """Take in that the parent's port is closed."""
        self._change(Upstream.REFUSED, now)

    def rebase(self, position: Position, now: float) -> None:
        """Expect another stream from here on."""
        self.ssrc, self.reception, self._lost = position.ssrc, Reception(position.next), 0
        self._begun, self._hello_at, self._report_due, self.clock = False, None, now, None
        self._sign, self._media = now + START_SILENCE_SECONDS - SILENCE_SECONDS, now
        self.state = None
        self._events.append(UpstreamEvent(Upstream.REBASED, now, position=position))

    def events(self) -> list[UpstreamEvent]:
        """Return what has changed since the last call."""
        events, self._events = self._events, []
        return events

    def on_time(self, now: float) -> bytes | None:
        """Return the packet that is due now, if one is; to be asked after each receive and each 20 ms."""
        if now - self._sign > SILENCE_SECONDS:
            if self.state is not Upstream.REFUSED:
                self._change(Upstream.SILENT, now)
        elif self.state is Upstream.FED and now - self._media > STARVED_SECONDS:
            self._change(Upstream.CUT, now)
        missing: list[int] = []
        if self._repair and self.reception.missing:
            every = max((self.round_trip or DEFAULT_ROUND_TRIP) * 1.25, MIN_ASK_SECONDS)
            missing = self.reception.to_ask(now, every=every, max_age=REPAIR_SECONDS, most=MAX_NACK)
        if now < self._report_due and not missing:
            return None
        return self._report(missing, now)

    def goodbye(self, now: float) -> bytes:
        """Return the last word."""
        return self._speaker.compound(self._block(now), bye=True)

    def counters(self) -> ReceiverCounters:
        """Describe what has come so far."""
        reception, rtt = self.reception, self.round_trip
        return ReceiverCounters(
            datagrams=reception.received,
            bytes=self.bytes,
            lost=reception.lost,
            duplicates=reception.duplicates,
            reordered=reception.reordered,
            repaired=reception.repaired,
            foreign=self.foreign,
            garbage=self.garbage,
            jitter_ms=reception.jitter / 90,
            round_trip_ms=None if rtt is None else rtt * 1000,
            next=reception.next,
        )

    def _on_run(self, run: Run, now: float) -> list[Train]:
        reception, data = self.reception, run.data
        first, count = reception.extend(run.sequence), run.count
        spans = reception.accept(first, count, now)
        if not spans:
            return []  # nothing new is no sign of life: what goes round in a loop looks like this
        self._sign = self._media = now
        if self.state is not Upstream.FED:
            self._change(Upstream.FED, now)
        if not self._begun:
            self._begin(now)
        train = Train(first, run.size, data)
        reception.note_arrival(train.timestamp(0), now)
        self.bytes += len(data)
        if len(spans) == 1 and spans[0][1] == count:
            return [train]
        return [train.slice(begin, begin + length) for begin, length in spans]

    def _on_rtcp(self, packet: bytes, now: float) -> None:
        try:
            packets = unpack_compound(packet)
            state = read_state(packets)
        except WireError:
            self.garbage += 1
            return
        report = packets[0]
        if not isinstance(report, SenderReport) or report.ssrc != self.ssrc:
            self.foreign += 1
            return
        self._sign = max(now, self._sign)
        self.clock = WallClock(report.ntp, report.rtp, now)
        if not self._begun:
            self._begin(now)
        if state is not None:
            self._on_state(state, now)

    def _on_state(self, told: UpstreamState, now: float) -> None:
        if told.next == NEXT_UNKNOWN:
            self._media = now  # it waits for a keyframe: no media is no sign of anything
        else:
            self.reception.begin(told.next, now)
        if told.state is FeedState.CUT:
            self._change(Upstream.CUT, now, told.cut_ms)
        elif told.state is FeedState.WAITING or self.state in (None, Upstream.SILENT, Upstream.REFUSED):
            self._change(Upstream.WAITING, now)

    def _begin(self, now: float) -> None:
        self._begun = True
        if self._hello_at is not None:
            self.round_trip = max(now - self._hello_at, 0.001)
        self._report_due = now + LOSSY_REPORT_SECONDS

    def _report(self, missing: list[int], now: float) -> bytes:
        if not self._begun:
            self._hello_at = now
            self._report_due = now + HELLO_SECONDS
        else:
            lossy = self.reception.lost > self._lost or self.state is not Upstream.FED
            self._lost = self.reception.lost
            self._report_due = now + (LOSSY_REPORT_SECONDS if lossy else REPORT_SECONDS)
        return self._speaker.compound(self._block(now), missing)

    def _block(self, now: float) -> ReportBlock:
        if self.clock is None:
            return self.reception.report(self.ssrc)
        delay = int((now - self.clock.received) * _DELAY_UNITS)
        return self.reception.report(self.ssrc, middle32(self.clock.ntp), delay)

    def _change(self, kind: Upstream, now: float, cut_ms: int = 0) -> None:
        if self.state is not kind:
            self.state = kind
            self._events.append(UpstreamEvent(kind, now, cut_ms))
