"""The ways in which one address attacks an overlay: `python3 -m tools.soak.attack TARGETS`.

    silence    thousands of connections to every program, without a byte
    takers     more streams and lists, taken from a server and kept, than there may be
    disc       floods for what nobody has, at a node
    wake       WAKE, at a server
    strangers  NACKs without a token, at a node's media ports
    nacks      an admitted viewer that asks for everything, again and again

One after another, then all at once, then a pause; again and again until it is killed. A line
`phase NAME SECONDS` (monotonic) begins each. `TARGETS` is a JSON object: the fields of `Targets`. It is a
program of its own, to be run in the host that attacks: nothing but the targets' addresses hears of it.
"""

import contextlib
import itertools
import json
import os
import random
import resource
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from mcast.errors import McastError
from mcast.hostport import HostPort, parse_address
from mcast.media.reports import Speaker
from mcast.net.connection import Connection, connect
from mcast.roles.interpreter import MAX_DESCRIPTORS
from mcast.wire.frame import Message, encode
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Port, Stream
from mcast.wire.rtcp import pack_compound
from mcast.wire.rtcp_packets import Nack, ReceiverReport, ReportBlock
from mcast.wire.server import Send, Wake

SILENT = 1_500
"""Connections without a byte to each program, kept open and opened again when they are closed."""
TAKERS, LISTENERS = 1_100, 300
"""Connections that take a stream or hear the list, and are kept: more than there may be."""
TALKERS = 8
"""Connections that ask and ask, to the node and to the server each."""
NACKS_PER_SECOND = 900
ADMITTED_NACKS_PER_SECOND = 200
_PATIENCE = 8.0

Work = Callable[[threading.Event], None]
"""Attacks until the event is set."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom to attack, as HOST:PORT, and how."""

    bootstrapper: str
    node: str
    server: str
    content: str
    media: tuple[int, int]  # the node's lowest and highest media port that are attacked
    phase_seconds: float
    asks_per_second: float  # of each talker; 0: as many as it can
    calls_per_second: float  # silent connections to each program; 0: as many as it can
    source: str = ""  # the local address; the system's choice if empty

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Targets":
        fields = json.loads(text)
        return cls(**{**fields, "media": tuple(fields["media"])})


def attacks(targets: Targets) -> dict[str, list[Work]]:
    """Return the threads' work of each way to attack."""
    programs = (targets.bootstrapper, targets.node, targets.server)
    return {
        "silence": [partial(keep_open, targets, program, SILENT, None) for program in programs],
        "takers": [
            partial(keep_open, targets, targets.server, TAKERS, Send(targets.content)),
            partial(keep_open, targets, targets.server, LISTENERS, Wake()),
        ],
        "disc": [partial(ask_again_and_again, targets, targets.node, disc)] * TALKERS,
        "wake": [partial(ask_again_and_again, targets, targets.server, Wake)] * TALKERS,
        "strangers": [partial(send_strange_nacks, targets)],
        "nacks": [partial(send_admitted_nacks, targets)],
    }


def disc() -> Disc:
    return Disc(request=os.urandom(16), content="none", sender=Identity.client(bytes(16)), remaining_ms=4000)


def keep_open(
    targets: Targets, program: str, count: int, first: Message | None, stop: threading.Event
) -> None:
    """Keep many connections open, say one thing on each or nothing, and do not read what comes."""
    held: list[socket.socket] = []
    pause = 1 / targets.calls_per_second if targets.calls_per_second else 0.0
    while not stop.is_set():
        look = time.monotonic() + 0.5
        while len(held) < count and not stop.wait(pause) and time.monotonic() < look:
            with contextlib.suppress(OSError):
                held.append(_call(targets, program))
                if first is not None:
                    held[-1].sendall(encode(first))
        stop.wait(max(0.0, look - time.monotonic()))
        for sock in held:
            sock.setblocking(False)
        gone = [sock for sock in held if _is_closed(sock)]
        for sock in gone:
            sock.close()
        held = [sock for sock in held if sock.fileno() >= 0]
    for sock in held:
        sock.close()


