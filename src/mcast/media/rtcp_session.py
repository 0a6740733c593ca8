"""What a parent and its children tell each other: RTCP, in the feedback thread.

    packet ── token ── child ── its address ── what it says ── effect
                                                hello      a socket of its own, and media
                                                report     its lease, its losses, its round trip
                                                NACK       sent again out of the history (repair.py)
                                                BYE        it is gone

Nothing is sent to who did not ask. A packet is looked at only if it carries the token of a child *and*
comes from the address of that child's control connection; whatever else comes costs a search for the
token. The port from which a child calls may be any, and may change (NAT).
"""

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from types import MethodType

from mcast.errors import WireError
from mcast.media.catch_up import catch_up_rate
from mcast.media.child import MIN_BURST, Child, ChildLost, ChildState, OnLost
from mcast.media.children import Children
from mcast.media.feedback import FeedbackReader
from mcast.media.plain_report import PlainReports
from mcast.media.repair import ReachBack, Repair
from mcast.media.reports import (
    ChildReport,
    SenderRound,
    Supply,
    ends_with_bye,
    find_token,
    read_child_report,
    reference_answer,
    round_trip,
    sender_info,
)
from mcast.media.sockets import ChildSockets
from mcast.media.timing import Timing
from mcast.media.token_bucket import TokenBucket
from mcast.net.addresses import IPAddress, SockAddr, endpoint_of, sockaddr_of
from mcast.net.ports import MediaPorts
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.udp import TrainSender
from mcast.wire.rtcp import NEXT_UNKNOWN, Origin
from mcast.wire.rtp import is_rtcp

READS = 32
"""Packets read from a socket before the others have their turn."""
STRAYS = 256
"""The most that a child's new socket may have caught of others, in the moment before it was connected; what
waits there beyond is taken for the child's: who sends so much must not hold up the others."""
TOGETHER, SOON_SECONDS = 32, 0.3
"""So many children hear SRs in one moment, up to so much too early: what they share is built once."""
_MAX_PACKET = 2_048


