"""A node's session with a real bootstrapper, and with one that misbehaves."""

import logging
import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from helpers import PATIENCE, Recorder, unused_port, wait_until
from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.listener import Listener
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.roles.node.session import BootstrapSession, SessionTiming
from mcast.wire.bootstrap import Health, LayoutMessage, Links, Offer, Refused, Register, Seek
from mcast.wire.frame import Message
from mcast.wire.health import EventReport, StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position

ANY = HostPort("127.0.0.1", 0)


def make_bootstrapper(
    address: HostPort = ANY, n1: str = "10.0.0.1:5000", *, told: Recorder | None = None
) -> Bootstrapper:
    """Make one; `told` gets the names of the events that nodes tell."""

    def on_events(_node: str, events: Iterable[EventReport]) -> None:
        for event in events:
            if told is not None:
                told(event.name)

    return Bootstrapper(layout(n1), "campus.toml", address, Recorder(), on_events=on_events)


def layout(n1: str = "10.0.0.1:5000") -> Layout:
    nodes = {"rp": {"address": "10.0.0.9:5000"}, "n1": {"address": n1, "neighbours": ["rp"]}}
    return parse_layout({"rendezvous": "rp", "nodes": nodes}, "campus.toml")


QUICK = SessionTiming(first_retry=0.01, last_retry=0.02, refused_retry=0.02)


@pytest.fixture
def free_address() -> HostPort:
    return HostPort("127.0.0.1", unused_port())


StartSession = Callable[..., BootstrapSession]


@pytest.fixture
def start_session() -> Iterator[StartSession]:
    sessions: list[BootstrapSession] = []
    crashes = Recorder()

    def start(
        address: HostPort, name: str = "n1", on_layout: Recorder | None = None, timing: SessionTiming = QUICK
    ) -> BootstrapSession:
        register = Register(name, 0, b"i" * 16)
        session = BootstrapSession(
            address, register, crashes, on_layout=on_layout, rng=random.Random(1), timing=timing
        )
        session.start()
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.stop()
    assert crashes.calls == []


def streaming(content: str) -> Health:
    path = (Identity.node("rp"), Identity.node("n1"))
    return Health(5, (StreamHealth(content, path, (), Position(1, 2)),))


NEVER = threading.Event()


def test_a_node_learns_its_place_and_reports_its_health(start_session: StartSession) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        place = session.wait_for_layout(NEVER)
        assert place is not None
        assert (place.name, session.connected) == ("n1", True)
        session.say(streaming("news"))
        wait_until(lambda: "news" in bootstrapper.nodes()["n1"].streams)


