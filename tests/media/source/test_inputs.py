"""Live inputs with real senders: what a sender sends comes out, and where it is copied, byte for byte."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from helpers import PATIENCE, group_of, is_bound, is_joined, locked, unused_port, wait_until
from machine import need_ffmpeg, unprivileged, unprivileged_home
from mcast.media.datagrams import DatagramOutput, Destination
from mcast.media.source.live import LiveSource
from mcast.media.source.server_config import ContentSpec
from mcast.net.addresses import SockAddr
from mcast.net.threads import CrashBox
from mcast.wire.mpegts import NULL_PACKET, PACKET, starts_with_pat
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from media.source.transport import run

pytestmark = pytest.mark.ffmpeg


@pytest.fixture(scope="module")
def clip(shared_directory: Path) -> Path:
    """Ten seconds as a muxer makes them that knows nothing of us; a keyframe every half second."""
    need_ffmpeg()
    file = shared_directory / "sent.ts"
    with locked(shared_directory / "sent.lock"):
        if not file.exists():
            run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=10",
                "-f", "lavfi", "-i", "sine=duration=10", "-c:v", "libx264", "-preset", "ultrafast",
                "-g", "12", "-c:a", "aac", "-f", "mpegts", file)  # fmt: skip
    return file


@pytest.fixture(scope="module")
def sent(clip: Path, shared_directory: Path) -> bytes:
    """What ffmpeg sends of the clip: it makes packets of its own."""
    file = shared_directory / "as-sent.ts"
    with locked(shared_directory / "as-sent.lock"):
        if not file.exists():
            run("ffmpeg", "-v", "error", "-i", clip, "-c", "copy", "-f", "mpegts", file)
    return file.read_bytes()


@pytest.fixture
def port() -> int:
    return unused_port()


Send = Callable[..., None]


@pytest.fixture
def send(clip: Path) -> Iterator[Send]:
    """Send the clip, at its pace, with an ffmpeg that is ended behind the test."""
    with ExitStack() as stack:

        def send(*target: str) -> None:
            command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", str(clip), "-c", "copy", *target]
            process = subprocess.Popen(command, stderr=subprocess.PIPE)
            stack.callback(lambda: print(process.communicate()[1].decode()))  # which a failing test shows
            stack.callback(process.kill)

        yield send


def live(source: str, *options: str, copy: bool = True) -> ContentSpec:
    return ContentSpec("news", source, live=True, loop=False, input_options=options, copy=copy, hold=0,
                       stall=120)  # fmt: skip


class Viewer:
    """Takes what a live source brings."""

    def __init__(self, spec: ContentSpec) -> None:
        self.source = LiveSource(spec, Position(7, 0), time.monotonic())
        self.payloads: list[bytes] = []

    @property
    def came(self) -> bytes:
        return b"".join(self.payloads)

    def look(self) -> None:
        for train in self.source.due(time.monotonic()):
            payloads = (bytes(one[HEADER_SIZE:]) for one in train.datagrams())
            self.payloads += [payload for payload in payloads if payload != NULL_PACKET]

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> object:
            self.look()
            return condition()

        wait_until(holds, "media", timeout=2 * PATIENCE)  # a busy machine decodes and encodes, too

    def close(self) -> None:
        self.source.close()


def sees(spec: ContentSpec, begin: Callable[[Viewer], None], *, packets: int = 200) -> bytes:
    """Return what a viewer gets of a source, once a keyframe and so many packets are among it."""
    viewer = Viewer(spec)
    with closing(viewer):
        viewer.look()  # which starts it
        begin(viewer)
        viewer.until(lambda: len(viewer.came) > packets * PACKET and has_start(viewer))
    assert all(payload[::PACKET] == b"\x47" * (len(payload) // PACKET) for payload in viewer.payloads)
    return viewer.came


def has_start(viewer: Viewer) -> bool:
    return any(starts_with_pat(payload, 0) for payload in viewer.payloads)


def test_udp_is_copied_byte_for_byte(sent: bytes, port: int, send: Send) -> None:
    def begin(viewer: Viewer) -> None:
        viewer.until(lambda: is_bound(port))
        send("-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316")

    assert sees(live(f"udp://127.0.0.1:{port}"), begin) in sent


def test_a_multicast_group_is_copied_byte_for_byte(sent: bytes, port: int, send: Send) -> None:
    group = group_of(port)

    def begin(viewer: Viewer) -> None:
        viewer.until(lambda: is_joined(group))
        send("-f", "mpegts", f"udp://{group}:{port}?pkt_size=1316&localaddr=127.0.0.1&ttl=0")

    assert sees(live(f"udp://{group}:{port}?localaddr=127.0.0.1"), begin) in sent


def test_rtp_is_copied_without_its_headers(clip: Path, port: int) -> None:
    def begin(viewer: Viewer) -> None:
        viewer.until(lambda: is_bound(port))
        output.write(clip.read_bytes())

    destination = Destination(("127.0.0.1", port), rtp=True)
    output = DatagramOutput(destination, "rtp://here", CrashBox(threading.Event()))
    try:
        assert sees(live(f"rtp://127.0.0.1:{port}"), begin) in clip.read_bytes()
    finally:
        output.close(drain=False)


def test_rtp_that_overtakes_itself_is_copied_in_order(clip: Path, port: int) -> None:
    with closing(Shuffling(port)) as way:

        def begin(viewer: Viewer) -> None:
            viewer.until(lambda: is_bound(port))
            output.write(clip.read_bytes())

        output = DatagramOutput(Destination(way.address, rtp=True), "rtp://here", CrashBox(threading.Event()))
        try:
            assert sees(live(f"rtp://127.0.0.1:{port}"), begin) in clip.read_bytes()
        finally:
            output.close(drain=False)


class Shuffling:
    """A way on which each third datagram comes behind the two that were sent after it."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address: SockAddr = self._sock.getsockname()
        self._to = ("127.0.0.1", port)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while all(three := [self._sock.recv(2_000) for _ in range(3)]):
            for datagram in (three[1], three[2], three[0]):
                self._sock.sendto(datagram, self._to)

    def close(self) -> None:
        for _ in range(3):
            self._sock.sendto(b"", self.address)
        self._thread.join()
        self._sock.close()


