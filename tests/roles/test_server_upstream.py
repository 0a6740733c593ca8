"""The rendezvous point at one server: CSND, OK, STOP, and leaving at every moment."""

import time
from collections.abc import Callable, Iterator

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.net.connection import Connection, PeerGone
from mcast.net.ports import MediaPorts
from mcast.net.watcher import Watcher
from mcast.overlay.actions import Due, ServerParent, Subscribe
from mcast.overlay.events import Accepted, Event, ParentLost, Refused, Stopped
from mcast.roles.node.server_upstream import ServerUpstream
from mcast.wire.frame import Message
from mcast.wire.node import MissReason, StopReason
from mcast.wire.position import Position
from mcast.wire.server import Ready, Send, Sending, SendStatus, ServerStop
from roles.partners import TOKEN, Peer, new_request, read, silent_address

ID = 5
STREAM = Position(7, 3)


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


Follow = Callable[..., ServerUpstream]


@pytest.fixture
def follow(watcher: Watcher, crash: Recorder, told: Told) -> Iterator[Follow]:
    """Follow the server at an address; at the end everything is left."""
    followed: list[ServerUpstream] = []

    def follow(
        address: str, resume: Position | None = None, digest: bytes = b"", due: Due | None = None
    ) -> ServerUpstream:
        subscribe = Subscribe(ID, "news", new_request(), ServerParent(address, digest), 1)
        upstream = ServerUpstream(
            subscribe, MediaPorts(), watcher, told, crash, resume=lambda: resume, due=lambda _: due
        )
        followed.append(upstream)
        upstream.start()
        return upstream

    yield follow
    for upstream in followed:
        leave(upstream)


def leave(upstream: ServerUpstream) -> None:
    upstream.leave(StopReason.UNSUBSCRIBE)
    upstream.join()


def accepting(port: int = 9, token: bytes = TOKEN, stream: Position | None = STREAM) -> Sending:
    return Sending(SendStatus.OK, port, token, stream, b"d" * 32)


def ends(connection: Connection) -> bool:
    """Tell whether the other side closes without another word."""
    try:
        connection.receive(PATIENCE)
    except PeerGone:
        return True
    return False


def test_a_server_that_accepts_is_told_that_the_socket_is_open(
    follow: Follow, peer: Peer, told: Told
) -> None:
    upstream = follow(peer.address)
    connection = peer.accept()
    asked = read(connection, Send)
    assert (asked.content, asked.resume) == ("news", None)
    assert asked.buffer_bytes > 0
    connection.send(accepting(4711))
    read(connection, Ready)
    (accepted,) = told.wait_for()
    assert isinstance(accepted, Accepted)
    port = accepted.port
    assert (port.port, port.token, port.path, port.stream) == (4711, TOKEN, (), STREAM)
    with upstream.connect_media() as sock:
        assert sock.getsockname()[1] == asked.port
        assert sock.getpeername() == ("127.0.0.1", 4711)
    leave(upstream)
    assert read(connection, ServerStop).reason is StopReason.UNSUBSCRIBE
    assert ends(connection)
    assert len(told.events) == 1


def test_it_says_from_which_number_on_it_is_to_be_fed(follow: Follow, peer: Peer) -> None:
    follow(peer.address, resume=Position(7, 1234))
    assert read(peer.accept(), Send).resume == Position(7, 1234)


@pytest.mark.parametrize("resume", [None, STREAM])
def test_a_server_that_sends_other_bytes_than_it_has_listed_is_not_taken(
    follow: Follow, peer: Peer, told: Told, resume: Position | None
) -> None:
    follow(peer.address, resume=resume, digest=b"e" * 32)
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    assert told.wait_for() == [Refused(ID, MissReason.GONE, "its file has changed since it was listed")]


def test_a_server_that_sends_the_bytes_that_it_has_listed_is_taken(
    follow: Follow, peer: Peer, told: Told
) -> None:
    follow(peer.address, resume=STREAM, digest=b"d" * 32)
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    assert isinstance(told.wait_for()[0], Accepted)


