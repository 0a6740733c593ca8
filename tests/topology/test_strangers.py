"""Bytes that nobody asked for: every program survives, counts, and goes on serving."""

import contextlib
import socket
import struct
import time
import uuid
from collections.abc import Iterator

import pytest

from mcast.wire.bootstrap import Register
from mcast.wire.frame import Message, encode
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Miss, MissReason
from mcast.wire.rtcp import pack_compound
from mcast.wire.rtcp_app import token_app
from mcast.wire.rtcp_packets import Bye, ReceiverReport, Sdes
from mcast.wire.server import Wake
from tools.demo.processes import wait_until
from topology.asking import Subscription, contents_of, subscribed, udp_from
from topology.harness import Topology
from topology.outside import sockets, udp_rows

FRAME_TIMEOUT = 5.0
"""Seconds a frame may take from its first byte to its last."""
HEADER = struct.Struct("!2sBBI")
RTP = struct.Struct("!BBHII")

BROKEN = {
    "garbage": bytes(range(251, 0, -1)) * 4,
    "another protocol": b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
    "unknown version": HEADER.pack(b"MC", 99, 1, 4) + b"\0\0\0\0",
    "oversized": HEADER.pack(b"MC", 1, 1, 0xFFFF_FFF0),
    "too short a body": HEADER.pack(b"MC", 1, 2, 1) + b"\x03",
    "a packet out of place": encode(Miss(request=bytes(16), content="clip", reason=MissReason.GONE)),
}

NEWER = {
    "unknown protocol": HEADER.pack(b"MC", 1, 77, 4) + b"\0\0\0\0",
    "unknown flag": HEADER.pack(b"MC", 1, 1, 40) + b"\xee" + bytes(39),
}


@pytest.fixture
def listeners(line: Topology) -> Iterator[dict[str, tuple[str, int]]]:
    """Where bootstrapper, a node and the server listen; behind the test they all still serve."""
    names = ("bootstrap", "n2", "s1")
    yield {name: address_of(line, name) for name in names}
    assert line.finds("n3", "clip")
    for program in (line.bootstrapper, *line.nodes.values(), *line.servers.values()):
        assert program is not None
        assert program.status is None, program
        assert "Traceback" not in program.text(), program
    line.client("n3", seconds=0.3).finish()


def address_of(line: Topology, name: str) -> tuple[str, int]:
    host, _, port = line.addresses.of(name).rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_frames_close_their_connection_and_nothing_else(
    kind: str, listeners: dict[str, tuple[str, int]]
) -> None:
    for address in listeners.values():
        with socket.create_connection(address, 5) as sock:
            sock.sendall(BROKEN[kind])
            assert closed_within(sock, 3), address


@pytest.mark.parametrize("kind", NEWER)
def test_messages_of_a_newer_version_are_skipped_and_the_next_one_is_answered(
    kind: str, listeners: dict[str, tuple[str, int]]
) -> None:
    questions: dict[str, Message] = {
        "bootstrap": Register("nobody", 5000, bytes(16)),
        "n2": Disc(request=uuid.uuid4().bytes, content="clip", sender=Identity.node("x"), remaining_ms=4000),
        "s1": Wake(),
    }
    for name, (host, port) in listeners.items():
        with socket.create_connection((host, port), 10) as sock:
            sock.sendall(NEWER[kind] + encode(questions[name]))
            assert sock.recv(2) == b"MC", name


def test_a_frame_cut_off_in_the_middle_is_forgotten(listeners: dict[str, tuple[str, int]]) -> None:
    for address in listeners.values():
        with socket.create_connection(address, 5) as sock:
            sock.sendall(HEADER.pack(b"MC", 1, 1, 40) + b"\x01")
            sock.shutdown(socket.SHUT_WR)
            assert closed_within(sock, 3), address


def test_a_frame_that_never_ends_is_cut_off_however_slowly_it_comes(
    listeners: dict[str, tuple[str, int]],
) -> None:
    """A byte every half second: always something new, never a whole frame."""
    frame = HEADER.pack(b"MC", 1, 1, 16_000) + b"\x01" * 100
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address, 5)) for address in listeners.values()]
        alive = list(slow)
        for byte in frame:
            for sock in list(alive):
                with contextlib.suppress(OSError):
                    sock.sendall(bytes([byte]))
                if closed_within(sock, 0.5 / len(slow)):
                    alive.remove(sock)
            if not alive:
                break
            assert time.monotonic() - began < FRAME_TIMEOUT + 3, f"{len(alive)} still take bytes"
    assert time.monotonic() - began > FRAME_TIMEOUT - 1


