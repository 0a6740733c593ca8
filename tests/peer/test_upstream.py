"""Following a neighbour or a server, and leaving at every moment of it."""

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.net.connection import Connection, PeerGone
from mcast.net.ports import MediaPorts
from mcast.net.watcher import Watcher
from mcast.roles.node import flooder
from mcast.roles.node import subscription as subscription_module
from mcast.roles.node.flooder import Neighbour
from mcast.roles.node.subscription import (
    MAX_NUMBER,
    MAX_PATH,
    NeighbourSubscription,
    ServerSubscription,
    Subscription,
)
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, Port, Stop, StopReason, Stream
from mcast.wire.position import Position
from mcast.wire.server import Ready, Send, Sending, SendStatus, ServerStop
from roles.partners import N1, RP, TOKEN, Peer, miss, new_request, port_for, read, silent_address, stop_for


class Told:
    """Takes what a subscription tells."""

    def __init__(self) -> None:
        self.ports: list[Port] = []
        self.refused: list[tuple[MissReason, str]] = []
        self.stopped: list[tuple[StopReason, int | None, str]] = []

    def on_port(self, _subscription: Subscription, port: Port) -> None:
        self.ports.append(port)

    def on_refused(self, _subscription: Subscription, reason: MissReason, text: str) -> None:
        self.refused.append((reason, text))

    def on_stop(self, _subscription: Subscription, reason: StopReason, last: int | None, text: str) -> None:
        self.stopped.append((reason, last, text))

    def __len__(self) -> int:
        return len(self.ports) + len(self.refused) + len(self.stopped)


@pytest.fixture
def told() -> Told:
    return Told()


FollowNeighbour = Callable[..., Subscription]
FollowServers = Callable[[Sequence[str]], Subscription]


@pytest.fixture
def follow(
    watcher: Watcher, crash: Recorder, told: Told, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FollowNeighbour]:
    """Follow the neighbour at an address; at the end everything is left."""
    monkeypatch.setattr(flooder, "CONNECT_TIMEOUT", 0.05)
    neighbours: list[Neighbour] = []
    followed: list[Subscription] = []

    def follow(address: str, *, hops: int = 1, warm: bool = False) -> Subscription:
        neighbour = Neighbour("rp", address, watcher, Recorder(), crash)
        neighbours.append(neighbour)
        if warm:
            wait_until(lambda: "1 idle" in repr(neighbour))
        subscription = NeighbourSubscription(
            "news", new_request(), MediaPorts(), watcher, told, crash, neighbour=neighbour, me=N1, hops=hops
        )
        followed.append(subscription)
        subscription.start()
        return subscription

    yield follow
    for subscription in followed:
        subscription.leave(StopReason.UNSUBSCRIBE)
    for neighbour in neighbours:
        neighbour.stop()


@pytest.fixture
def follow_servers(watcher: Watcher, crash: Recorder, told: Told) -> Iterator[FollowServers]:
    followed: list[Subscription] = []

    def follow(ranking: Sequence[str]) -> Subscription:
        subscription = ServerSubscription(
            "news", new_request(), MediaPorts(), watcher, told, crash, ranking=ranking
        )
        followed.append(subscription)
        subscription.start()
        return subscription

    yield follow
    for subscription in followed:
        subscription.leave(StopReason.UNSUBSCRIBE)


def ends(connection: Connection) -> bool:
    """Tell whether the other side closes without another word."""
    try:
        connection.receive(PATIENCE)
    except PeerGone:
        return True
    return False


def leave_in_time(subscription: Subscription) -> None:
    began = time.monotonic()
    subscription.leave(StopReason.UNSUBSCRIBE)
    assert time.monotonic() - began < 1.0


# A neighbour


def test_port_tells_where_the_media_comes_from_and_news_come_behind_it(
    follow: FollowNeighbour, peer: Peer, told: Told
) -> None:
    subscription = follow(peer.address, hops=3, warm=True)
    connection = peer.accept()  # the warm one is taken
    asked = read(connection, Stream)
    assert (asked.request, asked.content, asked.sender, asked.hops) == (subscription.request, "news", N1, 3)
    assert asked.buffer_bytes > 0
    first, news = port_for(asked, port=4711), port_for(asked, version=2, path=(RP, N1))
    connection.send(first)
    wait_until(lambda: told.ports == [first])
    assert subscription.accepted == first
    with subscription.connect_media() as sock:
        assert sock.getsockname()[1] == asked.port
        assert sock.getpeername() == ("127.0.0.1", 4711)
    connection.send(news)
    wait_until(lambda: told.ports == [first, news])
    assert subscription.accepted == first
    subscription.leave(StopReason.LEAVING)
    assert read(connection, Stop).reason is StopReason.LEAVING
    assert ends(connection)
    assert len(told) == 2


