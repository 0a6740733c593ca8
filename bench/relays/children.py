"""Children of a node that cost nearly nothing: what is measured is the node, not they.

All of them live in one thread. Each joins as a client does (DISC, STREAM, hello), with mcast's own
packets, and then reports twice a second. There are two kinds:

    Borrowing  its hellos and reports leave through a raw socket, so that its media may go to a port that
               somebody else has bound: the sink of all children of a content, or another relay. Needs root.
    Reading    has a UDP socket that it reads until the first keyframe, or the whole first picture, has come;
               from then on a socket filter drops what arrives.
"""

import ctypes
import heapq
import os
import random
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from mcast.hostport import HostPort
from mcast.media.reports import Speaker
from mcast.net.udp import UDP_GRO
from mcast.wire.frame import FrameDecoder, Message, encode
from mcast.wire.identity import Identity
from mcast.wire.mpegts import PACKET, starts_with_pat
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Start, Stop, StopReason, Stream
from mcast.wire.rtcp import ReportBlock, middle32, ntp_from_unix
from mcast.wire.rtp import HEADER_SIZE

HELLO_SECONDS, REPORT_SECONDS = 0.05, 0.5
TRIES = 3
"""Of a join that was refused for another reason than `busy`, which is tried again until it ends."""
BUFFER_BYTES = 1 << 20
DISC_MS = 4_000

_SO_RCVBUFFORCE, _SO_ATTACH_FILTER = 33, 26
_IP_BIND_ADDRESS_NO_PORT = 24
_PAYLOAD_TYPE, _PAYLOAD_MASK = 33, 0x7F
_CONTROL_BYTES = 64
_IP_HEADER, _UDP_HEADER = struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHHH")

ResultT = TypeVar("ResultT")


class Loop:
    """Waits for sockets and times, in the thread of whoever calls `run`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._raw: socket.socket | None = None

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, call))

    def watch(self, sock: socket.socket, events: int, call: Callable[[], None]) -> None:
        self._selector.register(sock, events, call)

    def rewatch(self, sock: socket.socket, events: int, call: Callable[[], None]) -> None:
        self._selector.modify(sock, events, call)

    def forget(self, sock: socket.socket | None) -> None:
        """Watch it no longer; that it is not watched is no error."""
        if sock is not None and sock.fileno() in self._selector.get_map():
            self._selector.unregister(sock)

    def send_as(self, source: HostPort, destination: HostPort, data: bytes) -> None:
        """Send a datagram from an address and a port that another socket may have bound."""
        if self._raw is None:
            self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        ends = socket.inet_aton(source.host), socket.inet_aton(destination.host)
        size = _UDP_HEADER.size + len(data)
        header = _IP_HEADER.pack(0x45, 0, _IP_HEADER.size + size, 0, 0, 64, socket.IPPROTO_UDP, 0, *ends)
        udp = _UDP_HEADER.pack(source.port, destination.port, size, 0)
        self._raw.sendto(header + udp + data, (destination.host, 0))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Work for so long, or until something holds; return whether it does."""
        end = time.monotonic() + seconds
        while not until():
            now = time.monotonic()
            if now >= end:
                return False
            due = self._timers[0][0] if self._timers else end
            for key, _ in self._selector.select(max(0.0, min(due, end, now + HELLO_SECONDS) - now)):
                key.data()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
        return True

    def beside(self, work: Callable[[], ResultT]) -> ResultT:
        """Work while a thread does something that blocks; return what that returns, raise what it raises."""
        with ThreadPoolExecutor(1, "beside") as pool:
            done = pool.submit(work)
            while not done.done():
                self.run(HELLO_SECONDS, done.done)
            return done.result()

    def close(self) -> None:
        self._selector.close()
        if self._raw is not None:
            self._raw.close()


