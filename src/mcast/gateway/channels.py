"""All contents that somebody watches: tuned in for the first viewer, left a while after the last.

A viewer has a *hold* on a channel as long as it is served. One that comes back for each segment (HLS) is
taken to be there for a few segments more.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from mcast.client import Subscription
from mcast.errors import McastError, NotFoundError
from mcast.eventlog import note
from mcast.gateway.channel import Channel, Figures
from mcast.gateway.contents import KnownContents
from mcast.net.threads import OnCrash, OwnedThread, stop_together
from mcast.web.request import RequestError

logger = logging.getLogger(__name__)

DEFAULT_LINGER = 5.0
"""Seconds a channel is kept after its last viewer: who changes back finds it running."""
MAX_CHANNELS = 64
"""Contents that are watched at a time: each is a stream of its own. Beyond: 503."""
LOOK = 0.25
"""Seconds between two looks at who is left."""
RETRY_SECONDS = 5
"""When somebody who could not be served should ask again."""
DOUBTFUL_SECONDS = 2.0
"""To wait for a content when nobody tells which there are: the overlay is out of reach, or of older nodes.

A SYN that was lost takes one of them.
"""


@dataclass(slots=True)
class _Entry:
    """A channel, how many are served by it, and how long it is kept without any."""

    channel: Channel
    viewers: int = 0
    keep_until: float = 0.0
    is_deserted: bool = False  # it is left because nobody watches any more


class Hold:
    """One viewer's hold on a channel. To be closed once."""

    def __init__(self, channel: Channel, give_back: Callable[[float], None]) -> None:
        self.channel, self._give_back = channel, give_back
        self._stays = 0.0

    def stay(self, seconds: float) -> None:
        """Take the viewer to be there for so long after this."""
        self._stays = seconds

    def close(self) -> None:
        """Give it back."""
        self._give_back(self._stays)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Channels:
    """Owns all channels, and the thread that looks which of them nobody watches any more."""

    def __init__(
        self, subscribe: Callable[[str], Subscription], known: KnownContents, on_crash: OnCrash,
        linger: float = DEFAULT_LINGER,
    ) -> None:  # fmt: skip
        """`subscribe` makes a subscription that is not entered yet. Raises ConfigError there."""
        self._subscribe, self._known, self._on_crash, self._linger = subscribe, known, on_crash, linger
        self._lock = threading.Lock()  # guards the next three
        self._entries: dict[str, _Entry] = {}
        self._ending: list[_Entry] = []  # asked to end, and not waited for yet
        self._is_stopped = False
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = threading.Event()
        self._thread = OwnedThread("channels", self._run, on_crash)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def open(self, content: str) -> Hold:
        """Return a hold on a content's channel, once it is on. Raises RequestError.

        As long as the channel is joining, this waits; a content that is absent, and an overlay that cannot
        be reached, are errors of their own. Of the latter a viewer is told soon, while the channel goes on
        to join: it is there when he comes again.
        """
        try:
            doubt = None if self._is_joined(content) else self._known.doubt(content)
        except NotFoundError as error:
            raise _refusal(error) from None
        entry = self._enter(content)
        hold = Hold(entry.channel, lambda stays: self._leave(entry, stays))
        try:
            if doubt is not None and not entry.channel.wait_joined(DOUBTFUL_SECONDS):
                hold.stay(RETRY_SECONDS)
                raise doubt
            entry.channel.wait_joined()
        except McastError as error:
            hold.close()
            raise _refusal(error) from None
        return hold

    def running(self, content: str) -> Hold | None:
        """Return a hold on a channel that is on already, None if nobody watches this content."""
        with self._lock:
            if (entry := self._entries.get(content)) is None:
                return None
            entry.viewers += 1
        return Hold(entry.channel, lambda stays: self._leave(entry, stays))

    def ended(self, content: str) -> Hold | None:
        """Return a hold on what is left of a content that is over, for who has watched it; else None."""
        with self._lock:
            entry = self._entries.get(content)
            if entry is None or not entry.channel.is_complete or not entry.channel.segments.last(1):
                return None
            entry.viewers += 1
        return Hold(entry.channel, lambda stays: self._leave(entry, stays))

    def call(self, function: Callable[[], None]) -> None:
        """Have the thread do something that does not wait, at its next look. Never waits."""
        self._calls.append(function)

    def figures(self) -> dict[str, tuple[Figures, int]]:
        """Return how each channel goes, and how many viewers hold it."""
        with self._lock:
            entries = dict(self._entries)
        return {
            content: (entry.channel.figures(), entry.viewers)
            for content, entry in entries.items()
            if not entry.channel.is_over
        }

    def stop(self) -> None:
        """Leave all streams."""
        self._stopping.set()
        self._thread.join()
        with self._lock:
            self._is_stopped = True
            entries, self._entries, self._ending = [*self._entries.values(), *self._ending], {}, []
        stop_together(entry.channel for entry in entries)

    def _is_joined(self, content: str) -> bool:
        with self._lock:
            entry = self._entries.get(content)
        return entry is not None and not entry.channel.is_over and entry.channel.is_joined

    def _enter(self, content: str) -> _Entry:
        """Count one viewer more, of a channel that is made if need be. Raises RequestError."""
        with self._lock:
            if self._is_stopped:
                text = "this gateway is about to end"
                raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=RETRY_SECONDS)
            entry = self._entries.get(content)
            if entry is None or entry.channel.is_over:
                former, entry = entry, _Entry(self._make(content))
                self._entries[content] = entry
                if former is not None:  # its thread is about to end; who holds it reads what is left
                    former.channel.ask_to_stop()
                    self._ending.append(former)
            entry.viewers += 1
            return entry

    def _make(self, content: str) -> Channel:
        if len(self._entries) + len(self._ending) >= MAX_CHANNELS and content not in self._entries:
            text = f"{MAX_CHANNELS} contents are watched here, which is the most"
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, retry_after=RETRY_SECONDS)
        try:
            channel = Channel(content, self._subscribe(content), self._on_crash)
        except McastError as error:
            raise _refusal(error) from None
        channel.start()
        note(logger, "channel_opened", "[%s] somebody watches: joining", content, content=content)
        return channel

    def _leave(self, entry: _Entry, stays: float) -> None:
        with self._lock:
            entry.viewers -= 1
            if not entry.channel.is_over:  # else nobody new begins with it
                entry.keep_until = max(entry.keep_until, time.monotonic() + stays + self._linger)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK):
            while self._calls:
                self._calls.popleft()()
            self._leave_deserted()
            for entry in self._ended():
                entry.channel.stop()
                content = entry.channel.content
                if entry.is_deserted:
                    note(logger, "channel_closed", "[%s] nobody watches any more", content, content=content)

    def _leave_deserted(self) -> None:
        """Forget the channels that nobody watches, and have them end, side by side."""
        now = time.monotonic()
        with self._lock:
            for content, entry in list(self._entries.items()):
                if entry.viewers == 0 and entry.keep_until <= now:
                    del self._entries[content]
                    entry.is_deserted = True
                    entry.channel.ask_to_stop()
                    self._ending.append(entry)

    def _ended(self) -> list[_Entry]:
        """Return those that have come to their end: this thread waits for none, as others count on it."""
        with self._lock:
            ended = [entry for entry in self._ending if entry.channel.has_ended]
            self._ending = [entry for entry in self._ending if entry not in ended]
        return ended


def _refusal(error: McastError) -> RequestError:
    if isinstance(error, NotFoundError):
        return RequestError(HTTPStatus.NOT_FOUND, str(error))
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after=RETRY_SECONDS)