def test_a_caller_by_srt_is_copied_byte_for_byte(sent: bytes, port: int, send: Send) -> None:
    def begin(viewer: Viewer) -> None:
        viewer.until(lambda: is_bound(port))
        send("-f", "mpegts", f"srt://127.0.0.1:{port}?pkt_size=1316")

    assert sees(live(f"srt://127.0.0.1:{port}?mode=listener"), begin) in sent


def test_a_listener_by_srt_is_called_and_copied_byte_for_byte(sent: bytes, port: int, send: Send) -> None:
    send("-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener&pkt_size=1316")
    wait_until(lambda: is_bound(port), "the sender to listen")
    assert sees(live(f"srt://127.0.0.1:{port}"), lambda _: None) in sent


@pytest.mark.players
def test_srt_live_transmit_is_copied_byte_for_byte(sent: bytes, clip: Path, port: int) -> None:
    with ExitStack() as stack:

        def begin(viewer: Viewer) -> None:
            viewer.until(lambda: is_bound(port))
            read = [
                "ffmpeg",
                "-v",
                "error",
                "-nostdin",
                "-re",
                "-i",
                str(clip),
                "-c",
                "copy",
                "-f",
                "mpegts",
                "-",
            ]
            ffmpeg = stack.enter_context(ended(subprocess.Popen(read, stdout=subprocess.PIPE)))
            hand_on = ["srt-live-transmit", "-q", "-chunk:1316", "file://con", f"srt://127.0.0.1:{port}"]
            stack.enter_context(ended(subprocess.Popen(hand_on, stdin=ffmpeg.stdout)))

        assert sees(live(f"srt://127.0.0.1:{port}?mode=listener"), begin) in sent


@pytest.mark.players
def test_rtsp_is_pulled_from_vlc_and_encoded(clip: Path, port: int) -> None:
    with unprivileged_home() as home, ExitStack() as stack:
        film = home / "film.ts"
        film.write_bytes(clip.read_bytes())
        film.chmod(0o644)
        serve = [
            "cvlc", "--no-interact", "--loop", "--rtsp-host=127.0.0.1", str(film),
            f"--sout=#rtp{{sdp=rtsp://127.0.0.1:{port}/news}}", "--sout-keep",
        ]  # fmt: skip
        stack.enter_context(
            ended(
                subprocess.Popen(
                    unprivileged(serve, home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        )
        wait_until(lambda: is_bound(port, "tcp"), "VLC to listen", timeout=PATIENCE)
        sees(live(f"rtsp://127.0.0.1:{port}/news", copy=False), lambda _: None)


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Give a process that has ended behind it."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_fifo_is_copied_byte_for_byte(clip: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):  # its reader goes before it has all
            fifo.write_bytes(clip.read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        came = sees(live(str(fifo)), lambda _: None)
    finally:
        with contextlib.suppress(OSError):  # the writer, who waits for a reader, gets one
            os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()
    assert came in clip.read_bytes()


def test_rtmp_is_pulled_and_encoded(port: int, send: Send) -> None:
    send("-f", "flv", "-listen", "1", f"rtmp://127.0.0.1:{port}/live/news")
    sees(live(f"rtmp://127.0.0.1:{port}/live/news", copy=False), lambda _: None)
