"""Following a neighbour, and leaving it at every moment."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.net.connection import Connection, PeerGone
from mcast.net.ports import MediaPorts
from mcast.net.watcher import Watcher
from mcast.overlay.actions import NodeParent, Subscribe
from mcast.overlay.events import Accepted, Event, ParentLost, Refused, Stopped
from mcast.peer.flooder import Flooder
from mcast.peer.neighbour import FlooderTiming
from mcast.peer.upstream import MAX_NEWS, NeighbourUpstream
from mcast.wire.endpoint import Endpoint
from mcast.wire.node import MissReason, Start, Stop, StopReason, Stream
from mcast.wire.position import Position
from roles.partners import N1, RP, Peer, miss, new_request, port_for, read, silent_address, stop_for

ID = 5


class Told:
    """Takes what an upstream posts."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def wait_for(self, count: int = 1) -> list[Event]:
        wait_until(lambda: len(self.events) >= count, f"{count} events (there are {self.events})")
        return self.events


@pytest.fixture
def told() -> Told:
    return Told()


Follow = Callable[..., NeighbourUpstream]


@pytest.fixture
def follow(watcher: Watcher, crash: Recorder, told: Told) -> Iterator[Follow]:
    """Follow the neighbour at an address; at the end everything is left."""
    flooders: list[Flooder] = []
    followed: list[NeighbourUpstream] = []

    def follow(
        address: str, *, hops: int = 1, warm: bool = False, resume: Position | None = None,
        name: str = "rp", start: Start = Start.KEYFRAME,
    ) -> NeighbourUpstream:  # fmt: skip
        flooder = Flooder(watcher, Recorder(), crash, FlooderTiming(connect_timeout=0.05))
        flooder.update({"rp": address})
        flooders.append(flooder)
        if warm:
            wait_until(lambda: "1 idle" in repr(flooder._neighbours["rp"]))
        subscribe = Subscribe(ID, "news", new_request(), NodeParent(name), hops, start)
        upstream = NeighbourUpstream(
            subscribe, MediaPorts(), watcher, told, crash, flooder=flooder, me=N1, resume=lambda: resume
        )
        followed.append(upstream)
        upstream.start()
        return upstream

    yield follow
    for upstream in followed:
        upstream.leave(StopReason.UNSUBSCRIBE)
        upstream.join()
    for flooder in flooders:
        flooder.stop()


def ends(connection: Connection) -> bool:
    """Tell whether the other side closes without another word."""
    try:
        connection.receive(PATIENCE)
    except PeerGone:
        return True
    return False


def leave(upstream: NeighbourUpstream, reason: StopReason = StopReason.UNSUBSCRIBE) -> None:
    upstream.leave(reason)
    upstream.join()


def test_port_tells_where_the_media_comes_from_and_news_come_behind_it(
    follow: Follow, peer: Peer, told: Told
) -> None:
    upstream = follow(peer.address, hops=3, warm=True, start=Start.LIVE)
    connection = peer.accept()  # the warm one is taken
    asked = read(connection, Stream)
    assert (asked.content, asked.sender, asked.hops, asked.start) == ("news", N1, 3, Start.LIVE)
    assert asked.resume is None
    assert asked.buffer_bytes > 0
    first, news = port_for(asked, port=4711), port_for(asked, version=2, path=(RP, N1))
    connection.send(first)
    assert told.wait_for() == [Accepted(ID, first)]
    assert upstream.accepted == first
    assert 0 < upstream.answer_seconds < PATIENCE
    with upstream.connect_media() as sock:
        assert sock.getsockname()[1] == asked.port
        assert sock.getpeername() == ("127.0.0.1", 4711)
    connection.send(news)
    assert told.wait_for(2) == [Accepted(ID, first), Accepted(ID, news)]
    assert upstream.accepted == first
    leave(upstream, StopReason.LEAVING)
    assert read(connection, Stop).reason is StopReason.LEAVING
    assert ends(connection)
    assert len(told.events) == 2