def test_a_flood_of_silent_connections_keeps_nobody_out_and_lasts_no_longer_than_its_time(
    listeners: dict[str, tuple[str, int]], line: Topology
) -> None:
    """Six hundred that say nothing to a program with 512 handlers."""
    held = sockets(line.servers["s1"].pid)
    with contextlib.ExitStack() as stack:
        for name in ("s1", "n2", "bootstrap"):
            for _ in range(600):
                stack.enter_context(socket.create_connection(listeners[name], 5))
        assert contents_of(line.addresses.of("s1"))
        assert line.finds("n2", "clip")
        wait_until(lambda: sockets(line.servers["s1"].pid) <= held + 4, "the server to close them", 15)


def test_a_hello_with_the_right_token_from_another_address_gets_nothing(line: Topology) -> None:
    with subscribed(line.addresses.of("n2"), "clip") as subscription:
        with udp_from("127.0.0.99") as stranger:
            for _ in range(5):
                stranger.sendto(subscription.hello(), subscription.media_address)
                assert not receives(stranger)
        with udp_from(str(subscription.connection.local.ip)) as own:
            assert hears_media(own, subscription)


def test_a_hello_with_a_wrong_token_gets_nothing(line: Topology) -> None:
    wrong = pack_compound([ReceiverReport(1, ()), Sdes(1, "test"), token_app(1, bytes(16))])
    with subscribed(line.addresses.of("n2"), "clip") as subscription, udp_from("127.0.0.1") as own:
        for _ in range(5):
            own.sendto(wrong, subscription.media_address)
            assert not receives(own)
        assert hears_media(own, subscription)


def test_datagrams_of_strangers_disturb_no_viewer(line: Topology) -> None:
    """Garbage, RTP and a stranger's BYE to the port that media comes from."""
    viewer = line.client("n2")
    viewer.wait_for_media()
    with subscribed(line.addresses.of("n2"), "clip") as subscription, udp_from("127.0.0.1") as stranger:
        rtp = RTP.pack(0x80, 33, 1, 0, 0xBAD) + b"\x47" + bytes(187)
        bye = pack_compound([ReceiverReport(1, ()), Sdes(1, "x"), Bye((1,), "")])
        for _ in range(50):
            for datagram in (b"", b"\x80", rtp, bye, bytes(1500), subscription.hello()[:-5]):
                stranger.sendto(datagram, subscription.media_address)
        assert not receives(stranger)
    viewer.wait_for_media(viewer.written + 50_000)
    viewer.stop()
    line.assert_complete(viewer)


def test_media_of_another_stream_is_no_ones_media(line: Topology) -> None:
    """RTP of a wrong SSRC from the right address and port: a socket beside the node's own sends it."""
    viewer = line.client("n2")
    viewer.wait_for_media()
    with subscribed(line.addresses.of("n2"), "clip") as subscription:
        node = subscription.media_address
        for port in client_ports(line, node):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind(node)
                sock.connect(("127.0.0.1", port))
                for number in range(40):
                    sock.send(RTP.pack(0x80, 33, number, 0, 0xBAD) + b"\x47" + bytes(187))
                    sock.send(bytes(1316))
    viewer.wait_for_media(viewer.written + 50_000)
    viewer.stop()
    line.assert_complete(viewer)


def client_ports(line: Topology, node: tuple[str, int]) -> list[int]:
    """Return the local ports of those UDP sockets that are connected to a node's port."""
    remote = f"{int.from_bytes(socket.inet_aton(node[0]), 'little'):08X}:{node[1]:04X}"
    ports = [int(row[1].rpartition(":")[2], 16) for row in udp_rows("udp") if row[2] == remote]
    assert ports, line
    return ports


def receives(sock: socket.socket) -> bool:
    try:
        sock.recv(2000)
    except TimeoutError:
        return False
    return True


def hears_media(sock: socket.socket, subscription: Subscription) -> bool:
    """Say hello; return whether RTP of the stream comes."""
    for _ in range(10):
        sock.sendto(subscription.hello(), subscription.media_address)
        with contextlib.suppress(TimeoutError):
            data = sock.recv(2000)
            if len(data) > 200 and RTP.unpack_from(data)[4] == subscription.port.stream.ssrc:
                return True
    return False


def closed_within(sock: socket.socket, seconds: float) -> bool:
    """Return whether the other side closes; what it says before does not count."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            if not sock.recv(65_536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False
