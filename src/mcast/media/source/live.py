"""A live input: ffmpeg supervised, its stream cut as it comes.

What the viewers see of it is never silent and never goes back: while ffmpeg starts, stalls or waits for its
restart, a datagram of one null packet leaves every 100 ms, and RTP time runs on with our clock. A
restarted ffmpeg marks the first packet of every PID as discontinuous, and its clocks go on from there.

ffmpeg hands a frame over at once. Its datagrams leave when they are due, over the time until the next frame,
so that a keyframe does not overrun the children's receive buffers. The moment that is the stream's time 0
follows the source: at once if its packets come too late, gently if all of them wait longer than they need.
So neither a burst at the start nor a clock that is a little fast leaves a delay that stays; and a source that
knows no clock at all is slowed down by a full pipe.

Whether the source lives is judged by the media that comes out of ffmpeg, never by ffmpeg: it waits for ever
for a sender that is gone, and so a viewer would. After WARN seconds of silence the viewers are told to wait
for the server, after `stall` ffmpeg is started again (a sender that was restarted is found so), and after
`hold` the stream ends. Our own null packets are no media, nor are tables.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping

from mcast import eventlog
from mcast.errors import ConfigError
from mcast.media.source.complaints import ANOTHER_FILE, SourceError
from mcast.media.source.cutting import NULL_INTERVAL, Cut, Cutter, StreamFormatError
from mcast.media.source.encoding import live_arguments
from mcast.media.source.ffmpeg import Child
from mcast.media.source.framing import Copied, Encoded, Framing
from mcast.media.source.live_tracks import (
    LiveTracks,
    Look,
    by_wish,
    copy_arguments,
    input_arguments,
    look_command,
    without_look,
)
from mcast.media.source.pacing import Source
from mcast.media.source.prepare import CLOCK
from mcast.media.source.server_config import ContentSpec
from mcast.media.tools import find_tool
from mcast.wire.mpegts import NULL_PACKET, PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import RtpHeader
from mcast.wire.train import Train, make_trains

logger = logging.getLogger(__name__)

FIRST_BACKOFF, LAST_BACKOFF = 0.5, 8.0
WARN = 4.0
"""Seconds without media after which it is said: longer than ffmpeg looks at most inputs before it begins."""
STEADY = 10.0
"""Seconds after which a run counts as good: the next restart comes soon again."""
SILENCE = 0.9 * NULL_INTERVAL / CLOCK  # looked at once per pace, so the rhythm is not exceeded
LATE = 0.01
"""Seconds. What comes later than this behind its time moves the clock."""
MAX_AHEAD = 1.0
"""Seconds of media that may wait for their time; beyond, no more is read."""
WINDOW, HASTE = 1.0, 0.05
"""What waited for all of a window waits in vain: so much of it is taken away, 0.5 s within 10 s."""
MAX_READ = 1 << 18  # bytes taken in one go: every 10 ms, so at most 200 Mbit/s

StartChild = Callable[[list[str]], Child]


class LiveSource(Source):
    """One live content, from a position on. It ends when nothing has come from it for long.

    `known` remembers what was chosen of which input, for the next viewer.
    """

    def __init__(
        self,
        spec: ContentSpec,
        position: Position,
        now: float,
        *,
        start_child: StartChild = Child,
        start_look: StartChild | None = None,
        let_go: Callable[[], None] = lambda: None,
        known: MutableMapping[ContentSpec, LiveTracks] | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Be ready to run. Raises ConfigError if ffmpeg is missing.

        `is_over` says that the source has come to its end, and is not to be opened again. An input that
        cannot be opened twice is looked into by `start_look`, which holds what it takes until `let_go`.
        """
        self._is_over, self._is_exhausted = is_over, False
        self._known = {} if known is None else known
        if (tracks := without_look(spec)) is not None:
            self._known[spec] = tracks
        self._look: Look | None = None  # while it is ffprobe that runs
        self._spec, self._ssrc, self._next = spec, position.ssrc, position.next
        self._tool, self._start_child = find_tool("ffmpeg"), start_child
        self._start_look, self._let_go = start_look or start_child, let_go
        self._again = position.next > 0
        self._child: Child | None = None
        self._started = self._start_at = self._last_media = now
        self._is_silent_since_long = self._ended = False
        self._backoff = FIRST_BACKOFF
        self._cutter = Cutter(spec.datagram_packets)
        self._held = bytearray()  # packets that are in no datagram yet
        self._held_first = 0  # the number of the first of them
        self._framing = self._new_framing()
        self._is_silent = True  # nothing has come since the last null packet of ours
        self._queue: deque[tuple[Cut, bytes]] = deque()
        self._origin = self._last_left = now
        self._looked = self._looked_before = now
        self._slack, self._window_began = MAX_AHEAD, now  # the least in this window

    @property
    def pid(self) -> int | None:
        """The process that runs at present."""
        return self._child.pid if self._child else None

    @property
    def ended(self) -> bool:
        return self._ended or (self._is_exhausted and not self._queue)

    @property
    def is_silent(self) -> bool:
        return self._is_silent_since_long

    @property
    def waits(self) -> bool:
        return True  # for ffmpeg to start, or to end

    def due(self, now: float) -> list[Train]:
        self._looked_before, self._looked = self._looked, now
        try:
            self._go_on(now)
        except ConfigError as error:  # no descriptors, no processes; ffmpeg or the FIFO is being replaced
            self._put_off(now, str(error))
        self._judge_silence(now)
        if not self._queue and now - self._last_left >= SILENCE and not self._is_exhausted:
            self._take(self._cutter.idle(self._time_now(now)))
            self._is_silent = True
        return self._leave(now)

    def close(self) -> None:
        """End ffmpeg."""
        if self._child is not None:
            self._child.close()
            self._child = None
        self._let_go()

    def _go_on(self, now: float) -> None:
        """Start what is to run, and read it. Raises ConfigError if it cannot be started."""
        if self._child is None and now >= self._start_at and not self._is_exhausted:
            self._launch(now)
        if self._child is not None and self._look is not None:
            self._read_look(self._child, self._look, now)
        elif self._child is not None and self._ahead(now) < MAX_AHEAD:
            self._read(self._child, now)

    def _new_framing(self) -> Framing:
        return Copied() if self._spec.copy else Encoded()

    def _launch(self, now: float) -> None:
        """Start ffmpeg, or ffprobe if it is not known what to take of the input."""
        tracks = self._known.get(self._spec)
        if tracks is not None:
            self._play(tracks, now)
            return
        self._look = Look(self._spec.wish)
        self._start(self._start_look, look_command(self._spec), now)

    def _play(self, tracks: LiveTracks, now: float) -> None:
        child = self._start(self._start_child, self._command(tracks, now), now)
        self._again = True
        pid, name = child.pid, self._spec.name
        eventlog.note(
            logger, "live_input_started", "live input: ffmpeg runs, pid %d", pid, content=name, pid=pid
        )

    def _start(self, start: StartChild, command: list[str], now: float) -> Child:
        self._child = child = start(command)
        os.set_blocking(child.stdout.fileno(), False)
        self._started = now
        return child

    def _command(self, tracks: LiveTracks, now: float) -> list[str]:
        spec = self._spec
        command = [self._tool, "-nostdin", "-hide_banner", "-loglevel", "error"]
        if spec.copy:
            return [*command, *copy_arguments(spec), "pipe:1"]
        arguments = live_arguments(
            (*(("-re",) if spec.paced else ()), *input_arguments(spec)),
            tracks.maps,
            spec.quality,
            may_have_fields=tracks.may_have_fields,
            is_top_first=tracks.is_top_first,
            offset=self._time_now(now) / CLOCK if self._again else None,
        )
        return [*command, *arguments, "-f", "mpegts", "pipe:1"]

    def _read_look(self, ffprobe: Child, look: Look, now: float) -> None:
        try:
            tracks = look.read(ffprobe)
        except SourceError as error:
            if not ffprobe.close():
                self._restart(now, f"{error}; {error.mend}")
                return
            # It may have refused an option that ffmpeg takes; if not, ffmpeg says what is wrong.
            self._look = None
            self._play(by_wish(self._spec.wish), now)
            return
        if tracks is None:
            return
        self._known[self._spec] = tracks
        if tracks.left_out:
            logger.info("[%s] live input: left out: %s", self._spec.name, ", ".join(tracks.left_out))
        ffprobe.close()
        self._look = None
        self._play(tracks, now)

    def _judge_silence(self, now: float) -> None:
        """Say when nothing comes, start again what is stuck, end what stays silent."""
        spec, silence = self._spec, now - self._last_media
        if silence >= WARN and not self._is_silent_since_long:
            self._is_silent_since_long = True
            eventlog.note(
                logger, "live_input_silent", "[%s] live input: nothing comes from %s; waiting",
                spec.name, spec.source,
                level=logging.WARNING, content=spec.name, source=spec.source, silent_s=round(silence, 1),
            )  # fmt: skip
        if self._child is not None and min(silence, now - self._started) >= spec.stall:
            if without_look(spec) is None:
                self._known.pop(spec, None)  # what comes next may be another multiplex
            self._restart(now, f"nothing came for {spec.stall:g} s")
        if spec.hold and silence >= spec.hold and not self._ended:
            self._ended = True
            self.close()
            eventlog.note(
                logger, "live_input_given_up", "[%s] live input: nothing came for %g s, the stream ends",
                spec.name, spec.hold,
                level=logging.ERROR, content=spec.name, silent_s=round(silence, 1),
            )  # fmt: skip

    def _note_media(self, now: float) -> None:
        silence, self._last_media = now - self._last_media, now
        if self._is_silent_since_long:
            self._is_silent_since_long = False
            eventlog.note(
                logger, "live_input_back", "[%s] live input: media comes again", self._spec.name,
                content=self._spec.name, silent_s=round(silence, 1),
            )  # fmt: skip

    def _read(self, child: Child, now: float) -> None:
        came = bytearray()
        try:
            while len(came) < MAX_READ and (block := os.read(child.stdout.fileno(), MAX_READ)):
                came += block
            has_ended = len(came) < MAX_READ
        except BlockingIOError:
            has_ended = False
        runs = self._framing.feed(bytes(came))
        if self._framing.has_media:
            self._note_media(now)
        if any(run.packets for run in runs) and self._is_silent:
            self._cutter.not_before(self._time_now(now))
            self._is_silent = False
        cuts: list[Cut] = []
        try:
            for run in runs:
                self._held += run.packets
                clock = self._framing.clock
                cuts += (some := self._cutter.feed(run.packets, is_start=run.is_start, clock=clock))
                self._take(some)
        except StreamFormatError as error:
            self._restart(now, str(error))
            return
        if cuts:
            self._follow(self._origin + cuts[0].time / CLOCK - now, now)
        if has_ended:
            self._restart(now, "")

    def _follow(self, slack: float, now: float) -> None:
        """Take note of how long before its time something has come, let the clock follow the source."""
        self._slack = min(self._slack, slack)
        if now - self._window_began >= WINDOW:
            self._origin -= min(max(self._slack, 0.0), HASTE * WINDOW)
            self._slack, self._window_began = MAX_AHEAD, now

    def _restart(self, now: float, why: str) -> None:
        """End what runs, to start it again in a while."""
        assert self._child is not None
        status = self._child.close()
        said = why or self._complaint(self._child)
        if now - self._started >= STEADY:
            self._backoff = FIRST_BACKOFF
        if (again := self._break_off(now)) is not None:
            eventlog.note(
                logger, "live_input_ended", "live input ended, again in %.1f s; ffmpeg's status %d: %s",
                again, status, said,
                level=logging.WARNING, content=self._spec.name, status=status, reason=said, again_s=again,
            )  # fmt: skip

    def _put_off(self, now: float, why: str) -> None:
        """Try again in a while what cannot be started now."""
        if (again := self._break_off(now)) is not None:
            eventlog.note(
                logger, "live_input_not_started", "live input cannot be started, again in %.1f s: %s",
                again, why,
                level=logging.WARNING, content=self._spec.name, reason=why, again_s=again,
            )  # fmt: skip

    def _break_off(self, now: float) -> float | None:
        """Let go of what has run; return the seconds until it is started again, None: never, it is over."""
        self._child, self._look, self._framing = None, None, self._new_framing()
        self._let_go()
        self._take(self._cutter.finish())
        self._held, self._held_first = bytearray(), self._cutter.needs
        if self._is_over():
            logger.info("[%s] live input: %s has ended", self._spec.name, self._spec.source)
            self._is_exhausted = True
            return None
        pause, self._backoff = self._backoff, min(2 * self._backoff, LAST_BACKOFF)
        self._start_at = now + pause
        return pause

    def _complaint(self, child: Child) -> str:
        said = " | ".join(child.last_lines()[-3:]) or "no complaint"
        mend = child.complaint(self._spec.source).mend
        return said if mend == ANOTHER_FILE else f"{said}; {mend}"

    def _take(self, cuts: Iterable[Cut]) -> None:
        """Queue datagrams, let go of their packets."""
        for cut in cuts:
            begin = (cut.first - self._held_first) * PACKET
            payload = bytes(self._held[begin : begin + cut.packets * PACKET])
            self._queue.append((cut, payload or NULL_PACKET))
        done = self._cutter.needs - self._held_first
        del self._held[: done * PACKET]
        self._held_first += done

    def _time_now(self, now: float) -> int:
        """Return what time it is in the stream while nothing waits to leave, 90 kHz."""
        return self._cutter.last_time + round((now - self._last_left) * CLOCK)

    def _ahead(self, now: float) -> float:
        """Return the seconds of media that wait for their time."""
        return self._origin + self._queue[-1][0].time / CLOCK - now if self._queue else 0.0

    def _leave(self, now: float) -> list[Train]:
        """Return what is due, in trains that begin anew at keyframes."""
        if not self._queue:
            return []
        head = self._queue[0][0]
        # What was here at the look before, and due, left then. So this is how late it came at the least; that
        # we look late, on a busy machine, is no fault of the source, and delays nothing but this once.
        late = self._looked_before - self._origin - head.time / CLOCK
        if head.packets and late > LATE:  # a null packet is of no use later
            self._origin += late
        limit = (now - self._origin) * CLOCK + 1  # what is due now must not miss it by a rounding
        runs: list[list[bytes]] = []
        while self._queue and self._queue[0][0].time <= limit:
            cut, payload = self._queue.popleft()
            if cut.keyframe or not runs:
                runs.append([])
            number = self._next + sum(map(len, runs))
            header = RtpHeader(number & 0xFFFF, cut.time & 0xFFFFFFFF, self._ssrc)
            runs[-1].append(header.pack() + payload)
        trains: list[Train] = []
        for run in runs:
            trains += make_trains(self._next, run)
            self._next += len(run)
        if trains:
            self._last_left = now
        return trains
