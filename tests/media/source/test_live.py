import fcntl
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from helpers import wait_until
from mcast.errors import ConfigError
from mcast.media.source.ffmpeg import Child
from mcast.media.source.live import FIRST_BACKOFF, MAX_AHEAD, LiveSource
from mcast.media.source.server_config import ContentSpec
from mcast.wire.mpegts import NULL_PACKET, PACKET, PAT_PID, pid_at, random_access_at
from mcast.wire.position import Position
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import Train
from media.source.transport import PMT, complaints, packet, packets, pat

pytestmark = pytest.mark.ffmpeg

SPEC = ContentSpec(
    "studio", "testsrc2=size=160x120:rate=25", live=True, format="lavfi", paced=True, loop=False, hold=0
)
START = 1_000.0
FRAME = 27_000_000 // 25


def frames(first: int, count: int, size: int = 7) -> bytes:
    """Make a stream: a frame every 40 ms, each 25th a keyframe."""
    parts = []
    for number in range(first, first + count):
        if number % 25 == 0:
            parts += [pat(), packet(PMT, start=True)]
        parts += [packet(start=True, pcr=number * FRAME), *[packet()] * (size - 1)]
    return b"".join(parts)


class Bench:
    """A live source whose ffmpeg is a file (or FIFO) that the test writes, and whose clock is the test's."""

    def __init__(self, directory: Path, position: Position) -> None:
        self.directory, self.runs, self.commands = directory, 0, list[list[str]]()
        self.source = LiveSource(SPEC, position, START, start_child=self._start)
        self.sent: list[tuple[float, int, int, bytes]] = []  # moment, number, RTP time, payload
        self.now = START
        self.code, self.waits = "", False
        self.is_missing = False

    def _start(self, command: list[str]) -> Child:
        if self.is_missing:
            raise ConfigError("ffmpeg cannot be started: no such file")
        self.runs += 1
        self.commands.append(command)
        child = Child([sys.executable, "-c", self.code])
        fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
        if self.waits:  # the test's clock must not outrun the child
            wait_until(lambda: "written" in child.last_lines(), "the child to write")
        return child

    def write(self, data: bytes, then: str = "import time; time.sleep(60)") -> None:
        """Let the next ffmpeg write this."""
        path = self.directory / f"run-{self.runs}"
        path.write_bytes(data)
        self.code = f"import sys; sys.stdout.buffer.write(open({str(path)!r}, 'rb').read())\n"
        self.code += f"sys.stdout.flush(); print('written', file=sys.stderr, flush=True); {then}"
        self.waits = len(data) <= 1 << 20

    def look(self) -> list[Train]:
        trains = self.source.due(self.now)
        for train in trains:
            for index, one in enumerate(train.datagrams()):
                self.sent.append(
                    (self.now, train.first + index, train.timestamp(index), bytes(one[HEADER_SIZE:]))
                )
        return trains

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.look()
            self.now += 0.01

    def until_media(self, count: int = 1) -> None:
        """Let the child's bytes come; our clock stands still meanwhile."""

        def has_come() -> bool:
            self.look()
            return len(self.media()) >= count

        wait_until(has_come)

    def until_gone(self) -> None:
        """Let the child end; our clock stands still meanwhile."""

        def is_gone() -> bool:
            self.look()
            return self.source.pid is None

        wait_until(is_gone, "the child to end")

    def until_next_run(self) -> None:
        """Let the clock go to the next run."""
        runs, latest = self.runs, self.now + 60
        while self.runs == runs:
            self.look()
            self.now += 0.05
            assert self.now < latest

    def media(self) -> list[bytes]:
        return [payload for *_, payload in self.sent if payload != NULL_PACKET]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, Position(7, 0))
    with closing(bench.source):
        yield bench


def test_before_anything_comes_a_null_packet_leaves_each_100_ms(bench: Bench) -> None:
    bench.write(b"")
    bench.run(1.0)
    assert [number for _, number, *_ in bench.sent] == list(range(len(bench.sent)))
    assert {payload for *_, payload in bench.sent} == {NULL_PACKET}
    moments = [START, *(moment for moment, *_ in bench.sent)]
    assert max(after - before for before, after in pairwise(moments)) < 0.101
    assert [time for _, _, time, _ in bench.sent] == pytest.approx(
        [round((moment - START) * 90_000) for moment, *_ in bench.sent], abs=2
    )


def test_all_that_comes_leaves_in_order_over_the_time_that_it_lasts(bench: Bench) -> None:
    data = frames(0, 26, size=21)
    bench.write(data)
    bench.until_media()
    bench.run(1.2)
    assert b"".join(bench.media()) == data[: len(b"".join(bench.media()))]
    assert len(b"".join(bench.media())) >= 25 * 21 * PACKET
    assert [number for _, number, *_ in bench.sent] == list(range(len(bench.sent)))
    first_second = [moment for moment, *_, payload in bench.sent if payload != NULL_PACKET]
    assert 0.8 < first_second[-1] - first_second[0] < 1.2
    times = [time for _, _, time, _ in bench.sent]
    assert times == sorted(times)


def test_a_keyframe_begins_a_train(bench: Bench) -> None:
    bench.write(frames(0, 60))
    bench.until_media()
    for _ in range(200):
        for train in bench.look():
            assert [number for number in train.keyframes() if number != train.first] == []
        bench.now += 0.03
    assert sum(payload.startswith(pat()) for payload in bench.media()) == 3


