"""A TCP connection that carries frames.

Several threads share one: any of them may send (whole frames, under a lock of their own), one at
a time receives (a handler that blocks, or the watcher that polls), and anybody may close. The
socket stays in blocking mode and every call says MSG_DONTWAIT and waits by poll(): a timeout set on
the socket would be shared by the sender and the receiver.

Closing in two steps. shutdown() wakes whoever waits, at once; the descriptor itself is given back
by the last one who *holds* the connection. Otherwise the number could be given to another socket
while a thread still polls it, and a stranger's bytes would be read.

Whoever reads has two limits: its own deadline, and FRAME_TIMEOUT from the first byte of a frame to
its last. The latter is per frame and not per byte, so a peer that drips one byte a second, or never
ends its frame, is cut off; and a frame's length is bounded by the decoder before its body comes.

A message that only a newer version knows is skipped: counted, logged, and the next one is read. It does
not prolong the reader's deadline, or a peer could keep a handler busy for ever.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from mcast.errors import McastError, UnknownMessageError, UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.net import tcp
from mcast.net.addresses import endpoint_of, resolve, shared_endpoint
from mcast.net.deadline import Deadline
from mcast.net.handshake import Credentials, Dialling, why_turned_away
from mcast.net.handshaking import shake_hands
from mcast.net.outgoing import Outgoing
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.tcp import dial, reason_of, set_options, target_of
from mcast.net.waker import wait_readable
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import MAX_BODY, FrameDecoder, Message, encode
from mcast.wire.handshake import NONCE_SIZE, HandshakeMessage, HandshakePacket, Role

logger = logging.getLogger(__name__)
_shared_log = RateLimitedLog(logger)  # of all connections without one of their own, so they share its rate

FRAME_TIMEOUT = 5.0
"""Seconds from a frame's first byte to its last: five retransmissions of TCP (0.2 + 0.4 + ... s)."""
SEND_TIMEOUT = 5.0
"""Seconds a peer may refuse to take a frame; a control message is small, so its buffers were full."""
CONNECT_TIMEOUT = 5.0
"""Seconds to reach a peer: outlasts two lost SYNs, which are sent again after 1 and 3 s."""
RECEIVE_BYTES = 65_536

MAX_UNREAD_READS = 16
"""Reads that empty a socket before it is closed: a peer that floods it gets its RST after 1 MiB."""


class PeerGone(UnreachableError):  # noqa: N818 -- it is an event as much as an error
    """The connection has ended: the peer closed it, the network lost it, or we closed it."""


class TurnedAway(PeerGone):
    """The peer has said why it wants nothing to do with us; the text tells."""


