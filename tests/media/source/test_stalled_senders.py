"""Live inputs whose sender stops in the middle: asked again after `stall`, while their viewers stay."""

import contextlib
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from helpers import PATIENCE, unused_port, wait_until
from mcast.media.source.live import LiveSource
from mcast.media.source.server_config import STALL, ContentSpec
from mcast.wire.mpegts import NULL_PACKET, PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from media.source.clips import film
from media.source.senders import HttpSender

pytestmark = pytest.mark.ffmpeg

PART = 500
"""Packets of it, 1.8 s: more than ffmpeg and ffprobe want to see of an input before they say what it is."""
QUICK = ("-analyzeduration", "500000", "-probesize", "50000")
STEP = 0.1


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("sent") / "film.ts", 8)


class Viewer:
    """Takes what a live source brings, by a clock that can be put forward."""

    def __init__(self, source: str, *, copy: bool) -> None:
        options = () if copy else QUICK
        # A busy machine may take its time to begin again.
        spec = ContentSpec(
            "news", source, live=True, loop=False, copy=copy, input_options=options, hold=2 * PATIENCE
        )
        self._ahead = 0.0
        self.source = LiveSource(spec, Position(7, 0), self.now)
        self.numbers: list[int] = []
        self.media = bytearray()

    @property
    def now(self) -> float:
        return time.monotonic() + self._ahead

    def look(self) -> None:
        for train in self.source.due(self.now):
            self.numbers += range(train.first, train.next)
            payloads = (bytes(one[HEADER_SIZE:]) for one in train.datagrams())
            self.media += b"".join(payload for payload in payloads if payload != NULL_PACKET)

    def until(self, condition: Callable[[], object], what: str = "media") -> None:
        def holds() -> object:
            self.look()
            return condition()

        wait_until(holds, what, timeout=2 * PATIENCE)

    def take(self, packets: int = 40) -> None:
        """Wait for media."""
        size = len(self.media) + packets * PACKET
        self.until(lambda: len(self.media) >= size)

    def pass_time(self, condition: Callable[[], object], what: str) -> None:
        """Look on, while time flies, until something has happened."""

        def has_happened() -> object:
            self._ahead += STEP
            self.look()
            return condition()

        wait_until(has_happened, what)

    def assert_kept(self) -> None:
        """Fail unless what has come is a stream without a gap, which goes on."""
        assert self.numbers == list(range(len(self.numbers)))
        assert not self.source.ended

    def close(self) -> None:
        self.source.close()


def restarts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.fields["reason"]  # type: ignore[attr-defined]
        for record in caplog.records
        if getattr(record, "event", "") == "live_input_ended"
    ]


@pytest.mark.parametrize("copy", [True, False], ids=["copied", "encoded"])
def test_an_http_server_that_falls_silent_is_asked_again_until_media_comes(
    clip: Path, copy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sender = HttpSender(clip.read_bytes(), PART)
    with closing(sender), closing(Viewer(sender.url, copy=copy)) as viewer:
        viewer.take()
        before, first = sender.asked, viewer.source.pid
        sender.go_on()  # for who asks anew
        viewer.pass_time(lambda: restarts(caplog), "a restart")
        assert restarts(caplog) == [f"nothing came for {STALL} s"]
        viewer.take()
        assert sender.asked > before
        assert viewer.source.pid not in (None, first)
        assert not viewer.source.is_silent
        viewer.assert_kept()


@pytest.fixture
def port() -> int:
    return unused_port()


@contextlib.contextmanager
def rtp_sender(clip: Path, port: int) -> Iterator[None]:
    """Send a film as RTP, again and again and at its pace, as each ffmpeg does: under an SSRC of its own."""
    target = ("-c", "copy", "-f", "rtp_mpegts", f"rtp://127.0.0.1:{port}")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip), *target]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("copy", [True, False], ids=["copied", "encoded"])
def test_an_rtp_sender_that_comes_back_after_long_is_heard_by_another_ffmpeg(
    clip: Path, port: int, copy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with closing(Viewer(f"rtp://127.0.0.1:{port}", copy=copy)) as viewer:
        with rtp_sender(clip, port):
            viewer.take()
        viewer.pass_time(lambda: restarts(caplog), "a restart")
        assert restarts(caplog) == [f"nothing came for {STALL} s"]
        with rtp_sender(clip, port):
            viewer.take()
        viewer.assert_kept()


def test_an_rtp_sender_that_comes_back_soon_is_heard_by_the_same_ffmpeg(clip: Path, port: int) -> None:
    with closing(Viewer(f"rtp://127.0.0.1:{port}", copy=True)) as viewer:
        with rtp_sender(clip, port):
            viewer.take()
        first = viewer.source.pid
        with rtp_sender(clip, port):
            viewer.take()
        assert viewer.source.pid == first
        viewer.assert_kept()
