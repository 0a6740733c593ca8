"""A client that knows the bootstrapper alone: it is told which nodes are up, and joins at the nearest."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import mcast
from client.neighbours import meanwhile
from helpers import Recorder
from mcast.config.layout_file import parse_layout
from mcast.errors import UnreachableError
from mcast.hostport import HostPort
from mcast.net.connection import Connection, connect
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.roles.client.main import main
from mcast.roles.node.program import NodeProgram
from mcast.wire.bootstrap import LayoutMessage, NamedAddress, Offer, Refused, Register, Seek
from roles.overlay_parts import Contents, World
from roles.partners import Peer, read, silent_address


class Campus:
    """A bootstrapper and a line of nodes, of which those are up that have registered."""

    def __init__(self, stack: ExitStack, nodes: list[NodeProgram]) -> None:
        self._stack, self.nodes = stack, {"rp": nodes[0], "n1": nodes[1]}
        layout = parse_layout(
            {
                "rendezvous": "rp",
                "nodes": {
                    "rp": {"address": str(nodes[0].address)},
                    "n1": {"address": str(nodes[1].address), "neighbours": ["rp"]},
                },
            },
            "campus.toml",
        )
        crashes = Recorder()
        program = Bootstrapper(layout, "campus.toml", HostPort("127.0.0.1", 0), crashes)
        self._bootstrapper = stack.enter_context(program)
        self.address = str(self._bootstrapper.address)

    def register(self, name: str, *, unlisted: bool = False) -> None:
        connection = self._stack.enter_context(connect(self._bootstrapper.address, 5))
        connection.send(Register(name, self.nodes[name].address.port, b"i" * 16, unlisted=unlisted))
        read(connection, LayoutMessage)


@pytest.fixture
def campus(world: World) -> Iterator[Campus]:
    with ExitStack() as stack:
        yield Campus(stack, world.line(Contents("news", clip=40), 1))


@pytest.fixture
def bootstrapper() -> Iterator[Peer]:
    """A bootstrapper that the test plays."""
    peer = Peer()
    yield peer
    peer.close()


def test_it_joins_at_a_node_that_is_up(
    campus: Campus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("rp", "n1"):
        campus.register(name)
    file, report = tmp_path / "clip.ts", tmp_path / "report.json"
    status = main(["--bootstrap", campus.address, "--content", "clip", "--output", str(file),
                   "--report", str(report), "--latency", "1000"])  # fmt: skip
    assert status == 0
    assert file.stat().st_size in (40 * 188, 20 * 188)  # a slow one begins at the next keyframe
    assert json.loads(report.read_text())["path"][0] == "rp"


def test_its_list_is_asked_for_there(campus: Campus, capsys: pytest.CaptureFixture[str]) -> None:
    campus.register("rp")
    assert main(["--bootstrap", campus.address, "--list"]) == 0
    assert "clip" in capsys.readouterr().out


def test_who_is_up_and_listed_is_told_and_how_far_it_is(campus: Campus) -> None:
    campus.register("rp")
    campus.register("n1", unlisted=True)
    (near,) = mcast.nearest_nodes(bootstrap=campus.address)
    assert (near.name, near.address) == ("rp", campus.nodes["rp"].address)
    assert 0 < near.round_trip_ms < 1_000


def test_as_long_as_no_node_is_up_it_asks_again(campus: Campus) -> None:
    with pytest.raises(UnreachableError, match="has given no node to join at: no node is up"):
        mcast.nearest_nodes(bootstrap=campus.address, patience=0.5)
    waiting = threading.Timer(0.3, campus.register, ["rp"])
    waiting.start()
    try:
        (near,) = mcast.nearest_nodes(bootstrap=campus.address)
    finally:
        waiting.join()
    assert near.name == "rp"


def test_one_that_does_not_answer_is_left_out(bootstrapper: Peer, world: World) -> None:
    (rp, *_) = world.line(Contents("news"), 0)
    with silent_address() as silent:
        nodes = tuple(
            NamedAddress(name, address)
            for name, address in (
                ("gone", "127.0.0.1:1"),
                ("dead", silent),
                ("rp", str(rp.address)),
            )
        )

        def offer() -> None:
            connection, _ = bootstrapper.question(Seek)
            connection.send(Offer(nodes))

        with meanwhile(offer):
            (near,) = mcast.nearest_nodes(bootstrap=bootstrapper.address)
    assert near.name == "rp"


def test_the_nearest_by_what_was_measured_comes_first_and_the_next_four_are_kept(
    bootstrapper: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = {"n1": 40.0, "n2": 7.0, "n3": 90.0, "n4": 2.5, "n5": 300.0, "n6": 12.0, "n7": 60.0}
    with ExitStack() as listening:
        ways: dict[int, float] = {}
        nodes: list[NamedAddress] = []
        for name, round_trip_ms in far.items():
            sock = listening.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = sock.getsockname()[1]
            ways[port] = round_trip_ms
            nodes.append(NamedAddress(name, f"127.0.0.1:{port}"))
        monkeypatch.setattr(Connection, "round_trip_ms", lambda way: ways[way.peer.port])

        def offer() -> None:
            connection, _ = bootstrapper.question(Seek)
            connection.send(Offer(tuple(nodes)))

        with meanwhile(offer):
            near = mcast.nearest_nodes(bootstrap=bootstrapper.address)
    assert [node.name for node in near] == ["n4", "n2", "n6", "n1", "n7"]
    assert [node.round_trip_ms for node in near] == [2.5, 7.0, 12.0, 40.0, 60.0]


Answer = Callable[[Peer], None]


def refuse(bootstrapper: Peer) -> None:
    connection, asked = bootstrapper.question(Seek)
    assert asked == Seek("news")
    connection.send(Refused("not today"))


def close(bootstrapper: Peer) -> None:
    connection, _ = bootstrapper.question(Seek)
    connection.close()


def mumble(bootstrapper: Peer) -> None:
    connection, asked = bootstrapper.question(Seek)
    connection.send(asked)


@pytest.mark.parametrize(
    ("answer", "why"), [(refuse, "not today"), (close, "older version"), (mumble, "it sent Seek")]
)
def test_a_bootstrapper_that_names_nobody_is_status_4_and_the_line_says_why(
    bootstrapper: Peer, answer: Answer, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with meanwhile(lambda: answer(bootstrapper)):
        status = main(["--bootstrap", bootstrapper.address, "--content", "news", "--player", "true",
                       "--wait", "0.2"])  # fmt: skip
    assert status == 4
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"error: the bootstrapper at {bootstrapper.address} has given no node to join at:" in error
    assert why in error


def test_a_bootstrapper_that_is_not_there_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bootstrap", "127.0.0.1:1", "--list", "--wait", "0.1"]) == 4
    assert "nobody answers at 127.0.0.1:1" in capsys.readouterr().err


def test_the_next_nodes_are_asked_when_the_nearest_one_fails(world: World) -> None:
    (rp, *_) = world.line(Contents("news"), 0)
    world.viewer(rp, "news").watch()
    subscription = mcast.Subscription(
        neighbours=["127.0.0.1:1"], further=[str(rp.address)], content="news", latency_ms=50
    )
    with subscription:
        assert next(iter(subscription))
        assert subscription.path == ("rp",)
