"""The client's pipeline: trains go in from the receiver's thread, packets come out at their time.

    receiver's thread --push--> PlayoutBuffer --thread "playout"--> Output

The thread wakes at most every 10 ms and writes what is due by then in one piece.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from mcast.media.gaps import Gap, Gaps
from mcast.media.output import Sink
from mcast.media.playout import PlayoutBuffer, PlayoutCounters
from mcast.media.timing import DEFAULT_TIMING
from mcast.net.threads import OnCrash, OwnedThread
from mcast.wire.mpegts import ContinuityChecker
from mcast.wire.train import Train, only_nulls

STEP_SECONDS = 0.01
"""Datagrams due within this time go out together: a player notices nothing, the system far fewer calls."""

SAMPLE_SECONDS = 1.0
"""Seconds between two notes of which RTP time went out when. They serve to compare viewers."""
MAX_SAMPLES = 600


@dataclass(frozen=True, slots=True)
class PlaybackReport:
    """What the viewer has got."""

    playout: PlayoutCounters
    ts_packets: int
    bytes: int
    continuity_errors: int
    first_media: float | None  # monotonic seconds; null packets are none
    first_keyframe: float | None
    held_ms: float
    dropped: int  # bytes that the output had no room for
    first_number: int | None  # of the first datagram that went out
    discontinuities: int  # where another stream was spliced on
    gaps: list[Gap]  # in what has come, of one stream or from one to the next; the longest first
    latency_ms: float | None  # median delay of the output behind the earliest that it could be
    output_times: tuple[tuple[int, float], ...]  # RTP timestamp, Unix seconds when it went out: one a second


class Playback:
    """Owns the playout buffer and the thread "playout"; the output is the caller's."""

    def __init__(
        self,
        output: Sink,
        latency_ms: float,
        on_crash: OnCrash,
        *,
        start: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin. `start` is the first number that counts, where it is known."""
        self._output, self._clock, self._latency_ms = output, clock, latency_ms
        self._buffer = PlayoutBuffer(latency_ms, start)
        self._stream = 0  # which one it is; those before it have been given up
        self._past = PlayoutCounters()  # of those
        self._rest: list[memoryview] | None = None  # of the stream before, to go out first
        self._first_number: int | None = None
        self._gaps = Gaps()
        self._checker = ContinuityChecker()
        self._condition = threading.Condition()
        self._stopping = False
        self._first_media: float | None = None
        self._first_keyframe: float | None = None
        self._next_sample = 0.0
        self._output_times: deque[tuple[int, float]] = deque(maxlen=MAX_SAMPLES)
        self._delays: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._thread = OwnedThread("playout", self._run, on_crash)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Playback {self._buffer!r}>"

    def push(self, train: Train, stream: int = 0) -> None:
        """Take in what has arrived of a stream; one that was given up counts no more. Never waits for the
        output."""
        now = self._clock()
        with self._condition:
            if stream != self._stream:
                return
            self._gaps.note(now)
            if self._first_media is None and not only_nulls(train.data, train.size):
                self._first_media = now
            if self._first_keyframe is None and train.keyframes():
                self._first_keyframe = now
            self._buffer.push(train, now)
            self._condition.notify()

    def begin_anew(self) -> int:
        """Give up the stream, and return the number of the next one, for `push`.

        What is held goes out at once, as nothing that could fill a hole will come.
        """
        with self._condition:
            if not self._stopping:
                self._rest = [*(self._rest or ()), *self._buffer.flush()]
            self._past = self._past.plus(self._buffer.counters())
            self._first_number = self._first
            self._buffer = PlayoutBuffer(self._latency_ms)
            self._stream += 1
            self._condition.notify_all()
            return self._stream

    @property
    def _first(self) -> int | None:
        return self._buffer.first if self._first_number is None else self._first_number

    def change_way(self) -> None:
        """Take in that the stream comes by another way from now on. Never waits for the output."""
        with self._condition:
            self._buffer.change_way(self._clock())

    def finish(self, timeout: float) -> bool:
        """At a content's end, wait until all that is held has gone out at its time; return whether it has."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._stopping or not (self._buffer.held or self._rest), timeout
            )

    def stop(self, last: int | None = None, *, unbroken: bool = False) -> None:
        """Put out at once what is held, and end. `last` is the stream's last number, where it ended.

        `unbroken`: the user ends it, in front of what may yet have been repaired: that is not lost.
        """
        with self._condition:
            already, self._stopping = self._stopping, True
            self._condition.notify_all()
        self._thread.join()
        if not already:
            young = self._clock() - DEFAULT_TIMING.repair
            self._write(self._buffer.flush_unbroken(young) if unbroken else self._buffer.flush(last))

    def report(self, until: float | None = None) -> PlaybackReport:
        """Describe what has gone out so far. That nothing comes counts as a gap `until` then, if at all."""
        with self._condition:
            return PlaybackReport(
                playout=self._past.plus(self._buffer.counters()),
                ts_packets=self._checker.packets,
                bytes=self._checker.bytes,
                continuity_errors=self._checker.errors,
                first_media=self._first_media,
                first_keyframe=self._first_keyframe,
                held_ms=self._buffer.held_ms,
                dropped=self._output.dropped,
                first_number=self._first,
                discontinuities=self._stream,
                gaps=self._gaps.longest(until),
                latency_ms=round(median(self._delays) * 1000, 1) if self._delays else None,
                output_times=tuple(self._output_times),
            )

    def _run(self) -> None:
        while True:
            with self._condition:
                payloads, rest = self._wait(), self._take_rest()
                if payloads is None:
                    break
                self._condition.notify_all()  # for finish()
            self._put_out(rest)
            self._write(payloads)
        self._put_out(rest)

    def _wait(self) -> list[memoryview] | None:
        """Wait for what is due (with the lock held); None when stopped."""
        while not self._stopping:
            if self._rest is not None:
                return []
            due, now = self._buffer.next_due(), self._clock()
            if due is not None and due <= now:
                payloads = self._buffer.pop(now)
                self._sample(now)
                return payloads
            self._condition.wait(None if due is None else max(due - now, STEP_SECONDS))
        return None

    def _take_rest(self) -> list[memoryview] | None:
        rest, self._rest = self._rest, None
        return rest

    def _put_out(self, rest: list[memoryview] | None) -> None:
        """Put out the rest of a stream that was given up: what comes behind it does not follow on it."""
        if rest is not None:
            self._write(rest)
            self._checker.begin_anew()
            self._output.begin_anew()

    def _sample(self, now: float) -> None:
        """Note once a second what has gone out when."""
        timestamp, behind = self._buffer.timestamp, self._buffer.behind(now)
        if now >= self._next_sample and timestamp is not None and behind is not None:
            self._next_sample = now + SAMPLE_SECONDS
            self._output_times.append((timestamp, time.time()))
            self._delays.append(behind)

    def _write(self, payloads: list[memoryview]) -> None:
        if payloads:
            data = b"".join(payloads)
            self._checker.feed(data)
            self._output.write(data)