def ask_again_and_again(
    targets: Targets, program: str, message: Callable[[], Message], stop: threading.Event
) -> None:
    """Ask, wait for the answer, ask again."""
    pause = 1 / targets.asks_per_second if targets.asks_per_second else 0.0
    while not stop.is_set():
        with contextlib.suppress(OSError), _call(targets, program) as sock:
            while not stop.is_set():
                sock.sendall(encode(message()))
                if not sock.recv(65_536):
                    break
                time.sleep(pause)
        stop.wait(pause)


def send_strange_nacks(targets: Targets, stop: threading.Event) -> None:
    """Ask for repairs without a token, at one media port after another."""
    data = pack_compound((ReceiverReport(1), Nack(1, 1, tuple(range(0, 4096, 17)))))
    host, ports = _host(targets.node), itertools.cycle(range(targets.media[0], targets.media[1] + 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((targets.source, 0))
        while not stop.wait(1 / NACKS_PER_SECOND):
            with contextlib.suppress(OSError):
                sock.sendto(data, (host, next(ports)))


def send_admitted_nacks(targets: Targets, stop: threading.Event) -> None:
    """Join as a viewer does, and ask for all that was sent again and again."""
    while not stop.is_set():
        with (
            contextlib.suppress(OSError, McastError),
            connect(targets.node, 2.0, source=targets.source or None) as connection,
        ):
            port = _subscribe(connection, targets.content)
            if port is not None:
                _nag(connection, port, stop)
        stop.wait(1.0)


def _subscribe(connection: Connection, content: str) -> Port | None:
    me, request = Identity.client(uuid.uuid4().bytes), uuid.uuid4().bytes
    connection.send(Disc(request=request, content=content, sender=me, remaining_ms=4000))
    if not isinstance(connection.receive(_PATIENCE), Found):
        return None
    connection.send(Stream(request=request, content=content, sender=me, port=9))
    answer = connection.receive(_PATIENCE)
    return answer if isinstance(answer, Port) else None


def _nag(connection: Connection, port: Port, stop: threading.Event) -> None:
    """Send hellos that ask for the 256 newest numbers, and throw away what comes."""
    speaker = Speaker(random.getrandbits(32), "attacker", port.token)
    block = ReportBlock(port.stream.ssrc, 0, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((str(connection.local.ip), 0))
        sock.connect((str(connection.peer.ip), port.port))
        sock.setblocking(False)
        newest = port.stream.next
        while not stop.wait(1 / ADMITTED_NACKS_PER_SECOND) and not connection.closed:
            sock.send(speaker.compound(block, range(max(0, newest - 256), newest)))
            newest = max([newest, *_numbers_near(newest, sock)])


def _numbers_near(newest: int, sock: socket.socket) -> Iterator[int]:
    """Yield the numbers of the datagrams that have come."""
    with contextlib.suppress(OSError):
        while True:
            data = sock.recv(2_048)
            if len(data) > 4 and data[1] & 0x7F == 33:
                yield newest + ((int.from_bytes(data[2:4], "big") - newest + 0x8000) & 0xFFFF) - 0x8000


def _call(targets: Targets, program: str) -> socket.socket:
    address: HostPort = parse_address(program)
    return socket.create_connection((address.host, address.port), 1.0, (targets.source, 0))


def _host(program: str) -> str:
    return parse_address(program).host


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def everything(targets: Targets) -> list[Work]:
    """Return all that can be done at once."""
    return [each for work in attacks(targets).values() for each in work]


def attack_in(work: Sequence[Work], seconds: float) -> None:
    """Attack in these ways for so long."""
    stop = threading.Event()
    threads = [threading.Thread(target=each, args=(stop,), daemon=True) for each in work]
    for thread in threads:
        thread.start()
    stop.wait(min(seconds, threading.TIMEOUT_MAX))
    stop.set()
    for thread in threads:
        thread.join()


def raise_descriptor_limit() -> None:
    """Let this process have as many connections as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MAX_DESCRIPTORS), hard))


def main(targets: Targets) -> None:
    """Attack in one way after another, then in all, then rest; for ever."""
    raise_descriptor_limit()
    while True:
        for name, work in [*attacks(targets).items(), ("all", everything(targets)), ("pause", [])]:
            print(f"phase {name} {time.monotonic():.1f}", flush=True)
            attack_in(work, targets.phase_seconds)


if __name__ == "__main__":
    main(Targets.from_json(sys.argv[1]))
