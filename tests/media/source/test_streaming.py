"""Streamer, pool and catalogue together, with a fanout that only remembers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Self

import pytest

from helpers import PATIENCE, Recorder, refuse_threads, wait_until
from mcast.errors import ConfigError
from mcast.media.history import Archive
from mcast.media.source import streamer as streamer_module
from mcast.media.source.cache import Cache
from mcast.media.source.catalogue import Catalogue, NotReadyError
from mcast.media.source.pacer import Pacer
from mcast.media.source.pacing import Overdue, Source
from mcast.media.source.pool import MAX_STREAMS, StreamingPool
from mcast.media.source.prepared import Prepared
from mcast.media.source.server_config import ContentSpec
from mcast.media.source.streamer import Streamer
from mcast.shares import UNCOUNTED
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from mcast.wire.server import SendStatus
from mcast.wire.train import Train

Make = Callable[[str], Path]


class Sink:
    """Remembers what it was given, and when."""

    def __init__(self, content: str, position: Position, archive: Archive | None) -> None:
        self.content, self.position, self.archive = content, position, archive
        self.closing = self.closed = False
        self.trains: list[tuple[float, Train]] = []
        self.states: list[FeedState] = []

    def push(self, train: Train) -> None:
        self.trains.append((time.monotonic(), train))

    def set_state(self, state: FeedState) -> None:
        self.states.append(state)

    def close_soon(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closed = True


class Server:
    """A catalogue and a pool with what a role would add. `with` closes it."""

    def __init__(self, contents: list[ContentSpec], cache: Cache, *, linger: float = 60.0) -> None:
        self.crashes, self.ends, self.lapses, self.changes = (Recorder() for _ in range(4))
        self.catalogue = Catalogue(contents, Path("server.toml"), cache)
        ssrcs = iter(range(1, 1_000))
        self.pool = StreamingPool[Sink](
            self.catalogue,
            Sink,
            on_end=self.ends,
            on_lapse=self.lapses,
            on_crash=self.crashes,
            linger=linger,
            new_ssrc=lambda: next(ssrcs),
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


def test_a_stream_that_runs_keeps_its_digest_when_the_list_is_read_anew(
    server: Server, film: ContentSpec
) -> None:
    old = server.pool.take("film")
    before = old.digest
    assert before == server.catalogue.digest("film")
    server.catalogue.reload([replace(film, datagram_packets=4)])
    assert server.catalogue.prepare_all()
    now = server.catalogue.digest("film")
    assert now not in (before, b"")
    (listed,) = server.pool.contents()
    assert (listed.digest, listed.running) == (now, ())  # nobody is told of a stream of other bytes
    new = server.pool.take("film")
    assert (new.digest, new is old) == (now, False)
    (listed,) = server.pool.contents()
    assert [position.ssrc for position in listed.running] == [new.ssrc]
    again = server.pool.take("film", Position(old.ssrc, 3))  # who has it already goes on with it
    assert again is old
    assert again.digest == before
    for streamer in (old, new, again):
        server.pool.leave(streamer)


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


def test_streams_are_known_by_content_and_ssrc(server: Server) -> None:
    take = server.pool.take
    first = take("film")
    assert take("film", Position(first.ssrc, 1 << 40)) is first
    other = take("film", Position(98, 3))
    assert (other is first, other.fanout.position) == (False, Position(98, 3))
    assert take("film", Position(98, 0)) is other
    assert take("film") is first  # the oldest
    assert take("once", Position(98, 0)) not in (first, other)
    assert [position.ssrc for position in server.pool.contents()[0].running] == [first.ssrc, 98]


def test_who_names_no_stream_joins_one_that_is_taken_rather_than_one_whose_taker_was_lost(
    server: Server,
) -> None:
    first, other = server.pool.take("film"), server.pool.take("film", Position(98, 0))
    server.pool.leave(first, lost=True)
    assert server.pool.take("film") is other
    server.pool.leave(other, lost=True)
    server.pool.leave(other, lost=True)
    assert server.pool.take("film") in (first, other)


def test_the_streams_of_one_content_are_bounded(server: Server) -> None:
    for ssrc in range(MAX_STREAMS):
        server.pool.take("film", Position(ssrc, 0))
    with pytest.raises(NotReadyError, match="run already") as caught:
        server.pool.take("film", Position(99, 0))
    assert caught.value.status is SendStatus.FULL
    assert server.pool.take("film").ssrc == 0
    assert server.pool.take("once").ssrc == 1


def test_who_begins_streams_again_and_again_leaves_some_to_others(server: Server) -> None:
    def begin(ssrc: int, source: bytes) -> bool:
        try:
            server.pool.take("film", Position(ssrc, 0), source=source)
        except NotReadyError as error:
            return (error.status, "for one address" in str(error)) != (SendStatus.FULL, True)
        return True

    assert [begin(ssrc, b"greedy") for ssrc in range(6)] == [True] * 4 + [False] * 2
    assert [begin(ssrc, b"other") for ssrc in range(10, 13)] == [True, True, False]
    assert begin(3, b"other")  # it runs already
    assert [begin(ssrc, UNCOUNTED) for ssrc in range(20, 23)] == [True, True, False]
    server.pool.leave(server.pool.take("film", Position(0, 0)))
    assert not begin(30, b"third")  # the one that has begun it is there still


def test_a_stream_outlives_the_loss_of_its_last_taker_for_a_while(film: ContentSpec, cache: Cache) -> None:
    with Server([film], cache, linger=0.2) as server:
        assert server.catalogue.prepare_all()
        streamer = server.pool.take("film")
        began = time.monotonic()
        server.pool.leave(streamer, lost=True)
        assert server.lapses.wait_for() == [streamer]
        assert time.monotonic() - began >= 0.2
        assert not streamer.fanout.closed
        head = sent(streamer)
        wait_until(lambda: sent(streamer) > head, "it runs on until it is stopped")
        server.pool.expire(streamer)
        assert streamer.fanout.closed
        assert server.pool.contents()[0].running == ()


def test_who_comes_meanwhile_keeps_the_stream(server: Server) -> None:
    streamer = server.pool.take("film")
    server.pool.leave(streamer, lost=True)
    assert server.pool.take("film", Position(streamer.ssrc, 5)) is streamer
    server.pool.expire(streamer)  # as if the time had been over in that very moment
    assert not streamer.fanout.closed
    head = sent(streamer)
    wait_until(lambda: sent(streamer) > head)
    assert server.lapses.calls == []


def test_a_taker_that_was_lost_is_waited_for_although_the_last_one_has_given_up(server: Server) -> None:
    lost, other = server.pool.take("film"), server.pool.take("film")
    server.pool.leave(lost, lost=True)
    server.pool.leave(other)
    assert not lost.fanout.closed
    server.pool.leave(server.pool.take("film"))  # nor does it matter who comes and goes meanwhile
    assert not lost.fanout.closed


def test_a_stream_that_ends_while_nobody_takes_it_is_stopped(server: Server) -> None:
    content = server.catalogue.prepared("once")
    assert content is not None
    streamer = server.pool.take("once", Position(5, content.datagrams - 3))
    server.pool.leave(streamer, lost=True)
    server.ends.wait_for()
    server.pool.expire(streamer)
    assert streamer.fanout.closed


def test_two_servers_with_one_digest_make_one_stream_byte_for_byte(
    server: Server, film: ContentSpec, cache: Cache
) -> None:
    content = server.catalogue.prepared("film")
    assert content is not None
    begin = content.datagrams - 30
    with Server([film], cache) as other:
        assert other.catalogue.prepare_all()
        assert other.catalogue.digest("film") == server.catalogue.digest("film")
        first = server.pool.take("film", Position(77, begin))
        wait_until(lambda: sent(first) > 60)  # it is in the next round
        server.pool.close()
        second = other.pool.take("film", first.position, overdue=Overdue(5.0))
        wait_until(lambda: sent(second) > 100)
        other.pool.close()
        reference = content_between(content, begin, second.position.next, 77)
        assert wire(first) + wire(second) == reference
        # What was due in the outage has left at once.
        moment, head = second.fanout.trains[0]
        times = [(then - moment, content.time_of(train.first)) for then, train in second.fanout.trains]
        assert max((due - content.time_of(head.first)) / 90_000 - then for then, due in times) > 2.5
        # And what the first had sent, the second has at hand.
        archive = second.fanout.archive
        assert archive is not None
        again = [archive(number, 1).data for number in range(begin, first.position.next)]
        assert b"".join(again) == wire(first)


def test_the_clock_of_a_stream_may_be_told_by_a_number_ahead_of_where_it_is_begun(server: Server) -> None:
    content = server.catalogue.prepared("film")
    assert content is not None
    ahead = content.due_by(content.time_of(10) + 2 * 90_000)
    streamer = server.pool.take("film", Position(77, 10), overdue=Overdue(0.0, ahead))
    wait_until(lambda: sent(streamer) > ahead - 10)
    moment, head = streamer.fanout.trains[0]
    assert head.first == 10
    at_once = [train for then, train in streamer.fanout.trains if then - moment < 1.0]
    assert at_once[-1].next >= ahead


def wire(streamer: Streamer[Sink]) -> bytes:
    return b"".join(train.data for _, train in streamer.fanout.trains)


def content_between(content: Prepared, begin: int, end: int, ssrc: int) -> bytes:
    parts = []
    while begin < end:
        parts.append(content.train_at(begin, ssrc, end - begin))
        begin = parts[-1].next
    return b"".join(train.data for train in parts)


def test_the_last_taker_may_leave_from_within_the_end_itself(film: ContentSpec, cache: Cache) -> None:
    with Server([replace(film, loop=False)], cache) as server:
        ended = threading.Event()

        def on_end(streamer: Streamer[Sink], _: int) -> None:
            pool.leave(streamer)
            ended.set()

        pool = StreamingPool[Sink](
            server.catalogue, Sink, on_end=on_end, on_lapse=server.lapses, on_crash=server.crashes
        )
        assert server.catalogue.prepare_all()
        content = server.catalogue.prepared("film")
        assert content is not None
        streamer = pool.take("film", Position(5, content.datagrams - 3))
        assert ended.wait(10)
        assert streamer.fanout.closed
        pool.close()


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
        with pytest.raises(NotReadyError, match="preparing") as caught:
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

    pool = StreamingPool[Sink](
        server.catalogue, refuse, on_end=server.ends, on_lapse=server.lapses, on_crash=server.crashes
    )
    with pytest.raises(ConfigError, match="no UDP port"):
        pool.take("film")
    assert pool.contents()[0].running == ()


def test_an_unexpected_error_reaches_the_owner(server: Server) -> None:
    class Broken(Sink):
        def push(self, train: Train) -> None:
            raise ValueError(f"a bug at {train.first}")

    crashes = Recorder()
    pool = StreamingPool[Sink](
        server.catalogue, Broken, on_end=server.ends, on_lapse=server.lapses, on_crash=crashes
    )
    pool.take("film")
    assert [type(error) for error in crashes.wait_for()] == [ValueError]
    pool.close()


def test_streams_keep_their_pace(server: Server) -> None:
    streamer = server.pool.take("film")
    wait_until(lambda: sent(streamer) > 60)
    moments = [moment for moment, _ in streamer.fanout.trains]
    assert median(after - before for before, after in pairwise(moments)) < 0.3
    assert json.dumps(repr(streamer))


class Held(Source):
    """A source that the test holds up, in its looks or in its end."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self.may_look, self.may_close = threading.Event(), threading.Event()
        self.looks, self.ends = Recorder(), Recorder()
        self.may_close.set()

    @property
    def ended(self) -> bool:
        return False

    @property
    def waits(self) -> bool:
        return self._waits

    def due(self, now: float) -> list[Train]:
        self.looks(now)
        assert self.may_look.wait(PATIENCE)
        return []

    def close(self) -> None:
        self.ends("close")
        assert self.may_close.wait(PATIENCE)


