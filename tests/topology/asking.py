"""A peer of the tests' own that speaks mcast's packets: asks nodes and servers, subscribes, says hello."""

import contextlib
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from helpers import wait_until
from mcast.errors import McastError, WireError
from mcast.net.connection import Connection, connect
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, Port, Stream
from mcast.wire.rtcp import pack_compound
from mcast.wire.rtcp_app import token_app
from mcast.wire.rtcp_packets import ReceiverReport, Sdes
from mcast.wire.server import ContentInfo, Contents, Wake

PATIENCE = 8.0
"""Seconds for an answer: more than a flood may take."""


def ask(address: str, content: str, request: bytes | None = None) -> Message | None:
    """Send DISC; return the answer; None if nobody is there."""
    try:
        with connect(address, 2.0) as connection:
            return disc(connection, content, request or uuid.uuid4().bytes)
    except (McastError, TimeoutError, OSError):
        return None


def disc(connection: Connection, content: str, request: bytes) -> Message:
    """Send DISC on a connection; return the answer."""
    me = Identity.client(uuid.uuid4().bytes)
    connection.send(Disc(request=request, content=content, sender=me, remaining_ms=4000))
    return connection.receive(PATIENCE)


def contents_of(address: str) -> tuple[ContentInfo, ...]:
    """Ask a server for its list; nothing if it does not answer."""
    try:
        with connect(address, 2.0) as connection:
            connection.send(Wake())
            answer = connection.receive(PATIENCE)
            if not isinstance(answer, Contents):
                raise WireError(f"{answer} is no list")
            return answer.contents
    except (McastError, TimeoutError, OSError):
        return ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a node has promised: media from `port` to who says hello with the token."""

    connection: Connection
    port: Port

    def hello(self) -> bytes:
        """Return the datagram that asks for the media."""
        ssrc = 0x1234_5678
        return pack_compound([ReceiverReport(ssrc, ()), Sdes(ssrc, "test"), token_app(ssrc, self.port.token)])

    @property
    def media_address(self) -> tuple[str, int]:
        return str(self.connection.peer.ip), self.port.port


@contextlib.contextmanager
def subscribed(address: str, content: str) -> Iterator[Subscription]:
    """Subscribe at a node: DISC, FOUND, STREAM, PORT. No hello is said."""
    with connect(address, 2.0) as connection:
        yield Subscription(connection, _subscribe(connection, content))


def _subscribe(connection: Connection, content: str) -> Port:
    """Ask until a node says yes, as a client does: while a stream begins or ends it may say no."""
    ports: list[Port] = []

    def is_subscribed() -> bool:
        request = uuid.uuid4().bytes
        answer: Message = disc(connection, content, request)
        if isinstance(answer, Found):
            me = Identity.client(uuid.uuid4().bytes)
            connection.send(Stream(request=request, content=content, sender=me, port=9))
            answer = connection.receive(PATIENCE)
            if isinstance(answer, Port):
                ports.append(answer)
        assert isinstance(answer, Miss | Port), answer
        return bool(ports)

    wait_until(is_subscribed, "a subscription", timeout=PATIENCE)
    return ports[0]


def udp_from(ip: str) -> socket.socket:
    """Return a UDP socket with an address of this host; receiving from it is bounded."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ip, 0))
    sock.settimeout(0.3)
    return sock
