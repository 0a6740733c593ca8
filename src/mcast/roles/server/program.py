"""What runs inside `mcast-server`: one connection per question of the rendezvous point.

    WAKE  the list of contents, now and whenever it changes      (watched; list_listeners.py)
    PING  answered at once, for as long as the connection lives  (a handler thread of its own)
    CSND  a stream; the connection is the subscription           (watched)

The handler of a connection reads its first message, which decides what the connection is for. The thread
`errands` does what may take a while (write a long list), so the watcher never waits; `reaper` waits for what
has been asked to end (ffmpeg, when a stream's last taker has left), so `errands` does not. Nothing waits for
who does not read: the watcher sends a list as its reader takes it.

Media knows better than TCP whether a taker lives. So its connection is *calm*: silence of TCP alone ends
nothing, the lease does.
"""

import itertools
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from mcast import eventlog
from mcast.errors import McastError, WireError
from mcast.hostport import HostPort
from mcast.media.child import ChildLost
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.history import Archive
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.pacing import Overdue
from mcast.media.source.pool import LINGER, STREAM_THREADS, StreamingPool
from mcast.media.source.streamer import Streamer
from mcast.net.calm import be_calm, heed_silence
from mcast.net.connection import Connection, PeerGone, say
from mcast.net.deadline import Deadline
from mcast.net.entrance import Rules
from mcast.net.handshake import Credentials
from mcast.net.listener import Listener
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.task_thread import TaskThread
from mcast.net.threads import OnCrash
from mcast.net.watcher import Watcher
from mcast.overlay.actions import ConnectionId
from mcast.roles.server.guard import note_refusal
from mcast.roles.server.list_listeners import ListListeners
from mcast.shares import UNCOUNTED, Shares, source_of
from mcast.wire.frame import Message
from mcast.wire.handshake import Role
from mcast.wire.node import TOKEN_SIZE, StopReason
from mcast.wire.position import MAX_BEGIN, Position
from mcast.wire.server import Ping, Ready, Send, Sending, SendStatus, ServerStop, Wake

logger = logging.getLogger(__name__)

OPEN = Rules(credentials=Credentials(Role.SERVER))
"""Whoever comes may ask."""
FIRST_MESSAGE_TIMEOUT = 5.0
"""Seconds until a connection must have said what it is for."""
PING_TIMEOUT = 30.0
"""Seconds without a PING after which the connection is closed: the rendezvous point sends four a second."""
MAX_TAKERS = 1024
"""Streams that are taken at a time. Beyond, or beyond its share for one address: FULL."""


@dataclass(slots=True, eq=False)
class _Taker:
    """A stream that somebody takes, and the connection that it lives on."""

    number: ConnectionId
    connection: Connection
    streamer: Streamer[Fanout]
    is_deaf: bool = False  # the connection has fallen silent for good, the stream goes on
    is_calm: bool = True  # silence of the connection alone does not end it
    is_answered: bool = False  # nothing is told of the stream before
    is_lost: bool = True  # when it is gone, unless it was told otherwise: somebody may go on in its place