class Connection:
    """A connected TCP socket and its frames. Owns the socket. A node has thousands of them."""

    __slots__ = (
        "_closed", "_decoder", "_detached", "_frame_started", "_holders", "_log", "_out", "_refusal",
        "_returned", "_sock", "_state_lock", "fell_silent", "is_greeting", "local", "peer",
        "unknown_messages",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, log: RateLimitedLog = _shared_log) -> None:
        """Take over a connected socket. Raise PeerGone (and close it) if its peer is gone already.

        What the peer sends and this version does not know is counted in `log` as `unknown_messages`.
        """
        self._sock, self._log = sock, log
        self._decoder = FrameDecoder()
        self._frame_started: float | None = None
        self._out = Outgoing(sock)
        self._state_lock = threading.Lock()
        self._holders, self._closed, self._detached = 0, False, False
        self._returned: tuple[Message, ...] = ()
        self._refusal: str | None = None  # why the peer does not want us: told to whoever comes too late
        self.is_greeting = False
        """Whether the reader gets the messages of the handshake. Otherwise they mean that it has failed."""
        self.unknown_messages = 0  # that were skipped, because only a newer version knows them
        self.fell_silent = False  # it has ended as nothing was heard, or taken, any more: by nobody's word
        try:
            self.peer: Endpoint = endpoint_of(sock.getpeername())
            self.local: Endpoint = shared_endpoint(sock.getsockname())
            set_options(sock)
        except OSError as error:
            sock.close()
            raise PeerGone(f"the peer is gone: {reason_of(error)}") from None

    def send(self, message: Message, timeout: Deadline | float | None = SEND_TIMEOUT) -> None:
        """Send one frame; from any thread.

        `timeout=0` means now or never: for threads that must not wait. A frame that did not go out
        whole leaves the connection useless, so any failure closes it and raises PeerGone.
        """
        frame = self.encoded(message)
        with self._sending():
            self._out.send(frame, Deadline.of(timeout))

    def encoded(self, message: Message) -> bytes:
        """Return a message's frame; one that has none costs this connection alone. Raise PeerGone then."""
        try:
            return encode(message)
        except ValueError as error:
            text = f"{type(message).__name__} cannot be sent: {error}"
            self._log.warning("unsendable", "%s to %s", text, self.peer, extra={"peer": self.peer})
            self.close()
            raise PeerGone(text) from error

    def begin(self, frame: bytes) -> bool:
        """Send what the peer takes at once of a frame; return whether that is all. Fails like `send`.

        If it is not, nobody else sends until the caller has gone on to the end, or given up.
        """
        with self._sending():
            return self._out.begin(frame)

    def go_on(self) -> bool:
        """Send what the peer takes by now of the frame that was begun; return whether that is the rest."""
        with self._sending():
            return self._out.go_on()

    def give_up(self) -> None:
        """Close, as the frame that was begun will not go out. By the thread that goes on, or after it."""
        self.close()
        self._out.give_up()

    def receive(self, timeout: Deadline | float | None = None) -> Message:
        """Wait for the next message.

        Raise TimeoutError when the caller's time is over (nothing is lost: call again), PeerGone
        when the connection has ended, WireError when the peer breaks the protocol (then close it).
        """
        deadline = Deadline.of(timeout)
        with self.held():
            while True:
                skipped = self.unknown_messages
                message = self._next_message()
                if message is not None:
                    return message
                self.check_frame_time()
                if self.unknown_messages > skipped:
                    deadline.remaining()
                if wait_readable([self._sock.fileno()], deadline.sooner(self.frame_time_left())):
                    with contextlib.suppress(BlockingIOError):
                        self._read_once()
                else:
                    deadline.remaining()

    def poll_messages(self) -> Iterator[Message]:
        """Read once without waiting and return the messages that are complete then.

        For a loop that owns the waiting: `for message in connection.poll_messages()`. After the
        complete messages it raises PeerGone or WireError if there was a reason to.
        """
        with self.held():
            while (message := self._next_message()) is not None:
                yield message
            with contextlib.suppress(BlockingIOError):
                self._read_once()
            while (message := self._next_message()) is not None:
                yield message

    def limit_frames(self, max_body: int = MAX_BODY) -> None:
        """Take longer frames for an error from now on: a stranger may not make this process keep much."""
        self._decoder.max_body = max_body

    def unread(self, message: Message) -> None:
        """Give a message back: it is the next to be read, by whoever gets the connection."""
        self._returned += (message,)

    def frame_time_left(self) -> float | None:
        """Return the seconds until a begun frame must be complete; None between frames."""
        if self._frame_started is None:
            return None
        return max(0.0, self._frame_started + FRAME_TIMEOUT - time.monotonic())

    def check_frame_time(self) -> None:
        """Raise WireError if the peer has taken too long over a frame."""
        if self.frame_time_left() == 0.0:
            raise WireError(f"a frame is not complete after {FRAME_TIMEOUT:g} s")

    def round_trip_ms(self) -> float:
        """Return TCP's own smoothed estimate of the round trip in milliseconds; 0 where it is not known."""
        return tcp.round_trip_ms(self._sock)

    @property
    def closed(self) -> bool:
        """Whether this side has closed the connection."""
        return self._closed

    @property
    def detached(self) -> bool:
        """Whether the handler has handed the connection to another owner."""
        return self._detached

    def detach(self) -> None:
        """Hand the connection over: from now on somebody else than the listener owns and closes it."""
        self._detached = True

    @property
    def sock(self) -> socket.socket:
        """The socket, for its options. It is valid only while the connection is held."""
        return self._sock

    def fileno(self) -> int:
        """Return the descriptor. It is valid only while the connection is held."""
        return self._sock.fileno()

    def hold(self) -> None:
        """Keep the descriptor from being given back while it is polled. Raise PeerGone if closed."""
        with self._state_lock:
            if self._closed:
                raise self._gone(None)
            self._holders += 1

    def release(self) -> None:
        """End a hold()."""
        with self._state_lock:
            self._holders -= 1
            last = self._closed and self._holders == 0
        if last:
            self._give_back()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold for the length of a with statement."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def close(self) -> None:
        """End the connection; from any thread, any number of times. Wakes whoever waits for it.

        What was sent before still reaches the peer.
        """
        with self._state_lock:
            if self._closed:
                return
            self._closed = True
            # Under the lock: the last holder may otherwise close the descriptor in between.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            unused = self._holders == 0
        if unused:
            self._give_back()

    def _give_back(self) -> None:
        # To close a socket with unread bytes in it makes the kernel send RST instead of FIN, and the peer
        # then loses what we have said last: a STOP and its reason.
        with contextlib.suppress(OSError):
            for _ in range(MAX_UNREAD_READS):
                if not self._sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT):
                    break
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"Connection({self.local} to {self.peer}, {state}, {self._decoder.pending} bytes pending)"

    def _next_message(self) -> Message | None:
        """Return the next message that was received already, skipping unknown ones.

        Raise WireError, or TurnedAway if the peer does not want us.
        """
        if self._returned:
            first, self._returned = self._returned[0], self._returned[1:]
            return first
        while True:
            try:
                message = self._decoder.next()
            except UnknownMessageError as error:
                self._skip(error)
                continue
            if message is not None or not self._decoder.pending:
                self._frame_started = None
            elif self._frame_started is None:
                self._frame_started = time.monotonic()
            if isinstance(message, HandshakePacket) and not self.is_greeting:
                raise self._turned_away(message)
            return message

    def _turned_away(self, message: HandshakeMessage) -> McastError:
        self._refusal = why_turned_away(self.peer, message)
        if self._refusal is None:
            return WireError(f"{type(message).__name__} has no place behind the handshake")
        return TurnedAway(self._refusal)

    def _skip(self, error: UnknownMessageError) -> None:
        self._frame_started = None
        self.unknown_messages += 1
        text = "skipped a message of %s that this version does not know: %s"
        self._log.info("unknown_messages", text, self.peer, error, extra={"peer": self.peer})

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        """Hold while something is sent; close if it is not, and raise PeerGone."""
        try:
            with self.held():
                yield
        except BlockingIOError:
            self.fell_silent = True
            self.close()
            raise PeerGone(f"{self.peer} takes no data") from None
        except OSError as error:
            gone = self._gone(error)
            self.close()
            raise gone from None

    def _read_once(self) -> None:
        """Take what has arrived. Raise BlockingIOError if nothing has, PeerGone at the end."""
        try:
            data = self._sock.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._gone(error) from None
        if not data:
            raise self._gone(None)
        self._decoder.feed(data)

    def _gone(self, error: OSError | None) -> PeerGone:
        if self._refusal is not None:
            return TurnedAway(self._refusal)
        if self._closed:
            return PeerGone(f"the connection to {self.peer} is closed")
        if error is not None:
            self.fell_silent = tcp.is_silence(error)
            return PeerGone(f"the connection to {self.peer} is lost: {reason_of(error)}")
        if self._decoder.pending:
            return PeerGone(f"{self.peer} closed the connection in the middle of a frame")
        return PeerGone(f"{self.peer} closed the connection")