def test_it_says_from_which_number_on_it_is_to_be_fed(follow: Follow, peer: Peer) -> None:
    upstream = follow(peer.address, warm=True, resume=Position(7, 1234))
    assert read(peer.accept(), Stream).resume == upstream.resume == Position(7, 1234)


def test_further_neighbours_that_may_mean_others_here_are_left_out(
    follow: Follow, peer: Peer, told: Told
) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    port = port_for(read(connection, Stream))
    named = tuple(Endpoint.of(ip, 5000) for ip in ("10.0.9.9", "127.0.0.9", "169.254.9.9"))
    connection.send(replace(port, further=named))
    assert told.wait_for() == [Accepted(ID, replace(port, further=named[:2]))]  # the parent is at 127.0.0.1


def test_media_is_received_once_and_not_before_port(follow: Follow, peer: Peer, told: Told) -> None:
    upstream = follow(peer.address, warm=True)
    with pytest.raises(RuntimeError, match="no media to receive yet"):
        upstream.connect_media()
    connection = peer.accept()
    connection.send(port_for(read(connection, Stream)))
    told.wait_for()
    upstream.connect_media().close()
    with pytest.raises(RuntimeError, match="received already"):
        upstream.connect_media()


@pytest.mark.parametrize("reason", list(MissReason))
def test_a_miss_is_told_once_and_no_stop_follows_it(
    follow: Follow, peer: Peer, told: Told, reason: MissReason
) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(miss(read(connection, Stream), reason, "because"))
    assert told.wait_for() == [Refused(ID, reason, "because")]
    leave(upstream)
    assert ends(connection)
    assert len(told.events) == 1


def test_a_stop_is_told_once_though_the_connection_closes_behind_it(
    follow: Follow, peer: Peer, told: Told, watcher: Watcher
) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    asked = read(connection, Stream)
    connection.send(port_for(asked))
    connection.send(stop_for(asked, StopReason.END, 41, "over"))
    connection.close()
    assert told.wait_for(2)[1:] == [Stopped(ID, StopReason.END, 41, "over")]
    wait_until(lambda: len(watcher) <= 1, "the end of the connection is seen")  # a warm one is left
    leave(upstream)
    assert len(told.events) == 2


def test_a_connection_that_is_lost_ends_the_asking(follow: Follow, peer: Peer, told: Told) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    read(connection, Stream)
    connection.close()
    (end,) = told.wait_for()
    assert isinstance(end, Refused)
    assert end.reason is MissReason.GONE


def test_a_connection_that_is_lost_behind_port_is_a_lost_parent(
    follow: Follow, peer: Peer, told: Told
) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(port_for(read(connection, Stream)))
    connection.close()
    end = told.wait_for(2)[1]
    assert isinstance(end, ParentLost)
    assert "closed the connection" in end.text


def test_a_stop_instead_of_a_port_is_a_refusal(follow: Follow, peer: Peer, told: Told) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(stop_for(read(connection, Stream), StopReason.LEAVING, text="bye"))
    assert told.wait_for() == [Refused(ID, MissReason.GONE, "leaving bye")]


def test_nonsense_ends_the_subscription(follow: Follow, peer: Peer, told: Told) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    asked = read(connection, Stream)
    connection.send(port_for(asked))
    connection.send(miss(asked, MissReason.BUSY))
    end = told.wait_for(2)[1]
    assert isinstance(end, ParentLost)
    assert "Miss has no place in a subscription" in end.text


def test_a_parent_that_tells_more_than_can_be_decided_is_left(follow: Follow, peer: Peer, told: Told) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    asked = read(connection, Stream)
    with contextlib.suppress(PeerGone):  # it hangs up before it has heard all
        for version in range(20 * MAX_NEWS):
            connection.send(port_for(asked, version=version))
    wait_until(lambda: any(isinstance(each, ParentLost) for each in told.events), "the parent to be left")
    assert "more than 300 times a second" in str(told.events[-1])
    assert upstream.accepted is not None
    leave(upstream)


