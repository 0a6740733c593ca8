"""One content at a client, as `Relay` is one at a node: what receives it, and what puts it out.

parents --UDP--> Receiver (thread forward-CONTENT) --train--> Playback (thread playout) --> the queue
"""

import threading
import time
import uuid
from collections.abc import Callable
from socket import socket

from mcast.client.options import Options
from mcast.client.statistics import Statistics
from mcast.media.delay import UNCERTAIN
from mcast.media.incoming import NOTHING_YET
from mcast.media.output import Sink
from mcast.media.parent import ParentEvent
from mcast.media.playback import Playback
from mcast.media.receiver import Receiver
from mcast.net.deadline import Deadline
from mcast.net.threads import NoThreadError, OnCrash
from mcast.overlay.actions import UpstreamId
from mcast.wire.position import Position

CNAME = "mcast-client"
"""What our RTCP calls us; who we are is said by the token."""
LATE_SECONDS = 1.5
"""Beyond the latency, until what is held must have gone out: a machine may be busy."""
_STEP = 0.1  # seconds between two looks at `hurry`


class Intake:
    """Receives one stream from its parents, and puts it out in order and at its time."""

    def __init__(
        self,
        options: Options,
        position: Position,
        output: Sink,
        on_parent: Callable[[UpstreamId, ParentEvent], None],
        on_outdone: Callable[[UpstreamId], None],
        on_crash: OnCrash,
        hurry: threading.Event,
    ) -> None:
        """Begin to wait for what parents bring.

        `on_parent` and `on_outdone` are called by the thread forward-CONTENT, as `Receiver` says. Raises
        OSError, NoThreadError.

        `hurry` is set when nobody wants to wait any more for the time of what is held.
        """
        self._latency, self._hurry = options.latency_ms / 1000, hurry
        self._over_at: float | None = None
        self._is_whole = False  # the content is over: that nothing comes any more is no gap
        self._left_at: float | None = None  # from when on nothing is expected
        self._delay: float | None = None  # from the server, in seconds, as it was at the end
        self._has_kept_delay = False
        self._unix = time.time() - time.monotonic()
        self._playback = Playback(output, options.latency_ms, on_crash)

        def receive(position: Position, stream: int) -> Receiver:
            receiver = Receiver(
                options.content, position, CNAME, lambda train, *_: self._playback.push(train, stream),
                on_parent, on_crash, on_outdone=on_outdone,
            )  # fmt: skip
            try:
                receiver.start()
            except NoThreadError:
                receiver.stop()
                raise
            return receiver

        self._receive = receive
        try:
            self._receiver = receive(position, 0)
        except BaseException:
            self._playback.stop()
            raise
        self._past = NOTHING_YET  # what has come of the streams before the present one

    def __repr__(self) -> str:
        return f"<Intake {self._receiver!r} {self._playback!r}>"

    @property
    def wanted(self) -> Position:
        """Return the first number that is still wanted."""
        return self._receiver.wanted

    @property
    def doubt(self) -> str:
        """Return what seems to be wrong with the way from the parent, for people."""
        return self._receiver.doubt

    @property
    def muteness(self) -> str:
        """Return what it means, for people, that no parent has been heard so far; nothing if one has."""
        return self._receiver.muteness

    def add_parent(
        self, upstream: UpstreamId, sock: socket, token: bytes, position: Position, start: int | None = None,
        answer: float = 0.0,
    ) -> None:  # fmt: skip
        """Receive from another parent, by its connected socket, which goes on from `start`. Never waits.

        `answer` is how many seconds it took to say yes.
        """
        self._receiver.add_parent(upstream, sock, token, position, start=start, answer=answer)

    def change_way(self) -> None:
        """Take in that the stream comes by another way from now on. Never waits."""
        self._playback.change_way()

    def begin_anew(self, position: Position) -> Receiver:
        """Take another stream from now on; return the receiver of the former one: it is to be stopped.

        What has come of that one goes out at once, in front of what comes. Never waits.
        """
        former = self._receiver
        former.ask_to_stop()
        self._past = self._past.plus(former.counters())
        self._receiver = self._receive(position, self._playback.begin_anew())
        return former

    def remove_parent(self, upstream: UpstreamId) -> None:
        """Receive from a parent no more. Never waits."""
        self._receiver.remove_parent(upstream)

    def is_drained(self, last: int) -> bool:
        """Return whether nothing up to the number `last` is to come: it is here, or has missed its time."""
        if self._receiver.position.next <= last:
            return False
        return self._receiver.wanted.next > last or self._playback.finish(0)

    def ask_to_stop(self) -> None:
        """Begin to stop receiving. Never waits."""
        self._left_at = self._left_at or time.monotonic()
        self._keep_delay()
        self._receiver.ask_to_stop()

    def stop(self) -> None:
        """Stop receiving; what is held still goes out."""
        self._left_at = self._left_at or time.monotonic()
        self._keep_delay()
        self._receiver.stop()

    def _keep_delay(self) -> None:
        """Keep the delay as it is: it is measured by clocks, which go on although nothing comes any more."""
        if not self._has_kept_delay:
            self._delay, self._has_kept_delay = self._receiver.delay(), True

    def put_out(self, last: int | None, *, unbroken: bool = False) -> None:
        """Wait until what is held has gone out, and end. Harmless when repeated. `unbroken` as in Playback.

        If the content is over (`last` is its last number) it goes out at its time, else at once: nothing
        that could fill a hole will come.
        """
        self._is_whole = self._is_whole or last is not None
        deadline = Deadline(self._latency + LATE_SECONDS)
        while last is not None and not self._hurry.is_set() and not deadline.expired:
            if self._playback.finish(_STEP):
                break
        self._over_at = self._over_at or time.monotonic()
        self._keep_delay()
        self._playback.stop(last, unbroken=unbroken)

    def statistics(
        self, path: tuple[str, ...], request: bytes, began: float, buffer_bytes: int
    ) -> Statistics:
        """Describe what has come so far. `began` is when the request was made, in monotonic seconds."""
        until = None if self._is_whole else self._left_at or time.monotonic()
        played, counters = self._playback.report(until), self._past.plus(self._receiver.counters())
        delay = self._delay if self._has_kept_delay else self._receiver.delay()
        gaps = [(round(self._unix + at, 3), round(seconds * 1000, 1)) for at, seconds in played.gaps]
        return Statistics(
            path=path,
            request_id=str(uuid.UUID(bytes=request)),
            ssrc=self._receiver.position.ssrc,
            first_number=played.first_number,
            join_ms=_ms_between(began, played.first_media),
            first_keyframe_ms=_ms_between(began, played.first_keyframe),
            duration_s=self._seconds_since(played.first_media),
            ts_packets=played.ts_packets,
            bytes=played.bytes,
            lost_datagrams=played.playout.lost,
            duplicate_datagrams=counters.duplicates,
            reordered_datagrams=counters.reordered,
            repaired_datagrams=counters.repaired,
            late_datagrams=played.playout.late,
            nack_sent=counters.nack_sent,
            longest_gap_ms=gaps[0][1] if gaps else 0.0,
            longest_gaps=tuple(gaps),
            discontinuities=played.discontinuities,
            dropped_bytes=played.dropped,
            continuity_errors=played.continuity_errors,
            latency_ms=played.latency_ms,
            clock_delay_ms=_delay_ms(delay),
            buffered_ms=played.held_ms,
            receive_buffer_bytes=buffer_bytes,
            output_times=played.output_times,
        )

    def _seconds_since(self, moment: float | None) -> float:
        return 0.0 if moment is None else round((self._over_at or time.monotonic()) - moment, 4)


def _delay_ms(delay: float | None) -> float | None:
    """Return a delay by clocks in milliseconds; None where they show that they differ."""
    return None if delay is None or delay < -UNCERTAIN else round(max(0.0, delay) * 1000, 1)


def _ms_between(earlier: float, later: float | None) -> float | None:
    return None if later is None else round((later - earlier) * 1000, 1)
