"""A server as mcast-server runs it, asked by the test in the rendezvous point's place."""

import socket
import threading
import time
from functools import partial

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.errors import ConfigError
from mcast.media.fanout import Fanout
from mcast.media.receiver import Receiver, connect_media_socket, open_media_socket
from mcast.media.timing import Timing
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.ports import MediaPorts
from mcast.roles.server import program as server_program
from mcast.roles.server.program import ServerProgram
from mcast.wire.frame import Message
from mcast.wire.node import StopReason
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo, Ping, Ready, Send, Sending, SendStatus, ServerStop, Wake
from mcast.wire.server import Contents as Listed
from mcast.wire.train import Train
from roles.overlay_parts import LOCALHOST, Contents, Ticker, World, turn_away
from roles.partners import disc, read


class Taker:
    """The rendezvous point's side of one stream."""

    def __init__(self, server: ServerProgram, content: str) -> None:
        self.connection = connect(server.address, PATIENCE)
        self.connection.send(Send(content))
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
        self._receiver = Receiver("news", answer.stream, "rp", self.trains.append, Recorder(), self._crash)
        self._receiver.add_parent(0, self._sock, answer.token, answer.stream)
        self.connection.send(Ready())
        self._receiver.start()

    def watch(self) -> "Taker":
        wait_until(lambda: self.trains, "media")
        return self

    @property
    def ssrc(self) -> int:
        assert self.answer.stream is not None
        return self.answer.stream.ssrc

    def fall_silent(self) -> None:
        turn_away(self._sock)

    def leave(self) -> None:
        self.connection.close()
        if self._receiver is not None:
            self._receiver.stop()
        assert self._crash.calls == []


def listing(server: ServerProgram) -> Connection:
    connection = connect(server.address, PATIENCE)
    connection.send(Wake())
    return connection


def names(connection: Connection) -> list[str]:
    return [info.name for info in read(connection, Listed).contents]


def running(connection: Connection) -> int:
    return sum(len(info.running) for info in read(connection, Listed).contents)


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


def test_who_does_not_read_its_list_delays_nobody_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_program, "LIST_TIMEOUT", 0.05)
    contents = Contents(*(f"{number:03} {'x' * 200}" for number in range(1000)))
    server = world.server(contents)
    with deaf(server) as connection, listing(server) as other:
        read(other, Listed)
        connection.send(Wake())
        for _ in range(60):  # until the buffers of the one are full
            contents.changed()
            read(other, Listed)
        wait_until(lambda: len(server._listeners) == 1, "the deaf one is let go")


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
        lengths = [len(names(connection)) for _ in threads]
        assert lengths == sorted(lengths)
        assert lengths[-1] == 21


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
        assert running(lists) == 0
        first = Taker(server, "news").watch()
        assert first.answer.digest == b""
        second = Taker(server, "news").watch()
        assert first.ssrc == second.ssrc
        assert first.answer.token != second.answer.token
        first.connection.send(ServerStop(StopReason.UNSUBSCRIBE))
        assert ends(first.connection) is None
        second.leave()
        while running(lists):
            pass
        third = Taker(server, "news").watch()
        assert third.ssrc != second.ssrc
        for taker in (first, third):
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
        (SendStatus.PREPARING, "half of it"),
        (SendStatus.ABSENT, "there is no content 'olds' here"),
        (SendStatus.ERROR, "ffmpeg is missing"),
    ]


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
    Taker(server, "live").watch().leave()
    assert closing.wait(PATIENCE)
    contents.make_source = Ticker
    other = Taker(server, "news").watch()
    other.connection.send(ServerStop(StopReason.UNSUBSCRIBE))
    assert ends(other.connection) is None  # the watcher is free
    go_on.set()
    other.leave()


def test_there_are_bounds_on_takers_and_on_listeners(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_program, "MAX_TAKERS", 1)
    monkeypatch.setattr(server_program, "MAX_LISTENERS", 1)
    server = world.server(Contents("news"))
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
    with listing(server) as again:
        read(again, Listed)


def test_a_port_in_use_is_said_and_leaves_nothing_behind(world: World, crash: Recorder) -> None:
    server = world.server(Contents())
    with pytest.raises(ConfigError, match=str(server.address.port)):
        ServerProgram(Contents().catalogue(), server.address, MediaPorts(), 0.01, crash)


def test_a_server_that_was_never_started_can_be_stopped(crash: Recorder) -> None:
    ServerProgram(Contents().catalogue(), LOCALHOST, MediaPorts(), 0.01, crash).stop()


def test_what_is_listed_is_what_the_library_describes(world: World) -> None:
    with listing(world.server(Contents("earth"))) as connection:
        assert read(connection, Listed).contents == (ContentInfo(name="earth"),)