class ServerProgram:
    """One server."""

    def __init__(
        self, catalogue: Catalogue, address: HostPort, ports: MediaPorts, pace: float, on_crash: OnCrash,
        *, threads: int = STREAM_THREADS, linger: float = LINGER, rules: Rules = OPEN,
        disbelief: Callable[[Connection], str | None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Listen at `address`; `pace` and `linger` in seconds. Raises ConfigError if that is not possible.

        `threads` is the most that send prepared contents. `disbelief` tells why the word of a connection on
        SSRC and numbers does not count, None if it does.
        """
        self._disbelief, self._is_favoured = disbelief, rules.is_favoured
        self._catalogue, self._ports, self._on_crash = catalogue, ports, on_crash
        self._listener = Listener(address, self._serve, on_crash, name="control", rules=rules)
        self._watcher = Watcher(on_crash)
        self._reader = FeedbackReader(on_crash)
        self._errands, self._reaper = TaskThread("errands", on_crash), TaskThread("reaper", on_crash)
        self._log = RateLimitedLog(logger)
        self._pool: StreamingPool[Fanout] = StreamingPool(
            catalogue, self._make_fanout, on_end=self._on_end, on_lapse=self._expire_soon,
            on_crash=on_crash, pace=pace, threads=threads, linger=linger, reap=self._reaper.post,
        )  # fmt: skip
        self._listeners = ListListeners(
            self._pool.contents, self._watcher, self._errands, self._is_favoured, self._log
        )
        self._lock = threading.Lock()  # for what follows
        self._numbers = itertools.count(1)
        self._takers: dict[ConnectionId, _Taker] = {}
        self._taking = Shares(MAX_TAKERS)

    @property
    def address(self) -> HostPort:
        """Return where it listens, with the real port."""
        return self._listener.address

    @property
    def threads(self) -> tuple[Callable[[Callable[[], None]], None], ...]:
        """Return how to have each thread do something that serves all and never waits."""
        return (self._watcher.call, self._reader.call)

    def start(self) -> None:
        """Start all threads: they prepare what is not prepared, and serve."""
        self._watcher.start()
        self._reader.start()
        self._errands.start()
        self._reaper.start()
        self._catalogue.start(self._listeners.tell, self._on_crash)
        self._listener.start()

    def stop(self) -> None:
        """Send STOP to all takers, and end every stream and thread, however far start() has come."""
        self._listener.stop()
        with self._lock:
            takers = list(self._takers.values())
        for taker in takers:
            self._end(taker, ServerStop(StopReason.LEAVING))
        self._listeners.close()
        self._watcher.stop()
        self._errands.stop()
        self._pool.close()
        self._reaper.stop()
        self._reader.stop()
        self._catalogue.stop()

    def _serve(self, connection: Connection) -> None:
        match connection.receive(Deadline(FIRST_MESSAGE_TIMEOUT)):
            case Ping() as ping if not ping.reply:
                self._answer_pings(connection, ping)
            case Wake():
                self._listeners.add(connection)
            case Send() as send:
                self._serve_stream(connection, send)
            case other:
                raise WireError(f"{type(other).__name__} has no place here")

    # PING

    def _answer_pings(self, connection: Connection, ping: Ping) -> None:
        while True:
            connection.send(Ping(ping.nonce, reply=True))
            message = connection.receive(Deadline(PING_TIMEOUT))
            if not isinstance(message, Ping) or message.reply:
                raise WireError(f"{type(message).__name__} has no place among PINGs")
            ping = message

    # CSND, OK, STOP

    def _serve_stream(self, connection: Connection, send: Send) -> None:
        ip = connection.peer.ip
        with self._lock:
            is_room = self._taking.take(source_of(ip), favoured=self._is_favoured(ip))
        if not is_room:
            text = f"too many streams are taken: {MAX_TAKERS}, or a quarter of that from one address"
            note_refusal(self._log, "takers", "a stream", connection, text)
            connection.send(Sending(SendStatus.FULL, text=text))
            return
        send = self._believed(connection, send)
        source = UNCOUNTED if self._is_favoured(ip) else source_of(ip)
        try:
            overdue = Overdue(send.overdue_ms / 1000, send.due)
            streamer = self._pool.take(send.content, send.resume, overdue=overdue, source=source)
        except BaseException as error:
            with self._lock:  # whatever it is: a place that is not given back is lost for good
                self._taking.give_back(source_of(ip))
            if not isinstance(error, McastError):
                raise
            status = error.status if isinstance(error, NotReadyError) else SendStatus.ERROR
            connection.send(Sending(status, text=str(error)))
            return
        taker = _Taker(next(self._numbers), connection, streamer)
        with self._lock:
            self._takers[taker.number] = taker
        try:
            connection.send(self._admit(taker, send))
            taker.is_answered = True
            be_calm(connection)
            self._watcher.watch(
                connection,
                lambda message: self._on_stream_message(taker, message),
                lambda reason: self._on_taker_gone(taker, reason),
            )
            connection.detach()
        except BaseException as error:
            self._leave(taker, str(error))
            raise
        eventlog.note(
            logger, "attached", "%s attached", connection.peer,
            content=streamer.content, child=connection.peer, path=(),
        )  # fmt: skip
        self._listeners.tell()
        if streamer.ended:  # while we were at it, so that _on_end() may have missed this taker
            self._tell_end(taker)

    def _believed(self, connection: Connection, send: Send) -> Send:
        """Return the request without its word on which numbers the stream bears, if that does not count.

        Only a rendezvous point may say so, and no stream comes to numbers that the others could not read.
        """
        if send.resume is None:
            return send
        why = self._disbelief(connection)
        if why is None and send.resume.next > MAX_BEGIN:
            why = f"no stream comes to number {send.resume.next}"
        if why is None:
            return send
        note_refusal(self._log, "strangers", "to go on with a stream", connection, why)
        return replace(send, resume=None, overdue_ms=0, due=None)

    def _admit(self, taker: _Taker, send: Send) -> Sending:
        connection, streamer = taker.connection, taker.streamer
        token = os.urandom(TOKEN_SIZE)
        port = streamer.fanout.admit(
            taker.number, str(connection.peer), connection.local.ip, connection.peer.ip, token,
            resume=send.resume, buffer_bytes=send.buffer_bytes,
        )  # fmt: skip
        return Sending(SendStatus.OK, port, token, streamer.position, streamer.digest)

    def _on_stream_message(self, taker: _Taker, message: Message) -> None:
        match message:
            case Ready():
                pass  # its hello follows, or has come already
            case ServerStop():
                taker.is_lost = message.reason is not StopReason.UNSUBSCRIBE
                raise PeerGone(f"STOP({message.reason.name.lower()})")
            case _:
                raise WireError(f"{type(message).__name__} has no place in a running stream")

    def _on_taker_gone(self, taker: _Taker, reason: str) -> None:
        with self._lock:  # _on_lost() comes before or after
            taker.is_deaf = taker.connection.fell_silent and taker.is_calm
        if not taker.is_deaf:  # else its lease is what ends it
            self._leave(taker, reason)

    def _leave(self, taker: _Taker, reason: str) -> None:
        """Dismiss a taker that has left; stop the stream if nobody is left who may want it."""
        with self._lock:
            if self._takers.pop(taker.number, None) is None:
                return
            self._taking.give_back(source_of(taker.connection.peer.ip))
        content, child = taker.streamer.content, taker.connection.peer
        eventlog.note(
            logger, "child_left", "%s has left: %s", child, reason,
            content=content, child=child, reason=reason,
        )  # fmt: skip
        taker.streamer.fanout.dismiss(taker.number, reason)
        self._errands.post(lambda: self._let_go(taker))

    def _let_go(self, taker: _Taker) -> None:
        self._pool.leave(taker.streamer, lost=taker.is_lost)
        self._listeners.tell()  # only now: an errand to tell that waits already would come before the change

    def _end(self, taker: _Taker, stop: ServerStop) -> None:
        """End a stream from this side."""
        taker.is_lost = False
        self._watcher.unwatch(taker.connection)
        say(taker.connection, stop)
        taker.connection.close()
        self._leave(taker, stop.reason.name.lower())

    # What streams tell

    def _make_fanout(self, content: str, position: Position, archive: Archive | None) -> Fanout:
        return Fanout(
            content, position, self._reader, self._ports,
            cname="mcast-server", on_lost=self._on_lost, archive=archive,
        )  # fmt: skip

    def _on_lost(self, key: ConnectionId, lost: ChildLost) -> None:
        # Who has said BYE gets no media any more. That is all: its connection is about to say why it leaves,
        # and a BYE that overtakes the STOP must not make a taker that left in order look lost.
        taker = self._takers.get(key)
        if taker is None:
            return
        with self._lock:
            taker.is_calm = False
        if lost is ChildLost.BYE:
            heed_silence(taker.connection)  # nothing else would end it, if no word comes
        else:
            stop = StopReason.LEASE if lost is ChildLost.LEASE else StopReason.ERROR
            say(taker.connection, ServerStop(stop, text=lost.text))
            taker.connection.close()  # the watcher sees that
        if taker.is_deaf:  # but of this one the watcher knows no more
            self._leave(taker, lost.value)

    def _on_end(self, streamer: Streamer[Fanout], _last: int) -> None:
        """Tell all takers that a content is over: its last datagrams are on their way, or in the history."""
        with self._lock:
            takers = [
                taker for taker in self._takers.values() if taker.streamer is streamer and taker.is_answered
            ]
        for taker in takers:
            self._tell_end(taker)
        self._expire_soon(streamer)

    def _expire_soon(self, streamer: Streamer[Fanout]) -> None:
        """Stop a stream that nobody takes and whose time is over; tell of it, as of one that has ended."""
        self._errands.post(lambda: self._expire(streamer))

    def _expire(self, streamer: Streamer[Fanout]) -> None:
        self._pool.expire(streamer)
        self._listeners.tell()

    def _tell_end(self, taker: _Taker) -> None:
        say(taker.connection, ServerStop(StopReason.END, taker.streamer.position.next - 1))
