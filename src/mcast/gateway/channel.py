"""One content that somebody watches: one subscription for all its viewers.

Subscription --chunks--> thread tune-CONTENT --> pieces --> ring (for /NAME.ts), segments (HLS), remux (MP4)

joining --accepted--> on --the content is over, the stream has ended, stop--> over
"""

import logging
import threading
import time
from dataclasses import dataclass

from mcast.client import Statistics, Subscription
from mcast.client.notice import Notice
from mcast.errors import McastError
from mcast.gateway.hls import Segments
from mcast.gateway.picture import Pictures
from mcast.gateway.pieces import Piece, PieceCutter
from mcast.gateway.remux import Remux
from mcast.media.programme import Programme
from mcast.net.threads import OnCrash, OwnedThread
from mcast.web.ring import FellBehind, Ring

logger = logging.getLogger(__name__)

MAX_BUFFERED = 32 * 1024 * 1024
"""Bytes of the stream that are kept for viewers: 50 s of 5 Mbit/s. Who is further behind is cut."""
GATHER = 0.05
"""Seconds of the stream that are handed on at once: 20 times a second each viewer's thread is woken."""
PICTURE_AHEAD = 6
"""Pieces behind a keyframe's first that a picture is made of: a third of a second, so that it is whole."""
PICTURE_SECONDS = 1.0  # to wait for those pieces
_RATE_SECONDS = 2.0  # over which the bit rate is measured


@dataclass(frozen=True, slots=True)
class Figures:
    """How a channel goes."""

    statistics: Statistics
    bit_rate: float
    programme: Programme
    awaited: str  # what it waits for, in words; empty: for nothing


