"""The benchmark's C programs, each with a datagram or two; and what stands for a player of RTMP."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.relays import receivers, rtmp
from bench.relays.children import pictures_begun
from helpers import line_with, unused_port
from mcast.hostport import HostPort
from tools.demo.processes import wait_until

HERE = "127.0.0.1"
SOURCES = Path(receivers.C_PROGRAMS)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile them beside nothing that is in the checkout."""
    place = tmp_path_factory.mktemp("c") / "c"
    shutil.copytree(SOURCES, place, ignore=lambda _, names: [name for name in names if "." not in name[1:]])
    shutil.copy(SOURCES / "Makefile", place)
    subprocess.run(["make", "--silent", "-C", str(place)], check=True)
    return place


@pytest.fixture
def here(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the benchmark run those, on any core."""
    monkeypatch.setattr(receivers, "C_PROGRAMS", programs)
    monkeypatch.setattr(receivers, "on_core", lambda _, command: list(command))
    return programs


def rtp(number: int, payload: bytes, ticks: int = 0) -> bytes:
    stamp = (ticks % (1 << 32)).to_bytes(4, "big")
    return bytes([0x80, 33]) + number.to_bytes(2, "big") + stamp + bytes(4) + payload


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HERE, 0))
    sock.settimeout(5.0)
    return sock


def media(of: str) -> bytes:
    return of.encode() * 188


@contextlib.contextmanager
def relay(programs: Path, mode: str, routes: str, folder: Path) -> Iterator[None]:
    (folder / "routes").write_text(routes)
    command = [str(programs / "relay"), mode, str(folder / "routes")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line_with("ready", process, process.stdout)
            yield
        finally:
            process.kill()


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("mode", "came"),
    [("trains", rtp(1, media("a"))), ("single", rtp(1, media("a"))), ("payload", media("a"))],
)
def test_a_relay_copies_to_all_with_or_without_the_rtp_header(
    here: Path, tmp_path: Path, mode: str, came: bytes
) -> None:
    port = unused_port()
    with udp() as sender, udp() as one, udp() as other:
        ends = [f"{HERE}:{sock.getsockname()[1]}" for sock in (one, other)]
        with relay(here, mode, f"{port} {' '.join(ends)}\n", tmp_path):
            sender.sendto(rtp(1, media("a")), (HERE, port))
            assert [one.recv(2000), other.recv(2000)] == [came, came]


@pytest.mark.compiler
def test_a_train_loses_the_header_of_each_of_its_datagrams(here: Path, tmp_path: Path) -> None:
    port = unused_port()
    with udp() as sender, udp() as child:
        sender.setsockopt(socket.IPPROTO_UDP, 103, 12 + 188)  # UDP_SEGMENT
        with relay(here, "payload", f"{port} {HERE}:{child.getsockname()[1]}\n", tmp_path):
            sender.sendto(rtp(1, media("a")) + rtp(2, media("b")) + rtp(3, media("c")[:100]), (HERE, port))
            assert [child.recv(2000) for _ in range(3)] == [media("a"), media("b"), media("c")[:100]]


@pytest.mark.compiler
@pytest.mark.usefixtures("here")
def test_a_sink_counts_what_comes_to_any_address_of_its_ports() -> None:
    port = unused_port()
    with receivers.sink(1, port) as sink, udp() as sender:
        for child in ("127.0.1.1", "127.0.1.2"):
            for number in (7, 8, 10):
                sender.sendto(rtp(number, media("a")), (child, port))
        found: list[receivers.Counts] = []

        def all_came() -> bool:
            found.append(sink.take())
            return sum(content.rtp for counts in found for content in counts.contents) == 6

        wait_until(all_came, "six datagrams")
        assert sum(counts.bytes for counts in found) == 6 * (12 + 188)


@pytest.mark.compiler
@pytest.mark.usefixtures("here")
def test_a_sink_tells_of_each_port_how_far_its_numbers_and_its_clock_went_on() -> None:
    first = unused_port(3)
    with receivers.sink(3, first) as sink, udp() as sender:
        begun = (1 << 32) - 900  # so its clock wraps, too
        for number, ticks in ((65_534, 0), (65_535, 900), (1, 1800), (0, 900), (4, 2700)):
            sender.sendto(rtp(number, media("a"), begun + ticks), (HERE, first))
        sender.sendto(rtp(7, media("a")), (HERE, first + 2))
        found = receivers.Counts(0, (receivers.Progress(),) * 3)

        def all_came() -> bool:
            nonlocal found
            found += sink.take()
            return [content.rtp for content in found.contents] == [5, 0, 1]

        wait_until(all_came, "six datagrams")
    assert [content.span for content in found.contents] == [6, 0, 0]
    assert [content.seconds for content in found.contents] == [0.03, 0.0, 0.0]


def test_loss_is_what_did_not_come_to_all_children_of_the_numbers_that_went_by() -> None:
    def loss(rtp: int, span: int, seconds: float = 1.0) -> float:
        counts = receivers.Counts(1000, (receivers.Progress(rtp, span, seconds),))
        return counts.loss(2, receivers.Owed(seconds=1.0, datagrams=16))

    assert loss(30, 16) == 1 - 30 / 32
    assert loss(33, 16) == 0.0
    assert loss(20, 10) == 0.0, "that is all there was in this second"
    assert loss(20, 10, seconds=0.7) == 1 - 20 / 32, "and in this one there was more"
    assert loss(40, 20, seconds=0.7) == 0.0


@pytest.mark.compiler
@pytest.mark.usefixtures("here")
def test_a_reader_counts_what_comes_by_tcp_and_tells_of_viewers_that_were_cut() -> None:
    with socket.create_server((HERE, 0)) as listener:
        ends = [(socket.create_connection(listener.getsockname()), listener.accept()[0]) for _ in range(3)]
    with receivers.reader([theirs for _, theirs in ends]) as reader:
        for ours, _ in ends:
            ours.sendall(bytes(1000))
        total = 0

        def is_read() -> bool:
            nonlocal total
            total += reader.take().bytes
            return total == 3000

        wait_until(is_read, "all to be read")
        ends[0][0].close()
        with pytest.raises(RuntimeError, match="1 viewers have been cut"):
            wait_until(lambda: reader.take() is None, "the cut")
    for ours, _ in ends:
        ours.close()


@pytest.mark.compiler
@pytest.mark.usefixtures("here")
def test_a_probe_tells_how_much_later_datagrams_come_than_at_the_tap() -> None:
    tap, child = unused_port(), unused_port()
    ends = [f"127.0.1.{number}:{child}" for number in (1, 2)]
    with receivers.probe(f"{HERE}:{tap}", ends, 0) as probe, receivers.sink(1, child), udp() as sender:
        began = time.monotonic()
        for number in range(100):
            sender.sendto(rtp(number, media("a")), (HERE, tap))
        time.sleep(0.02)
        for number in range(99):
            for host in ("127.0.1.1", "127.0.1.2"):
                sender.sendto(rtp(number, media("a")), (host, child))
        after = time.monotonic()
        # What is asked for is taken from the sockets first, and the kernel has stamped it.
        answer = probe.ask()
        assert (answer["tapped"], answer["came"]) == (200, 198)
        assert 20_000 <= answer["p50"] <= answer["p99"] <= answer["most"] <= (after - began) * 1e6


# A player of RTMP


def test_a_player_shakes_hands_connects_makes_a_stream_and_plays() -> None:
    asked: list[bytes] = []

    def hear(peer: socket.socket) -> None:
        data = peer.recv(65_536)
        assert data, "the player has hung up"
        asked.append(data)

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(5.0)
            while sum(map(len, asked)) < 1 + rtmp.HANDSHAKE_BYTES:
                hear(peer)
            peer.sendall(b"\x03" + bytes(2 * rtmp.HANDSHAKE_BYTES))
            while b"createStream" not in b"".join(asked):
                hear(peer)
            peer.sendall(b"..._result..._result...")
            while b"s7" not in b"".join(asked):
                hear(peer)
            peer.sendall(b"media")

    with socket.create_server((HERE, 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with rtmp.play(HostPort(HERE, listener.getsockname()[1]), "live", "s7") as sock:
            assert sock.recv(100) == b"media"
        thread.join()
    words = b"".join(asked)
    assert all(word in words for word in (b"connect", b"tcUrl", b"createStream", b"play", b"s7"))


def test_a_server_that_closes_is_an_error_of_the_system() -> None:
    with socket.create_server((HERE, 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        with pytest.raises(OSError, match=r"closed|reset"):
            rtmp.play(HostPort(HERE, listener.getsockname()[1]), "live", "s7")
        thread.join()


# Pictures


def packet(*, begins: bool, stream: int = 0xE0, adaptation: int = 0) -> bytes:
    head = bytes([0x47, 0x40 if begins else 0, 0x00, 0x30 if adaptation else 0x10])
    field = bytes([adaptation - 1]) + bytes(adaptation - 1) if adaptation else b""
    return (head + field + bytes([0, 0, 1, stream])).ljust(188, b"\xff")


def test_pictures_are_counted_where_a_video_pes_begins() -> None:
    picture, far_in, sound = (
        packet(begins=True),
        packet(begins=True, adaptation=8),
        packet(begins=True, stream=0xC0),
    )
    train = rtp(1, picture + packet(begins=False)) + rtp(2, sound + far_in) + rtp(3, picture)
    assert pictures_begun(train, 12 + 2 * 188) == 3