@dataclass(slots=True)
class Times:
    """When it happened, in monotonic seconds; None: not yet."""

    asked: float | None = None
    accepted: float | None = None
    media: float | None = None
    keyframe: float | None = None
    picture: float | None = None  # the second one begins: the first is whole

    @property
    def until_keyframe(self) -> float | None:
        return self._since_asked(self.keyframe)

    @property
    def until_picture(self) -> float | None:
        return self._since_asked(self.picture)

    def _since_asked(self, moment: float | None) -> float | None:
        return None if moment is None or self.asked is None else moment - self.asked


@dataclass(slots=True)
class Child:
    """One subscription of the borrowing kind, and what both kinds share."""

    loop: Loop
    node: HostPort
    content: str
    ip: str
    port: int = 0  # where its media goes
    start: Start = Start.KEYFRAME
    identity: Identity = field(default_factory=lambda: Identity.client(os.urandom(16)))
    times: Times = field(default_factory=Times)
    misses: Counter[str] = field(default_factory=Counter)
    has_joined: bool = False
    has_failed: bool = False
    _tcp: socket.socket | None = None
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)
    _request: bytes = b""
    _speaker: Speaker | None = None
    _granted: Port | None = None
    patience: float = 0.0  # seconds in which it asks again as often as a refusal says, as a client does
    _tries: int = 0  # beside those

    def join(self) -> None:
        """Begin to join; what comes of it is seen in `has_joined` and `has_failed`."""
        if self.has_failed:
            return
        self.times.asked = self.times.asked or time.monotonic()
        self._request, self._decoder = os.urandom(16), FrameDecoder()
        self._tcp = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((self.ip, 0))
        sock.connect_ex((self.node.host, self.node.port))
        self.loop.watch(sock, selectors.EVENT_WRITE, self._on_connected)

    def leave(self) -> None:
        """Say STOP and close."""
        if self.has_joined:
            self._send(Stop(request=self._request, content=self.content, reason=StopReason.UNSUBSCRIBE))
        self.has_joined = False
        self._close()

    def _on_connected(self) -> None:
        assert self._tcp is not None
        if error := self._tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._try_again(os.strerror(error))
            return
        self.loop.rewatch(self._tcp, selectors.EVENT_READ, self._on_readable)
        self._send(
            Disc(request=self._request, content=self.content, sender=self.identity, remaining_ms=DISC_MS)
        )

    def _on_readable(self) -> None:
        assert self._tcp is not None
        try:
            data = self._tcp.recv(65_536)
        except OSError as error:
            self._try_again(str(error))
            return
        if not data:
            self._try_again("closed")
            return
        self._decoder.feed(data)
        while self._tcp is not None and (message := self._decoder.next()) is not None:
            self._on_message(message)

    def _on_message(self, message: Message) -> None:
        match message:
            case Found():
                self._open()
                self._send(
                    Stream(request=self._request, content=self.content, port=self.port, sender=self.identity,
                           buffer_bytes=BUFFER_BYTES, start=self.start)
                )  # fmt: skip
            case Port() if self._granted is None:
                self._accept(message)
            case Miss():
                self._try_again(message.reason.name, message.retry_ms / 1000)
            case Stop():
                self._fail(message.reason.name)

    def _accept(self, port: Port) -> None:
        self._granted, self.times.accepted, self.has_joined = port, time.monotonic(), True
        self._speaker = Speaker(random.getrandbits(32), str(self.identity)[:40], port.token)
        self._report()
        self.loop.after(HELLO_SECONDS, self._report_on)  # a first hello may overtake its subscription

    def _report_on(self) -> None:
        if self.has_joined:
            self._report()
            self.loop.after(self._pause(), self._report_on)

    def _report(self) -> None:
        assert self._granted is not None
        assert self._speaker is not None
        now = middle32(ntp_from_unix(time.time()))
        self._say(self._speaker.compound(ReportBlock(self._granted.stream.ssrc, 0, 0, 0, 0, now, 0)))

    def _send(self, message: Message) -> None:
        try:
            if self._tcp is not None:
                self._tcp.send(encode(message))
        except OSError as error:
            self._try_again(str(error))

    def _try_again(self, why: str, in_seconds: float = 0.0) -> None:
        self.misses[why] += 1
        was_joined, self._granted, self.has_joined = self.has_joined, None, False
        self._close()
        busy = why == MissReason.BUSY.name
        in_seconds = in_seconds if time.monotonic() < (self.times.asked or 0.0) + self.patience else 0.0
        self._tries += not busy and not in_seconds
        if was_joined or self._tries >= TRIES:
            self.has_failed = True
            return
        self.loop.after(random.uniform(0.020, 0.080) if busy else in_seconds or 0.5, self.join)

    def _fail(self, why: str) -> None:
        self.misses[why] += 1
        self.has_joined, self.has_failed = False, True
        self._close()

    def _close(self) -> None:
        self.loop.forget(self._tcp)
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None

    # What the two kinds do otherwise:

    def _open(self) -> None:
        """Have a port where media may come."""

    def _say(self, compound: bytes) -> None:
        assert self._granted is not None
        own, theirs = HostPort(self.ip, self.port), HostPort(self.node.host, self._granted.port)
        self.loop.send_as(own, theirs, compound)

    def _pause(self) -> float:
        return REPORT_SECONDS


