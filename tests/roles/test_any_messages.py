"""Whatever is said to whole programs, in whatever order: they live on, and serve the next who comes."""

import contextlib
import dataclasses
import itertools
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import crash
from helpers import PATIENCE, Recorder, wait_until
from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.hostport import HostPort
from mcast.monitoring.registry import Registry
from mcast.net.connection import connect
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.wire.bootstrap import Health, LayoutMessage, Register
from mcast.wire.frame import Message, encode
from mcast.wire.health import StreamHealth
from mcast.wire.node import NodePacket
from mcast.wire.position import MAX_NUMBER, Position
from mcast.wire.server import Contents as ContentsMessage
from mcast.wire.server import Ping, Send, Wake
from overlay.messages import N1, N2, RP
from roles.overlay_parts import Contents, World
from roles.partners import read
from wire.strategies import messages

__all__ = ["crash"]

pytestmark = pytest.mark.hypothesis

PLACES = {
    "rendezvous": "rp",
    "nodes": {"rp": {"address": "127.0.0.1:5000", "neighbours": ["n1"]}, "n1": {"address": "127.0.0.2:5000"}},
}
POSITIONS = [Position(1, 0), Position(1, MAX_NUMBER)]


def about_news(message: Message) -> Message:
    """Return a message about the content that there is."""
    if isinstance(message, NodePacket | Send):
        return dataclasses.replace(message, content="news")
    return message


questions: list[Message] = [Wake(), Ping(1), *(Send("news", at) for at in (None, *POSITIONS))]
words = st.one_of(
    messages.map(about_news).map(encode),
    messages.map(encode),
    st.sampled_from(questions).map(encode),
    st.binary(max_size=40),
    st.builds(lambda message, cut: encode(message)[:-cut], messages, st.integers(1, 9)),
)
talks = st.lists(words, min_size=1, max_size=6)


def say(address: HostPort, words: list[bytes]) -> None:
    """Call, say all this, take what comes meanwhile, and hang up."""
    with contextlib.suppress(OSError), socket.create_connection((address.host, address.port), 5.0) as sock:
        for word in words:
            sock.sendall(word)
        sock.setblocking(False)
        while sock.recv(65_536):
            pass


def test_whatever_is_said_to_a_server_and_to_nodes_a_viewer_joins_afterwards(world: World) -> None:
    server = world.server(Contents("news"), linger=0.1)
    rp = world.node("rp", (str(server.address),))
    node = world.node("n1", rp=rp)
    whom = itertools.cycle((server.address, rp.address, node.address))

    @given(talks)
    def talk(said: list[bytes]) -> None:
        say(next(whom), said)

    talk()
    world.viewer(node, "news").watch()
    with connect(server.address, 5.0) as connection:
        connection.send(Wake())
        assert [content.name for content in read(connection, ContentsMessage).contents] == ["news"]
    assert world.crash.calls == []


@pytest.fixture
def bootstrapper(crash: Recorder) -> Iterator[Bootstrapper]:
    with Bootstrapper(places(), "places.toml", HostPort("127.0.0.1", 0), crash) as running:
        yield running


def places() -> Layout:
    return parse_layout(PLACES, "places.toml")


def test_whatever_is_said_to_a_bootstrapper_a_node_gets_its_place_afterwards(
    bootstrapper: Bootstrapper, crash: Recorder
) -> None:
    names = st.sampled_from(["n1", "n2", ""])
    registers = st.builds(Register, names, st.just(1), st.just(bytes(16))).map(encode)

    @given(st.none() | registers, talks)
    def talk(register: bytes | None, said: list[bytes]) -> None:
        say(bootstrapper.address, [*([register] if register else []), *said])

    talk()
    wait_until(lambda: place_given(bootstrapper) == "rp", "its place")  # who had it has just hung up
    assert crash.calls == []


def place_given(bootstrapper: Bootstrapper) -> str:
    """Ask for the place of the rendezvous point; return the name of the one that is given, or why none is."""
    with connect(bootstrapper.address, 5.0) as connection:
        connection.send(Register("rp", 5000, b"r" * 16))
        message = connection.receive(PATIENCE)
        return message.name if isinstance(message, LayoutMessage) else str(message)


some_nodes = st.lists(st.sampled_from([RP, N1, N2]), max_size=3).map(tuple)
streams = st.builds(
    StreamHealth, st.sampled_from(["news", "films"]), some_nodes, some_nodes, st.sampled_from(POSITIONS),
    st.integers(0, 9), st.booleans(),
)  # fmt: skip
told_of = st.lists(streams, max_size=2, unique_by=lambda stream: stream.content).map(tuple)
reports = st.builds(Health, st.just(1), told_of)
happenings = st.tuples(st.sampled_from(["rp", "n1"]), st.sampled_from(["join", "leave", "again"]) | reports)


@given(st.lists(happenings))
def test_whatever_nodes_report_each_change_is_told_in_words(told: list[tuple[str, str | Health]]) -> None:
    registry, instances = Registry(), itertools.count()
    for moment, (name, what) in enumerate(told):
        if isinstance(what, Health):
            changes = registry.heard(name, what, float(moment))
            assert all(change.text.startswith(name) for change in changes)
            assert registry.heard(name, what, float(moment)) == []
        elif what == "leave":
            registry.leave(name)
        else:
            number = 0 if what == "again" else next(instances)
            registry.join(name, number.to_bytes(16, "big"), "127.0.0.1", float(moment))
    assert {status.name for status in registry.silent(1e9, 1.0)} == set(registry.snapshot())