class Channel:
    """Owns a subscription and the thread that reads it. To be started once."""

    def __init__(self, content: str, subscription: Subscription, on_crash: OnCrash) -> None:
        self.content, self._subscription, self._on_crash = content, subscription, on_crash
        self.ring: Ring[bytes] = Ring(MAX_BUFFERED, len)
        self.segments = Segments(int(time.time()))
        self.pictures = Pictures()
        self._cutter, self._notice = PieceCutter(), Notice(content)
        self._lock = threading.Lock()  # guards what follows
        self._start = 0  # where in the ring the last keyframe is
        self._remux: Remux | None = None
        self._has_ended = False
        self._stopping = threading.Event()
        self._settled = threading.Event()  # it is on, or over
        self._first_start = threading.Event()  # there is something to show, or never will be
        self._error: McastError | None = None
        self._breaks = 0  # in what has been read
        self._rate_at, self._rate_bytes, self._bit_rate = time.monotonic(), 0, 0.0
        self._thread = OwnedThread(f"tune-{content}", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<Channel {self.content} {'over' if self.is_over else 'on'} {self.ring!r}>"

    def start(self) -> None:
        """Begin to join."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread leave the stream and end; stop() waits for it."""
        self._stopping.set()

    def stop(self) -> None:
        """Leave the stream, and end everything."""
        self.ask_to_stop()
        self._thread.join()

    @property
    def has_ended(self) -> bool:
        """Return whether its thread has ended, so that `stop` does not wait."""
        return not self._thread.alive

    @property
    def is_over(self) -> bool:
        """Return whether nothing more comes."""
        return self.ring.is_over

    @property
    def is_complete(self) -> bool:
        """Return whether the content itself is over: a stream that was lost is no end of it."""
        return self.is_over and self._error is None

    @property
    def programme(self) -> Programme:
        """Return what is in the stream, as far as it is known."""
        return self._cutter.programme

    @property
    def awaited(self) -> str:
        """Return what it waits for, in words; empty where it waits for nothing, or is over."""
        if self.is_over:
            return ""
        if not self._settled.is_set():
            return self._subscription.awaited or "a way to it"
        return self._subscription.awaited or ("" if self._first_start.is_set() else "its first keyframe")

    @property
    def doubt(self) -> str:
        """Return the same for who waits no longer: also what seems to be wrong with the way."""
        return self._subscription.awaited or self._subscription.doubt or self.awaited

    @property
    def is_joined(self) -> bool:
        """Return whether it has left the state of joining."""
        return self._settled.is_set()

    def wait_joined(self, timeout: float | None = None) -> bool:
        """Wait until it has joined; tell whether it has. Raises McastError, which says why it never will."""
        is_settled = self._settled.wait(timeout)
        if self._error is not None and not self.ring.head:
            raise self._error
        return is_settled

    def wait_start(self, timeout: float) -> bool:
        """Wait until the stream can be begun; return whether it can."""
        return self._first_start.wait(timeout) and self.ring.head > 0

    def start_number(self) -> int:
        """Return where in the ring to begin: at the last keyframe."""
        with self._lock:
            return self._start_number()

    def _start_number(self) -> int:
        return max(self._start, self.ring.tail)

    def newest(self) -> bytes:
        """Return the stream from the last keyframe on, once that is whole: for a picture."""
        number = self.start_number()
        try:
            self.ring.read(number + PICTURE_AHEAD, PICTURE_SECONDS)
            return b"".join(self.ring.read(number, 0))
        except FellBehind:
            return b""

    def remux(self) -> Remux | None:
        """Return what makes MP4 of it, started for the first who asks; None if it is over.

        Raises ConfigError if ffmpeg is missing, RequestError if it cannot be started.
        """
        with self._lock:
            if self._has_ended:  # nobody would stop it
                return None
            if self._remux is not None and self._remux.is_over and not self.is_over:
                self._remux.stop()  # ffmpeg has ended: it is tried again
                self._remux = None
            if self._remux is None:
                self._remux = Remux(self.content, self.programme, self._on_crash, self._stopping)
                for data in self.ring.read(self._start_number(), 0):
                    self._remux.write(data)
            return self._remux

    def figures(self) -> Figures:
        """Return how it goes."""
        return Figures(self._subscription.statistics(), self._bit_rate, self.programme, self.awaited)

    # The thread tune-CONTENT

    def _run(self) -> None:
        try:
            if self._join():
                self._settled.set()
                while not self._stopping.is_set() and self._take():
                    pass
        except McastError as error:
            self._error = error
            logger.info("[%s] %s", self.content, error)
        finally:
            self._subscription.close()
            self._end()

    def _join(self) -> bool:
        """Join the stream; return False if nobody wants it any more. Raises McastError."""
        self._subscription.start(self._stopping.is_set)
        while not self._stopping.is_set():
            if self._subscription.wait_joined(GATHER):
                return True
            self._notice.look(self.awaited)
        return False

    def _end(self) -> None:
        self.ring.finish()
        self.segments.finish()
        self._settled.set()
        self._first_start.set()
        with self._lock:
            remux, self._remux, self._has_ended = self._remux, None, True
        if remux is not None:
            if not self._stopping.is_set():
                remux.finish()
            remux.stop()

    def _take(self) -> bool:
        """Gather a few chunks and hand them on; return False at the end. Raises McastError."""
        gathered: list[bytes] = []
        until = time.monotonic() + GATHER
        is_on = True
        while is_on and (left := until - time.monotonic()) > 0:
            try:
                chunk = self._subscription.read(left)
            except TimeoutError:
                break
            is_on = bool(chunk)
            if (breaks := self._subscription.breaks) != self._breaks:
                self._breaks = breaks
                self._cut(b"".join(gathered))
                gathered.clear()
                self._cutter.begin_anew()
            gathered.append(chunk)
        self._cut(b"".join(gathered))
        self._notice.look(self.awaited)
        return is_on

    def _cut(self, data: bytes) -> None:
        self._measure(len(data))
        for piece in self._cutter.feed(data):
            self._hand_on(piece)

    def _hand_on(self, piece: Piece) -> None:
        self.segments.add(piece)
        with self._lock:
            if piece.is_start:
                self._start = self.ring.head
            self.ring.append(piece.data)
            if self._remux is not None:
                self._remux.write(piece.data)
        if piece.is_start:
            self._first_start.set()

    def _measure(self, size: int) -> None:
        self._rate_bytes += size
        seconds = time.monotonic() - self._rate_at
        if seconds >= _RATE_SECONDS:
            self._bit_rate = self._rate_bytes * 8 / seconds
            self._rate_at, self._rate_bytes = time.monotonic(), 0