def test_media_is_received_once_and_not_before_port(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    subscription = follow(peer.address, warm=True)
    with pytest.raises(RuntimeError, match="no media to receive yet"):
        subscription.connect_media()
    connection = peer.accept()
    connection.send(port_for(read(connection, Stream)))
    wait_until(lambda: told.ports)
    subscription.connect_media().close()
    with pytest.raises(RuntimeError, match="received already"):
        subscription.connect_media()


@pytest.mark.parametrize("reason", list(MissReason))
def test_a_miss_is_told_once_and_no_stop_follows_it(
    follow: FollowNeighbour, peer: Peer, told: Told, reason: MissReason
) -> None:
    subscription = follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(miss(read(connection, Stream), reason, "because"))
    wait_until(lambda: told.refused == [(reason, "because")])
    leave_in_time(subscription)
    assert ends(connection)
    assert len(told) == 1


def test_a_stop_is_told_once_though_the_connection_closes_behind_it(
    follow: FollowNeighbour, peer: Peer, told: Told, watcher: Watcher
) -> None:
    subscription = follow(peer.address, warm=True)
    connection = peer.accept()
    asked = read(connection, Stream)
    connection.send(port_for(asked))
    connection.send(stop_for(asked, StopReason.END, 41, "over"))
    connection.close()
    wait_until(lambda: told.stopped == [(StopReason.END, 41, "over")])
    wait_until(lambda: len(watcher) <= 1, "the end of the connection is seen")  # a warm one is left
    leave_in_time(subscription)
    assert told.stopped == [(StopReason.END, 41, "over")]
    assert told.refused == []


def test_a_connection_that_is_lost_ends_the_follow_or_the_stream(
    follow: FollowNeighbour, peer: Peer, told: Told
) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    read(connection, Stream)
    connection.close()
    wait_until(lambda: told.refused)
    assert told.refused[0][0] is MissReason.GONE
    follow(peer.address)
    while not told.stopped:
        connection = peer.accept()
        try:
            asked = connection.receive(0.05)
        except TimeoutError:
            continue  # a warm one
        assert isinstance(asked, Stream)
        connection.send(port_for(asked))
        connection.close()
        wait_until(lambda: told.stopped)
    assert told.stopped[0][:2] == (StopReason.CUT, None)


def test_a_stop_instead_of_a_port_is_a_refusal(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(stop_for(read(connection, Stream), StopReason.LEAVING, text="bye"))
    wait_until(lambda: told.refused == [(MissReason.GONE, "leaving bye")])


def too_long(asked: Stream) -> Port:
    return port_for(asked, path=tuple(Identity.node(f"n{number}") for number in range(MAX_PATH + 1)))


def too_far(asked: Stream) -> Port:
    return Port(request=asked.request, content="news", token=TOKEN, path=(RP,), version=1,
                stream=Position(1, MAX_NUMBER + 1))  # fmt: skip


@pytest.mark.parametrize("answer", [too_long, too_far])
def test_a_port_that_could_not_be_handed_on_ends_the_follow(
    follow: FollowNeighbour, peer: Peer, told: Told, answer: Callable[[Stream], Port]
) -> None:
    follow(peer.address, warm=True)
    connection = peer.accept()
    connection.send(answer(read(connection, Stream)))
    wait_until(lambda: told.refused)
    assert told.refused[0][0] is MissReason.GONE
    assert told.ports == []
    assert ends(connection)


def test_hops_stay_in_their_byte(follow: FollowNeighbour, peer: Peer) -> None:
    follow(peer.address, hops=256, warm=True)
    assert read(peer.accept(), Stream).hops == 255


def test_a_neighbour_that_is_not_there_is_told(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    peer.stop_listening()
    follow(peer.address)
    wait_until(lambda: told.refused)
    assert told.refused[0][0] is MissReason.CUT
    assert peer.address in told.refused[0][1]


def test_leaving_while_it_connects(follow: FollowNeighbour, told: Told) -> None:
    with silent_address() as address:
        for _ in range(3):
            leave_in_time(follow(address))
    assert len(told) == 0


def test_leaving_at_once(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    for _ in range(20):
        leave_in_time(follow(peer.address))
    assert len(told) == 0


def test_leaving_before_the_answer(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    subscription = follow(peer.address, warm=True)
    connection = peer.accept()
    read(connection, Stream)
    leave_in_time(subscription)
    assert read(connection, Stop).reason is StopReason.UNSUBSCRIBE
    assert ends(connection)
    assert len(told) == 0


def test_leaving_while_the_answer_comes_in(follow: FollowNeighbour, peer: Peer, told: Told) -> None:
    for _ in range(10):
        subscription = follow(peer.address, warm=True)
        connection = peer.accept()
        connection.send(port_for(read(connection, Stream)))
        leave_in_time(subscription)
        before = len(told)
        assert read(connection, Stop)
        assert len(told) == before
        wait_until(lambda: peer.accept())  # the neighbour's next warm one


def test_leaving_twice_is_harmless(follow: FollowNeighbour, peer: Peer) -> None:
    subscription = follow(peer.address, warm=True)
    read(peer.accept(), Stream)
    leave_in_time(subscription)
    leave_in_time(subscription)


# Servers


def accepting(port: int = 9, token: bytes = TOKEN, stream: Position | None = Position(7, 3)) -> Sending:  # noqa: B008
    return Sending(SendStatus.OK, port, token, stream, b"d" * 32)


def test_the_best_server_is_asked_and_told_that_the_socket_is_open(
    follow_servers: FollowServers, peer: Peer, told: Told
) -> None:
    subscription = follow_servers([peer.address])
    connection = peer.accept()
    asked = read(connection, Send)
    assert asked.content == "news"
    assert asked.resume is None
    connection.send(accepting(4711))
    read(connection, Ready)
    wait_until(lambda: told.ports)
    port = told.ports[0]
    assert (port.port, port.token, port.path, port.stream) == (4711, TOKEN, (), Position(7, 3))
    with subscription.connect_media() as sock:
        assert sock.getsockname()[1] == asked.port
    leave_in_time(subscription)
    assert read(connection, ServerStop).reason is StopReason.UNSUBSCRIBE
    assert len(told) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Sending(SendStatus.PREPARING, text="90 % of it"),
        Sending(SendStatus.ABSENT),
        Sending(SendStatus.FULL),
        Sending(SendStatus.ERROR, text="no ffmpeg"),
        accepting(token=b""),
        accepting(stream=None),
        accepting(stream=Position(1, MAX_NUMBER + 1)),
        Ready(),
        None,  # it closes
    ],
)
def test_the_next_best_server_is_asked_when_one_cannot(
    follow_servers: FollowServers, peer: Peer, other_peer: Peer, told: Told, answer: Sending | Ready | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    follow_servers([peer.address, other_peer.address])
    first = peer.accept()
    read(first, Send)
    if answer is None:
        first.close()
    else:
        first.send(answer)
        assert ends(first)
    second = other_peer.accept()
    read(second, Send)
    second.send(accepting())
    read(second, Ready)
    wait_until(lambda: len(told.ports) == 1)
    assert told.refused == []
    assert f"[news] server {peer.address}: " in caplog.text


def test_a_server_that_is_silent_or_unreachable_is_given_up_for_the_next(
    follow_servers: FollowServers, peer: Peer, other_peer: Peer, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "SERVER_TIMEOUT", 0.1)
    with silent_address() as unreachable:
        follow_servers([unreachable, peer.address, other_peer.address])
        read(peer.accept(), Send)  # and no answer
        connection = other_peer.accept()
        read(connection, Send)
        connection.send(accepting())
        wait_until(lambda: len(told.ports) == 1)


def test_when_no_server_can_it_is_said_why(
    follow_servers: FollowServers, peer: Peer, other_peer: Peer, told: Told
) -> None:
    follow_servers([peer.address, other_peer.address])
    for server, status in ((peer, SendStatus.PREPARING), (other_peer, SendStatus.ABSENT)):
        connection = server.accept()
        read(connection, Send)
        connection.send(Sending(status, text="wait"))
    wait_until(lambda: told.refused)
    assert told.refused == [
        (
            MissReason.CUT,
            f"server {peer.address}: preparing wait; server {other_peer.address}: absent wait",
        )
    ]


def test_without_any_server_it_is_refused(follow_servers: FollowServers, told: Told) -> None:
    follow_servers([])
    wait_until(lambda: told.refused == [(MissReason.CUT, "no server has it now")])


def test_a_stop_right_behind_the_answer_is_not_lost(
    follow_servers: FollowServers, peer: Peer, told: Told
) -> None:
    for count in range(1, 21):
        subscription = follow_servers([peer.address])
        connection = peer.accept()
        read(connection, Send)
        connection.send(accepting())
        connection.send(ServerStop(StopReason.END, 2))
        wait_until(lambda count=count: len(told.stopped) == count)  # type: ignore[misc]
        assert len(told.ports) == count  # in that order: what ends has begun
        connection.close()
        leave_in_time(subscription)
    assert set(told.stopped) == {(StopReason.END, 2, "")}


def test_a_server_that_dies_right_behind_its_answer_ends_the_stream(
    follow_servers: FollowServers, peer: Peer, told: Told
) -> None:
    follow_servers([peer.address])
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    read(connection, Ready)
    connection.close()
    wait_until(lambda: told.stopped)
    assert told.stopped[0][:2] == (StopReason.CUT, None)


def test_nonsense_in_a_running_stream_ends_it(follow_servers: FollowServers, peer: Peer, told: Told) -> None:
    follow_servers([peer.address])
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    connection.send(accepting())
    wait_until(lambda: told.stopped)
    assert told.stopped[0][0] is StopReason.CUT
    assert "no place in a running stream" in told.stopped[0][2]


def test_leaving_while_a_server_does_not_answer(
    follow_servers: FollowServers, peer: Peer, other_peer: Peer, told: Told
) -> None:
    subscription = follow_servers([peer.address, other_peer.address])
    connection = peer.accept()
    read(connection, Send)
    leave_in_time(subscription)
    assert read(connection, ServerStop).reason is StopReason.UNSUBSCRIBE
    with silent_address() as unreachable:
        leave_in_time(follow_servers([unreachable]))
    assert len(told) == 0