@dataclass(slots=True)
class ReadingChild(Child):
    """A child that reads its media until it has seen enough."""

    wants_picture: bool = False  # the whole first one; not only where its keyframe begins
    _udp: socket.socket | None = None
    _begun: int = 0  # pictures

    def _open(self) -> None:
        self._udp = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        sock.bind((self.ip, 0))
        self.port = sock.getsockname()[1]

    def _say(self, compound: bytes) -> None:
        assert self._granted is not None
        assert self._udp is not None
        self._udp.sendto(compound, (self.node.host, self._granted.port))

    def _pause(self) -> float:
        return HELLO_SECONDS if self.times.media is None else REPORT_SECONDS

    def _accept(self, port: Port) -> None:
        assert self._udp is not None
        self.loop.watch(self._udp, selectors.EVENT_READ, self._on_media)
        Child._accept(self, port)

    def _on_media(self) -> None:
        assert self._udp is not None
        try:
            data, controls, _, _ = self._udp.recvmsg(65_536, _CONTROL_BYTES)
        except OSError:
            return
        if len(data) <= HEADER_SIZE or data[1] & _PAYLOAD_MASK != _PAYLOAD_TYPE:
            return
        now, times = time.monotonic(), self.times
        times.media = times.media or now
        if times.keyframe is None and starts_with_pat(data, HEADER_SIZE):
            times.keyframe = now
        if self.wants_picture and times.keyframe is not None:
            size = struct.unpack_from("H", controls[0][2])[0] if controls else len(data)
            self._begun += pictures_begun(data, size)
            times.picture = now if self._begun > 1 else None
        if (times.picture if self.wants_picture else times.keyframe) is not None:
            self.loop.forget(self._udp)
            _drop_all(self._udp)

    def _close(self) -> None:
        Child._close(self)
        self.loop.forget(self._udp)
        if self._udp is not None:
            self._udp.close()
            self._udp = None


def pictures_begun(train: bytes, size: int) -> int:
    """Return how many pictures begin in a train of datagrams of `size` bytes, the last one maybe shorter.

    A picture begins with a PES packet of a video stream (ISO/IEC 13818-1, 2.4.3.6).
    """
    return sum(
        _begins_picture(train[at : at + PACKET])
        for datagram in range(0, len(train), size)
        for at in range(datagram + HEADER_SIZE, min(datagram + size, len(train)), PACKET)
    )


def _begins_picture(packet: bytes) -> bool:
    if len(packet) < PACKET or not packet[1] & 0x40:  # payload_unit_start_indicator
        return False
    at = 5 + packet[4] if packet[3] & 0x20 else 4  # behind an adaptation field
    return packet[at : at + 3] == b"\0\0\1" and packet[at + 3] & 0xF0 == 0xE0


_RETURN_NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
"""A classic BPF program of one instruction: keep 0 bytes."""


def _drop_all(sock: socket.socket) -> None:
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(_RETURN_NOTHING))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
