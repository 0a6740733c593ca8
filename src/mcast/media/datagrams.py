"""An output that sends the stream over the network, as raw UDP or RTP, to one address or to a group.

Who receives it (a decoder, a set-top box, an IPTV network) has asked nobody: the user of this program has
named the address. Datagrams hold 1,316 bytes of transport stream, seven packets, and leave at the stream's
own pace (departures.py), with a thread of their own: what the network does not take costs this output alone.

That nobody listens is no error: a receiver may come and go, and the next datagram is on its way.
"""

import errno
import logging
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass

from mcast.errors import ConfigError
from mcast.hostport import literal_ip
from mcast.media.departures import Departure, Departures
from mcast.media.output import MAX_QUEUED, Ended
from mcast.net.addresses import SockAddr, family_of
from mcast.net.deadline import Deadline
from mcast.net.ratelimit import RateLimitedLog
from mcast.net.threads import NoThreadError, OnCrash, OwnedThread
from mcast.wire.mpegts import PACKET, PCR_CLOCK
from mcast.wire.rtp import CLOCK_RATE, MAX_PACKETS, RtpHeader

logger = logging.getLogger(__name__)

END_SECONDS = 10.0
"""How long what is held may take to leave at the stream's end: a history of 8 s, at its own pace."""
STEP_SECONDS = 0.005
"""Datagrams due within this time leave together: three of a stream of 5 Mbit/s."""
PAYLOAD = MAX_PACKETS * PACKET
_IP_MREQN = struct.Struct("=4s4si")  # group (none), the interface's address, its number
_SEND_SECONDS = 0.5  # for a socket's buffer to have room


@dataclass(frozen=True, slots=True)
class Destination:
    """Where datagrams go."""

    address: SockAddr
    rtp: bool = False
    ttl: int | None = None  # None: the system's, which for groups is 1
    interface: str = ""  # by which a group is reached: its name, or one of its IPv4 addresses


class DatagramOutput:
    """Owns a socket and the thread "output" that sends by it."""

    def __init__(
        self,
        destination: Destination,
        name: str,
        on_crash: OnCrash,
        *,
        hurry: threading.Event | None = None,
    ) -> None:
        """Be ready to send. Raises ConfigError if the socket cannot be set up so, or there is no thread.

        `hurry` is set when nobody waits any more for what is held.
        """
        self.name, self._rtp = name, destination.rtp
        self.written = self.dropped = 0
        self._hurry = hurry or threading.Event()
        self._log = RateLimitedLog(logger)
        self._ssrc, self._sequence = _random(4), _random(2)
        self._base = _random(4)  # of the RTP timestamps
        self._socket = open_socket(destination, name)
        self._condition = threading.Condition()  # guards what follows
        self._departures = Departures()
        self._closing = self._finished = False
        self._thread = OwnedThread("output", self._run, on_crash)
        try:
            self._thread.start()
        except NoThreadError:
            self._socket.close()
            raise

    def __repr__(self) -> str:
        return f"<DatagramOutput {self.name}, {self._departures.queued} bytes queued>"

    def write(self, data: bytes) -> bool:
        """Queue whole TS packets; drop them if there is no room. Never waits."""
        with self._condition:
            if self._closing:
                return False
            if self._departures.queued + len(data) > MAX_QUEUED:
                self.dropped += len(data)
                return False
            self._departures.feed(data, time.monotonic())
            self._condition.notify()
            return True

    def begin_anew(self) -> None:
        """Do nothing: that its clock leaps is seen by `Departures`."""

    def ended(self) -> Ended | None:
        """Return None: a network takes whatever is sent."""
        return None

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        """End; with `drain` what is held leaves first, at its time."""
        del is_over  # receivers go on with another stream, or wait
        with self._condition:
            already, self._closing = self._closing, True
            self._departures.finish(time.monotonic())
            self._condition.notify_all()
        if already:
            return None
        deadline = Deadline(END_SECONDS if drain else 0.0)
        while not deadline.expired and not self._hurry.is_set():
            with self._condition:
                if self._condition.wait_for(lambda: not self._departures.queued, STEP_SECONDS):
                    break
        with self._condition:
            self._finished = True
            self._condition.notify_all()
        self._thread.join()
        self._socket.close()
        return None

    def _run(self) -> None:
        while (leaving := self._next()) is not None:
            for departure in leaving:
                self._send(departure)

    def _next(self) -> list[Departure] | None:
        """Wait for what is due; None at the end."""
        with self._condition:
            while not self._finished:
                due, now = self._departures.next_due(), time.monotonic()
                if due is not None and due <= now:
                    leaving = self._departures.due(now)
                    self._condition.notify_all()  # for close()
                    return leaving
                self._condition.wait(None if due is None else max(due - now, STEP_SECONDS))
        return None

    def _send(self, departure: Departure) -> None:
        datagram = self._header(departure) + departure.payload
        try:
            try:
                self._socket.send(datagram)
            except ConnectionRefusedError:  # so says the receiver's host, of an earlier datagram
                self._socket.send(datagram)
        except OSError as error:
            self.dropped += len(departure.payload)
            why = error.strerror or str(error)
            self._log.warning("unsent", "%s: cannot send: %s; going on", self.name, why)
        else:
            self.written += len(departure.payload)

    def _header(self, departure: Departure) -> bytes:
        if not self._rtp:
            return b""
        ticks = self._base + departure.ticks * CLOCK_RATE // PCR_CLOCK
        header = RtpHeader(self._sequence, ticks & 0xFFFF_FFFF, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return header.pack()


def open_socket(destination: Destination, name: str) -> socket.socket:
    """Return a socket that is connected to a destination. Raises ConfigError, which begins with `name`."""
    family = family_of(destination.address)
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_SEND_SECONDS)
        if destination.ttl is not None:
            _set_ttl(sock, family, destination.ttl)
        if destination.interface:
            _set_interface(sock, family, destination.interface)
        sock.connect(destination.address)
    except OSError as error:
        sock.close()
        raise ConfigError(f"{name}: {_explained(error, destination)}") from None
    return sock


def _set_ttl(sock: socket.socket, family: socket.AddressFamily, ttl: int) -> None:
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)


def _set_interface(sock: socket.socket, family: socket.AddressFamily, interface: str) -> None:
    """Send to groups by an interface. Raises OSError if there is no such one."""
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, _number_of(interface))
        return
    ip = literal_ip(interface)
    if ip is not None and ip.version != 4:  # the kernel would take its first four bytes for an address
        raise OSError(errno.EADDRNOTAVAIL, "not an IPv4 address")
    address, number = (bytes(4), _number_of(interface)) if ip is None else (ip.packed, 0)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _IP_MREQN.pack(bytes(4), address, number))


def _number_of(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except ValueError:  # what no name can have: a NUL
        raise OSError(errno.ENODEV, "no such interface") from None


def _explained(error: OSError, destination: Destination) -> str:
    if destination.interface and error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV, None):
        if family_of(destination.address) == socket.AF_INET6:
            return f"iface={destination.interface}: this machine has no interface of this name"
        return f"iface={destination.interface}: this machine has no such interface or IPv4 address"
    if error.errno == errno.ENETUNREACH:
        return "no way leads there: name the interface with ?iface=ADDR, or add a route"
    return error.strerror or str(error)


def _random(size: int) -> int:
    return int.from_bytes(os.urandom(size), "big")
