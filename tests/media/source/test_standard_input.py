"""Standard input as a live input: read all the time, handed to who takes it, over when its writer ends."""

import contextlib
import errno
import fcntl
import os
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from helpers import Recorder, refuse_threads, wait_until
from mcast.errors import ConfigError
from mcast.media.source.cache import Cache
from mcast.media.source.catalogue import Catalogue
from mcast.media.source.ffmpeg import Child
from mcast.media.source.live import FIRST_BACKOFF, LiveSource
from mcast.media.source.live_inputs import LiveInputs
from mcast.media.source.server_config import ContentSpec
from mcast.media.source.standard_input import Fifo, StandardInput
from mcast.wire.mpegts import NULL_PACKET
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from media.source.test_live import frames

SPEC = ContentSpec("piped", "-", live=True, loop=False, copy=True, hold=0)


class Pipe:
    """Standard input, and the end that its writer holds."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self._reading, self.crash = reading, Recorder()
        self.input = StandardInput(self.crash, reading)
        self.input.start()

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self.writing, left) :]

    def end(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> None:
        self.input.stop()
        self.end()
        os.close(self._reading)
        assert self.crash.calls == []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with closing(Pipe()) as pipe:
        yield pipe


def read(child: Child, size: int) -> bytes:
    data = b""
    while len(data) < size and (block := os.read(child.stdout.fileno(), size - len(data))):
        data += block
    return data


def test_each_one_who_takes_it_gets_what_comes_from_then_on(pipe: Pipe) -> None:
    with pipe.input.start_child(["cat"]) as first:
        pipe.write(b"one")
        assert read(first, 3) == b"one"
        with pipe.input.start_child(["cat"]) as second:
            pipe.write(b"two")
            assert (read(first, 3), read(second, 3)) == (b"two", b"two")


def test_while_nobody_takes_it_its_writer_does_not_wait(pipe: Pipe) -> None:
    pipe.write(bytes(1 << 20))  # which no pipe holds
    pipe.end()
    wait_until(lambda: pipe.input.is_over)


def test_when_its_writer_ends_everybody_hears_of_it(pipe: Pipe) -> None:
    with pipe.input.start_child(["cat"]) as child:
        pipe.write(b"last")
        pipe.end()
        assert read(child, 100) == b"last"
    assert pipe.input.is_over
    with pipe.input.start_child(["cat"]) as late:
        assert read(late, 1) == b""


def test_one_who_has_gone_costs_the_others_nothing(pipe: Pipe) -> None:
    pipe.input.start_child(["true"]).close()
    with pipe.input.start_child(["cat"]) as child:
        pipe.write(b"on")
        assert read(child, 2) == b"on"


def test_what_a_look_has_taken_is_held_for_who_comes_behind_it(pipe: Pipe) -> None:
    taking = pipe.input.taking()
    with taking.start_look(["head", "-c", "3"]) as look:
        pipe.write(b"one")
        assert read(look, 3) == b"one"
        look.wait(30)
    pipe.write(b"two")
    pipe.end()
    wait_until(lambda: pipe.input.is_over)
    with taking.start_child(["cat"]) as child:
        assert read(child, 100) == b"onetwo"
    with taking.start_child(["cat"]) as late:
        assert read(late, 1) == b""


def test_what_is_held_is_bounded_and_let_go(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcast.media.source.standard_input.MAX_HELD", 100_000)
    taking = pipe.input.taking()
    taking.start_look(["true"]).close()
    os.set_blocking(pipe.writing, False)
    written = 0
    with contextlib.suppress(BlockingIOError):  # then the writer waits
        while written < 10_000_000:
            written += os.write(pipe.writing, bytes(4096))
            wait_until(lambda: not waiting(pipe) or pipe.input._is_full())
    assert written < 1_000_000
    taking.let_go()
    wait_until(lambda: not waiting(pipe), "what was held up to be thrown away")


def waiting(pipe: Pipe) -> int:
    """Return the bytes that wait in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe.writing, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_it_ends_in_spite_of_one_who_does_not_read(pipe: Pipe) -> None:
    with pipe.input.start_child(["sleep", "60"]):
        pipe.write(bytes(1 << 17))
        began = time.monotonic()
        pipe.input.stop()
        assert time.monotonic() - began < 3


