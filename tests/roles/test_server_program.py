"""A server as mcast-server runs it, asked by the test in the rendezvous point's place."""

import contextlib
import itertools
import socket
import threading
import time
from functools import partial
from typing import cast

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.config.networks import parse_networks
from mcast.errors import ConfigError
from mcast.media.fanout import Fanout
from mcast.media.receiver import Receiver
from mcast.media.source.pacing import PreparedSource, Source
from mcast.media.source.pool import MAX_STREAMS
from mcast.media.source.prepared import Prepared
from mcast.media.timing import Timing
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.media_socket import connect_media_socket, open_media_socket
from mcast.net.ports import MediaPorts
from mcast.roles.server import list_listeners
from mcast.roles.server import program as server_program
from mcast.roles.server.list_listeners import ListListeners
from mcast.roles.server.program import ServerProgram
from mcast.shares import Shares
from mcast.wire.frame import Message
from mcast.wire.node import StopReason
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, Ping, Ready, Send, Sending, SendStatus, ServerStop, Wake
from mcast.wire.server import Contents as Listed
from mcast.wire.train import Train, make_trains
from media.plane.streams import datagram
from roles.overlay_parts import KEYFRAMES, LOCALHOST, RATE, Contents, Ticker, World, turn_away
from roles.partners import disc, read

ADDRESS = bytes([127, 0, 0, 1])