def test_a_source_without_a_clock_is_slowed_down_by_a_full_pipe(bench: Bench) -> None:
    bench.write(frames(0, 25 * 60, size=70))
    bench.until_media()
    bench.run(5.0)
    media = [time for _, _, time, payload in bench.sent if payload != NULL_PACKET]
    # All of a minute would be 60 s; in haste 5 % more than our clock, and what one read took at the start.
    assert 4.5 < (media[-1] - media[0]) / 90_000 < 6.5
    assert bench.source._ahead(bench.now) < MAX_AHEAD + 5


def test_a_machine_that_looks_late_does_not_slow_the_stream_down(bench: Bench) -> None:
    bench.write(frames(0, 25 * 60))
    bench.until_media()
    began = bench.now
    for look in range(400):
        bench.look()
        bench.now += 0.4 if look % 50 == 0 else 0.035
    media = [time for _, _, time, payload in bench.sent if payload != NULL_PACKET]
    assert (media[-1] - media[0]) / 90_000 > 0.98 * (bench.now - began)


def test_after_a_break_numbers_and_time_run_on_and_the_discontinuity_is_announced(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench.write(frames(0, 3), then="sys.exit('camera unplugged')")
    bench.until_media()
    bench.until_gone()
    bench.write(frames(500, 10))
    bench.run(0.3)
    assert "live input ended, again in 0.5 s; ffmpeg's status 1: written | camera unplugged" in caplog.text
    assert bench.runs == 1
    bench.now += FIRST_BACKOFF
    before = len(bench.media())
    bench.until_media(before + 1)
    bench.run(0.2)
    assert bench.runs == 2
    assert "initial_discontinuity" not in bench.commands[0]
    assert "initial_discontinuity" in bench.commands[1]
    assert [number for _, number, *_ in bench.sent] == list(range(len(bench.sent)))
    times = [time for _, _, time, _ in bench.sent]
    assert times == sorted(times)
    assert b"".join(bench.media()[before:]).startswith(frames(500, 2))
    assert times[-1] / 90_000 == pytest.approx(bench.now - START, abs=0.3)


def test_restarts_become_rarer_until_a_run_was_steady(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench.code, bench.waits = "raise SystemExit(1)", False
    moments: list[float] = []

    def end() -> None:
        """Let one run begin and end, then let the clock go to the next."""
        bench.until_next_run()
        moments.append(bench.now)
        bench.until_gone()

    for _ in range(7):
        end()
    waits = [after - before for before, after in pairwise(moments)]
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 8], abs=0.15)
    bench.write(b"")
    end_count = len(caplog.records)
    bench.until_next_run()
    bench.now += 11
    assert bench.source.pid is not None
    bench.source._restart(bench.now, "it is enough")
    assert "again in 0.5 s" in caplog.messages[end_count]


def test_what_cannot_be_started_again_is_tried_again_and_costs_a_line_each_time(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench.write(frames(0, 3), then="sys.exit('upgraded')")
    bench.until_media()
    bench.until_gone()
    caplog.clear()
    bench.is_missing = True
    bench.run(12)
    assert [message for message in caplog.messages if "again in" in message] == [
        f"live input cannot be started, again in {pause:.1f} s: ffmpeg cannot be started: no such file"
        for pause in (1, 2, 4, 8)
    ]
    bench.is_missing = False
    bench.write(frames(500, 10))
    before = len(bench.media())
    while bench.source.pid is None:
        bench.look()
        bench.now += 0.05
    bench.until_media(before + 1)
    assert [number for _, number, *_ in bench.sent] == list(range(len(bench.sent)))


def test_bytes_that_are_no_transport_stream_restart_the_source(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench.write(b"garbage!" * 100)
    wait_until(lambda: bench.look() or caplog.text)
    assert "not MPEG-TS" in caplog.text
    assert bench.source.pid is None


def test_a_stream_taken_over_says_that_it_is_discontinuous(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Position(7, 1_000))
    bench.write(b"")
    with closing(bench.source):
        bench.run(0.2)
    assert "initial_discontinuity" in bench.commands[0]
    assert bench.sent[0][1] == 1_000


def test_ffmpegs_stream_decodes_and_begins_with_a_keyframe(
    tmp_path: Path, monotonic: Callable[[], float]
) -> None:
    with closing(LiveSource(SPEC, Position(7, 0), monotonic())) as source:
        payloads: list[bytes] = []

        def second_keyframe() -> bool:
            for train in source.due(monotonic()):
                payloads.extend(bytes(one[HEADER_SIZE:]) for one in train.datagrams())
            return sum(payload.startswith(b"\x47\x40\x00") for payload in payloads) >= 2

        wait_until(second_keyframe, timeout=20)
        pid = source.pid
    media = [payload for payload in payloads if payload != NULL_PACKET]
    assert pid_at(media[0], 0) == PAT_PID
    assert random_access_at(media[0], 2 * PACKET)
    whole = media[: [payload.startswith(b"\x47\x40\x00") for payload in media].index(True, 1)]
    target = tmp_path / "live.ts"
    target.write_bytes(b"".join(whole))
    assert complaints(target) == ""
    assert len(packets(target, "codec_type,dts_time")) >= 49
    assert pid is not None
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.fixture
def monotonic() -> Callable[[], float]:
    import time

    return time.monotonic
