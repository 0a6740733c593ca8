"""One thread that watches any number of connections on which something may arrive at any time.

A connection is handed over with watch() and read by nobody else until unwatch() gives it back or
`on_gone` has told its end. The callbacks run in the watcher's thread and must be short: they never
wait, and send with `timeout=0` only. A peer costs one read of at most 64 KiB per round, so a busy
one delays the others by little; one that breaks the protocol costs its own connection only, and a
message that only a newer version knows costs nothing but itself (connection.py).

What is to be told to many is pushed: the thread sends what each takes, and the rest when there is room again,
so nobody waits for who does not read. Only the newest counts: a frame that has not begun when the next
comes is not sent. Who takes none for too long loses its connection.

A connection that is beside a running stream is watched *calmly* (calm.py): its silence is told, and ends
nothing.

unwatch() waits for a callback of that very connection to end, so that afterwards none will run. So
never call it while holding a lock that the callback takes.
"""

import logging
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mcast.errors import WireError
from mcast.net.calm import DEFAULT_CALM, Calm, be_calm, is_silent, probe_calmly
from mcast.net.connection import Connection, PeerGone
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.waker import Waker
from mcast.wire.frame import Message

logger = logging.getLogger(__name__)

CHECK_INTERVAL = 0.5
"""Seconds between two looks at frames that were begun and are not complete, in either direction."""

SILENCE_LOOK = 1.0
"""Seconds between two looks at how long calm connections have been silent."""

UNWATCH_TIMEOUT = 5.0
"""Seconds that a callback may take before unwatch() calls it a bug."""


@dataclass(eq=False, slots=True)
class _Watched:
    connection: Connection
    on_message: Callable[[Message], None]
    on_gone: Callable[[str], None]
    on_silent: Callable[[], None] | None = None  # calm, and not told yet
    pushed: bytes | None = None  # the frame that goes out next
    patience: float = 0.0  # seconds that the peer has for it
    until: float | None = None  # when what goes out must have gone; None if nothing does