@pytest.mark.ffmpeg
def test_a_stream_that_is_piped_is_sent_as_it_is_and_ends_with_the_pipe(pipe: Pipe) -> None:
    source = LiveSource(
        SPEC, Position(7, 0), time.monotonic(),
        start_child=pipe.input.start_child, is_over=lambda: pipe.input.is_over,
    )  # fmt: skip
    data, came = frames(0, 30), bytearray()

    def look(until: Callable[[], bool]) -> bool:
        for train in source.due(time.monotonic()):
            for one in train.datagrams():
                if (payload := bytes(one[HEADER_SIZE:])) != NULL_PACKET:
                    came.extend(payload)
        return until()

    with closing(source):
        look(lambda: True)
        pipe.write(data)
        pipe.end()
        wait_until(lambda: look(lambda: source.ended), "the end")
    assert data.startswith(bytes(came))
    assert len(came) > 0.8 * len(data)


COPY = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(4))"]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def no_more(*_: object) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_descriptors_it_is_said_in_a_line_and_nothing_is_held(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = pipe.input.taking()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", no_more)
        with pytest.raises(ConfigError, match="cannot be started: Too many open files"):
            taking.start_child(COPY)
    with pytest.raises(ConfigError, match="cannot be started: No such file"):
        taking.start_look(["/nowhere/ffprobe"])
    pipe.write(b"live")  # wakes the thread, which looks who has left
    wait_until(lambda: waiting(pipe) == 0)
    with taking.start_child(COPY) as child:
        pipe.write(b"live")
        assert read(child, 4) == b"live"


def test_a_fifo_that_is_made_anew_can_be_opened_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash, path, before = Recorder(), tmp_path / "camera", descriptors()
    fifo = Fifo(path, "studio", crash)
    with pytest.raises(ConfigError, match="camera cannot be read: No such file"):
        fifo.start_child(COPY)
    os.mkfifo(path)
    with monkeypatch.context() as patch:
        patch.setattr("mcast.media.source.standard_input.Waker", no_more)
        with pytest.raises(ConfigError, match="camera cannot be read: Too many open files"):
            fifo.start_child(COPY)
        assert descriptors() == before
    with fifo.start_child(COPY) as child:
        path.write_bytes(b"live")
        assert read(child, 4) == b"live"
    fifo.let_go()
    assert crash.calls == []


def test_a_reload_that_cannot_read_standard_input_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = ContentSpec("camera", "udp://127.0.0.1:9", live=True, loop=False)
    catalogue = Catalogue([camera], Path("server.toml"), Cache(tmp_path))
    crash = Recorder()
    catalogue.start(lambda: None, crash)
    with monkeypatch.context() as patch:
        patch.setattr("mcast.media.source.standard_input.Waker", no_more)
        with pytest.raises(ConfigError, match="standard input cannot be read: Too many open files"):
            catalogue.reload([SPEC])
    with monkeypatch.context() as patch:
        refuse_threads(patch, "stdin")
        with pytest.raises(ConfigError, match="can't start new thread"):
            catalogue.reload([SPEC])
    assert catalogue.names == ("camera",)
    catalogue.stop()
    assert crash.calls == []


@pytest.mark.ffmpeg
def test_a_fifo_that_is_removed_while_it_is_taken_is_looked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fifo, crash = tmp_path / "camera", Recorder()
    os.mkfifo(fifo)
    spec, inputs = ContentSpec("camera", str(fifo), live=True, loop=False), LiveInputs()
    inputs.follow([spec], crash)
    with closing(inputs.open(spec, Position(7, 0))) as source:
        fifo.unlink()
        source.due(time.monotonic())
        assert f"again in 0.5 s: {fifo} cannot be read: No such file or directory" in caplog.text
        os.mkfifo(fifo)
        source.due(time.monotonic() + FIRST_BACKOFF)
        assert (source.pid is None, source.ended) == (False, False)
    inputs.stop()
    assert crash.calls == []


def test_an_input_that_breaks_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    crash, reset = Recorder(), OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    broken = StandardInput(crash, reading)
    with monkeypatch.context() as patch:

        def read_nothing(*_: object) -> NoReturn:
            raise reset

        patch.setattr("mcast.media.source.standard_input.os.read", read_nothing)
        broken.start()
        os.write(writing, b"live")
        wait_until(lambda: broken.is_over)
    broken.stop()
    for end in (reading, writing):
        os.close(end)
    assert crash.calls == []