@pytest.mark.parametrize(("number", "named"), [(1234, None), (2000, 2000)])
def test_it_says_how_late_the_stream_is_by_any_number_of_it(
    follow: Follow, peer: Peer, number: int, named: int | None
) -> None:
    follow(peer.address, resume=Position(7, 1234), due=Due(number, time.monotonic() - 2.0))
    asked = read(peer.accept(), Send)
    assert asked.due == named
    assert 2_000 <= asked.overdue_ms < 2_000 + PATIENCE * 1000


def test_who_resumes_nothing_says_nothing_of_being_late(follow: Follow, peer: Peer) -> None:
    follow(peer.address, due=Due(5, time.monotonic() - 2.0))
    asked = read(peer.accept(), Send)
    assert (asked.resume, asked.overdue_ms, asked.due) == (None, 0, None)


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (Sending(SendStatus.PREPARING, text="90 % of it"), MissReason.CUT, "90 % of it"),
        (Sending(SendStatus.PREPARING), MissReason.CUT, "preparing"),
        (Sending(SendStatus.ABSENT), MissReason.CUT, "absent"),
        (Sending(SendStatus.FULL), MissReason.CUT, "full"),
        (Sending(SendStatus.ERROR, text="no ffmpeg"), MissReason.CUT, "error no ffmpeg"),
        (accepting(token=b""), MissReason.GONE, "without a stream and a token"),
        (accepting(stream=None), MissReason.GONE, "without a stream and a token"),
        (Ready(), MissReason.GONE, "Ready has no place in a subscription"),
        (ServerStop(StopReason.LEAVING, text="bye"), MissReason.GONE, "leaving bye"),
    ],
)
def test_a_server_that_cannot_is_told_with_its_reason(
    follow: Follow, peer: Peer, told: Told, answer: Message, reason: MissReason, text: str
) -> None:
    upstream = follow(peer.address)
    connection = peer.accept()
    read(connection, Send)
    connection.send(answer)
    (end,) = told.wait_for()
    assert isinstance(end, Refused)
    assert end.reason is reason
    assert text in end.text
    passes_by_itself = isinstance(answer, Sending) and answer.status is SendStatus.PREPARING
    assert (end.retry_ms > 0) is passes_by_itself
    leave(upstream)
    assert ends(connection)
    assert len(told.events) == 1


def test_a_server_that_closes_or_is_not_there_is_told(
    follow: Follow, peer: Peer, other_peer: Peer, told: Told
) -> None:
    follow(peer.address)
    connection = peer.accept()
    read(connection, Send)
    connection.close()
    other_peer.stop_listening()
    follow(other_peer.address)
    refusals = [event for event in told.wait_for(2) if isinstance(event, Refused)]
    assert {refusal.reason for refusal in refusals} == {MissReason.GONE, MissReason.CUT}
    assert any(other_peer.address in refusal.text for refusal in refusals)


def test_a_stop_right_behind_the_answer_is_not_lost(follow: Follow, peer: Peer, told: Told) -> None:
    for count in range(1, 11):
        upstream = follow(peer.address)
        connection = peer.accept()
        read(connection, Send)
        connection.send(accepting())
        connection.send(ServerStop(StopReason.END, 2))
        begin, end = told.wait_for(2 * count)[-2:]
        assert isinstance(begin, Accepted)  # in that order: what ends has begun
        assert end == Stopped(ID, StopReason.END, 2)
        connection.close()
        leave(upstream)


def test_a_server_that_dies_right_behind_its_answer_is_a_lost_parent(
    follow: Follow, peer: Peer, told: Told
) -> None:
    follow(peer.address)
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    read(connection, Ready)
    connection.close()
    assert isinstance(told.wait_for(2)[1], ParentLost)


def test_nonsense_in_a_running_stream_ends_it(follow: Follow, peer: Peer, told: Told) -> None:
    follow(peer.address)
    connection = peer.accept()
    read(connection, Send)
    connection.send(accepting())
    connection.send(accepting())
    end = told.wait_for(2)[1]
    assert isinstance(end, ParentLost)
    assert "no place in a subscription" in end.text


def test_leaving_while_a_server_does_not_answer(
    follow: Follow, peer: Peer, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = follow(peer.address)
    connection = peer.accept()
    read(connection, Send)
    leave(upstream)
    assert read(connection, ServerStop).reason is StopReason.UNSUBSCRIBE
    with silent_address() as unreachable:
        leave(follow(unreachable))
    assert told.events == []
    assert "has not ended" not in caplog.text
