"""Datagrams between the nodes of a lab, sent and received by this process: both ends share one clock.

A socket belongs to the namespace in which it was opened, whoever uses it. Times are measured beside whatever
else this machine does: a test that judges them is `measured`, which lets it try again.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from typing import ParamSpec

from tools.lab.lab import Lab
from tools.lab.namespaces import inside, namespace_path
from tools.lab.plumbing import Names

PORT = 9000
PAUSE = 0.5  # s before another try
QUIET = 0.3  # s without a datagram: no more will come (the links of these tests are shorter)
SO_RCVBUFFORCE = 33  # not in Python 3.11
UDP_SEGMENT = 103
HEADER = struct.Struct("!Iq")
OVERHEAD = 14 + 20 + 8  # Ethernet, IPv4, UDP
BIG_BUFFER = 64 << 20
TRIES = 8

P = ParamSpec("P")


def measured(test: Callable[P, None]) -> Callable[P, None]:
    """Let a test that measures the lab try again: other work may have had the processor meanwhile.

    A lab that is not precise fails at every try.
    """

    @wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(TRIES - 1):
            try:
                return test(*args, **kwargs)
            except AssertionError as error:
                print(f"measured again: {error}")
                time.sleep(PAUSE)
        return test(*args, **kwargs)

    return tried


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    sent: int  # ns
    received: int  # ns

    @property
    def delay_ms(self) -> float:
        return (self.received - self.sent) / 1e6


def udp_socket(lab: Lab, node: str, port: int = 0) -> socket.socket:
    """A socket in a node, bound to the node's address."""
    made = inside(
        namespace_path(Names(lab.id).node(node)), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    )
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BIG_BUFFER)
    made.bind((lab.scenario.address(node), port))
    return made


@contextlib.contextmanager
def sockets(
    lab: Lab, sender: str = "a", receiver: str = "b"
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connected socket in one node and the socket in the other that it sends to; ARP is done."""
    with udp_socket(lab, sender) as out, udp_socket(lab, receiver, PORT) as into:
        out.connect((lab.scenario.address(receiver), PORT))
        lab.run(sender, ["ip", "neigh", "replace", *_neighbour(lab, receiver)])
        lab.run(receiver, ["ip", "neigh", "replace", *_neighbour(lab, sender)])
        yield out, into


def _neighbour(lab: Lab, node: str) -> list[str]:
    """A permanent entry, so that no ARP request is lost, delayed or counted in a measurement."""
    end = lab.scenario.interfaces(node)[0]
    assert end.mac is not None
    return [str(end.addresses[0].ip), "lladdr", end.mac, "dev", "eth0"]


def send(out: socket.socket, count: int, *, size: int = 100, interval: float = 0.0) -> None:
    """Send numbered datagrams, `interval` seconds apart."""
    begin = time.monotonic()
    for number in range(count):
        if (pause := begin + number * interval - time.monotonic()) > 0:
            time.sleep(pause)
        out.send(HEADER.pack(number, time.monotonic_ns()).ljust(size, b"\0"))


def trains(out: socket.socket, count: int, segments: int, size: int, interval: float = 0.0) -> None:
    """Send numbered datagrams, `segments` of them with each system call (UDP_SEGMENT)."""
    out.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    begin = time.monotonic()
    for first in range(0, count * segments, segments):
        if (pause := begin + first / segments * interval - time.monotonic()) > 0:
            time.sleep(pause)
        numbers = range(first, first + segments)
        out.send(b"".join(HEADER.pack(number, time.monotonic_ns()).ljust(size, b"\0") for number in numbers))


def receive(
    into: socket.socket, *, first: float = 2.0, more: Callable[[], bool] = lambda: False
) -> list[Arrival]:
    """Receive until it has been quiet, and there is no `more` to come from a sender that was held up."""
    arrivals: list[Arrival] = []
    into.settimeout(first)
    while True:
        coming = more()
        try:
            data = into.recv(2048)
        except TimeoutError:
            if not coming:
                return arrivals
            continue
        now = time.monotonic_ns()
        number, sent = HEADER.unpack_from(data)
        arrivals.append(Arrival(number, sent, now))
        into.settimeout(QUIET)


def exchange(
    lab: Lab, count: int, *, size: int = 100, interval: float = 0.0, sender: str = "a", receiver: str = "b"
) -> list[Arrival]:
    """Send datagrams from one node to the other and return those that arrive, in order of arrival."""
    work = partial(send, count=count, size=size, interval=interval)
    return arrivals_of(lab, work, sender, receiver)


def arrivals_of(
    lab: Lab, work: Callable[[socket.socket], None], sender: str = "a", receiver: str = "b"
) -> list[Arrival]:
    """Receive in one node while `work` sends from the other."""
    with sockets(lab, sender, receiver) as (out, into):
        thread = threading.Thread(target=work, args=(out,), name="sender")
        thread.start()
        try:
            return receive(into, more=thread.is_alive)
        finally:
            thread.join()
