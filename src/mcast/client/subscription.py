"""`mcast.Subscription`: a content of the overlay as an iterator over chunks of its transport stream."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from mcast.client import options as check
from mcast.client.chunks import ChunkQueue
from mcast.client.leaf import Leaf
from mcast.client.options import (
    DEFAULT_GIVE_UP,
    DEFAULT_LATENCY_MS,
    DEFAULT_PATIENCE,
    DEFAULT_QUEUE_BYTES,
    Options,
)
from mcast.client.preflight import check_machine
from mcast.client.statistics import Statistics
from mcast.config.key_file import read_key_file
from mcast.errors import ConfigError, UnreachableError
from mcast.net.ports import MediaPorts
from mcast.net.threads import NoThreadError

logger = logging.getLogger(__name__)

OnPathChange = Callable[[tuple[str, ...]], None]


class Subscription:
    """One content, taken from the nearest node of the overlay.

    To be entered once. While it is, it is an iterator over `bytes`: whole MPEG-TS packets of 188 bytes, in
    order, each handed out at its time. The iteration ends when the content is over, or when `close` was
    called.

        with mcast.Subscription(neighbours=["10.0.2.10:5000"], content="earth") as subscription:
            for chunk in subscription:
                file.write(chunk)

    Entering waits until a node has accepted, and raises NotFoundError if no server has the content,
    UnreachableError if no neighbour answers or no way was found in time, and ConfigError for a host name
    that nobody knows or media ports that are all in use. Reading raises StreamEndedError when the stream has
    ended though its content is not over. All are in `mcast.errors`; any other exception is a bug of ours.

    A reader that is too slow loses the oldest chunks and disturbs nobody else: see `queue_bytes`.
    """

    def __init__(
        self,
        *,
        neighbours: Iterable[str],
        content: str,
        latency_ms: int = DEFAULT_LATENCY_MS,
        patience: float = DEFAULT_PATIENCE,
        give_up: float = DEFAULT_GIVE_UP,
        start: Literal["keyframe", "live"] = "keyframe",
        media_ports: str | None = None,
        parents: int = 1,
        further: Iterable[str] = (),
        queue_bytes: int = DEFAULT_QUEUE_BYTES,
        on_path_change: OnPathChange | None = None,
        trace: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        """Check the options; nothing is opened yet. Raises ConfigError.

        neighbours:     nodes as `HOST:PORT`; all are asked, the one with the quickest answer is taken
        content:        the content's name, 1 to 255 bytes of UTF-8
        latency_ms:     milliseconds to wait for a lost datagram, and so the delay of all; 0 to 60,000
        patience:       seconds to search until UnreachableError is raised
        give_up:        seconds to search for another way, when nothing comes any more, until StreamEndedError
                        is raised
        start:          "keyframe": at the last keyframe, a picture at once; "live": at the next one
        media_ports:    UDP ports to use, `LOW-HIGH`; None leaves the choice to the system
        parents:        2: take it from two neighbours all the time, by paths as different as can be had
        further:        nodes as `IP:PORT` that are asked when no neighbour has a way; see `nearest_nodes`
        queue_bytes:    bytes that may wait to be read; beyond, the oldest chunk is dropped
        on_path_change: called with the path when it has joined, and whenever it has changed; by the thread
                        that enters and reads, so it may do what that thread may
        key_file:       the key that the overlay's programs share, where they have one; it is read here
        trace:          a file for each decision, as JSON lines: to find out why a join went wrong
        """
        self._options = Options(
            neighbours=check.check_neighbours(neighbours),
            content=check.check_content(content),
            latency_ms=check.check_latency(latency_ms),
            patience=check.check_seconds(patience),
            give_up=check.check_seconds(give_up),
            start=check.check_start(start),
            media_ports=MediaPorts.parse(media_ports),
            queue_bytes=check.check_queue(queue_bytes),
            trace=trace,
            keys=read_key_file(key_file),
            parents=check.check_parents(parents),
            further=tuple(check.check_neighbour(node) for node in further),
        )
        self._on_path_change = on_path_change
        self._chunks = ChunkQueue(queue_bytes)
        self._lock = threading.Lock()  # one thread starts it, one ends it
        self._leaf: Leaf | None = None
        self._closing, self._closed = threading.Event(), False
        self._told_path: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Subscription {self._options.content} path={' > '.join(self.path) or None} {self._chunks!r}>"

    def __enter__(self) -> Self:
        """Join the stream; see the class for what is raised.

        Returns, too, when another thread has called `close` meanwhile: then there is nothing to read.
        """
        self.start()
        try:
            self.wait_joined()
        except BaseException:  # Ctrl-C, too
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Return an iterator over what comes; raises as `read` does."""
        while chunk := self.read():
            yield chunk

    def read(self, timeout: float | None = None) -> bytes:
        """Return the next chunk; b"" at the end.

        Waits for `timeout` seconds at most, then raises TimeoutError. Raises StreamEndedError when the
        stream has ended for another reason than its content's end or `close`; what had come before is read
        first.
        """
        if self._leaf is None:
            raise RuntimeError("the subscription has not been entered")
        self._tell_path()
        return self._chunks.read(timeout)

    def close(self) -> None:
        """Leave the stream and end all threads. From any thread, any number of times.

        What has come by then can still be read, without waiting for its time, before the iteration ends.
        """
        self._closing.set()
        with self._lock:
            self._end()

    def _end(self) -> None:
        assert self._lock.locked()
        if not self._closed:
            self._closed = True
            if self._leaf is not None:
                self._leaf.stop()
            self._chunks.finish()

    @property
    def path(self) -> tuple[str, ...]:
        """Return the names of the nodes that the stream comes through, the rendezvous point first.

        Empty until it has joined. It changes when the tree above does.
        """
        return () if self._leaf is None else self._leaf.path

    @property
    def awaited(self) -> str:
        """Return what the stream waits for, in words: "preparing 43 %"; empty while nothing is known of that.

        Before it has joined the content may be being prepared; then its live input may be silent.
        """
        return "" if self._leaf is None else self._leaf.awaited

    @property
    def doubt(self) -> str:
        """Return what seems to be wrong with the way from the parent, in words: for who waits no longer.

        Unlike `awaited` it says at once that nothing has come by UDP, which may yet come.
        """
        return "" if self._leaf is None else self._leaf.doubt

    @property
    def breaks(self) -> int:
        """Return how often another stream had come in the place of one that could not go on, by what was
        read last: a chunk with which it has grown does not go on with the chunk before."""
        return self._chunks.breaks

    def statistics(self) -> Statistics:
        """Return what has come so far; after the end, what has come in all."""
        return Statistics() if self._leaf is None else self._leaf.statistics()

    # Entering step by step, for a program that has something else to look at meanwhile

    def start(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Begin to search, without waiting for what is found.

        Only host names are waited for, until `cancelled` says that nobody wants to any more: then nothing
        is begun. Raises ConfigError, also if this machine gives no descriptors or no threads any more, and
        UnreachableError if no name server answers in time.
        """
        with self._lock:
            if self._leaf is not None:
                raise RuntimeError("a subscription can be entered once")
            try:
                check_machine(self._options, lambda: cancelled() or self._closing.is_set())
            except UnreachableError:
                if not cancelled() and not self._closing.is_set():
                    raise
            if cancelled() or self._closing.is_set():
                return
            try:
                self._leaf = Leaf(self._options, self._chunks, self._on_crash)
            except OSError as error:
                raise ConfigError(f"'{self._options.content}' cannot be taken: {error.strerror}") from None
            try:
                self._leaf.start()
            except NoThreadError:
                self._end()
                raise

    def wait_joined(self, timeout: float | None = None) -> bool:
        """Wait for `timeout` seconds at most; return whether a node has accepted.

        Raises what entering raises.
        """
        has_joined = self._chunks.wait_open(timeout)
        self._tell_path()
        return has_joined

    def wait_media(self, timeout: float | None = None) -> bool:
        """Wait for `timeout` seconds at most; return whether there is media to read.

        A server keeps a stream of which it has nothing yet (a live input that is silent) going with null
        packets: they are no media, and nobody reads them. Raises StreamEndedError when the stream has ended
        before any came.
        """
        has_come = self._chunks.wait_chunk(timeout)
        self._tell_path()
        return has_come

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come: what waits to be read is the end."""
        return self._chunks.is_finished

    def _tell_path(self) -> None:
        path = self.path
        if path != self._told_path:
            self._told_path = path
            if self._on_path_change is not None:
                self._on_path_change(path)

    def _on_crash(self, error: BaseException) -> None:
        """End the stream with an exception that nobody expected: half alive would be worse."""
        logger.error("[%s] unexpected %s", self._options.content, type(error).__name__, exc_info=error)
        self._chunks.finish(error)
