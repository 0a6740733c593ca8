"""How a client comes to a stream: a neighbour that answers, refuses, hangs up, or is not there."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from helpers import PATIENCE
from mcast.errors import ConfigError, NotFoundError, UnreachableError
from mcast.hostport import HostPort, parse_address
from mcast.net.connection import Connection, PeerGone
from mcast.net.ports import MediaPorts
from mcast.roles.client import joiner as joiner_module
from mcast.roles.client.joiner import MAX_TRIES, Interrupted, Joined, Joiner
from mcast.wire.frame import Message
from mcast.wire.node import Disc, MissReason, Start, StopReason, Stream
from roles.partners import VIEWER, Peer, found, miss, port_for, read, silent_address, stop_for

Answer = Callable[[Connection], None]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joiner_module, "RETRY_PAUSE", 0.01)
    monkeypatch.setattr(joiner_module, "CONNECT_RETRY", 0.02)


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


class Joining:
    """A joiner at work in a thread of its own, so that the test can be its neighbour."""

    def __init__(self, address: str, stop: threading.Event, patience: float, ports: MediaPorts) -> None:
        self.stop, self.outcome, self.took = stop, list[Joined | Exception](), 0.0
        self._joiner = Joiner(parse_address(address), "news", VIEWER, ports, stop,
                              patience=patience, start=Start.LIVE)  # fmt: skip
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome.append(self._joiner.join())
        except Exception as error:
            self.outcome.append(error)

    def end(self) -> Joined | Exception:
        began = time.monotonic()
        self._thread.join(PATIENCE)
        self.took = time.monotonic() - began
        assert not self._thread.is_alive()
        return self.outcome[0]

    def close(self) -> None:
        self.stop.set()
        outcome = self.end()
        if isinstance(outcome, Joined):
            outcome.close()


Join = Callable[..., Joining]


@pytest.fixture
def join(stop: threading.Event) -> Iterator[Join]:
    started: list[Joining] = []

    def join(address: str, *, patience: float = 5.0, ports: MediaPorts = MediaPorts()) -> Joining:  # noqa: B008
        started.append(Joining(address, stop, patience, ports))
        return started[-1]

    yield join
    for joining in started:
        joining.close()


def answered(peer: Peer, *answers: Callable[..., Message]) -> list[bytes]:
    """Answer one question after the other on one new connection; give their request ids."""
    connection, requests = peer.accept(), []
    kinds: tuple[type[Disc] | type[Stream], ...] = (Disc, Stream)
    for answer, kind in zip(answers, kinds, strict=False):
        asked: Disc | Stream = read(connection, kind)
        requests.append(asked.request)
        connection.send(answer(asked))
    return requests


def missing(reason: MissReason, text: str = "") -> Callable[..., Message]:
    return lambda asked: miss(asked, reason, text)


def test_found_and_port_make_a_subscription(join: Join, peer: Peer) -> None:
    joining, connection = join(peer.address), peer.accept()
    asked = read(connection, Disc)
    assert (asked.content, asked.sender, asked.remaining_ms) == ("news", VIEWER, 4000)
    connection.send(found(asked))
    stream = read(connection, Stream)
    assert (stream.request, stream.sender, stream.start) == (asked.request, VIEWER, Start.LIVE)
    connection.send(port_for(stream, port=4711))
    joined = joining.end()
    assert isinstance(joined, Joined)
    assert joined.port.port == 4711
    assert joined.sock.getsockname()[1] == stream.port
    assert joined.sock.getpeername() == ("127.0.0.1", 4711)
    assert joined.buffer_bytes == stream.buffer_bytes > 0
    assert joined.request_id.replace("-", "") == asked.request.hex()


def test_absent_is_final(join: Join, peer: Peer) -> None:
    joining = join(peer.address)
    answered(peer, missing(MissReason.ABSENT))
    outcome = joining.end()
    assert isinstance(outcome, NotFoundError)
    assert "no server that answers has the content 'news'" in str(outcome)


def test_busy_is_tried_again_at_once_under_new_ids_as_long_as_patience_lasts(join: Join, peer: Peer) -> None:
    joining, requests = join(peer.address), set()
    for _ in range(MAX_TRIES + 3):
        requests.update(answered(peer, found, missing(MissReason.BUSY)))
    answered(peer, missing(MissReason.ABSENT))
    assert isinstance(joining.end(), NotFoundError)
    assert len(requests) == MAX_TRIES + 3


def test_busy_beyond_patience_counts_as_a_try(join: Join, peer: Peer) -> None:
    joining = join(peer.address, patience=0.2)
    while not joining.outcome:
        with contextlib.suppress(TimeoutError):  # it was the last try
            connection = peer.accept(0.2)
            connection.send(miss(read(connection, Disc), MissReason.BUSY))
    outcome = joining.end()
    assert isinstance(outcome, UnreachableError)
    assert "(busy)" in str(outcome)


@pytest.mark.parametrize("reason", [each for each in MissReason if each not in (1, MissReason.BUSY)])
def test_any_other_miss_is_tried_three_times_and_then_it_is_said_why(
    join: Join, peer: Peer, reason: MissReason
) -> None:
    joining = join(peer.address)
    requests = [answered(peer, missing(reason, "because"))[0] for _ in range(MAX_TRIES)]
    outcome = joining.end()
    assert isinstance(outcome, UnreachableError)
    assert str(outcome).endswith(f"through {peer.address} in 3 tries ({reason.name.lower()} because)")
    assert len(set(requests)) == 3


def test_a_miss_in_between_is_forgiven(join: Join, peer: Peer) -> None:
    joining = join(peer.address)
    answered(peer, missing(MissReason.GONE))
    answered(peer, found, missing(MissReason.CUT))
    answered(peer, found, port_for)
    assert isinstance(joining.end(), Joined)


def hang_up(connection: Connection) -> None:
    read(connection, Disc)
    connection.close()


def nonsense(connection: Connection) -> None:
    connection.send(read(connection, Disc))


def nonsense_later(connection: Connection) -> None:
    connection.send(found(read(connection, Disc)))
    connection.send(found(read(connection, Stream)))  # type: ignore[arg-type]


def stop_instead(connection: Connection) -> None:
    connection.send(found(read(connection, Disc)))
    connection.send(stop_for(read(connection, Stream), StopReason.LEAVING, text="bye"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (hang_up, "closed the connection"),
        (nonsense, "Disc is no answer to DISC"),
        (nonsense_later, "Found is no answer to STREAM"),
        (stop_instead, "leaving bye"),
    ],
)
def test_a_neighbour_that_breaks_off_is_tried_three_times(
    join: Join, peer: Peer, answer: Answer, why: str
) -> None:
    joining = join(peer.address)
    for _ in range(MAX_TRIES):
        answer(peer.accept())
    outcome = joining.end()
    assert isinstance(outcome, UnreachableError)
    assert why in str(outcome)


def test_a_neighbour_that_never_answers_is_given_up(
    join: Join, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joiner_module, "ANSWER_TIMEOUT", 0.05)
    outcome = join(peer.address).end()
    assert isinstance(outcome, UnreachableError)
    assert "in 3 tries (cut " in str(outcome)


def test_there_is_no_further_try_when_patience_is_used_up(
    join: Join, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joiner_module, "ANSWER_TIMEOUT", 0.1)
    outcome = join(peer.address, patience=0.05).end()
    assert isinstance(outcome, UnreachableError)
    assert "in 1 try (cut " in str(outcome)


def test_no_way_to_the_media_port_is_a_failed_try(
    join: Join, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(joiner_module, "connect_media_socket", no_route)
    joining = join(peer.address)
    for _ in range(MAX_TRIES):
        answered(peer, found, port_for)
    outcome = joining.end()
    assert isinstance(outcome, UnreachableError)
    assert "No route to host" in str(outcome)


def test_no_media_port_is_the_users_to_mend(join: Join, peer: Peer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        joining = join(peer.address, ports=MediaPorts(port, port))
        answered(peer, found)
        outcome = joining.end()
    assert isinstance(outcome, ConfigError)
    assert str(port) in str(outcome)


def test_a_neighbour_that_is_not_there_is_named_with_the_time_it_was_tried(join: Join, peer: Peer) -> None:
    peer.stop_listening()
    outcome = join(peer.address, patience=0.1).end()
    assert isinstance(outcome, UnreachableError)
    assert f"nobody answers at {peer.address}" in str(outcome)
    assert "tried for 0.1 s" in str(outcome)


def test_a_neighbour_that_starts_later_is_waited_for(join: Join) -> None:
    with socket.socket() as later:
        later.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        later.bind(("127.0.0.1", 0))
        joining = join(str(HostPort(*later.getsockname())))
        later.listen()
        later.settimeout(PATIENCE)
        sock, _ = later.accept()
        with Connection(sock) as connection:
            connection.send(miss(read(connection, Disc), MissReason.ABSENT))
            assert isinstance(joining.end(), NotFoundError)


def test_a_name_that_nobody_knows_is_the_users_to_mend(join: Join) -> None:
    assert isinstance(join("no-such-host.invalid:5000").end(), ConfigError)


def interrupted(joining: Joining) -> bool:
    joining.stop.set()
    outcome = joining.end()
    assert joining.took < 1.0
    return isinstance(outcome, Interrupted)


def test_the_user_may_go_while_it_connects(join: Join) -> None:
    with silent_address() as address:
        assert interrupted(join(address))


def test_the_user_may_go_while_nobody_is_there(join: Join, peer: Peer) -> None:
    peer.stop_listening()
    assert interrupted(join(peer.address))


@pytest.mark.parametrize("questions", [1, 2])
def test_the_user_may_go_before_the_answer(join: Join, peer: Peer, questions: int) -> None:
    joining, connection = join(peer.address), peer.accept()
    asked = read(connection, Disc)
    if questions == 2:
        connection.send(found(asked))
        read(connection, Stream)
    assert interrupted(joining)
    with pytest.raises(PeerGone):
        connection.receive(PATIENCE)


def test_the_user_may_go_between_two_tries(join: Join, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joiner_module, "RETRY_PAUSE", 60.0)
    joining = join(peer.address)
    answered(peer, missing(MissReason.GONE))
    assert interrupted(joining)
