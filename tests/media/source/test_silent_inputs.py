"""A live input that is silent: judged by the media that comes out, never by the process that runs."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import Recorder, unused_port, wait_until
from mcast.media.source.ffmpeg import Child
from mcast.media.source.live import WARN, LiveSource
from mcast.media.source.live_tracks import LiveTracks
from mcast.media.source.server_config import HOLD, STALL, ContentSpec
from mcast.media.source.streamer import Streamer
from mcast.media.source.ts_inspection import holds_media
from mcast.wire.mpegts import NULL_PACKET, PACKET
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.rtp import HEADER_SIZE
from mcast.wire.train import Train
from media.source.clips import AAC, X264, film
from media.source.transport import PMT, packet, pat

SILENT = ContentSpec("studio", "udp://127.0.0.1:9", live=True, format="v4l2", loop=False)
START = 1_000.0


class Bench:
    """A source whose clock is the test's, and whose ffmpegs do what the test says."""

    def __init__(self, spec: ContentSpec) -> None:
        self.runs: list[float] = []
        self.code = "import time; time.sleep(600)"
        self.now = START
        self.nulls = self.others = 0
        self.source = LiveSource(spec, Position(7, 0), START, start_child=self._start)

    def _start(self, _command: list[str]) -> Child:
        self.runs.append(self.now - START)
        return Child([sys.executable, "-c", self.code])

    def run(self, seconds: float, step: float = 0.1) -> None:
        until = self.now + seconds
        while self.now < until and not self.source.ended:
            for train in self.source.due(self.now):
                for one in train.datagrams():
                    is_null = bytes(one[HEADER_SIZE:]) == NULL_PACKET
                    self.nulls += is_null
                    self.others += not is_null
            self.now += step


def told(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, object]]:
    """Return the fields of the events that were logged, by name."""
    return {
        record.event: record.fields  # type: ignore[attr-defined]
        for record in caplog.records
        if hasattr(record, "event")
    }


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(SILENT)
    with closing(bench.source):
        yield bench