class RtcpSession:
    """The feedback of one content's children. The feedback thread's, but for what names other threads."""

    def __init__(
        self,
        content: str,
        ssrc: int,
        children: Children,
        reader: FeedbackReader,
        ports: MediaPorts,
        log: RateLimitedLog,
        *,
        on_lost: OnLost,
        origin: Callable[[float], Origin | None],
        cname: str,
        offload: bool,
        timing: Timing,
        reach_back: ReachBack | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` is the clock that SRs tell, in Unix seconds; `origin` is what the server's clock says.

        `reach_back` asks above for what a child lacks from before this host has begun.
        """
        self._content, self._ssrc, self._cname = content, ssrc, cname
        self._children, self._reader, self._log = children, reader, log
        self._on_lost, self._offload, self._timing = on_lost, offload, timing
        self._wall, self._origin = wall, origin
        self._repair = Repair(children, reader.total, reach_back)
        self._sockets = ChildSockets(ports, reader, self._on_readable)
        self._hear = self._on_child_readable  # one for all children
        self._supply = Supply()
        self._strays = deque[tuple[bytes, SockAddr]]()  # packets that a new child's socket has caught

    # From any thread

    def port_at(self, local_ip: IPAddress) -> int:
        """Return the port to say hello to at an address. Raises ConfigError."""
        return self._sockets.port_at(local_ip)

    def adopt(self, local_ip: IPAddress, sock: socket.socket) -> None:
        """Say and hear everything at an address by a socket that another process has opened."""
        self._sockets.adopt(local_ip, sock)

    @property
    def supply(self) -> Supply:
        """Return what the children are told of this host's own supply."""
        return self._supply

    def tell_supply(self, supply: Supply) -> None:
        """Tell the children at once how this host is fed. By one thread only."""
        self._supply = supply
        self._reader.call(self._report_to_all)

    def welcome(self, child: Child, port: int) -> None:
        """Feed a child that has said hello to who has carried this content before."""
        now, address = time.monotonic(), sockaddr_of(child.peer_ip, port)
        if child.state is ChildState.WAITING and self._connect(child, address):
            self._begin(child, now)

    # By the clock

    def check_leases(self, now: float) -> None:
        """Let go of the children that have not been heard for too long, and tell them before it is."""
        unheard = now + self._timing.lease - self._timing.unheard
        for child in self._children.children():
            if child.lease_until <= now and self._lose(child, ChildLost.LEASE):
                self._log.counters.add("leases_ended")
            elif child.lease_until <= unheard:
                child.next_report = now

    def report_due(self, now: float) -> None:
        """Send the SRs that are due: the sign of life of a parent that has no media, else the clock."""
        quiet = self._timing.quiet
        none_comes = now - self._children.last_push > quiet
        children = self._children.children()
        due = [
            child
            for child in children
            if none_comes or now >= child.next_report or child.hears_nothing(now, quiet)
        ]
        if not due:
            return
        if len(due) < TOGETHER:  # who is soon due hears one now, and from then on together with these
            soon = [child for child in children if now < child.next_report <= now + SOON_SECONDS]
            due += [child for child in soon if not child.hears_nothing(now, quiet)][: TOGETHER - len(due)]
        told = self._round(now)
        for child in due:
            self._report(child, told, now)

    def close(self) -> None:
        """Hear nobody new."""
        self._sockets.close()

    def _report_to_all(self) -> None:
        now = time.monotonic()
        told = self._round(now)
        for child in self._children.children():
            self._report(child, told, now)

    def _round(self, now: float) -> SenderRound:
        """Describe the stream as it is in this moment."""
        children = self._children
        info = sender_info(self._ssrc, children.newest, now - children.last_push, 0, 0)
        return SenderRound(info, self._cname, self._supply, self._wall(), now, self._origin(now))

    def _report(self, child: Child, told: SenderRound, now: float) -> None:
        if child.sender is None:
            return
        answer = None
        if child.reference is not None:
            ssrc, reference, came = child.reference
            if not child.answered or now - came >= self._timing.unheard:
                answer, child.answered = reference_answer(ssrc, reference, now - came), True
        unknown = child.waits_for_keyframe or child.state is ChildState.WAITING
        number = NEXT_UNKNOWN if unknown else child.cursor
        try:
            compound = told.compound(number, child.datagrams, child.bytes, answer)
        except ValueError as error:  # numbers are checked where they enter; this is the net below
            text = "[%s] what %s is to be told cannot be encoded: %s"
            self._log.warning("unsendable", text, self._content, child.identity, error)
            self._lose(child, ChildLost.UNSENDABLE)
            return
        child.sender.send_packet(compound)
        child.next_report = now + self._timing.sender_report

    # By what comes

    def _on_child_readable(self, child: Child, sock: socket.socket) -> None:
        """Read one packet from a child's own socket; if more wait, the reader calls again.

        It is connected, so what comes is from where the child is, and nearly always a plain report.
        """
        try:
            data = sock.recv(_MAX_PACKET, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:  # its port is closed (ECONNREFUSED): its lease or its connection will tell
            self._log.counters.add("refused")
            return
        now = time.monotonic()
        if self._is_too_often(child, data, now):
            return
        report = None if child.plain is None else child.plain.read(data)
        if report is not None and child.state is not ChildState.GONE:
            child.reports.take(1)
            child.lease_until = now + self._timing.lease
            self._on_report(child, report, now)
        elif child.address is not None:
            self.on_packet(data, child.address, now)

    def _on_readable(self, sock: socket.socket) -> None:
        """Read what has come from anywhere."""
        for _ in range(READS):
            try:
                data, address = sock.recvfrom(_MAX_PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._log.counters.add("refused")
                continue
            self.on_packet(data, address, time.monotonic())
            while self._strays:
                self.on_packet(*self._strays.popleft(), time.monotonic())

    def on_packet(self, data: bytes, address: SockAddr, now: float) -> None:
        """Take in what has come from somewhere."""
        token = find_token(data) if is_rtcp(data) else None
        if token is None:
            self._ignore("garbage", address)
        elif (child := self._children.by_token(token)) is None:
            if self._children.was_token(token):
                self._log.counters.add("last_words")
            else:
                self._ignore("wrong_token", address)
        elif endpoint_of(address).ip != child.peer_ip:
            self._ignore("wrong_address", address)
        else:
            self._on_child(child, data, address, now)

    def _ignore(self, kind: str, address: SockAddr) -> None:
        self._log.info(kind, "[%s] ignored a packet from %s: %s", self._content, endpoint_of(address), kind)

    def _on_child(self, child: Child, data: bytes, address: SockAddr, now: float) -> None:
        if self._is_too_often(child, data, now):
            return
        child.reports.take(1)
        try:
            report = read_child_report(data, self._ssrc)
        except WireError:
            self._ignore("garbage", address)
            return
        if report.bye:
            self._lose(child, ChildLost.BYE)
            return
        child.lease_until = now + self._timing.lease
        if child.address == address or self._connect(child, address):
            self._on_report(child, report, now)
            if not (report.missing or report.beside):
                self._learn(child, data)

    def _is_too_often(self, child: Child, data: bytes, now: float) -> bool:
        """Return whether a child has said so much lately that this is not read; its last word always is."""
        if child.reports.left(now) >= 1 or ends_with_bye(data):
            return False
        self._log.counters.add("too_often")
        return True

    def _learn(self, child: Child, data: bytes) -> None:
        if child.plain is None:
            child.plain = PlainReports(self._ssrc)
        child.plain.learn(data)

    def _lose(self, child: Child, lost: ChildLost) -> bool:
        """Let go of a child, unless that has happened already; return whether it has now."""
        removed = self._children.remove_exactly(child)
        if removed:
            self._on_lost(child.key, lost)
        return removed

    def _on_report(self, child: Child, report: ChildReport, now: float) -> None:
        child.beside, child.delay_us = report.beside, report.delay_us
        if report.reference is not None:
            child.reference, child.answered = (report.ssrc, report.reference, now), False
        if report.block is not None:
            child.report = report.block
            sample = round_trip(report.block, self._wall())
            if sample is not None:
                child.round_trip.note(sample)
        if report.greets and child.state is ChildState.WAITING:
            self._begin(child, now)
        if report.missing:
            child.asked_at = now
            self._reader.hurry(now)
            # By the next SR it knows how long to wait for an answer.
            child.next_report = min(child.next_report, now + self._timing.lossy_report)
            self._repair.answer(child, report.missing, now)

    def _begin(self, child: Child, now: float) -> None:
        if child.beside:  # it is in no hurry, and its uplink is in use
            child.pace = TokenBucket(catch_up_rate(self._children.rate(), beside=True), MIN_BURST, now)
        self._children.start(child, now)
        self._report(child, self._round(now), now)  # tells where it begins, before the first datagram does
        self._children.feed_child(child, self._reader.total, now)

    def _connect(self, child: Child, address: SockAddr) -> bool:
        """Aim a child's socket, made now if it has none, at where its packet came from."""
        try:
            if child.sender is not None:
                child.sender.sock.connect(address)
                child.moves += 1
            elif not self._equip(child, address):
                return False
        except OSError as error:  # no descriptors, no route: its next hello tries again
            self._log.warning("no_socket", "[%s] cannot reach %s: %s", self._content, child.identity, error)
            return False
        self._children.move(child, address)
        return True

    def _equip(self, child: Child, address: SockAddr) -> bool:
        # Like a `partial` that gives it the child, in a quarter of the memory.
        hear = MethodType(self._hear, child)
        sock = self._sockets.connect(child.local_ip, address, hear)
        common = self._sockets.common_at(child.local_ip)
        if not self._children.equip(child, TrainSender(sock, offload=self._offload), common):
            self._reader.close(sock)  # it has gone meanwhile
            return False
        # Before it was connected it has caught what others sent to this port, their hellos, too. From here
        # on the kernel gives it nothing but this child's packets, so nobody looks at addresses any more.
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            for _ in range(STRAYS):
                self._strays.append(sock.recvfrom(_MAX_PACKET, socket.MSG_DONTWAIT))
        return True
