"""One subscription of a client, from PORT to its end.

joined --UDP--> Receiver --trains--> Playback --> output
   '--control connection: PORT (a new path), STOP (the end)
"""

import argparse
import logging
import threading
import time
from dataclasses import dataclass

from mcast.errors import StreamEndedError, WireError
from mcast.media.output import Output
from mcast.media.parent import ParentEvent, ParentState
from mcast.media.playback import Playback
from mcast.media.receiver import Receiver
from mcast.net.connection import say
from mcast.net.deadline import Deadline
from mcast.net.watcher import Watcher
from mcast.overlay.actions import UpstreamId
from mcast.roles import cli
from mcast.roles.client.joiner import Joined
from mcast.roles.client.report import Report
from mcast.roles.client.status_line import Status, StatusLine
from mcast.wire.frame import Message
from mcast.wire.node import Port, Stop, StopReason

logger = logging.getLogger(__name__)

GIVE_UP_SECONDS = 5.0
"""Without media for so long the stream is over for this client."""
DRAIN_SECONDS = 1.5
"""How long the last datagrams of a content that ends may take to come."""
_STEP = 0.1  # seconds between two looks at what may have ended
_STATUS_STEP = 0.5


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends, as the first says who notices; in one piece, as other threads read it."""

    reason: str
    status: int = 0
    last: int | None = None  # the number of its last datagram, where the content is over


class Session:
    """One subscription of a client, from PORT to its end."""

    def __init__(
        self, options: argparse.Namespace, process: cli.Process, joined: Joined, output: Output
    ) -> None:
        self._options, self._process, self._joined, self._output = options, process, joined, output
        self._lock = threading.Lock()
        self._ending: Ending | None = None
        self._version, self.path = joined.port.version, joined.port.path
        self._silent_since: float | None = None
        self._shown_at, self._shown_bytes = time.monotonic(), 0
        self._ended: float | None = None
        self._watcher = Watcher(process.on_crash)
        self.playback = Playback(output, options.latency, process.on_crash)
        self._receiver = Receiver(
            options.content, joined.port.stream, "mcast-client",
            self.playback.push, self._on_parent, process.on_crash,
        )  # fmt: skip
        self._receiver.add_parent(0, joined.sock, joined.port.token, joined.port.stream)

    def run(self) -> Ending:
        """Receive until something ends it; return what did. To be called once."""
        try:
            self._watcher.start()
            self._receiver.start()
            self._watcher.watch(self._joined.connection, self._on_message, self._on_gone)
            ending = self._await_end()
            if ending.last is not None:
                self._await_last(ending.last)
        finally:
            self._leave()
        return ending

    def _await_end(self) -> Ending:
        status_line = StatusLine()
        while (ending := self._ending) is None:
            if self._process.stop.wait(_STEP):
                self._end("stopped by the user")
            now = time.monotonic()
            self._check(now)
            if now >= self._shown_at + _STATUS_STEP:
                status_line.show(self._status(now))
        status_line.close()
        return ending

    def _end(self, reason: str, status: int = 0, last: int | None = None) -> None:
        """Say why it ends, unless that has been said."""
        with self._lock:
            self._ending = self._ending or Ending(reason, status, last)

    def fill(self, report: Report) -> None:
        """Write into the report what there is to say."""
        played, counters = self.playback.report(), self._receiver.counters()
        began = self._joined.began
        report.path = [str(node) for node in self.path]
        report.request_id = self._joined.request_id
        report.ssrc = self._joined.port.stream.ssrc
        report.first_number = played.first_number
        report.join_ms = _ms_between(began, played.first_media)
        report.first_keyframe_ms = _ms_between(began, played.first_keyframe)
        report.duration_s = (_ms_between(played.first_media, self._ended) or 0.0) / 1000
        report.ts_packets, report.bytes = played.ts_packets, played.bytes
        report.lost_datagrams = played.playout.lost
        report.duplicate_datagrams = counters.duplicates
        report.reordered_datagrams = counters.reordered
        report.repaired_datagrams = counters.repaired
        report.dropped_bytes = played.dropped
        report.continuity_errors = played.continuity_errors
        report.latency_ms = played.latency_ms
        report.receive_buffer_bytes = self._joined.buffer_bytes
        report.output_times = list(played.output_times)

    # What others tell

    def _on_message(self, message: Message) -> None:
        match message:
            case Port() if message.version > self._version:
                self._version, self.path = message.version, message.path
                if message.stream.ssrc != self._joined.port.stream.ssrc:
                    self._end("the stream was replaced by another one", StreamEndedError.exit_status)
            case Port():
                pass  # an older one, overtaken
            case Stop(reason=StopReason.END):
                self._end("the content is over", last=message.last)
            case Stop():
                why = f"{message.reason.name.lower()} {message.text}".strip()
                self._end(f"ended by {self._options.neighbour}: {why}", StreamEndedError.exit_status)
            case _:
                raise WireError(f"{type(message).__name__} has no place in a subscription")

    def _on_gone(self, reason: str) -> None:
        self._end(reason, StreamEndedError.exit_status)

    def _on_parent(self, _upstream: UpstreamId, event: ParentEvent) -> None:
        lives = event.kind in (ParentState.FED, ParentState.WAITING)
        logger.debug("= the neighbour's stream is %s", event.kind.name.lower())
        self._silent_since = None if lives else self._silent_since or event.at

    # In the main thread

    def _check(self, now: float) -> None:
        first_media, duration = self.playback.report().first_media, self._options.duration
        if (output_end := self._output.ended()) is not None:
            self._end(output_end.reason, output_end.error.exit_status if output_end.error else 0)
        if duration is not None and first_media is not None and now - first_media >= duration:
            self._end("the duration is over")
        silent_since = self._silent_since  # read once: the receiver's thread changes it
        if silent_since is not None and now - silent_since > GIVE_UP_SECONDS:
            self._end(f"no media for {GIVE_UP_SECONDS:g} s", StreamEndedError.exit_status)

    def _status(self, now: float) -> Status:
        played, seconds = self.playback.report(), now - self._shown_at
        rate = (played.bytes - self._shown_bytes) * 8 / seconds
        self._shown_at, self._shown_bytes = now, played.bytes
        since = 0.0 if played.first_media is None else now - played.first_media
        return Status(
            since, rate, played.held_ms, played.playout.lost, tuple(str(node) for node in self.path)
        )

    def _await_last(self, last: int) -> None:
        """A content that is over is not over before its last datagram has come, and gone out."""
        stop, came = self._process.stop, Deadline(DRAIN_SECONDS)
        while self._receiver.position.next <= last and not came.expired:
            if stop.wait(_STEP):
                return
        out = Deadline(self._options.latency / 1000 + DRAIN_SECONDS)
        while not stop.is_set() and not out.expired and not self.playback.finish(_STEP):
            pass

    def _leave(self) -> None:
        self._ended = time.monotonic()
        connection, joined = self._joined.connection, self._joined
        if self._watcher.unwatch(connection):
            say(connection, Stop(request=joined.request, content=self._options.content,
                                 reason=StopReason.UNSUBSCRIBE))  # fmt: skip
        connection.close()
        self._receiver.stop()
        self._watcher.stop()
        self.playback.stop(None if self._ending is None else self._ending.last)


def _ms_between(earlier: float | None, later: float | None) -> float | None:
    return None if earlier is None or later is None else round((later - earlier) * 1000, 1)