@pytest.mark.parametrize("waits", [False, True])
def test_a_source_whose_look_outlasts_the_patience_is_closed_behind_it(
    monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    monkeypatch.setattr(streamer_module, "JOIN_TIMEOUT", 0.05)
    source, sink, crashes = Held(waits=waits), Sink("film", Position(1, 0), None), Recorder()
    pacer = Pacer("stream-1", 0.01, crashes)
    streamer = Streamer(
        "film", Position(1, 0), source, sink,
        on_end=Recorder(), on_lapse=Recorder(), on_crash=crashes, pacer=pacer,
    )  # fmt: skip
    streamer.start()
    source.looks.wait_for()
    streamer.stop()
    assert (sink.closed, source.ends.calls) == (True, [])
    source.may_look.set()
    source.ends.wait_for()
    pacer.stop()
    assert (source.ends.calls, crashes.calls) == (["close"], [])


def test_streams_end_side_by_side(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Held(waits=True) for _ in range(4)]
    opened = iter(sources)
    monkeypatch.setattr(server.catalogue, "open_source", lambda *_: next(opened))
    tasks: list[Callable[[], None]] = []
    pool = StreamingPool[Sink](
        server.catalogue, Sink, on_end=server.ends, on_lapse=server.lapses, on_crash=server.crashes,
        reap=tasks.append,
    )  # fmt: skip
    streamers = [pool.take("film", Position(number, 0)) for number in range(4)]
    assert len(set(streamers)) == len(sources)
    for source in sources:
        source.may_look.set()
        source.may_close.clear()
    pool.leave(streamers[0])
    pool.leave(streamers[1])
    closing = threading.Thread(target=pool.close)
    closing.start()
    for source in sources:  # although none has come to its end
        source.ends.wait_for()
    last = streamers[-1].fanout
    monkeypatch.setattr(Sink, "close", lambda sink: setattr(sink, "closed", last.closing))
    for source in sources:
        source.may_close.set()
    closing.join(PATIENCE)
    assert [streamer.fanout.closed for streamer in streamers] == [False, False, True, True]
    for task in tasks:
        task()
    assert all(streamer.fanout.closed for streamer in streamers)
    assert [source.ends.calls for source in sources] == [["close"]] * 4


def test_a_stream_for_which_there_is_no_thread_is_refused_and_leaves_nothing_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sinks = Held(waits=True), list[Sink]()

    def make(content: str, position: Position, archive: Archive | None) -> Sink:
        sinks.append(Sink(content, position, archive))
        return sinks[-1]

    monkeypatch.setattr(server.catalogue, "open_source", lambda *_: source)
    refuse_threads(monkeypatch)
    pool = StreamingPool[Sink](
        server.catalogue, make, on_end=server.ends, on_lapse=server.lapses, on_crash=server.crashes
    )
    with pytest.raises(NotReadyError, match="no more streams can be sent: can't start new thread") as caught:
        pool.take("film")
    assert caught.value.status is SendStatus.FULL
    assert [sink.closed for sink in sinks] == [True]
    assert source.ends.calls == ["close"]
    assert pool.contents()[0].running == ()