def say(connection: Connection, message: Message) -> None:
    """Send without waiting; a peer that is gone or takes nothing has lost its connection, no more."""
    try:
        connection.send(message, timeout=0)
    except PeerGone as error:
        logger.debug("! %s", error, extra={"peer": connection.peer})


def connect(
    address: HostPort | Endpoint | str,
    timeout: Deadline | float | None = CONNECT_TIMEOUT,
    *,
    source: str | None = None,
    cancel: threading.Event | None = None,
    credentials: Credentials | None = None,
    wanted: Role = Role.NODE,
) -> Connection:
    """Connect to a peer, trying each of its addresses within the time.

    With credentials that have keys, both sides prove that they know one before anything else is said;
    `wanted` is the program that is looked for. `source` is the local address to use; setting `cancel` ends
    the attempt. Raise UnreachableError with the address and the reason (HandshakeError is one), ConfigError
    for a name that nobody knows.
    """
    target = target_of(address)
    deadline = Deadline.of(timeout)
    reason: Exception = TimeoutError("no answer")
    cancelled = (lambda: False) if cancel is None else cancel.is_set
    candidates = resolve(target.host or "localhost", target.port, deadline, cancelled=cancelled)
    for index, candidate in enumerate(candidates):
        share = None if (left := deadline.timeout()) is None else left / (len(candidates) - index)
        try:
            connection = Connection(dial(candidate, deadline.sooner(share), source, cancel))
        except (OSError, PeerGone) as error:
            reason = error
        else:
            if credentials is not None and credentials.keys:
                dialling = Dialling(credentials, wanted, os.urandom(NONCE_SIZE))
                shake_hands(connection, target, dialling, deadline, cancel)
            return connection
        if cancel is not None and cancel.is_set():
            break
    raise UnreachableError(f"nobody answers at {target}: {reason_of(reason)}")
