"""Who waits at a listener, with real sockets: who says nothing, who floods, who knows no key."""

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from helpers import Recorder, wait_until
from mcast.config.key_file import KeyRing
from mcast.net import entrance as entrance_module
from mcast.net.connection import Connection, PeerGone, TurnedAway, connect
from mcast.net.entrance import Rules
from mcast.net.handshake import Credentials, HandshakeError
from mcast.net.listener import Listener
from mcast.wire.frame import MAX_NODE_BODY, FrameHeader, Message, Protocol, encode
from mcast.wire.handshake import Refusal, Role
from mcast.wire.identity import Identity
from mcast.wire.node import Disc
from mcast.wire.server import Ping, Wake
from peers import HELLO, frame, read_to_end, reset, text_of, unknown_frame

STRANGER = "127.0.0.66"
OLD, NEW = b"o" * 32, b"n" * 32
DISC = Disc(request=bytes(16), content="news", sender=Identity.node("n1"), remaining_ms=1000)


def echo(connection: Connection) -> None:
    connection.send(connection.receive(10))


def rules(*keys: bytes, role: Role = Role.BOOTSTRAPPER, **more: object) -> Rules:
    return Rules(credentials=Credentials(role, KeyRing(keys)), **more)  # type: ignore[arg-type]


Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    crashes = Recorder()
    with contextlib.ExitStack() as running:

        def start(those: Rules) -> Listener:
            return running.enter_context(Listener("127.0.0.1:0", echo, crashes, rules=those))

        yield start
    assert crashes.calls == []


def call(listener: Listener, *keys: bytes, wanted: Role = Role.BOOTSTRAPPER) -> Connection:
    """Connect like a client that knows these keys."""
    return connect(listener.address, 10, credentials=Credentials(Role.NODE, KeyRing(keys)), wanted=wanted)


