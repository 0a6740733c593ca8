"""An overlay node as a test wants it: it answers by the test's word, and sends real media."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address
from typing import TypeVar

from helpers import PATIENCE, wait_until
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.net.connection import Connection, PeerGone
from mcast.net.ports import MediaPorts
from mcast.net.threads import CrashBox
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.node import TOKEN_SIZE, Disc, MissReason, Stop, StopReason, Stream
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import NULL_DATAGRAM, Train, make_trains
from media.plane.streams import SSRC, datagram
from roles.partners import N1, RP, Peer, found, miss, port_for, stop_for

T = TypeVar("T")

HERE = ip_address("127.0.0.1")
CHILD = 7


class Node:
    """A neighbour: its control connections are played by the test, its media side is real."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.crash = CrashBox(threading.Event())
        self._reader = FeedbackReader(self.crash)
        self._reader.start()
        self.ssrc = SSRC
        self.fanout = self._make_fanout()
        self.connection: Connection | None = None  # the one that the subscription lives on
        self.stream: Stream | None = None

    def _make_fanout(self) -> Fanout:
        position = Position(self.ssrc, 0)
        return Fanout("news", position, self._reader, MediaPorts(), on_lost=lambda *_: None)

    @property
    def address(self) -> str:
        return self.peer.address

    def miss(self, reason: MissReason, text: str = "", *, retry_ms: int = 0) -> Disc:
        """Answer the next DISC with no; with `retry_ms` the child is to ask again."""
        connection, asked = self.peer.question(Disc)
        connection.send(replace(miss(asked, reason, text), retry_ms=retry_ms))
        return asked

    def found(self) -> Disc:
        """Answer the next DISC with yes."""
        connection, asked = self.peer.question(Disc)
        connection.send(found(asked))
        return asked

    def asked_to_stream(self) -> tuple[Connection, Stream]:
        """Answer the next DISC with yes, and read the STREAM that follows; it is not answered."""
        self.found()
        self.connection, self.stream = self.peer.question(Stream)
        return self.connection, self.stream

    def refuse(self, reason: MissReason, text: str = "") -> Stream:
        """Answer the next DISC with yes, and the STREAM with no."""
        connection, asked = self.asked_to_stream()
        connection.send(miss(asked, reason, text))
        return asked

    def take_in(self, path: tuple[Identity, ...] = (RP, N1), *further: str) -> Stream:
        """Answer the next DISC and STREAM with yes; media that is pushed goes to this child from now on.

        The child is told, too, at which further addresses it may ask.
        """
        self.admit(*self.asked_to_stream(), path, *further)
        assert self.stream is not None
        return self.stream

    def admit(
        self, connection: Connection, asked: Stream, path: tuple[Identity, ...] = (RP, N1), *further: str
    ) -> None:
        """Answer a STREAM with yes."""
        token = os.urandom(TOKEN_SIZE)  # another each time: the last one's BYE may still be on its way
        port = self.fanout.admit(
            CHILD, "viewer", HERE, HERE, token, start=asked.start, resume=asked.resume,
            buffer_bytes=asked.buffer_bytes,
        )  # fmt: skip
        answer = port_for(asked, path=path, port=port, ssrc=self.ssrc, token=token)
        connection.send(replace(answer, further=tuple(map(endpoint, further))))

    def die(self) -> None:
        """Be gone at once, as a process that was killed is: nobody listens, and all connections end."""
        self.fanout.dismiss(CHILD)
        self.peer.close()

    def push(self, first: int, count: int) -> None:
        """Send datagrams; the first of all is a keyframe."""
        numbers = range(first, first + count)
        (sent,) = make_trains(first, (datagram(each, key=each == 0, ssrc=self.ssrc) for each in numbers))
        self.fanout.push(sent)

    def begin_anew(self) -> None:
        """Send the child away, and have another stream when it comes again."""
        self.say_stop(StopReason.REPLACED)
        self.fanout.close()
        self.ssrc += 1
        self.fanout = self._make_fanout()

    def nulls(self, first: int) -> None:
        """Send a datagram of one null packet: the source has nothing to say."""
        self.fanout.push(Train(first, NULL_DATAGRAM, datagram(first)[:HEADER_SIZE] + NULL_PACKET))

    def say_stop(self, reason: StopReason, last: int | None = None, text: str = "") -> None:
        """End the subscription, the parent's way."""
        assert self.connection is not None
        assert self.stream is not None
        self.connection.send(stop_for(self.stream, reason, last, text))
        self.connection.close()

    def new_path(self, path: tuple[Identity, ...], version: int, ssrc: int = SSRC) -> None:
        """Tell the child that the tree above has changed."""
        assert self.connection is not None
        assert self.stream is not None
        self.connection.send(port_for(self.stream, path=path, version=version, ssrc=ssrc))

    def heard_stop(self) -> StopReason | None:
        """Wait until the child has hung up; return the reason that it gave before."""
        assert self.connection is not None
        reason = None
        with contextlib.suppress(PeerGone):
            while True:
                if isinstance(message := self.connection.receive(PATIENCE), Stop):
                    reason = message.reason
        return reason

    def wait_forgotten(self) -> None:
        """Wait until the child's last word on the media side has come, too."""
        wait_until(lambda: not self.fanout.children(), "the child's BYE")

    def close(self) -> None:
        self.peer.close()
        self.fanout.close()
        self._reader.stop()
        if self.crash.error is not None:
            raise self.crash.error


def endpoint(address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    return Endpoint.of(host, int(port))


def payload(first: int, count: int) -> bytes:
    """Return the transport stream of the datagrams that `Node.push` sends."""
    return b"".join(datagram(number, key=number == 0)[HEADER_SIZE:] for number in range(first, first + count))


@contextlib.contextmanager
def meanwhile(action: Callable[[], T]) -> Iterator[Future[T]]:
    """Do something in another thread; what it raises comes out at the end.

    When the body fails, that is what comes out, at once: what it has not done may be waited for over there.
    """
    pool = ThreadPoolExecutor(1)
    future = pool.submit(action)
    try:
        yield future
        future.result(PATIENCE)
    except BaseException as failure:
        if future.done() and (error := future.exception()) is not None and error is not failure:
            failure.add_note(f"meanwhile: {error!r}")
        raise
    finally:
        pool.shutdown(wait=future.done())