class Watcher:
    """Owns one thread and the connections that were handed to it."""

    def __init__(
        self, on_crash: OnCrash, *, name: str = "watcher", counters: Counters | None = None,
        calm: Calm = DEFAULT_CALM,
    ) -> None:  # fmt: skip
        self._log, self._calm = RateLimitedLog(logger, counters), calm
        self._calm_ones: set[_Watched] = set()  # the thread's
        self._unsent: set[_Watched] = set()  # the thread's: a frame goes out on them
        self._look_at = 0.0  # the thread's
        self._selector, self._waker = selectors.DefaultSelector(), Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        # Guards the four below. The selector is changed under it as well: epoll allows that while
        # another thread waits.
        self._changed = threading.Condition()
        self._watched: dict[Connection, _Watched] = {}
        self._fresh: list[_Watched] = []
        self._calmed: list[_Watched] = []
        self._busy: Connection | None = None
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = threading.Event()
        self._thread = OwnedThread(name, self._run, on_crash)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close what is watched still, without telling `on_gone`."""
        self._stopping.set()
        self._waker.wake()
        self._thread.join()
        with self._changed:
            left = list(self._watched.values())
            for watched in left:
                self._forget(watched)
        for watched in left:
            watched.connection.give_up()
        self._run_calls()
        self._selector.close()
        self._waker.close()

    def call(self, function: Callable[[], None]) -> None:
        """Have the thread do something that does not wait, between two connections. Never waits."""
        self._calls.append(function)
        self._waker.wake()

    def watch(
        self, connection: Connection, on_message: Callable[[Message], None], on_gone: Callable[[str], None]
    ) -> None:
        """Take over a connection.

        `on_gone(reason)` comes exactly once, after the connection was closed by whomever (or broke
        the protocol), unless unwatch() or stop() come first. A callback may raise WireError for a
        message that has no business here, or PeerGone. Raise PeerGone if it is closed already.
        """
        connection.hold()
        watched = _Watched(connection, on_message, on_gone)
        with self._changed:
            if connection in self._watched:
                connection.release()
                raise ValueError(f"{connection} is watched already")
            self._watched[connection] = watched
            # Messages may wait in the decoder, where no selector sees them.
            self._fresh.append(watched)
            self._selector.register(connection, selectors.EVENT_READ, watched)
        self._waker.wake()

    def unwatch(self, connection: Connection) -> bool:
        """Hand a connection back to the caller; return False if it is gone (or was never watched).

        Afterwards no callback of it runs, unless it is the one that calls this.
        """
        with self._changed:
            watched = self._watched.get(connection)
            if watched is not None:
                self._forget(watched)
            if not self._thread.is_current and not self._changed.wait_for(
                lambda: self._busy is not connection, UNWATCH_TIMEOUT
            ):
                raise RuntimeError(f"a callback of {connection} takes too long")
        if watched is not None and watched.until is not None:
            connection.give_up()  # nobody else knows the rest of the frame
        return watched is not None

    def push(self, connection: Connection, frame: bytes, patience: float) -> bool:
        """Send a frame; return False if the connection is not watched. Never waits.

        It takes the place of one that has not begun to go out. A peer that does not take it in `patience`
        seconds, from its beginning, loses the connection.
        """
        with self._changed:
            if (watched := self._watched.get(connection)) is None:
                return False
            is_first = watched.pushed is None
            watched.pushed, watched.patience = frame, patience
        if is_first:
            self.call(lambda: self._begin(watched))
        return True

    def tolerate_silence(self, connection: Connection, on_silent: Callable[[], None]) -> None:
        """Let silence end a watched connection no more; `on_silent` is called once, when it falls silent.

        Harmless if the connection is gone.
        """
        probe_calmly(connection, self._calm)
        with self._changed:
            if (watched := self._watched.get(connection)) is not None:
                watched.on_silent = on_silent
                self._calmed.append(watched)
        self._waker.wake()

    def __len__(self) -> int:
        with self._changed:
            return len(self._watched)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Watcher({self._thread.name!r}, {len(self)} connections)"

    def _run(self) -> None:
        unfinished: set[_Watched] = set()
        while not self._stopping.is_set():
            events = self._selector.select(self._patience(bool(unfinished or self._unsent)))
            ready = {key.data: None for key, _ in events if key.data is not None}
            self._waker.drain()
            self._run_calls()
            self._go_on_sending(ready)
            ready |= dict.fromkeys(self._take_fresh())
            for watched in ready | dict.fromkeys(unfinished):
                if self._stopping.is_set():
                    return
                if self._serve(watched):
                    unfinished.add(watched)
                else:
                    unfinished.discard(watched)
            if self._calm_ones and time.monotonic() >= self._look_at:
                self._look_for_silence()

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()

    def _patience(self, has_unfinished: bool) -> float | None:
        """Return how long to wait, at most, for something to arrive."""
        with self._changed:
            self._calm_ones.update(self._calmed)
            self._calmed.clear()
        if not self._calm_ones:
            return CHECK_INTERVAL if has_unfinished else None
        until_look = max(0.0, self._look_at - time.monotonic())
        return min(CHECK_INTERVAL, until_look) if has_unfinished else until_look

    def _look_for_silence(self) -> None:
        self._look_at = time.monotonic() + SILENCE_LOOK
        for watched in tuple(self._calm_ones):
            if is_silent(watched.connection, self._calm):
                self._calm_ones.discard(watched)
                self._call(watched, self._tell_silence)
            elif self._watched.get(watched.connection) is not watched:
                self._calm_ones.discard(watched)

    def _take_fresh(self) -> list[_Watched]:
        with self._changed:
            fresh, self._fresh = self._fresh, []
            return fresh

    def _serve(self, watched: _Watched) -> bool:
        """Read one connection once; return whether a frame has begun and is not complete."""
        return self._call(watched, self._read)

    def _call(self, watched: _Watched, do: Callable[[_Watched], bool]) -> bool:
        """Do something with a connection, unless it is watched no more; meanwhile unwatch() waits."""
        with self._changed:
            if self._watched.get(watched.connection) is not watched:
                return False
            self._busy = watched.connection
        try:
            return do(watched)
        finally:
            with self._changed:
                self._busy = None
                self._changed.notify_all()

    def _go_on_sending(self, ready: Iterable[_Watched]) -> None:
        """Send more to those who take it, and give those up who have not taken a frame in time."""
        if not self._unsent:
            return
        for watched in self._unsent.intersection(ready):
            self._begin(watched)
        now = time.monotonic()
        for watched in tuple(self._unsent):
            if watched.until is not None and watched.until <= now:
                self._call(watched, self._give_up)
            if self._watched.get(watched.connection) is not watched:
                self._unsent.discard(watched)

    def _begin(self, watched: _Watched) -> None:
        self._call(watched, self._send)

    def _send(self, watched: _Watched) -> bool:
        """Send what the peer takes by now of what was pushed; return whether some of it is left."""
        connection = watched.connection
        try:
            if watched.until is None or connection.go_on():
                watched.until = None
                with self._changed:
                    frame, watched.pushed = watched.pushed, None
                if frame is not None:
                    watched.until = time.monotonic() + watched.patience
                    if connection.begin(frame):
                        watched.until = None
        except PeerGone as error:
            self._end(watched, str(error))
            return False
        self._look_for_room(watched, wanted=watched.until is not None)
        return watched.until is not None

    def _give_up(self, watched: _Watched) -> bool:
        self._end(watched, f"{watched.connection.peer} takes no data")
        return False

    def _look_for_room(self, watched: _Watched, *, wanted: bool) -> None:
        """Have the selector tell when the peer takes more, or no longer."""
        if wanted is (watched in self._unsent):
            return
        (self._unsent.add if wanted else self._unsent.discard)(watched)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        with self._changed:
            if self._watched.get(watched.connection) is watched:
                self._selector.modify(watched.connection, events, watched)

    def _tell_silence(self, watched: _Watched) -> bool:
        be_calm(watched.connection)  # enough probes: the last would send RST
        assert watched.on_silent is not None
        watched.on_silent()
        return False

    def _read(self, watched: _Watched) -> bool:
        connection = watched.connection
        try:
            for message in connection.poll_messages():
                watched.on_message(message)
                if self._watched.get(connection) is not watched:
                    return False  # the callback took it back, and the rest of the messages with it
            connection.check_frame_time()
        except WireError as error:
            self._log.warning(
                "bad_frames",
                "%s breaks the protocol: %s",
                connection.peer,
                error,
                extra={"peer": connection.peer},
            )
            self._end(watched, str(error))
        except PeerGone as error:
            self._end(watched, str(error))
        return connection.frame_time_left() is not None

    def _end(self, watched: _Watched, reason: str) -> None:
        with self._changed:
            if self._watched.get(watched.connection) is not watched:
                return
            self._forget(watched)
        watched.connection.give_up()
        watched.on_gone(reason)

    def _forget(self, watched: _Watched) -> None:
        assert self._changed._is_owned()  # type: ignore[attr-defined]
        del self._watched[watched.connection]
        self._selector.unregister(watched.connection)
        watched.connection.release()
