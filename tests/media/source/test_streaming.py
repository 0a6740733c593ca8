"""Streamer, pool and catalogue together, with a fanout that only remembers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from helpers import Recorder, wait_until
from mcast.errors import ConfigError
from mcast.media.source.cache import Cache
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.pool import StreamingPool
from mcast.media.source.server_config import ContentSpec
from mcast.media.source.streamer import Streamer
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.server import SendStatus
from mcast.wire.train import Train

Make = Callable[[str], Path]


class Sink:
    """Remembers what it was given, and when."""

    def __init__(self, content: str, position: Position) -> None:
        self.content, self.position, self.closed = content, position, False
        self.trains: list[tuple[float, Train]] = []
        self.states: list[FeedState] = []

    def push(self, train: Train) -> None:
        self.trains.append((time.monotonic(), train))

    def set_state(self, state: FeedState) -> None:
        self.states.append(state)

    def close(self) -> None:
        self.closed = True


class Server:
    """A catalogue and a pool with what a role would add. `with` closes it."""

    def __init__(self, contents: list[ContentSpec], cache: Cache) -> None:
        self.crashes, self.ends, self.changes = Recorder(), Recorder(), Recorder()
        self.catalogue = Catalogue(contents, Path("server.toml"), cache)
        ssrcs = iter(range(1, 1_000))
        self.pool = StreamingPool[Sink](
            self.catalogue, Sink, on_end=self.ends, on_crash=self.crashes, new_ssrc=lambda: next(ssrcs)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()
        self.catalogue.stop()
        assert not self.crashes.calls


@pytest.fixture
def film(source: Make) -> ContentSpec:
    path = source("fit.mp4")
    return ContentSpec("film", str(path), path)


@pytest.fixture
def server(film: ContentSpec, cache: Cache) -> Iterator[Server]:
    with Server([film, replace(film, name="once", loop=False, datagram_packets=6)], cache) as server:
        assert server.catalogue.prepare_all()
        yield server


def sent(streamer: Streamer[Sink]) -> int:
    return sum(train.count for _, train in streamer.fanout.trains)


def test_the_first_taker_starts_a_stream_that_all_share_and_the_last_one_stops_it(server: Server) -> None:
    first, second = server.pool.take("film"), server.pool.take("film")
    assert first is second
    assert first.fanout.position == Position(1, 0)
    wait_until(lambda: sent(first) > 20)
    server.pool.leave(first)
    head = sent(first)
    wait_until(lambda: sent(first) > head)
    server.pool.leave(second)
    assert first.fanout.closed
    assert first.position == Position(1, sent(first))
    server.pool.leave(second)  # once too often is harmless
    again = server.pool.take("film")
    assert again.fanout.position == Position(2, 0)


def test_what_leaves_is_numbered_without_gaps_and_never_early(server: Server) -> None:
    content = server.catalogue.prepared("film")
    assert content is not None
    began = time.monotonic()
    streamer = server.pool.take("film")
    wait_until(lambda: sent(streamer) > content.due_by(90_000))
    server.pool.leave(streamer)
    trains = streamer.fanout.trains
    assert [train.first for _, train in trains] == [0, *(train.next for _, train in trains[:-1])]
    late = [moment - began - content.time_of(train.first) / 90_000 for moment, train in trains]
    assert min(late) > -0.011


def test_a_server_takes_over_with_the_ssrc_and_number_that_are_waited_for(server: Server) -> None:
    content = server.catalogue.prepared("film")
    assert content is not None
    first = 3 * content.datagrams - 5
    streamer = server.pool.take("film", Position(99, first))
    wait_until(lambda: sent(streamer) > 10)
    assert server.pool.take("film", Position(98, 0)) is streamer
    payload = b"".join(bytes(d[12:]) for _, train in streamer.fanout.trains[:8] for d in train.datagrams())
    head = streamer.fanout.trains[0][1]
    assert (head.first, streamer.ssrc) == (first, 99)
    assert content.payload(first, first + 100).startswith(payload)


def test_a_content_that_does_not_loop_tells_its_last_number_and_begins_anew_for_the_next(
    server: Server,
) -> None:
    content = server.catalogue.prepared("once")
    assert content is not None
    streamer = server.pool.take("once", Position(5, content.datagrams - 30))
    assert server.ends.wait_for() == [(streamer, content.datagrams - 1)]
    assert streamer.ended
    assert streamer.position.next == content.datagrams
    assert server.pool.contents()[1].running == ()
    other = server.pool.take("once")
    assert other is not streamer
    assert not streamer.fanout.closed  # children still catch up from its history
    server.pool.leave(streamer)
    assert streamer.fanout.closed
    assert not other.fanout.closed


def test_the_last_taker_may_leave_from_within_the_end_itself(film: ContentSpec, cache: Cache) -> None:
    with Server([replace(film, loop=False)], cache) as server:
        ended = threading.Event()

        def on_end(streamer: Streamer[Sink], _: int) -> None:
            pool.leave(streamer)
            ended.set()

        pool = StreamingPool[Sink](server.catalogue, Sink, on_end=on_end, on_crash=server.crashes)
        assert server.catalogue.prepare_all()
        content = server.catalogue.prepared("film")
        assert content is not None
        streamer = pool.take("film", Position(5, content.datagrams - 3))
        assert ended.wait(10)
        assert streamer.fanout.closed


def test_the_list_describes_contents_and_running_streams(server: Server) -> None:
    streamer = server.pool.take("film")
    film, once = server.pool.contents()
    assert (film.name, film.format, film.width, film.height, film.loop) == (
        "film",
        "h264/aac",
        320,
        180,
        True,
    )
    assert film.frame_rate_milli == 25_000
    assert 3_900 < film.duration_ms < 4_200
    assert film.bit_rate > 100_000
    assert [position.ssrc for position in film.running] == [streamer.ssrc]
    assert (once.loop, once.running) == (False, ())
    assert len({film.digest, once.digest}) == 2
    assert {len(film.digest), len(once.digest)} == {32}
    assert server.catalogue.digest("film") == film.digest


def test_contents_are_prepared_in_the_background_and_meanwhile_said_to_be(
    source: Make, tmp_path: Path
) -> None:
    path = source("old.avi")
    with Server([ContentSpec("film", str(path), path)], Cache(tmp_path)) as server:
        with pytest.raises(NotReadyError, match="'film': preparing") as caught:
            server.pool.take("film")
        assert caught.value.status is SendStatus.PREPARING
        assert (server.pool.contents()[0].format, server.pool.contents()[0].digest) == ("preparing", b"")
        server.catalogue.check()
        server.catalogue.start(server.changes, server.crashes)
        wait_until(lambda: server.catalogue.prepared("film"), "the film", timeout=60)
        assert server.pool.take("film").fanout.position.next == 0


def test_a_stop_cancels_what_is_being_prepared(source: Make, tmp_path: Path) -> None:
    path = source("old.avi")
    with Server([ContentSpec("film", str(path), path)], Cache(tmp_path)) as server:
        server.catalogue.start(server.changes, server.crashes)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_what_cannot_be_sent_is_answered_with_a_reason(tmp_path: Path, film: ContentSpec) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    with Server([ContentSpec("broken", str(broken), broken), film], Cache(tmp_path / "cache")) as server:
        message = rf"^server\.toml: content 'broken': source: {broken}: ffmpeg cannot read it: .*; the file"
        server.catalogue.check()
        with pytest.raises(ConfigError, match=message):
            server.catalogue.prepare_all()
        with pytest.raises(NotReadyError, match="ffmpeg cannot read it") as caught:
            server.pool.take("broken")
        assert caught.value.status is SendStatus.ERROR
        states = [info.format for info in server.pool.contents()]
        assert states[0].startswith("failed: ffmpeg cannot read it")
        assert states[1] == "h264/aac"
        with pytest.raises(NotReadyError, match="there is no content 'mars'") as caught:
            server.pool.take("mars")
        assert caught.value.status is SendStatus.ABSENT


def test_a_fanout_that_cannot_be_made_leaves_nothing_behind(server: Server) -> None:
    def refuse(*_: object) -> Sink:
        raise ConfigError("no UDP port is free")

    pool = StreamingPool[Sink](server.catalogue, refuse, on_end=server.ends, on_crash=server.crashes)
    with pytest.raises(ConfigError, match="no UDP port"):
        pool.take("film")
    assert pool.contents()[0].running == ()


def test_an_unexpected_error_reaches_the_owner(server: Server) -> None:
    class Broken(Sink):
        def push(self, train: Train) -> None:
            raise ValueError(f"a bug at {train.first}")

    crashes = Recorder()
    pool = StreamingPool[Sink](server.catalogue, Broken, on_end=server.ends, on_crash=crashes)
    pool.take("film")
    assert [type(error) for error in crashes.wait_for()] == [ValueError]
    pool.close()


def test_streams_keep_their_pace(server: Server) -> None:
    streamer = server.pool.take("film")
    wait_until(lambda: sent(streamer) > 60)
    moments = [moment for moment, _ in streamer.fanout.trains]
    assert max(after - before for before, after in pairwise(moments)) < 0.3
    assert json.dumps(repr(streamer))