class Taker:
    """The rendezvous point's side of one stream."""

    def __init__(
        self, server: ServerProgram, content: str, resume: Position | None = None, *, overdue_ms: int = 0,
        host: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        self._resume = resume
        self.connection = connect(server.address, PATIENCE, source=host)
        self.connection.send(Send(content, resume, overdue_ms=overdue_ms))
        self.answer = read(self.connection, Sending)
        self.trains: list[Train] = []
        self._receiver: Receiver | None = None
        self._crash = Recorder()
        if self.answer.status is SendStatus.OK:
            self._receive()

    def _receive(self) -> None:
        answer = self.answer
        assert answer.stream is not None
        self._sock, _ = open_media_socket(self.connection.local.ip, MediaPorts())
        connect_media_socket(self._sock, self.connection.peer.ip, answer.port)
        goes_on = self._resume is not None and self._resume.ssrc == answer.stream.ssrc
        start = self._resume.next if self._resume is not None and goes_on else None
        self._receiver = Receiver(
            "news",
            answer.stream,
            "rp",
            lambda train, *_: self.trains.append(train),
            Recorder(),
            self._crash,
            start=start,
        )
        self._receiver.add_parent(0, self._sock, answer.token, answer.stream, start=start)
        self.connection.send(Ready())
        self._receiver.start()

    def watch(self) -> "Taker":
        wait_until(lambda: self.trains, "media")
        return self

    @property
    def ssrc(self) -> int:
        assert self.answer.stream is not None
        return self.answer.stream.ssrc

    @property
    def next(self) -> int:
        """Return the number behind the highest that has come."""
        return max(train.next for train in self.trains)

    def wait_next(self, number: int) -> None:
        wait_until(lambda: self.trains and self.next >= number, f"number {number - 1}")

    def wire(self) -> bytes:
        """Return what has come, in the order of its numbers."""
        return b"".join(train.data for train in sorted(self.trains, key=lambda train: train.first))

    def unsubscribe(self) -> None:
        """Give it up, and wait until the server has seen that."""
        self.connection.send(ServerStop(StopReason.UNSUBSCRIBE))
        assert ends(self.connection) is None
        self.leave()

    def say_bye(self) -> None:
        """End the media's side alone, as where its BYE overtakes the STOP."""
        assert self._receiver is not None
        self._receiver.stop()

    def fall_silent(self) -> None:
        turn_away(self._sock)

    def leave(self) -> None:
        self.connection.close()
        if self._receiver is not None:
            self._receiver.stop()
        assert self._crash.calls == []


def listing(server: ServerProgram, host: str = "127.0.0.1") -> Connection:
    connection = connect(server.address, PATIENCE, source=host)
    connection.send(Wake())
    return connection


def names(connection: Connection) -> list[str]:
    return [info.name for info in read(connection, Listed).contents]


def running(connection: Connection) -> list[int]:
    """Read a list; give the SSRCs of all streams that run."""
    return [stream.ssrc for info in read(connection, Listed).contents for stream in info.running]


def wait_running(connection: Connection, *ssrcs: int) -> None:
    """Read lists until one says that these streams run, and no others."""
    while running(connection) != [*ssrcs]:
        pass


class Film:
    """Stands for a prepared content: on every server the same datagrams under the same numbers."""

    end = None
    digest = b"d" * 32

    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass

    def time_of(self, number: int) -> int:
        return number * 90_000 // RATE

    def due_by(self, time: int) -> int:
        return time * RATE // 90_000 + 1

    def train_at(self, first: int, ssrc: int, limit: int) -> Train:
        end = first + min(limit, KEYFRAMES - first % KEYFRAMES)
        (train,) = make_trains(
            first,
            (datagram(number, key=number % KEYFRAMES == 0, packets=1, ssrc=ssrc)
             for number in range(first, end)),
        )  # fmt: skip
        return train

    def wire(self, begin: int, end: int, ssrc: int) -> bytes:
        return b"".join(self.train_at(number, ssrc, 1).data for number in range(begin, end))


class Films(Contents):
    """Prepared contents; those of `Contents` have no digest, like live inputs."""

    def digest(self, _name: str) -> bytes:
        return Film.digest

    def describe(self, name: str, running: tuple[Position, ...]) -> ContentInfo:
        return ContentInfo(name=name, running=running, digest=Film.digest)

    def open_source(self, name: str, position: Position) -> Source:
        assert name in self.lengths
        return PreparedSource(cast(Prepared, Film()), position, time.monotonic())


def test_the_list_comes_at_once_on_demand_and_whenever_it_changes(world: World) -> None:
    contents = Contents("earth", "sea")
    server = world.server(contents)
    with listing(server) as one, listing(server) as other:
        assert names(one) == names(other) == ["earth", "sea"]
        one.send(Wake())
        assert names(one) == ["earth", "sea"]
        contents.lengths["moon"] = None
        contents.changed()
        assert names(one) == names(other) == ["earth", "sea", "moon"]


def test_a_long_list_reaches_who_reads_it(world: World) -> None:
    server = world.server(Contents(*(f"{number:03} {'x' * 200}" for number in range(1000))))
    with listing(server) as connection:
        assert len(names(connection)) == 1000


def test_who_does_not_read_its_list_delays_nobody_and_is_let_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_listeners, "LIST_TIMEOUT", 0.05)
    contents = Contents(*(f"{number:03} {'x' * 200}" for number in range(1000)))
    server = world.server(contents)
    with deaf(server) as connection, listing(server) as other:
        read(other, Listed)
        connection.send(Wake())
        wait_until(lambda: len(server._listeners) == 2)

        def is_let_go() -> bool:  # when its buffers are full, and its time is over
            contents.changed()
            read(other, Listed)
            return len(server._listeners) == 1

        wait_until(is_let_go, "the one that does not read to be let go")


def test_many_who_do_not_read_their_lists_delay_neither_others_nor_the_end_of_a_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_listeners, "LIST_TIMEOUT", 10 * PATIENCE)  # else they are let go in time
    contents = Contents(*(f"{number:03} {'x' * 200}" for number in range(1000)))
    server = world.server(contents)
    taker = Taker(server, contents.catalogue().names[0]).watch()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(deaf(server)).send(Wake())
        wait_until(lambda: len(server._listeners) == 20)
        reader = stack.enter_context(listing(server))
        assert running(reader) == [taker.ssrc]

        def are_full() -> bool:
            contents.changed()
            read(reader, Listed)
            return len(server._watcher._unsent) == 20

        wait_until(are_full, "the buffers of all to be full")
        taker.unsubscribe()
        wait_running(reader)
        assert len(server._listeners) == 21