def test_hops_stay_in_their_byte(follow: Follow, peer: Peer) -> None:
    follow(peer.address, hops=256, warm=True)
    assert read(peer.accept(), Stream).hops == 255


def test_a_neighbour_that_is_not_there_is_told(follow: Follow, peer: Peer, told: Told) -> None:
    peer.stop_listening()
    follow(peer.address)
    (end,) = told.wait_for()
    assert isinstance(end, Refused)
    assert end.reason is MissReason.CUT
    assert peer.address in end.text


def test_a_neighbour_that_the_layout_has_no_more_is_told(follow: Follow, peer: Peer, told: Told) -> None:
    follow(peer.address, name="n9")
    assert told.wait_for() == [Refused(ID, MissReason.GONE, "n9 is no neighbour any more")]


# Leaving


def test_leaving_never_waits_for_the_thread_and_joining_is_anothers_task(follow: Follow, told: Told) -> None:
    with silent_address() as address:
        upstreams = [follow(address) for _ in range(3)]
        assert all(upstream._thread.alive for upstream in upstreams)
        for upstream in upstreams:
            upstream.leave(StopReason.UNSUBSCRIBE)
        for upstream in upstreams:
            upstream.join()
            assert not upstream._thread.alive
    assert told.events == []


def test_leaving_does_not_wait_for_a_parent_that_takes_nothing_more(
    follow: Follow, peer: Peer, told: Told
) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(port_for(read(connection, Stream)))
    told.wait_for()
    assert upstream._connection is not None
    holds_lock, go_on = threading.Event(), threading.Event()

    def hold() -> None:  # as a sender does whose peer takes nothing
        assert upstream._connection is not None
        with upstream._connection._out._turn:
            holds_lock.set()
            go_on.wait(PATIENCE)

    holding = threading.Thread(target=hold)
    holding.start()
    assert holds_lock.wait(PATIENCE)
    upstream.leave(StopReason.UNSUBSCRIBE)  # returns though nobody lets the lock go
    assert upstream._connection.closed
    go_on.set()
    holding.join()
    assert ends(connection)


def test_leaving_at_once_posts_nothing(follow: Follow, peer: Peer, told: Told) -> None:
    for _ in range(20):
        leave(follow(peer.address))
    assert told.events == []


def test_leaving_before_the_answer_says_stop_and_posts_nothing(
    follow: Follow, peer: Peer, told: Told
) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    read(connection, Stream)
    leave(upstream)
    assert read(connection, Stop).reason is StopReason.UNSUBSCRIBE
    assert ends(connection)
    assert told.events == []


def test_leaving_while_the_answer_comes_in_posts_at_most_that_answer(
    follow: Follow, peer: Peer, told: Told
) -> None:
    for _ in range(10):
        upstream = follow(peer.address, warm=True)
        connection = peer.accept()
        connection.send(port_for(read(connection, Stream)))
        leave(upstream)
        assert read(connection, Stop)
        assert ends(connection)
        peer.accept()  # the neighbour's next warm one
    assert all(isinstance(event, Accepted) for event in told.events)


def test_leaving_twice_says_stop_once(follow: Follow, peer: Peer) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    read(connection, Stream)
    leave(upstream)
    leave(upstream)
    read(connection, Stop)
    assert ends(connection)


def test_an_upstream_is_printed_with_where_it_stands(follow: Follow, peer: Peer, told: Told) -> None:
    upstream = follow(peer.address, warm=True)
    connection = peer.accept()
    asked = read(connection, Stream)
    assert repr(upstream) == "<NeighbourUpstream 5 [news] at rp: asking>"
    connection.send(port_for(asked))
    told.wait_for()
    assert repr(upstream) == "<NeighbourUpstream 5 [news] at rp: accepted>"
    leave(upstream)
    assert repr(upstream) == "<NeighbourUpstream 5 [news] at rp: left>"