def dial(listener: Listener, source: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(listener.address, source_address=(source, 0))
    sock.settimeout(10)
    return sock


def gets_through(connection: Connection) -> bool:
    with connection:
        connection.send(HELLO)
        return text_of(connection.receive(10)) == "hello"


# Without keys


def test_whoever_says_something_is_served_and_nothing_of_what_it_said_is_lost(listen: Listen) -> None:
    listener = listen(rules())
    with dial(listener) as peer:
        peer.sendall(unknown_frame() + frame("one")[:3])
        wait_until(lambda: listener.counters["unknown_messages"] == 1)
        assert (listener.waiting, listener.handlers) == (1, 0)
        peer.sendall(frame("one")[3:] + frame("two"))
        assert read_to_end(peer) == frame("one")
    wait_until(lambda: listener.waiting == listener.handlers == 0)


def test_who_says_nothing_has_a_time(listen: Listen) -> None:
    listener = listen(rules(first_message=0.05))
    with dial(listener) as peer:
        assert read_to_end(peer) == b""
    assert listener.counters["silent_peers"] == 1


def test_garbage_and_frames_that_are_too_long_for_a_stranger_cost_their_connection(listen: Listen) -> None:
    listener = listen(rules())
    too_long = FrameHeader(Protocol.SERVER, MAX_NODE_BODY + 1).pack()
    for data in (b"GET / HTTP/1.1\r\n\r\n", too_long):
        with dial(listener) as peer:
            peer.sendall(data)
            assert read_to_end(peer) == b""
    reset(dial(listener))
    wait_until(lambda: listener.counters["bad_frames"] == 2)
    assert gets_through(call(listener))


@pytest.mark.parametrize(
    ("role", "message", "text"),
    [
        (Role.SERVER, DISC, "this is a mcast-server, not a mcast-node"),
        (Role.NODE, Wake(), "this is a mcast-node, not a mcast-server"),
        (Role.NODE, HELLO, "this is a mcast-node, not a mcast-bootstrap"),
        (Role.BOOTSTRAPPER, Ping(1), "this is a mcast-bootstrap, not a mcast-server"),
    ],
)
def test_who_calls_another_program_than_it_wants_is_told_which_one_this_is(
    listen: Listen, role: Role, message: Message, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with call(listen(rules(role=role))) as connection:
        connection.send(message)
        with pytest.raises(TurnedAway, match=text):
            connection.receive(10)
    assert "refused 127.0.0.1:" in caplog.text


def test_who_is_objected_to_is_told_so_and_the_reason_is_logged(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen(rules(objection=lambda _: "it is in no network of 'allow'"))
    with call(listener) as connection, pytest.raises(TurnedAway, match="your address may ask nothing here"):
        connection.receive(10)
    assert "it is in no network of 'allow'" in caplog.text


def test_a_flood_of_silent_connections_keeps_nobody_out(listen: Listen) -> None:
    listener = listen(rules(most=64))
    flood = [dial(listener, STRANGER) for _ in range(300)]
    wait_until(lambda: listener.counters["crowded_out"] >= 300 - 64)
    assert listener.waiting <= 32
    for _ in range(5):
        assert gets_through(call(listener))
    for peer in flood:
        peer.close()


def test_a_flood_from_everywhere_gives_way_to_newcomers(listen: Listen) -> None:
    listener = listen(rules(most=20))
    flood = [dial(listener, f"127.0.1.{number + 1}") for number in range(60)]
    wait_until(lambda: listener.waiting == 20)
    assert gets_through(call(listener))
    for peer in flood:
        peer.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Two for each of a thousand connections, as both ends are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_viewers_behind_one_address_get_in(listen: Listen) -> None:
    listener = listen(rules(first_message=60.0))
    crowd = [dial(listener) for _ in range(1000)]
    for peer in crowd:
        peer.sendall(frame("me, too"))
    for peer in crowd:
        assert read_to_end(peer) == frame("me, too")
        peer.close()
    assert (listener.counters["crowded_out"], listener.counters["refused"]) == (0, 0)


def test_an_address_has_no_more_than_its_share_of_the_handlers() -> None:
    crashes, busy = Recorder(), Recorder()

    def sit(connection: Connection) -> None:
        busy()
        connection.receive(10)
        with contextlib.suppress(PeerGone):
            connection.receive(10)

    with Listener("127.0.0.1:0", sit, crashes, rules=rules(), max_handlers=80) as listener:
        greedy = [dial(listener, STRANGER) for _ in range(100)]
        for peer in greedy:
            peer.sendall(frame("more"))
        wait_until(lambda: listener.counters["refused"] == 60)
        assert listener.handlers == 40
        with dial(listener) as peer:
            peer.sendall(frame("one"))
            wait_until(lambda: len(busy.calls) == 41)
        for peer in greedy:
            peer.close()
    assert crashes.calls == []


def test_without_descriptors_somebody_who_is_silent_gives_way(listen: Listen) -> None:
    listener = listen(rules())
    with dial(listener, STRANGER) as silent:
        wait_until(lambda: listener.waiting == 1)
        assert listener._entrance is not None
        assert listener._entrance.make_room()
        assert read_to_end(silent) == b""
        assert not listener._entrance.make_room()


# With keys


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((OLD,), (OLD,)), ((OLD,), (OLD, NEW)), ((OLD, NEW), (NEW,)), ((), ())],
)
def test_who_shares_a_key_gets_through_and_who_has_none_where_none_is(
    listen: Listen, ours: tuple[bytes, ...], theirs: tuple[bytes, ...]
) -> None:
    assert gets_through(call(listen(rules(*theirs)), *ours))


def test_a_wrong_key_is_one_clear_line_at_both_ends(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(HandshakeError, match="the key is not that of this mcast-bootstrap: compare"):
        call(listen(rules(OLD)), NEW)
    wait_until(lambda: "refused 127.0.0.1:" in caplog.text)
    (line,) = [record.message for record in caplog.records]
    assert line.endswith("the key of that mcast-node is none of ours: compare the --key-file of both")


def test_who_gives_no_key_is_told_that_one_is_needed_and_gets_no_answer(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    with call(listen(rules(OLD))) as connection:
        connection.send(HELLO)
        with pytest.raises(
            TurnedAway, match=r"is a mcast-bootstrap that wants a key: give its --key-file FILE"
        ):
            connection.receive(10)
        with pytest.raises(TurnedAway, match="answers only who knows its key"):
            connection.receive(10)
    wait_until(lambda: "it gives no key: start it with the overlay's --key-file" in caplog.text)


def test_who_hangs_up_when_a_key_is_wanted_is_named(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    call(listen(rules(OLD))).close()
    wait_until(lambda: "it hung up when a key was asked for" in caplog.text)


def test_who_gives_a_key_where_there_is_none_is_told_so(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(HandshakeError, match="this mcast-bootstrap was started without --key-file"):
        call(listen(rules()), OLD)
    wait_until(lambda: "this mcast-bootstrap has none" in caplog.text)


def test_with_a_key_too_another_program_is_told_from_the_one_that_is_wanted(listen: Listen) -> None:
    with pytest.raises(HandshakeError, match="it is a mcast-bootstrap, not a mcast-server"):
        call(listen(rules(OLD)), OLD, wanted=Role.SERVER)


def test_a_listener_that_knows_nothing_of_keys_costs_the_time_to_connect() -> None:
    credentials = Credentials(Role.NODE, KeyRing((OLD,)))
    with socket.create_server(("127.0.0.1", 0)) as old:
        address = f"127.0.0.1:{old.getsockname()[1]}"
        with pytest.raises(HandshakeError, match="asks for no key"):
            connect(address, 0.1, credentials=credentials)


def test_what_is_said_behind_a_wrong_proof_is_not_answered(listen: Listen) -> None:
    listener = listen(rules(OLD))
    with dial(listener) as peer:
        peer.sendall(frame("let me in") + frame("please"))
        answered = read_to_end(peer)
    refusal = "this mcast-bootstrap answers only who knows its key: give --key-file FILE"
    assert answered.endswith(encode(Refusal(refusal)))
    assert frame("let me in") not in answered
    assert listener.counters["connections"] == 0


def test_the_handshake_has_its_own_time(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance_module, "FIRST_MESSAGE", 0.05)
    listener = listen(rules(OLD, first_message=600.0))
    began = time.monotonic()
    with dial(listener) as silent:
        read_to_end(silent)
    with call(listener, OLD) as warm:
        wait_until(lambda: time.monotonic() > began + 1.2)  # two looks at whose time is over
        warm.send(HELLO)
        assert text_of(warm.receive(10)) == "hello"


def test_a_call_is_given_up_when_it_is_cancelled() -> None:
    cancel = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as old:
        threading.Timer(0.1, cancel.set).start()
        credentials = Credentials(Role.NODE, KeyRing((OLD,)))
        with pytest.raises(HandshakeError, match="given up"):
            connect(f"127.0.0.1:{old.getsockname()[1]}", 60, credentials=credentials, cancel=cancel)
