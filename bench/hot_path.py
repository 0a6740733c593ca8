"""What a train costs a node beside its two system calls, and what a child's report costs it.

    PYTHONPATH=src:. python3 -m bench.hot_path [CHILDREN] [--trains N]

All in one process: trains of five datagrams go to a node's media plane (a receiver, a fanout, their two
threads) and, in turn, to a loop in Python that does nothing but receive each and send it to as many
addresses, by the same calls; then children report, while trains go on. Told is the processor time of each
thread, in microseconds: medians over rounds of fifty. Each train waits for the one before, so nothing is
merged however busy the machine is; and as each wakes up the thread alone, caches are cold.
"""

import argparse
import random
import select
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from mcast.media.child import ChildState
from mcast.media.fanout import Fanout
from mcast.media.feedback import FeedbackReader
from mcast.media.forwarder import Forwarder
from mcast.media.receiver import Receiver
from mcast.media.reports import Speaker, reference_time
from mcast.media.timing import Timing
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.multisend import MultiSender
from mcast.net.ports import MediaPorts
from mcast.net.train_reader import TrainReader
from mcast.net.udp import TrainSender, enable_merging, open_udp
from mcast.wire.node import Start
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState, ReportBlock, middle32, ntp_from_unix
from mcast.wire.rtp import HEADER_SIZE, write_header
from mcast.wire.train import Train

LOCAL = ip_address("127.0.0.1")
SSRC, DATAGRAMS, PACKETS = 1, 5, 7
SIZE = HEADER_SIZE + PACKETS * 188
ROUND, PAUSE = 50, 0.001
PATIENT = Timing(lease=3600.0, first_hello=3600.0)
TOKEN_SIZE = 16
REPORTS_A_TRAIN = 10
WAIT_SECONDS = 20.0


class Feeder:
    """Sends trains of one stream to a socket, each when the one before has been taken."""

    def __init__(self) -> None:
        self.sock = open_udp(LOCAL)
        self._sender = TrainSender(self.sock)
        self.next = 0

    def send(self) -> None:
        """Send the next train; every hundredth begins with a keyframe."""
        data = bytearray((b"\x47\x01\x00\x10" + bytes(184)) * PACKETS).rjust(SIZE, b"\0") * DATAGRAMS
        if self.next // DATAGRAMS % 100 == 0:
            data[HEADER_SIZE : HEADER_SIZE + 4] = b"\x47\x40\x00\x10"
        for index in range(DATAGRAMS):
            write_header(data, index * SIZE, self.next + index, int(time.monotonic() * 90_000), SSRC)
        self._sender.send(Train(self.next, SIZE, bytes(data)))
        self.next += DATAGRAMS


class Bare:
    """Receives and sends on, and that is all."""

    def __init__(self, sock: socket.socket, addresses: Sequence[tuple[str, int]]) -> None:
        self.taken = 0
        self._sock, self._sender = sock, MultiSender(open_udp(LOCAL), addresses)
        self.thread = threading.Thread(target=self._run, name="bare", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        poll, receive = select.epoll(), TrainReader().receive
        poll.register(self._sock, select.EPOLLIN)
        while True:
            for _ in poll.poll():
                data, size = receive(self._sock)
                self._sender.send(Train(0, size, data))
                self.taken += DATAGRAMS


def cpu_of(thread: threading.Thread) -> float:
    """Return how long a thread has had the processor, in microseconds."""
    assert thread.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) * 1e6


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds. Raises TimeoutError."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("nothing has come")
        time.sleep(PAUSE)


def measure(thread: threading.Thread, step: Callable[[int], None], rounds: int) -> list[float]:
    """Return what a step costs a thread, round by round."""
    costs: list[float] = []
    for number in range(rounds):
        began = cpu_of(thread)
        for index in range(ROUND):
            step(number * ROUND + index)
        costs.append((cpu_of(thread) - began) / ROUND)
    return costs


def run(children: int, trains: int) -> None:
    """Measure, and print."""
    feeder, bare_feeder = Feeder(), Feeder()
    sinks, bare_sinks = _sinks(children), _sinks(children)  # who is connected hears nobody else
    reader, forwarder = FeedbackReader(_crash), Forwarder("forward", _crash)
    with reader:
        position = Position(SSRC, 0)
        fanout = Fanout("news", position, reader, MediaPorts(), on_lost=lambda *_: None, timing=PATIENT)
        receiver = Receiver(
            "news",
            position,
            "node",
            fanout.forward,
            lambda *_: None,
            _crash,
            timing=PATIENT,
            forwarder=forwarder,
        )
        receiver.start()
        sock, _ = open_media_socket(LOCAL, MediaPorts())
        feeder.sock.connect(sock.getsockname())
        connect_media_socket(sock, LOCAL, feeder.sock.getsockname()[1])
        receiver.add_parent(1, sock, bytes(TOKEN_SIZE), position)
        fanout.set_state(FeedState.FED)
        speakers = [
            Speaker(random.getrandbits(32), "child", struct.pack("16xI", n)[4:]) for n in range(children)
        ]
        for number, (sink, speaker) in enumerate(zip(sinks, speakers, strict=True)):
            port = fanout.admit(number, "child", LOCAL, LOCAL, speaker.token, start=Start.LIVE)
            sink.connect((str(LOCAL), port))

        bare_sock, _ = open_media_socket(LOCAL, MediaPorts())
        bare_feeder.sock.connect(bare_sock.getsockname())
        bare = Bare(bare_sock, [sink.getsockname() for sink in bare_sinks])

        def forward(_: int) -> None:
            feeder.send()
            wait_for(lambda: fanout.position.next == feeder.next)

        def report(index: int) -> None:
            block = ReportBlock(SSRC, 0, 0, feeder.next - 1, 0, middle32(ntp_from_unix(time.time())), 0)
            data = speakers[index % children].compound(block, reference=reference_time(time.monotonic()))
            sinks[index % children].send(data)
            time.sleep(PAUSE)
            if index % REPORTS_A_TRAIN == 0:  # without media it would send SRs all the time
                forward(0)

        def pass_on(_: int) -> None:
            bare_feeder.send()
            wait_for(lambda: bare.taken == bare_feeder.next)

        for number in range(children):
            report(number)
        while not all(child.state is ChildState.LIVE for child in fanout.children()):
            forward(0)
        threads = {thread.name: thread for thread in threading.enumerate()}
        ours, theirs = list[float](), list[float]()
        for _ in range(trains // ROUND):
            ours += measure(threads["forward"], forward, 1)
            theirs += measure(bare.thread, pass_on, 1)
        reports = measure(threads["feedback"], report, trains // ROUND)
        more = statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
        print(f"{children} children: a train {statistics.median(ours):.1f} us, the bare calls "
              f"{statistics.median(theirs):.1f} (the difference {more:.1f}); a report, and what the "
              f"feedback thread does beside, {statistics.median(reports):.1f} us")  # fmt: skip
        receiver.stop()
        fanout.close()
    forwarder.stop()


def _sinks(count: int) -> list[socket.socket]:
    """Return sockets whose buffers are always full: what a child does with its media costs nothing here."""
    sinks = [open_udp(LOCAL) for _ in range(count)]
    for sink in sinks:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        enable_merging(sink)
    return sinks


def _crash(error: BaseException) -> None:
    raise SystemExit(f"unexpected: {error!r}")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("children", type=int, nargs="?", default=16)
    parser.add_argument("--trains", type=int, default=1000)
    options = parser.parse_args()
    sys.setswitchinterval(0.0001)
    run(options.children, options.trains)
    return 0


if __name__ == "__main__":
    sys.exit(main())
