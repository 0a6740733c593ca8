"""The child's side of a content: one socket connected to the parent, one thread that reads it.

The thread hands on each number of the stream at most once, in order of arrival and in trains as
long as they came; it answers with hellos and reports, and tells what becomes of the parent. What
it decides is in upstream.py.
"""

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable

from mcast.media.reception import Reception
from mcast.media.reports import Speaker
from mcast.media.upstream import ReceiverCounters, Upstream, UpstreamCore, UpstreamEvent, WallClock
from mcast.net.addresses import IPAddress, sockaddr_of
from mcast.net.ports import MediaPorts
from mcast.net.threads import OnCrash, OwnedThread
from mcast.net.udp import enable_merging, receive, request_receive_buffer, set_receive_timeout
from mcast.wire.position import Position
from mcast.wire.train import Train

TICK_SECONDS = 0.02
"""The clocks are looked at after each receive; this long after it at the latest."""

logger = logging.getLogger(__name__)


def open_media_socket(local_ip: IPAddress, ports: MediaPorts) -> tuple[socket.socket, int]:
    """Bind the socket that will hear a parent; return it and the receive buffer granted (for STREAM).

    To be bound to the control connection's local address, and connected (`connect_media_socket`) once the
    parent's PORT has come. Raises ConfigError.
    """
    sock = ports.open(local_ip)
    granted = request_receive_buffer(sock)
    enable_merging(sock)
    return sock, granted


def connect_media_socket(sock: socket.socket, parent_ip: IPAddress, port: int) -> None:
    """Accept media only from the parent's address and PORT's port. Raises OSError."""
    sock.connect(sockaddr_of(parent_ip, port))


class Receiver:
    """Owns one content's upstream socket (connected already) and the thread "forward-<content>"."""

    def __init__(
        self,
        content: str,
        sock: socket.socket,
        token: bytes,
        position: Position,
        cname: str,
        on_train: Callable[[Train], None],
        on_state: Callable[[UpstreamEvent], None],
        on_crash: OnCrash,
        *,
        resume: Position | None = None,
        reception: Reception | None = None,
        repair: bool = True,
    ) -> None:
        """Expect `position`'s stream.

        The callbacks are called by the inlet's thread. `resume` is what STREAM asked to go on
        from: with the same SSRC it is the first number that counts. `reception` is that of a
        stopped inlet of the same stream, so that no number is handed on twice over a change of
        parent.
        """
        self.content, self._sock = content, sock
        self._on_train, self._on_state = on_train, on_state
        self._stopping = threading.Event()
        self._rebase: Position | None = None
        speaker = Speaker(random.getrandbits(32), cname, token)
        self._core = UpstreamCore(
            position, speaker, time.monotonic(), resume=resume, reception=reception, repair=repair
        )
        self._thread = OwnedThread(f"forward-{content}", self._run, on_crash)

    def __repr__(self) -> str:
        return f"<Receiver {self.content} {self._core.state} {self._core.reception!r}>"

    def __enter__(self) -> "Receiver":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def reception(self) -> Reception:
        """Return what has arrived; to be handed to the next inlet after stop()."""
        return self._core.reception

    @property
    def state(self) -> Upstream | None:
        """Return how it is with the parent; None before anything has come."""
        return self._core.state

    @property
    def position(self) -> Position:
        """Return where another parent would have to go on."""
        return Position(self._core.ssrc, self._core.reception.next)

    @property
    def clock(self) -> WallClock | None:
        """Return the parent's RTP and wall-clock time."""
        return self._core.clock

    def counters(self) -> ReceiverCounters:
        """Describe what has come so far."""
        return self._core.counters()

    def start(self) -> None:
        """Start the thread: it says hello at once."""
        set_receive_timeout(self._sock, TICK_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, say BYE, close the socket. Harmless when repeated, and from the thread itself."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        # shutdown() wakes the thread, close() would not. Sending still works after it.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._send(self._core.goodbye(time.monotonic()))
        self._sock.close()

    def rebase(self, position: Position) -> None:
        """Expect another stream (a PORT update with a new SSRC) within 20 ms; the thread tells REBASED."""
        self._rebase = position

    def _run(self) -> None:
        core = self._core
        self._tell(time.monotonic())
        while not self._stopping.is_set():
            trains: list[Train] = []
            try:
                received = receive(self._sock)
            except BlockingIOError:
                now = time.monotonic()
            except OSError:  # the parent's port is closed, or a filter refuses us; told once, then forgotten
                if self._stopping.is_set():
                    return
                now = time.monotonic()
                core.refused(now)
            else:
                now = time.monotonic()
                if received.data and not received.cut:
                    trains = core.receive(received.data, received.size, now)
            for train in trains:
                self._on_train(train)
            self._tell(now)

    def _tell(self, now: float) -> None:
        """Do what is due beside receiving."""
        if self._rebase is not None:
            position, self._rebase = self._rebase, None
            self._core.rebase(position, now)
        packet = self._core.on_time(now)
        for event in self._core.events():
            self._on_state(event)
        if packet is not None:
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # refused, no route: the next receive, or silence, tells
            self._sock.send(packet, socket.MSG_DONTWAIT)