def test_a_session_ends_although_the_bootstrapper_takes_nothing(
    start_session: StartSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        assert session.wait_for_layout(NEVER) is not None
        sending = threading.Event()

        def wait_for_room(connection: Connection, _message: Message) -> None:
            sending.set()
            connection.receive(PATIENCE)  # until it is closed

        monkeypatch.setattr(Connection, "send", wait_for_room)
        session.say(streaming("news"))
        assert sending.wait(PATIENCE)
        session.ask_to_stop()
        session.stop()
    assert "has not ended" not in caplog.text


def test_who_follows_no_more_is_not_told_any_more(start_session: StartSession) -> None:
    may_go_on, told = threading.Event(), Recorder()

    def on_layout(layout: LayoutMessage) -> None:
        told(layout.name)
        assert may_go_on.wait(PATIENCE)
        told("told")

    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        assert session.wait_for_layout(NEVER) is not None
        session.follow(on_layout)
        bootstrapper.change_layout(layout("10.0.0.2:5000"))
        told.wait_for(1)
        unfollowed = threading.Thread(target=session.follow, args=[None])
        unfollowed.start()
        unfollowed.join(0.05)
        assert unfollowed.is_alive(), "it waits for who is being told"
        may_go_on.set()
        unfollowed.join(PATIENCE)
        assert told.calls == ["n1", "told"]


def test_the_node_may_start_first_and_says_that_it_waits(
    start_session: StartSession, free_address: HostPort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    session = start_session(free_address)
    wait_until(lambda: f"waiting for the bootstrapper at {free_address}: nobody answers" in caplog.text)
    session.say(streaming("told before it was connected"))
    with make_bootstrapper(free_address) as bootstrapper:
        assert session.wait_for_layout(NEVER) is not None
        wait_until(lambda: bootstrapper.nodes()["n1"].streams)
    assert caplog.text.count("waiting for the bootstrapper") == 1


def test_a_bootstrapper_that_takes_the_connection_and_says_nothing_is_named_after_a_moment(
    start_session: StartSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("mcast.roles.node.session.SLOW", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        session, stop = start_session(HostPort(host, port)), threading.Event()
        asked = threading.Thread(target=session.wait_for_layout, args=[stop])
        asked.start()
        try:
            wait_until(lambda: f"waiting for the bootstrapper at {host}:{port}: no answer yet" in caplog.text)
            assert session.awaited == f"waiting for the bootstrapper at {host}:{port}"
        finally:
            stop.set()
            asked.join()


def test_waiting_can_be_ended(start_session: StartSession, free_address: HostPort) -> None:
    stop = threading.Event()
    session = start_session(free_address)
    threading.Timer(0.02, stop.set).start()
    assert session.wait_for_layout(stop) is None


def test_a_refusal_at_the_start_is_a_configuration_error(start_session: StartSession) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address, "n9")
        with pytest.raises(ConfigError, match="refuses this node: no node is called 'n9' in campus"):
            session.wait_for_layout(NEVER)


def test_a_refusal_later_is_tried_again_until_the_file_is_mended(
    start_session: StartSession, caplog: pytest.LogCaptureFixture
) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        session.wait_for_layout(NEVER)
        without = parse_layout({"rendezvous": "rp", "nodes": {"rp": {"address": "10.0.0.9:5000"}}}, "x")
        bootstrapper.change_layout(without)
        wait_until(lambda: "refuses this node: 'n1' is no longer in campus.toml" in caplog.text)
        wait_until(lambda: bootstrapper.counters["refused_nodes"] > 1)
        bootstrapper.change_layout(layout())
        wait_until(lambda: session.connected)


def test_changes_are_handed_on_and_repetitions_are_not(start_session: StartSession) -> None:
    with make_bootstrapper() as bootstrapper:
        on_layout = Recorder()
        session = start_session(bootstrapper.address, on_layout=on_layout)
        on_layout.wait_for(1)
        bootstrapper.change_layout(layout("10.0.0.2:5000"))
        places = on_layout.wait_for(2)
        assert [place.address for place in places if isinstance(place, LayoutMessage)] == [
            "10.0.0.1:5000",
            "10.0.0.2:5000",
        ]
        address = bootstrapper.address
        bootstrapper.stop()
        wait_until(lambda: not session.connected)
    with make_bootstrapper(address, "10.0.0.2:5000") as bootstrapper:
        wait_until(lambda: session.connected)
        bootstrapper.change_layout(layout("10.0.0.3:5000"))
        assert len(on_layout.wait_for(3)) == 3


def test_what_changed_while_the_node_was_being_built_is_handed_on(start_session: StartSession) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        session.wait_for_layout(NEVER)
        bootstrapper.change_layout(layout("10.0.0.2:5000"))
        wait_until(lambda: session._layout is not None and session._layout.version == 2)
        on_layout = Recorder()
        session.follow(on_layout)
        [place] = on_layout.wait_for(1)
        assert isinstance(place, LayoutMessage)
        assert place.address == "10.0.0.2:5000"


def test_losing_the_bootstrapper_is_told_once_and_healed(
    start_session: StartSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        session.wait_for_layout(NEVER)
        address = bootstrapper.address
    wait_until(lambda: "still without the bootstrapper" in caplog.text)
    with make_bootstrapper(address) as bootstrapper:
        session.say(streaming("news"))
        wait_until(lambda: bootstrapper.nodes() and bootstrapper.nodes()["n1"].streams)
    assert caplog.text.count("lost the bootstrapper, carrying on without it") >= 1


def test_the_last_health_is_repeated_so_that_a_quiet_node_is_not_taken_for_dead(
    start_session: StartSession,
) -> None:
    with make_bootstrapper() as bootstrapper:
        start_session(bootstrapper.address, timing=SessionTiming(heartbeat=0.02))
        wait_until(lambda: bootstrapper.counters["health"] >= 5)


def test_reports_that_come_together_travel_as_the_last_one(start_session: StartSession) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        session.wait_for_layout(NEVER)
        for number in range(1000):
            session.say(streaming(f"content-{number}"))
        wait_until(lambda: "content-999" in bootstrapper.nodes()["n1"].streams)
        assert bootstrapper.counters["health"] < 100


def test_it_is_ready_for_a_report_while_somebody_listens_and_the_last_one_has_left(
    start_session: StartSession, free_address: HostPort
) -> None:
    session = start_session(free_address)
    assert session.ready() is None
    with make_bootstrapper(free_address):
        wait_until(lambda: session.ready() == 1)
        session.say(streaming("news"))
        wait_until(lambda: session.ready() == 1)
    wait_until(lambda: session.ready() is None)
    with make_bootstrapper(free_address):
        wait_until(lambda: session.ready() == 2)


def test_each_event_is_told_once_though_its_report_was_overtaken_or_is_repeated(
    start_session: StartSession,
) -> None:
    told = Recorder()
    timing = SessionTiming(heartbeat=0.02)
    with make_bootstrapper(told=told) as bootstrapper:
        session = start_session(bootstrapper.address, timing=timing)
        for number in range(3):
            session.say(Health(number, events=(EventReport(f"event {number}", "it has happened"),)))
        session.wait_for_layout(NEVER)
        told.wait_for(3)
        before = bootstrapper.counters["health"]
        wait_until(lambda: bootstrapper.counters["health"] >= before + 3)
    assert told.calls == ["event 0", "event 1", "event 2"]


def serve(connection: Connection, *answers: object) -> None:
    connection.receive(10)
    for message in answers:
        assert isinstance(message, Refused | Health)
        connection.send(message)


@pytest.mark.parametrize(
    ("misbehaviour", "complaint"),
    [
        (lambda _: None, "closed the connection|is lost"),
        (lambda connection: serve(connection, Health(1)), "a bootstrapper does not send Health"),
        (
            lambda connection: connection._sock.sendall(b"HTTP/1.1 400 Bad Request"),
            "an HTTP service is there",
        ),
        (
            lambda connection: connection.receive(10) and connection.receive(10),
            "does not answer within 0.1 s",
        ),
    ],
    ids=["closes at once", "another message", "garbage", "silence"],
)
def test_a_bootstrapper_that_misbehaves_is_tried_again(
    misbehaviour: Callable[[Connection], None],
    complaint: str,
    start_session: StartSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with Listener("127.0.0.1:0", misbehaviour, Recorder()) as listener:
        start_session(listener.address, timing=replace(QUICK, answer_timeout=0.1))
        wait_until(lambda: listener.counters["connections"] >= 3)
    assert any(part in caplog.text for part in complaint.split("|"))


def test_a_node_that_the_layout_names_no_more_is_removed_and_waits_until_it_is_named_again(
    start_session: StartSession,
) -> None:
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        assert session.wait_for_layout(NEVER) is not None
        alone = {"rendezvous": "rp", "nodes": {"rp": {"address": "10.0.0.9:5000"}}}
        bootstrapper.change_layout(parse_layout(alone, "campus.toml"))
        wait_until(lambda: session.removed)
        bootstrapper.change_layout(layout())
        assert session.wait_for_layout(NEVER) is not None
        assert not session.removed


def test_who_is_offered_is_handed_on_and_links_are_said_again_on_each_connection(
    start_session: StartSession,
) -> None:
    offers = Recorder()
    with make_bootstrapper() as bootstrapper:
        session = start_session(bootstrapper.address)
        assert session.wait_for_layout(NEVER) is not None
        session.follow(Recorder(), offers)
        session.say(Seek("news"))
        wait_until(lambda: offers.calls)
        assert isinstance(offers.calls[0], Offer)
        session.say(Links(("n2",)))
        wait_until(lambda: session._registration().links == ("n2",))
