"""The parent's side of a content: its history, its children, and what they say.

Used alike by a server's streamer and a node's relay. Per local address there is a *door*, a UDP
socket to which unknown children say hello; per child a socket of its own, bound to the door's
address and port and connected to the child, so that media leaves from where the child expects it
and a queue that fills is that child's alone.

Nothing is sent to who did not ask: a child is first admitted (over its control connection, by
TCP, which has proven its IP address), and gets media only after a hello that carries its token
*and* comes from that address. The port from which it calls may be any, and may change (NAT).
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Hashable

from mcast.errors import StreamEndedError, WireError
from mcast.media.child import (
    FIRST_HELLO_SECONDS,
    LEASE_SECONDS,
    Child,
    ChildSnapshot,
    ChildState,
    first_burst,
)
from mcast.media.children import MIN_CATCH_UP_RATE, Children
from mcast.media.feedback import FeedbackReader
from mcast.media.history import DEFAULT_BOUNDS, History, HistoryBounds
from mcast.media.repair import repair
from mcast.media.reports import Supply, round_trip, sender_compound, sender_info
from mcast.media.sockets import ChildSockets
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import IPAddress, SockAddr, endpoint_of
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import Counters, RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import (
    NEXT_UNKNOWN,
    Bye,
    FeedState,
    Nack,
    Packet,
    ReceiverReport,
    read_token,
    unpack_compound,
)
from mcast.wire.rtp import is_rtcp
from mcast.wire.train import Train

TICK_SECONDS = 0.1
"""How often leases are checked, and how often a child that gets no media hears that its parent lives."""
FEED_SECONDS = 0.01
"""How often a child that catches up is fed: 19 datagrams each time at 5 Mbit/s."""
REPORT_SECONDS = 1.0
"""SR to a child that gets media."""
QUIET_SECONDS = 0.15
"""No media for so long (the source is never silent for more than 100 ms): the SRs carry the sign of life."""
REPAIR_BURST = 256
READS = 32
"""Packets read from a socket before the others have their turn."""

OnLost = Callable[[Hashable, str], None]

logger = logging.getLogger(__name__)


class Fanout:
    """Feeds one content's children. `on_lost(key, "lease" | "bye")` is called by the reader's thread."""

    def __init__(
        self,
        content: str,
        position: Position,
        reader: FeedbackReader,
        ports: MediaPorts,
        *,
        on_lost: OnLost,
        cname: str = "mcast",
        bounds: HistoryBounds = DEFAULT_BOUNDS,
        offload: bool = True,
    ) -> None:
        """Begin at a position; `cname` names this host in RTCP, `offload` may switch UDP_SEGMENT off."""
        self.content, self._ssrc = content, position.ssrc
        self.counters = Counters()
        self._log = RateLimitedLog(logger, self.counters)
        self._reader, self._on_lost = reader, on_lost
        self._cname, self._bounds, self._offload = cname, bounds, offload
        self._roster = Children(content, History(position.next, bounds), self._log)
        self._doors = ChildSockets(ports, reader, self._on_readable)
        self._lock = threading.Lock()  # admission and closing
        self._closed = False
        self._supply = Supply()
        self._newest: Train | None = None
        self._next_tick = 0.0
        reader.call(lambda: reader.attach(self))

    def __repr__(self) -> str:
        return f"<Fanout {self.content} {self.position}, {len(self._roster.children())} children>"

    @property
    def position(self) -> Position:
        """Return the stream and the number of its next datagram."""
        return Position(self._ssrc, self._roster.history.head)

    @property
    def supply(self) -> FeedState:
        """Return what the children are told of this node's own supply."""
        return self._supply.state

    def children(self) -> tuple[ChildSnapshot, ...]:
        """Describe the children."""
        return tuple(child.snapshot() for child in self._roster.children())

    def admit(
        self,
        key: Hashable,
        identity: str,
        local_ip: IPAddress,
        peer_ip: IPAddress,
        token: bytes,
        *,
        resume: Position | None = None,
        start: Start = Start.KEYFRAME,
        buffer_bytes: int = 0,
    ) -> int:
        """Expect a child's hello at `local_ip`, from `peer_ip`; return the UDP port there.

        Replaces what had the same key. Raises ConfigError if no port is free, StreamEndedError if
        the fanout is closed.
        """
        now, burst = time.monotonic(), first_burst(buffer_bytes)
        child = Child(
            key=key,
            identity=identity,
            token=token,
            local_ip=local_ip,
            peer_ip=peer_ip,
            start=start,
            resume=resume if resume is not None and resume.ssrc == self._ssrc else None,
            lease_until=now + FIRST_HELLO_SECONDS,
            pace=TokenBucket(MIN_CATCH_UP_RATE, burst, now),
            repairs=TokenBucket(MIN_CATCH_UP_RATE, REPAIR_BURST, now),
        )
        with self._lock:
            if self._closed:
                raise StreamEndedError(f"the stream of '{self.content}' has just ended")
            port = self._doors.port_at(local_ip)
            self._roster.add(child)
        self._reader.wake()
        return port

    def push(self, train: Train) -> None:
        """Keep a train and send it to all that are live. Never blocks; for the stream's one thread only."""
        if self._newest is None or train.first >= self._newest.next:
            self._newest = train
        self._roster.push(train, time.monotonic())

    def dismiss(self, key: Hashable, reason: str = "") -> bool:
        """Send nothing more to a child; say whether there was one."""
        child = self._roster.remove(key)
        if child is None:
            return False
        logger.debug("[%s] %s dismissed: %s", self.content, child.identity, reason)
        self._reader.wake()
        return True

    def set_state(self, state: FeedState) -> None:
        """Tell the children, at once if it is news, how this node itself is fed."""
        if state is not self._supply.state:
            self._supply = Supply(state, time.monotonic())
            self._reader.call(self._report_to_all)

    def rebase(self, position: Position) -> None:
        """Go on with another stream. Each child is fed again when its RTCP names the new SSRC.

        To be called by the thread that pushes.
        """
        self._ssrc, self._newest = position.ssrc, None
        self._roster.restart(History(position.next, self._bounds))

    def close(self) -> None:
        """Dismiss all children and close all sockets. Harmless when repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._reader.call(self._close, wait=True)

    # In the reader's thread

    def tick(self, now: float) -> float:
        """Do what is due (called by the reader); return when the next thing is."""
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._check_leases(now)
            self._report_due(now)
        if self._roster.release(self._reader.close) and self._closed:
            self._reader.detach(self)
        if self._roster.busy:
            self._roster.feed(self._reader.total, now)
        return min(self._next_tick, now + FEED_SECONDS) if self._roster.busy else self._next_tick

    def _close(self) -> None:
        for child in self._roster.children():
            self._roster.remove(child.key)
        self._doors.close()
        if self._roster.release(self._reader.close):
            self._reader.detach(self)

    def _check_leases(self, now: float) -> None:
        for child in self._roster.children():
            if child.lease_until <= now and self._roster.remove(child.key) is child:
                self.counters.add("leases_ended")
                self._on_lost(child.key, "lease")

    def _report_due(self, now: float) -> None:
        quiet = now - self._roster.last_push > QUIET_SECONDS
        for child in self._roster.children():
            if child.sender is not None and (quiet or child.waits_for_keyframe or now >= child.next_report):
                self._report(child, now)

    def _report_to_all(self) -> None:
        for child in self._roster.children():
            self._report(child, time.monotonic())

    def _report(self, child: Child, now: float) -> None:
        if child.sender is None:
            return
        unknown = child.waits_for_keyframe or child.state is ChildState.WAITING
        age = now - self._roster.last_push
        info = sender_info(self._ssrc, self._newest, age, child.datagrams, child.bytes)
        state = self._supply.told(NEXT_UNKNOWN if unknown else child.cursor, now)
        child.sender.send_packet(sender_compound(info, self._cname, state, time.time()))
        child.next_report = now + REPORT_SECONDS

    def _on_readable(self, sock: socket.socket) -> None:
        for _ in range(READS):
            try:
                data, address = sock.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:  # a child's port is closed (ECONNREFUSED): its lease or its connection will tell
                self.counters.add("refused")
                continue
            self._on_packet(data, address)

    def _on_packet(self, data: bytes, address: SockAddr) -> None:
        now = time.monotonic()
        try:
            packets = unpack_compound(data) if is_rtcp(data) else ()
            token = read_token(packets)
        except WireError:
            packets, token = (), None
        if token is None:
            self._stranger("garbage", address)
        elif (child := self._roster.by_token(token)) is None:
            if self._roster.was_token(token):
                self.counters.add("last_words")
            else:
                self._stranger("wrong_token", address)
        elif endpoint_of(address).ip != child.peer_ip:
            self._stranger("wrong_address", address)
        elif any(isinstance(packet, Bye) for packet in packets):
            if self._roster.remove(child.key) is child:
                self._on_lost(child.key, "bye")
        else:
            child.lease_until = now + LEASE_SECONDS
            self._on_report(child, packets, address, now)

    def _stranger(self, kind: str, address: SockAddr) -> None:
        self._log.info(kind, "[%s] ignored a packet from %s: %s", self.content, endpoint_of(address), kind)

    def _on_report(self, child: Child, packets: tuple[Packet, ...], address: SockAddr, now: float) -> None:
        if child.address != address and not self._connect(child, address):
            return
        for packet in packets:
            if isinstance(packet, ReceiverReport):
                self._on_receiver_report(child, packet, now)
            elif isinstance(packet, Nack) and packet.media_ssrc == self._ssrc:
                repair(self._roster, child, packet.sequences, self._reader.total, now)

    def _on_receiver_report(self, child: Child, packet: ReceiverReport, now: float) -> None:
        block = next((block for block in packet.blocks if block.ssrc == self._ssrc), None)
        if block is not None:
            child.report = block
            rtt = round_trip(block, time.time())
            child.round_trip = rtt if rtt is not None else child.round_trip
        if child.state is ChildState.WAITING and (block is not None or not packet.blocks):
            self._roster.start(child, now)
            self._report(child, now)  # tells where it begins, before the first datagram does
            self._roster.feed_child(child, self._reader.total, now)

    def _connect(self, child: Child, address: SockAddr) -> bool:
        """Aim a child's socket, made now if it has none, at where its packet came from."""
        try:
            if child.sender is not None:
                child.sender.sock.connect(address)
                child.address = address
                child.moves += 1
                return True
            sock = self._doors.connect(child.local_ip, address)
        except OSError as error:  # no descriptors, no route: its next hello tries again
            self._log.warning("no_socket", "[%s] cannot reach %s: %s", self.content, child.identity, error)
            return False
        if not self._roster.equip(child, TrainSender(sock, offload=self._offload), address):
            self._reader.close(sock)
            return False
        return True