def deaf(server: ServerProgram) -> Connection:
    """Connect with the smallest of receive buffers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(server.address)
    return Connection(sock)


def test_news_are_told_in_their_order_whoever_tells_them(world: World) -> None:
    contents = Contents("a")
    server = world.server(contents)
    with listing(server) as connection:
        assert names(connection) == ["a"]
        threads = [threading.Thread(target=contents.changed) for _ in range(20)]
        for number, thread in enumerate(threads):
            contents.lengths[f"c{number}"] = None
            thread.start()
        for thread in threads:
            thread.join()
        lengths = [1]
        while lengths[-1] < 21:
            lengths.append(len(names(connection)))
        assert lengths == sorted(lengths)


def test_who_asks_a_thousand_times_while_the_server_is_busy_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, take = Recorder(), ListListeners._on_message

    def note(self: ListListeners, connection: Connection, message: Message) -> None:
        take(self, connection, message)
        asked(message)

    monkeypatch.setattr(ListListeners, "_on_message", note)
    contents, go_on = Contents("a"), threading.Event()
    server = world.server(contents)
    with listing(server) as flooder, listing(server) as other:
        assert names(flooder) == names(other) == ["a"]
        server._errands.post(partial(wait_until, go_on.is_set))
        for _ in range(1_000):
            flooder.send(Wake())
        other.send(Wake())
        asked.wait_for(1_001)
        wait_until(lambda: server._errands._tasks.qsize() == 1, "one errand for all of them")
        contents.lengths["b"] = None
        go_on.set()
        assert names(flooder) == names(other) == ["a", "b"]
        contents.lengths["c"] = None
        contents.changed()
        assert names(flooder) == names(other) == ["a", "b", "c"]


def test_pings_are_answered_one_after_the_other(world: World) -> None:
    with connect(world.server(Contents()).address, PATIENCE) as connection:
        for nonce in (1, 2**64 - 1):
            connection.send(Ping(nonce))
            assert read(connection, Ping) == Ping(nonce, reply=True)


def test_a_client_at_a_servers_port_is_told_so(world: World) -> None:
    with connect(world.server(Contents("news")).address, PATIENCE) as connection:
        connection.send(disc())
        with pytest.raises(PeerGone, match="this is a mcast-server, not a mcast-node: check the address"):
            connection.receive(PATIENCE)


@pytest.mark.parametrize(
    "messages",
    [
        [Ping(1, reply=True)],
        [Ready()],
        [ServerStop(StopReason.END)],
        [Ping(1), Wake()],
        [Wake(), Ping(1)],
        [Send("news"), Wake()],
    ],
)
def test_what_has_no_place_ends_the_connection_and_nothing_else(
    world: World, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    server = world.server(Contents("news"))
    with connect(server.address, PATIENCE) as connection:
        for message in messages:
            connection.send(message)
        ends(connection)
    wait_until(lambda: "breaks the protocol" in caplog.text)
    with listing(server) as again:
        assert names(again) == ["news"]


def ends(connection: Connection) -> StopReason | None:
    """Read to the end; give the reason of a STOP if one came."""
    reason = None
    while True:
        try:
            message = connection.receive(PATIENCE)
        except PeerGone:
            return reason
        if isinstance(message, ServerStop):
            reason = message.reason


def test_takers_share_a_stream_and_the_last_one_ends_it(world: World) -> None:
    server = world.server(Contents("news"))
    with listing(server) as lists:
        assert running(lists) == []
        first = Taker(server, "news").watch()
        assert first.answer.digest == b""
        second = Taker(server, "news").watch()
        assert first.ssrc == second.ssrc
        assert first.answer.token != second.answer.token
        wait_running(lists, first.ssrc)
        first.unsubscribe()
        second.unsubscribe()
        wait_running(lists)
        third = Taker(server, "news").watch()
        assert third.ssrc != second.ssrc
        third.leave()


def test_a_stream_outlives_a_taker_whose_connection_dies_and_whoever_comes_goes_on_with_it(
    world: World,
) -> None:
    server = world.server(Contents("news"), linger=PATIENCE)
    first = Taker(server, "news").watch()
    first.leave()
    wait_until(lambda: not server._takers)
    second = Taker(server, "news", Position(first.ssrc, first.next))
    assert second.ssrc == first.ssrc
    second.wait_next(first.next + 10)
    second.unsubscribe()
    with listing(server) as lists:
        assert running(lists) == [first.ssrc]  # the time of the first is not over


def test_a_stream_outlives_a_rendezvous_point_that_leaves_in_order(world: World) -> None:
    server = world.server(Contents("news"), linger=PATIENCE)
    first = Taker(server, "news").watch()
    first.connection.send(ServerStop(StopReason.LEAVING))
    assert ends(first.connection) is None
    wait_until(lambda: not server._takers)
    second = Taker(server, "news")
    assert second.ssrc == first.ssrc
    first.leave()
    second.leave()


def test_a_stream_for_which_nobody_comes_ends_after_a_while_and_the_list_says_so(world: World) -> None:
    server = world.server(Contents("news"), linger=0.1)
    with listing(server) as lists:
        first = Taker(server, "news").watch()
        wait_running(lists, first.ssrc)
        first.leave()
        wait_running(lists)
        second = Taker(server, "news")
        assert second.ssrc != first.ssrc
        second.unsubscribe()


def test_a_content_that_has_ended_runs_no_more_although_its_takers_are_there(world: World) -> None:
    server = world.server(Contents(clip=10))
    with listing(server) as lists:
        taker = Taker(server, "clip").watch()
        assert read(taker.connection, ServerStop).last == 9
        wait_running(lists)
        taker.leave()


def test_a_second_server_goes_on_where_the_first_died_byte_for_byte(world: World) -> None:
    servers = [world.server(Films("film")) for _ in range(2)]
    first = Taker(servers[0], "film").watch()
    first.wait_next(60)
    world.end(servers[0])
    first.leave()
    second = Taker(servers[1], "film", Position(first.ssrc, first.next), overdue_ms=200).watch()
    assert second.answer.digest == first.answer.digest
    assert second.ssrc == first.ssrc
    second.wait_next(first.next + 200)
    second.leave()
    assert first.wire() + second.wire() == Film().wire(first.trains[0].first, second.next, first.ssrc)


def test_rendezvous_points_with_different_heads_get_the_same_bytes_from_one_stream(world: World) -> None:
    server = world.server(Films("film"))
    ahead = Taker(server, "film", Position(77, 5_000)).watch()
    behind = Taker(server, "film", Position(77, 4_500)).watch()  # before the stream began here
    assert ahead.ssrc == behind.ssrc == 77
    for taker, begin in ((ahead, 5_000), (behind, 4_500)):
        taker.wait_next(5_050)
        taker.leave()
        assert taker.wire() == Film().wire(begin, taker.next, 77)


def test_who_is_no_rendezvous_point_gets_a_stream_and_does_not_choose_its_numbers(world: World) -> None:
    server = world.server(Films("film"), rendezvous=parse_networks(["127.0.0.1"]))
    stranger = Taker(server, "film", Position(7, 500), host="127.0.0.2")
    assert stranger.ssrc != 7
    trusted = Taker(server, "film", Position(7, 500)).watch()
    assert trusted.ssrc == 7
    trusted.leave()
    stranger.leave()


def test_streams_of_different_ssrcs_run_side_by_side(world: World) -> None:
    server = world.server(Films("film"))
    with listing(server) as lists:
        one, other = (Taker(server, "film", Position(ssrc, 10)).watch() for ssrc in (1, 2))
        wait_running(lists, 1, 2)
        one.unsubscribe()
        wait_running(lists, 2)
        other.unsubscribe()
        wait_running(lists)


def test_a_live_input_goes_on_from_now_and_has_one_stream(world: World) -> None:
    server = world.server(Contents("studio"))
    first = Taker(server, "studio", Position(77, 5_000), overdue_ms=500).watch()
    assert first.ssrc != 77
    assert first.next < 5_000
    second = Taker(server, "studio", Position(78, 5_000))
    assert second.ssrc == first.ssrc
    first.leave()
    second.leave()


def test_more_streams_of_one_content_than_there_may_be_are_refused(world: World) -> None:
    server = world.server(Films("film"), rendezvous=parse_networks(["127.0.0.1"]))
    takers = [Taker(server, "film", Position(ssrc, 0)) for ssrc in range(MAX_STREAMS + 1)]
    statuses = [taker.answer.status for taker in takers]
    assert statuses == [SendStatus.OK] * MAX_STREAMS + [SendStatus.FULL]
    for taker in takers:
        taker.leave()


def test_one_address_that_begins_many_streams_does_not_keep_another_from_going_on_with_its_own(
    world: World,
) -> None:
    server = world.server(Films("film"))
    takers = [Taker(server, "film", Position(ssrc, 0)) for ssrc in range(MAX_STREAMS)]
    assert sum(taker.answer.status is SendStatus.OK for taker in takers) == MAX_STREAMS // 2
    standby = Taker(server, "film", Position(77, 500), host="127.0.0.2").watch()
    assert standby.ssrc == 77
    for taker in (*takers, standby):
        taker.leave()


def test_what_cannot_be_sent_is_told_with_its_status(world: World) -> None:
    contents = Contents("news", "broken")
    contents.preparing.add("news")
    server = world.server(contents)

    def no_ffmpeg(_position: Position, _length: int | None) -> Ticker:
        raise ConfigError("ffmpeg is missing")

    contents.make_source = no_ffmpeg
    told = []
    for name in ("news", "olds", "broken"):
        taker = Taker(server, name)
        told.append((taker.answer.status, taker.answer.text))
        taker.leave()
    assert told == [
        (SendStatus.PREPARING, "preparing half of it"),
        (SendStatus.ABSENT, "there is no content 'olds' here"),
        (SendStatus.ERROR, "ffmpeg is missing"),
    ]


@pytest.mark.parametrize("place", ["source", "child"])
def test_a_bug_costs_one_connection_and_none_of_the_places(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents("news")
    server = world.server(contents)

    def fail(*_: object, **_more: object) -> Ticker:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        target, name = {"source": (contents, "make_source"), "child": (Fanout, "admit")}[place]
        patch.setattr(target, name, fail)
        with connect(server.address, PATIENCE) as connection:
            connection.send(Send("news"))
            ends(connection)
    wait_until(lambda: server._taking.in_use == 0)
    Taker(server, "news").watch().leave()


def test_a_content_that_is_over_is_told_with_its_last_number(world: World) -> None:
    server = world.server(Contents(clip=10))
    taker = Taker(server, "clip").watch()
    stop = read(taker.connection, ServerStop)
    assert (stop.reason, stop.last) == (StopReason.END, 9)
    wait_until(lambda: taker.trains[-1].next == 10)
    again = Taker(server, "clip").watch()  # who comes now gets it anew
    assert again.ssrc != taker.ssrc
    taker.leave()
    again.leave()


def test_an_end_at_the_very_moment_of_taking_is_not_lost(world: World) -> None:
    server = world.server(Contents(clip=1))
    for _ in range(10):
        taker = Taker(server, "clip")
        message = read(taker.connection, ServerStop)
        assert (message.reason, message.last) == (StopReason.END, 0)
        taker.leave()


def test_a_taker_of_whom_nothing_is_heard_gets_stop_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_program, "Fanout", partial(Fanout, timing=Timing(lease=0.5)))
    server = world.server(Contents("news"))
    taker = Taker(server, "news").watch()
    taker.fall_silent()
    assert ends(taker.connection) is StopReason.LEASE
    wait_until(lambda: not server._takers)
    taker.leave()


def test_a_taker_whose_bye_overtakes_its_stop_has_left_in_order(world: World) -> None:
    server = world.server(Contents("news"), linger=PATIENCE)
    taker = Taker(server, "news").watch()
    (known,) = server._takers.values()
    taker.say_bye()
    wait_until(lambda: not known.streamer.fanout.children())
    assert [*server._takers.values()] == [known]
    with listing(server) as lists:
        taker.unsubscribe()
        wait_running(lists)


def test_stopping_tells_all_takers_and_ends_all(world: World) -> None:
    server = world.server(Contents("news", "sea"))
    takers = [Taker(server, "news").watch(), Taker(server, "sea").watch()]
    with listing(server) as lists, connect(server.address, PATIENCE) as silent:
        began = time.monotonic()
        world.end(server)
        assert time.monotonic() - began < 3.0
        for taker in takers:
            assert ends(taker.connection) is StopReason.LEAVING
            taker.leave()
        ends(lists)
        ends(silent)


def test_a_source_that_ends_slowly_does_not_hold_up_the_others(world: World) -> None:
    closing, go_on = threading.Event(), threading.Event()

    class Slow(Ticker):
        def close(self) -> None:
            closing.set()
            go_on.wait(PATIENCE)

    contents = Contents("live", "news")
    contents.make_source = Slow
    server = world.server(contents)
    Taker(server, "live").watch().unsubscribe()
    assert closing.wait(PATIENCE)
    contents.make_source = Ticker
    other = Taker(server, "news").watch()
    other.connection.send(ServerStop(StopReason.UNSUBSCRIBE))
    assert ends(other.connection) is None  # the watcher is free
    go_on.set()
    other.leave()


def test_there_are_bounds_on_takers_and_on_listeners(world: World, caplog: pytest.LogCaptureFixture) -> None:
    server = world.server(Contents("news"))
    server._taking, server._listeners.places = Shares(1), Shares(1)
    first = Taker(server, "news").watch()
    second = Taker(server, "news")
    assert second.answer.status is SendStatus.FULL
    second.leave()
    with listing(server) as one:
        read(one, Listed)  # now it is there, so the other one comes second
        with listing(server) as other:
            assert ends(other) is None
    assert "refused a stream to" in caplog.text
    assert "refused the list to" in caplog.text
    first.leave()
    wait_until(lambda: not server._takers and not server._listeners)
    assert (server._taking.in_use, server._listeners.places.in_use) == (0, 0)
    with listing(server) as again:
        read(again, Listed)


def test_one_address_cannot_take_all_streams_nor_hear_all_lists(world: World) -> None:
    server = world.server(Contents("news"))
    for shares in (server._taking, server._listeners.places):
        while shares.take(ADDRESS):  # as if it had taken all that it may
            assert shares.in_use < server_program.MAX_TAKERS
    greedy = Taker(server, "news")
    assert (greedy.answer.status, "from one address" in greedy.answer.text) == (SendStatus.FULL, True)
    greedy.leave()
    with listing(server) as refused:
        assert ends(refused) is None
    absent = Taker(server, "olds", host="127.0.0.2")
    assert absent.answer.status is SendStatus.ABSENT
    absent.leave()
    other = Taker(server, "news", host="127.0.0.2").watch()
    with listing(server, "127.0.0.2") as heard:
        read(heard, Listed)
    other.leave()


def test_four_addresses_that_take_all_do_not_shut_out_the_rendezvous_point_that_the_file_names(
    world: World,
) -> None:
    server = world.server(Contents("news"), rendezvous=parse_networks(["127.0.0.9"]))
    takers = itertools.cycle(bytes([127, 0, 0, number]) for number in range(1, 5))
    for shares in (server._taking, server._listeners.places, server._listener._shares):
        while shares.take(next(takers)):  # as if each of them had taken all that it may
            assert shares.in_use <= server_program.MAX_TAKERS
        assert not any(shares.take(next(takers)) for _ in range(4))
    with connect(server.address, PATIENCE) as refused:
        refused.send(Ping(7))
        assert ends(refused) is None
    rendezvous = Taker(server, "news", host="127.0.0.9").watch()
    with listing(server, "127.0.0.9") as told, connect(server.address, PATIENCE, source="127.0.0.9") as asked:
        assert names(told) == ["news"]
        asked.send(Ping(7))
        assert read(asked, Ping).reply
    rendezvous.leave()


def test_a_port_in_use_is_said_and_leaves_nothing_behind(world: World, crash: Recorder) -> None:
    server = world.server(Contents())
    with pytest.raises(ConfigError, match=str(server.address.port)):
        ServerProgram(Contents().catalogue(), server.address, MediaPorts(), 0.01, crash)


def test_a_server_that_was_never_started_can_be_stopped(crash: Recorder) -> None:
    ServerProgram(Contents().catalogue(), LOCALHOST, MediaPorts(), 0.01, crash).stop()


def test_what_is_listed_is_what_the_library_describes(world: World) -> None:
    with listing(world.server(Contents("earth"))) as connection:
        assert read(connection, Listed).contents == (ContentInfo(name="earth"),)
