"""What the tests of the gateway share: a real transport stream, and subscriptions that play it."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest

from fixtures import crash
from helpers import Recorder, locked
from machine import need_ffmpeg
from mcast.client import Statistics, Subscription
from mcast.client.directory import Directory
from mcast.config.key_file import KeyRing
from mcast.errors import McastError, NotFoundError
from mcast.gateway.gateway import Gateway
from mcast.hostport import HostPort
from mcast.web.access import Access
from mcast.web.service import Settings
from mcast.wire.content import ContentInfo
from mcast.wire.mpegts import PACKET

__all__ = ["crash"]

SECONDS = 4  # of the stream
SPEED = 4.0  # times real time: a test does not wait for the clock of a stream
KEYFRAME_SECONDS = 1
KEY = "the-key's_16+signs:@/?#%&"
"""Its characters have a meaning in URLs."""


@pytest.fixture(scope="session")
def stream(shared_directory: Path) -> bytes:
    """Four seconds of H.264 and AAC, a keyframe every second: PAT, PMT, picture, as servers make them."""
    need_ffmpeg()
    file = shared_directory / "gateway.ts"
    with locked(shared_directory / "gateway.lock"):
        if not file.exists():
            part = file.with_suffix(f".{os.getpid()}.part")
            make(part)
            part.replace(file)
    return file.read_bytes()


def make(file: Path, *, video: bool = True) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25") if video else ()
    subprocess.run(
        [
            "ffmpeg", "-v", "error", "-y", *picture,
            "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
            "-t", str(SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
            "-g", str(25 * KEYFRAME_SECONDS), "-sc_threshold", "0", "-c:a", "aac", "-f", "mpegts",
            "-pat_period", "3600", "-sdt_period", "3600", "-muxdelay", "0.3", str(file),
        ],
        check=True,
    )  # fmt: skip


class Played:
    """A subscription that plays a stream again and again, each round with the clock set back."""

    def __init__(
        self, stream: bytes, error: McastError | None = None, rounds: int = 1000, speed: float = SPEED
    ) -> None:
        self._stream, self._error, self._rounds = stream, error, rounds
        self._rate = len(stream) / SECONDS * speed  # bytes a second
        self._began, self._sent = 0.0, 0
        self.breaks, self.awaited, self.doubt, self.is_silent = 0, "", "", False
        self.lost: McastError | None = None  # what ends the stream, though its content goes on
        self.joinable = threading.Event()
        self.joinable.set()
        self.closed = threading.Event()

    def start(self, _cancelled: Callable[[], bool]) -> None:
        self._began = time.monotonic()

    def wait_joined(self, timeout: float) -> bool:
        if not self.joinable.wait(timeout):
            return False
        if self._error is not None:
            raise self._error
        return True

    def read(self, timeout: float | None = None) -> bytes:
        if self.lost is not None:
            raise self.lost
        if self.is_silent and not self.closed.wait(timeout):
            raise TimeoutError
        if self.closed.wait(min(0.01, timeout or 0.01)) or self._sent >= len(self._stream) * self._rounds:
            return b""
        due = int((time.monotonic() - self._began) * self._rate)
        due = min(due - due % PACKET, len(self._stream) * self._rounds)
        if due <= self._sent:
            raise TimeoutError
        start = self._sent % len(self._stream)
        chunk = self._stream[start : start + due - self._sent]
        self._sent += len(chunk)
        return chunk

    def end(self) -> None:
        """Have the content be over behind the present round."""
        self._rounds = self._sent // len(self._stream) + 1

    def close(self) -> None:
        self.closed.set()

    def statistics(self) -> Statistics:
        return Statistics(
            path=("rp", "n1"), latency_ms=500.0, clock_delay_ms=12.34, bytes=self._sent, lost_datagrams=3,
            repaired_datagrams=17,
        )  # fmt: skip


class Overlay:
    """What a gateway subscribes to; the tests say what there is."""

    def __init__(self, stream: bytes) -> None:
        self.stream, self.made = stream, list[tuple[str, Played]]()
        self.contents = [ContentInfo("earth", format="h264/aac", duration_ms=4000, loop=True, width=320)]
        self.unreachable: McastError | None = None
        self.mute: McastError | None = None  # why nobody tells which contents there are
        self.joinable = threading.Event()  # it does not take for ever to join
        self.joinable.set()
        self.failures: dict[str, McastError] = {}
        self.rounds, self.speed = 1000, SPEED
        self.awaited = self.doubt = ""  # what all wait for, and nothing comes

    @property
    def names(self) -> set[str]:
        return {info.name for info in self.contents}

    def subscribe(self, content: str) -> Subscription:
        error = self.failures.get(content) or self.unreachable
        if error is None and content not in self.names:
            error = NotFoundError(f"no server has '{content}'")
        played = Played(self.stream, error, self.rounds, self.speed)
        played.awaited, played.doubt, played.joinable = self.awaited, self.doubt, self.joinable
        played.is_silent = bool(self.awaited or self.doubt)
        self.made.append((content, played))
        return cast(Subscription, played)

    def ask(self, _patience: float) -> Directory:
        if error := self.unreachable or self.mute:
            raise error
        return Directory(tuple(sorted(self.contents, key=lambda info: info.name)))

    def running(self) -> list[str]:
        """Return the contents that are subscribed now."""
        return [content for content, played in self.made if not played.closed.is_set()]


@pytest.fixture
def overlay(stream: bytes) -> Overlay:
    return Overlay(stream)


def cut_viewers(gateway: Gateway) -> None:
    """Close the connections of all viewers, as the service does with those that do not read."""
    for connection in tuple(gateway._service._connections):
        connection.close()


def gateway_to(overlay: Overlay, crash: Recorder, access: Access) -> Gateway:
    """Return a gateway, not started yet, which leaves contents soon."""
    settings = Settings(HostPort("127.0.0.1", 0), access, cors=True)
    return Gateway(settings, overlay.subscribe, overlay.ask, crash, linger=0.2)


@pytest.fixture
def gateway(overlay: Overlay, crash: Recorder) -> Iterator[Gateway]:
    """A gateway to that overlay, for whoever comes."""
    with gateway_to(overlay, crash, Access()) as gateway:
        yield gateway


@pytest.fixture
def guarded(overlay: Overlay, crash: Recorder) -> Iterator[Gateway]:
    """A gateway to that overlay, for who has the key."""
    with gateway_to(overlay, crash, Access(keys=KeyRing((KEY.encode(),)))) as gateway:
        yield gateway


def keyed(gateway: Gateway) -> str:
    """Return the gateway's URL with the key in it, as documented for players."""
    return f"http://any:{quote(KEY, safe='')}@{gateway.address}"