def test_an_input_that_never_speaks_is_named_within_5_s(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench.run(WARN - 0.2)
    assert (caplog.text, bench.source.is_silent) == ("", False)
    bench.run(5.0 - WARN)
    assert "[studio] live input: nothing comes from udp://127.0.0.1:9; waiting" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    assert told(caplog)["live_input_silent"] == {
        "content": "studio",
        "source": SILENT.source,
        "silent_s": 4.0,
    }
    assert bench.source.is_silent


def test_ffmpeg_is_started_again_each_10_s_and_after_30_s_the_stream_ends(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert (STALL, HOLD) == (10, 30)
    bench.run(100)
    assert bench.runs == pytest.approx([0, 10.5, 21], abs=0.3)
    assert bench.now - START == pytest.approx(30, abs=0.3)
    assert bench.source.ended
    assert "[studio] live input: nothing came for 30 s, the stream ends" in caplog.text
    events = [record.event for record in caplog.records if hasattr(record, "event")]
    restart = "live_input_ended"
    assert events == ["live_input_silent", restart, restart, "live_input_given_up"]
    assert sum("waiting" in message for message in caplog.messages) == 1
    assert bench.others == 0
    assert bench.nulls > 250, "viewers were kept meanwhile"
    assert bench.source.pid is None


def test_with_hold_0_viewers_wait_for_ever() -> None:
    bench = Bench(replace(SILENT, hold=0, stall=100))
    with closing(bench.source):
        bench.run(1_000, step=0.5)
        assert not bench.source.ended
        assert bench.source.is_silent
        assert len(bench.runs) == 10


def test_null_packets_and_tables_are_no_media(tmp_path: Path) -> None:
    tables = pat() + packet(PMT, start=True)
    for data, expected in (
        (b"", False),
        (NULL_PACKET * 3, False),
        (tables + NULL_PACKET, False),
        (tables + packet(), True),
    ):
        assert holds_media(data) is expected
    path = tmp_path / "tables"
    path.write_bytes((tables + NULL_PACKET * 5) * 200)
    bench = Bench(SILENT)
    bench.code = (
        f"import sys, time; sys.stdout.buffer.write(open({str(path)!r}, 'rb').read());"
        "sys.stdout.flush(); time.sleep(600)"
    )
    with closing(bench.source):
        wait_until(lambda: (bench.source.due(bench.now), len(bench.source._held))[1], "the tables")
        bench.run(6)
        assert bench.source.is_silent


def test_media_that_comes_again_ends_the_silence_and_starts_its_clock_anew(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.run(9)
    assert bench.source.is_silent
    path = tmp_path / "media"
    parts = [packet(start=True, pcr=frame * 27_000_000 // 25) + packet() for frame in range(3)]
    path.write_bytes(pat() + packet(PMT, start=True) + b"".join(parts))
    assert path.stat().st_size % PACKET == 0
    bench.code = f"import sys, time; sys.stdout.buffer.write(open({str(path)!r}, 'rb').read());"
    bench.code += "sys.stdout.flush(); time.sleep(600)"
    bench.run(3)

    def is_heard() -> bool:
        bench.source.due(bench.now)
        return not bench.source.is_silent

    wait_until(is_heard)
    assert "media comes again" in caplog.text
    assert told(caplog)["live_input_back"]["content"] == "studio"
    heard = bench.now
    bench.run(100)
    assert bench.now - heard == pytest.approx(30, abs=0.5)


def test_viewers_are_told_to_wait_for_the_server() -> None:
    class Sink:
        def __init__(self) -> None:
            self.states: list[FeedState] = []

        def push(self, train: Train) -> None:
            pass

        def set_state(self, state: FeedState) -> None:
            self.states.append(state)

        def close_soon(self) -> None:
            pass

        def close(self) -> None:
            pass

    class Wavering(LiveSource):
        looks = 0

        @property
        def is_silent(self) -> bool:
            self.looks += 1
            return 3 < self.looks < 8

        def due(self, now: float) -> list[Train]:  # noqa: ARG002 -- nothing is ever due
            return []

    sink, crashes = Sink(), Recorder()
    source = Wavering(SILENT, Position(7, 0), time.monotonic())
    streamer = Streamer(
        "studio",
        Position(7, 0),
        source,
        sink,
        on_end=Recorder(),
        on_lapse=Recorder(),
        on_crash=crashes,
        pace=0.001,
    )
    streamer.start()
    wait_until(lambda: len(sink.states) == 2)
    streamer.stop()
    assert sink.states == [FeedState.WAITING, FeedState.FED]
    assert not crashes.calls


def test_a_sender_that_begins_late_is_found_and_its_tracks_are_chosen() -> None:
    port = unused_port()
    spec = ContentSpec("studio", f"udp://127.0.0.1:{port}?timeout=2000000", live=True, loop=False, hold=0)
    known: dict[ContentSpec, LiveTracks] = {}
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x90:rate=25",
    ]
    command += [
        "-f",
        "lavfi",
        "-i",
        "sine",
        *X264,
        *AAC,
        "-f",
        "mpegts",
        f"udp://127.0.0.1:{port}?pkt_size=1316",
    ]
    with closing(LiveSource(spec, Position(7, 0), time.monotonic(), known=known)) as source:
        media: list[bytes] = []

        def has_media() -> bool:
            for train in source.due(time.monotonic()):
                media.extend(m for one in train.datagrams() if (m := bytes(one[HEADER_SIZE:])) != NULL_PACKET)
            return len(media) > 20

        has_media()
        sender = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_until(has_media, "media of a late sender", timeout=60)
        finally:
            sender.kill()
            sender.wait()
    assert known[spec].maps == ("0:i:256", "0:i:257")


def test_an_option_that_only_ffmpeg_knows_does_not_keep_the_input_from_playing(tmp_path: Path) -> None:
    path = film(tmp_path / "film.ts", 2)
    spec = ContentSpec("studio", str(path), live=True, loop=False, input_options=("-stream_loop", "-1"))
    with closing(LiveSource(spec, Position(7, 0), time.monotonic())) as source:

        def is_heard() -> bool:
            trains = source.due(time.monotonic())
            return any(
                bytes(one[HEADER_SIZE:]) != NULL_PACKET for train in trains for one in train.datagrams()
            )

        wait_until(is_heard, "media", timeout=60)
