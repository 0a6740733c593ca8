"""The bootstrapper with real sockets: registrations, sessions, reloads, and peers that misbehave."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.config.layout import Layout
from mcast.config.layout_file import parse_layout
from mcast.config.opening import OPEN_TO_ALL, parse_opening
from mcast.hostport import HostPort
from mcast.net import connection as connection_module
from mcast.net.connection import Connection, PeerGone, connect
from mcast.roles.bootstrap import bootstrapper as bootstrapper_module
from mcast.roles.bootstrap.bootstrapper import Bootstrapper
from mcast.roles.bootstrap.identification import Identification
from mcast.roles.bootstrap.main import main as bootstrap_main
from mcast.shares import WaitingRoom
from mcast.wire.bootstrap import Health, LayoutMessage, NodeKind, Probe, Refused, Register
from mcast.wire.endpoint import Endpoint
from mcast.wire.frame import encode
from mcast.wire.health import StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position
from mcast.wire.server import Wake
from peers import read_to_end, reset


def layout(*, n2: str = "127.0.0.3:5000", more: dict[str, object] | None = None) -> Layout:
    return parse_layout(
        {
            "rendezvous": "rp",
            "nodes": {
                "rp": {"address": "127.0.0.1:5000", "servers": ["10.0.6.10:7000"]},
                "n1": {"address": "127.0.0.2:5000", "aliases": ["127.0.0.4"], "neighbours": ["rp", "n2"]},
                "n2": {"address": n2},
                "twin1": {"address": "127.0.0.9:5001", "neighbours": ["rp"]},
                "twin2": {"address": "127.0.0.9:5002", "neighbours": ["rp"]},
                **(more or {}),
            },
        },
        "campus.toml",
    )


@pytest.fixture
def bootstrapper() -> Iterator[Bootstrapper]:
    crashes = Recorder()
    with Bootstrapper(layout(), "campus.toml", HostPort("127.0.0.1", 0), crashes) as running:
        yield running
    assert crashes.calls == []


Dial = Callable[..., Connection]


@pytest.fixture
def dial(bootstrapper: Bootstrapper) -> Iterator[Dial]:
    """Connect from an address of this machine."""
    connections: list[Connection] = []

    def connect_from(source: str = "127.0.0.1") -> Connection:
        connections.append(connect(bootstrapper.address, 5, source=source))
        return connections[-1]

    yield connect_from
    for connection in connections:
        connection.close()


def register(
    connection: Connection, name: str = "", *, port: int = 0, instance: bytes = b"i" * 16
) -> LayoutMessage | Refused:
    connection.send(Register(name, port, instance))
    return answer(connection)


def answer(connection: Connection) -> LayoutMessage | Refused:
    message = connection.receive(10)
    assert isinstance(message, LayoutMessage | Refused)
    return message


def health(*contents: str, path: tuple[str, ...] = ("rp", "n1"), fed: bool = True) -> Health:
    nodes = tuple(Identity.node(name) for name in path)
    return Health(
        1000,
        tuple(
            StreamHealth(name, nodes, (Identity.node("n2"),), Position(1, 2), fed=fed) for name in contents
        ),
    )


def test_a_node_is_known_by_its_name(dial: Dial) -> None:
    message = register(dial(), "n1")
    assert isinstance(message, LayoutMessage)
    assert (message.name, message.kind, message.address) == ("n1", NodeKind.OVERLAY, "127.0.0.2:5000")
    assert [neighbour.name for neighbour in message.neighbours] == ["rp", "n2"]


@pytest.mark.parametrize(("source", "port", "name"), [
    ("127.0.0.1", 0, "rp"), ("127.0.0.2", 0, "n1"), ("127.0.0.4", 0, "n1"), ("127.0.0.9", 5002, "twin2"),
])  # fmt: skip
def test_a_node_is_known_by_the_address_it_calls_from(dial: Dial, source: str, port: int, name: str) -> None:
    message = register(dial(source), port=port)
    assert isinstance(message, LayoutMessage)
    assert message.name == name
    assert (message.kind is NodeKind.RENDEZVOUS, message.servers != ()) == ((name == "rp"),) * 2


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        ("127.0.0.1", "n9", "no node is called 'n9' in campus.toml (nodes: rp, n1, n2, twin1, twin2)"),
        (
            "127.0.0.77",
            "",
            "no node has the address 127.0.0.77 in campus.toml: add it as its",
        ),
        ("127.0.0.9", "", "several nodes may call from 127.0.0.9 (twin1, twin2): start the node with --name"),
    ],
)
def test_who_is_not_known_is_told_how_to_mend_it(dial: Dial, source: str, name: str, text: str) -> None:
    connection = dial(source)
    message = register(connection, name)
    assert isinstance(message, Refused)
    assert message.text.startswith(text)
    with pytest.raises(PeerGone):
        connection.receive(10)


def test_a_changed_layout_reaches_those_it_concerns_only(bootstrapper: Bootstrapper, dial: Dial) -> None:
    n1, rp = dial(), dial()
    first = register(n1, "n1")
    register(rp, "rp")
    bootstrapper.change_layout(layout(n2="127.0.0.33:5000"))
    second = answer(n1)
    assert isinstance(first, LayoutMessage)
    assert isinstance(second, LayoutMessage)
    assert (second.neighbours[1].address, second.version) == ("127.0.0.33:5000", first.version + 1)
    bootstrapper.change_layout(
        layout(n2="127.0.0.33:5000", more={"n5": {"address": "h:1", "neighbours": ["rp"]}})
    )
    third = answer(rp)
    assert isinstance(third, LayoutMessage)
    assert [neighbour.name for neighbour in third.neighbours] == ["n1", "twin1", "twin2", "n5"]
    with pytest.raises(TimeoutError):
        n1.receive(0.05)


def test_a_node_that_leaves_the_layout_is_told_and_closed(bootstrapper: Bootstrapper, dial: Dial) -> None:
    connection = dial()
    bootstrapper.change_layout(layout(more={"n5": {"address": "h:1", "neighbours": ["rp"]}}))
    register(connection, "n5")
    bootstrapper.change_layout(layout())
    message = answer(connection)
    assert isinstance(message, Refused)
    assert message.text == "'n5' is no longer in campus.toml"
    wait_until(lambda: "n5" not in bootstrapper.nodes())


def test_a_second_process_of_a_name_is_refused_as_long_as_the_first_answers(
    bootstrapper: Bootstrapper, dial: Dial
) -> None:
    old, new = dial(), dial()
    register(old, "n1", instance=b"a" * 16)
    new.send(Register("n1", 0, b"b" * 16))
    assert isinstance(old.receive(10), Probe)
    old.send(health("news"))
    message = answer(new)
    assert isinstance(message, Refused)
    assert message.text == (
        "mcast-node runs here already, as 'n1': stop it first, or start this one under another --name"
    )
    with pytest.raises(PeerGone):
        new.receive(10)
    assert bootstrapper.nodes()["n1"].instance == b"a" * 16


def test_a_second_process_has_the_name_if_the_first_says_nothing(
    bootstrapper: Bootstrapper, dial: Dial, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(bootstrapper_module, "PROBE_TIMEOUT", 0.05)
    old, new = dial(), dial()
    register(old, "n1", instance=b"a" * 16)
    assert isinstance(register(new, "n1", instance=b"b" * 16), LayoutMessage)
    assert isinstance(old.receive(10), Probe)
    message = answer(old)
    assert isinstance(message, Refused)
    assert message.text.startswith("another process has registered as 'n1'")
    with pytest.raises(PeerGone):
        old.receive(10)
    wait_until(lambda: "n1 is gone" in caplog.text or "n1" in bootstrapper.nodes())
    new.send(health("news"))
    wait_until(lambda: "news" in bootstrapper.nodes()["n1"].streams)
    assert bootstrapper.nodes()["n1"].instance == b"b" * 16


def test_a_process_that_connects_anew_has_its_name_at_once(bootstrapper: Bootstrapper, dial: Dial) -> None:
    old, new = dial(), dial()
    register(old, "n1")
    assert isinstance(register(new, "n1"), LayoutMessage)
    with pytest.raises(PeerGone):
        old.receive(10)
    assert "n1" in bootstrapper.nodes()


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.4", "127.0.0.1"])
def test_a_name_is_borne_from_the_nodes_addresses_and_from_the_bootstrappers_host(
    dial: Dial, source: str
) -> None:
    assert isinstance(register(dial(source), "n1"), LayoutMessage)


def test_a_name_is_not_borne_from_elsewhere_unless_the_layout_is_open() -> None:
    identification, at = Identification("campus.toml"), Endpoint.of("10.9.9.9", 1234)
    connection = cast(Connection, SimpleNamespace(peer=at, local=Endpoint.of("10.0.0.1", 4000)))
    asked = Register("n1", 0, b"i" * 16)
    refusal = identification.find(layout(), asked, connection)
    assert isinstance(refusal, str)
    assert refusal.startswith("'n1' does not call from 10.9.9.9, says campus.toml: add it to the aliases of")
    assert identification.find(replace(layout(), open=parse_opening(["n*"])), asked, connection) == refusal
    here = cast(Connection, SimpleNamespace(peer=at, local=Endpoint.of("10.9.9.9", 4000)))
    assert not isinstance(identification.find(layout(), asked, here), str)


@pytest.mark.parametrize(
    ("peer", "port", "reached"),
    [
        ("10.9.9.9", 5009, "10.9.9.9:5009"),
        ("10.9.9.9", 0, "10.9.9.9:5000"),  # it listens at the layout's port
        ("127.0.0.4", 5009, "127.0.0.2:5000"),  # one of its own: its ports may be translated
        ("127.0.0.7", 5000, "127.0.0.2:5000"),  # this very host has many addresses, the file says which
        ("127.0.0.7", 5009, "127.0.0.7:5009"),  # not where the file says, wherever it calls from
        ("fe80::7", 5009, "127.0.0.2:5000"),  # means nothing on another link
    ],
)
def test_where_the_layout_is_open_a_node_of_the_file_is_reached_where_it_calls_from(
    peer: str, port: int, reached: str
) -> None:
    connection = SimpleNamespace(peer=Endpoint.of(peer, 1234), local=Endpoint.of("10.0.0.1", 4000))
    found = Identification("campus.toml").find(
        replace(layout(), open=OPEN_TO_ALL), Register("n1", port, b"i" * 16), cast(Connection, connection)
    )
    assert not isinstance(found, str)
    assert (found.name, str(found.address)) == ("n1", reached)


def test_one_strange_address_has_a_share_of_the_names_where_the_layout_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more: dict[str, object] = {
        f"x{number}": {"address": f"10.0.0.{number}:5000", "neighbours": ["rp"]} for number in range(1, 36)
    }
    crashes = Recorder()
    strange = [b"", *[b"one"] * 21, b"two"]  # of 40 names 20 may be anybody's, and one address's share is 16
    sources = iter(strange)
    monkeypatch.setattr(Bootstrapper, "_source_of", lambda *_: next(sources))
    open_to_all = replace(layout(more=more), open=OPEN_TO_ALL)
    with (
        Bootstrapper(open_to_all, "campus.toml", HostPort("127.0.0.1", 0), crashes) as bootstrapper,
        contextlib.ExitStack() as stack,
    ):
        answers = []
        for number in range(len(strange)):
            connection = stack.enter_context(connect(bootstrapper.address, 5))
            answers.append(register(connection, f"x{number + 1}"))
        refused = [isinstance(answer, Refused) for answer in answers]
        assert refused == [False] * 20 + [True, True, False]
        assert answers[20] == Refused("too many nodes have registered from 127.0.0.1")
    assert crashes.calls == []


def test_who_calls_from_the_layout_or_from_the_bootstrappers_host_is_held_to_no_share(
    bootstrapper: Bootstrapper,
) -> None:
    def source(peer: str, here: str = "10.0.0.1") -> bytes:
        connection = SimpleNamespace(peer=Endpoint.of(peer, 1), local=Endpoint.of(here, 4000))
        return bootstrapper._source_of(cast(Connection, connection))

    assert source("127.0.0.77") == source("127.0.0.2") == source("10.9.9.9", "10.9.9.9") == b""
    assert source("10.9.9.9") == bytes([10, 9, 9, 9])


def test_who_takes_the_bootstrapper_for_a_server_is_told_so(dial: Dial) -> None:
    connection = dial()
    connection.send(Wake())
    with pytest.raises(PeerGone, match="this is a mcast-bootstrap, not a mcast-server"):
        connection.receive(10)


def test_health_is_logged_when_it_changes(
    bootstrapper: Bootstrapper, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connection = dial()
    register(connection, "n1")
    for report in (
        health(), health("news"), health("news"), health("news", fed=False), health("news"),
        health("news", path=("rp", "n2", "n1")), health("sport", path=("n1",)), health(),
    ):  # fmt: skip
        connection.send(report)
    wait_until(lambda: bootstrapper.counters["health"] == 8)
    events = logged(caplog, "node_streams", "node_pruned")
    assert events == [
        ("n1 attached below rp, 1 child", streams("news")),
        ("n1 is cut off", streams("news", fed=False)),
        ("n1 is fed again", streams("news")),
        ("n1 moved: it is below n2 now, it was below rp", streams("news", path=["rp", "n2", "n1"])),
        ("n1 attached as the root, 1 child", streams("sport", path=["n1"])),
        ("n1 pruned", {"content": "news", "node": "n1"}),
        ("n1 pruned", {"content": "sport", "node": "n1"}),
    ]


def test_what_changes_at_once_is_one_event(
    bootstrapper: Bootstrapper, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connection = dial()
    register(connection, "n1")
    connection.send(health("news"))
    connection.send(health("news", path=("rp", "n2", "n1"), fed=False))
    wait_until(lambda: bootstrapper.counters["health"] == 2)
    assert logged(caplog, "node_streams")[1:] == [
        (
            "n1 moved: it is below n2 now, it was below rp; it is cut off",
            streams("news", path=["rp", "n2", "n1"], fed=False),
        )
    ]


def test_who_is_taken_along_when_a_node_above_it_moves_is_an_event_too(
    bootstrapper: Bootstrapper, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connection = dial()
    register(connection, "n1")
    for path in (("rp", "n2", "n4", "n1"), ("rp", "n3", "n4", "n1"), ("rp", "n3", "n4", "n1")):
        connection.send(health("news", path=path))
    wait_until(lambda: bootstrapper.counters["health"] == 3)
    assert logged(caplog, "node_streams")[1:] == [
        (
            "n1 is on another path now, rp > n3 > n4 > n1",
            streams("news", path=["rp", "n3", "n4", "n1"]),
        )
    ]


def test_who_comes_and_goes_is_an_event(
    bootstrapper: Bootstrapper, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connection = dial()
    register(connection, "n1")
    register(dial(), "n9")
    connection.close()
    wait_until(lambda: "n1" not in bootstrapper.nodes())
    wait_until(lambda: len(logged(caplog, "node_registered", "refused", "node_lost")) == 3)
    (_, came), (_, refused), (_, gone) = logged(caplog, "node_registered", "refused", "node_lost")
    assert came == {"node": "n1", "address": str(connection.local)}
    assert str(refused["reason"]).startswith("no node is called 'n9'")
    assert gone["node"] == "n1"


def logged(caplog: pytest.LogCaptureFixture, *names: str) -> list[tuple[str, dict[str, object]]]:
    """Return the sentences and fields of some events."""
    records = [record for record in caplog.records if record.__dict__.get("event") in names]
    return [(record.message, record.__dict__["fields"]) for record in records]


def streams(content: str, path: list[str] | None = None, fed: bool = True) -> dict[str, object]:
    return {
        "content": content, "node": "n1", "path": path or ["rp", "n1"], "children": ["n2"], "fed": fed,
    }  # fmt: skip


def test_a_node_that_goes_is_struck_out(bootstrapper: Bootstrapper, dial: Dial) -> None:
    connection = dial()
    register(connection, "n1")
    wait_until(lambda: "n1" in bootstrapper.nodes())
    connection.close()
    wait_until(lambda: "n1" not in bootstrapper.nodes())


def test_a_node_that_says_nothing_for_long_is_closed(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, talking = dial(), dial()
    register(silent, "n1")
    register(talking, "n2")
    bootstrapper.end_silent_sessions()
    assert len(bootstrapper.nodes()) == 2
    monkeypatch.setattr(bootstrapper_module, "SILENT", 0.05)
    heard = bootstrapper.nodes()["n1"].heard
    wait_until(lambda: time.monotonic() > heard + 0.06)
    bootstrapper.nodes()["n2"].heard = time.monotonic() + 60
    bootstrapper.end_silent_sessions()
    with pytest.raises(PeerGone):
        silent.receive(10)
    assert list(bootstrapper.nodes()) == ["n2"]


def test_strangers_of_every_kind_do_no_harm(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrapper_module, "REGISTER_TIMEOUT", 0.2)
    good = dial()
    register(good, "rp")
    frame = encode(Register("n1", 0, b"i" * 16))
    bad_data = {
        "garbage": b"GET / HTTP/1.1\r\n\r\n",
        "truncated": frame[:-1],
        "silent": b"",
        "oversized": b"MC\x01\x03\xff\xff\xff\xff",
        "unknown version": b"MC\x02" + frame[3:],
        "unknown flag": b"MC\x01\x03\x00\x00\x00\x01\x99",
        "another protocol": b"MC\x01\x02\x00\x00\x00\x01\x01",
        "a report before the registration": encode(health()),
    }
    for data in bad_data.values():
        with socket.create_connection(bootstrapper.address) as peer:
            peer.settimeout(10)
            peer.sendall(data)
            assert read_to_end(peer) == b""
    reset(socket.create_connection(bootstrapper.address))
    wait_until(lambda: bootstrapper.counters["bad_frames"] >= 5)
    assert bootstrapper.counters["unknown_messages"] == 1
    assert bootstrapper.counters["crashed_handlers"] == 0
    good.send(health("news", path=("rp",)))
    wait_until(lambda: "news" in bootstrapper.nodes()["rp"].streams)


def test_a_registered_node_that_breaks_the_protocol_loses_its_session(
    bootstrapper: Bootstrapper, dial: Dial
) -> None:
    connection = dial()
    register(connection, "n1")
    connection.send(Register("n1", 0, b"i" * 16))
    with pytest.raises(PeerGone):
        connection.receive(10)
    wait_until(lambda: bootstrapper.nodes() == {})
    assert bootstrapper.counters["bad_frames"] == 1


def test_a_peer_that_drips_its_registration_is_cut_off(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "FRAME_TIMEOUT", 0.2)
    stop = threading.Event()
    with socket.create_connection(bootstrapper.address) as peer:
        peer.settimeout(10)

        def drip() -> None:
            for byte in encode(Register("x" * 60, 0, b"i" * 16)):
                if stop.wait(0.02):
                    return
                try:
                    peer.sendall(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert read_to_end(peer) == b""
        stop.set()
        thread.join()
    assert isinstance(register(dial(), "n1"), LayoutMessage)


def many_neighbours(*names: str, port: int) -> Layout:
    """Return a layout in which some nodes have so many neighbours that being told of them fills a buffer."""
    more: dict[str, object] = {
        name: {"address": f"127.0.0.1:{1000 + index}"} for index, name in enumerate(names)
    }
    for number in range(1, 200):
        address = f"{'y' * 60}:{port + number}"
        more[f"y{number}"] = {"address": address, "neighbours": ["rp", *names]}
    return layout(more=more)


def refuse_layouts(bootstrapper: Bootstrapper, name: str) -> None:
    """Let a node's connection hold next to nothing that the node does not read."""
    sock = bootstrapper._sessions[name].connection.sock
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def test_many_nodes_that_take_no_layouts_do_not_hold_up_the_others(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrapper_module, "SEND_TIMEOUT", 600.0)
    names = [f"deaf{number}" for number in range(20)]
    bootstrapper.change_layout(many_neighbours(*names, port=100))
    for name in names:
        connection = dial()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        register(connection, name)
        refuse_layouts(bootstrapper, name)
    good = dial()
    register(good, "rp")
    for port in (300, 500, 700):
        bootstrapper.change_layout(many_neighbours(*names, port=port))  # returns at once
        told = answer(good)
        assert isinstance(told, LayoutMessage)
        assert told.neighbours[-1].address.endswith(f":{port + 199}")
    wait_until(lambda: len(bootstrapper._watcher._unsent) == 20)
    assert set(bootstrapper.nodes()) == {*names, "rp"}


def test_a_node_that_takes_no_layouts_has_to_connect_again(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bootstrapper_module, "SEND_TIMEOUT", 0.05)
    caplog.set_level("INFO")
    bootstrapper.change_layout(many_neighbours("deaf", port=100))
    connection = dial()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    register(connection, "deaf")
    refuse_layouts(bootstrapper, "deaf")
    for port in (300, 500, 700, 900):
        bootstrapper.change_layout(many_neighbours("deaf", port=port))
    wait_until(lambda: "deaf" not in bootstrapper.nodes())
    wait_until(lambda: f"deaf is gone: {connection.local} takes no data" in caplog.text)


def test_a_flood_of_silent_connections_takes_nobodys_place(
    bootstrapper: Bootstrapper, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrance = bootstrapper._listener._entrance
    assert entrance is not None
    monkeypatch.setattr(entrance, "_waiting", WaitingRoom(40))
    register(dial(), "rp")
    stranger = ("127.0.0.66", 0)
    flood = [socket.create_connection(bootstrapper.address, source_address=stranger) for _ in range(200)]
    wait_until(lambda: bootstrapper.counters["crowded_out"] >= 160)
    assert bootstrapper._listener.waiting <= 40
    assert isinstance(register(dial("127.0.0.2"), "n1"), LayoutMessage)
    assert isinstance(register(dial(), "n2"), LayoutMessage)
    assert "rp" in bootstrapper.nodes()
    for sock in flood:
        sock.close()
    wait_until(lambda: bootstrapper._listener.waiting == 0)


def test_a_hundred_nodes_register_at_once(dial: Dial, bootstrapper: Bootstrapper) -> None:
    more = {f"x{n}": {"address": f"10.1.0.1:{n + 1}", "neighbours": ["rp"]} for n in range(100)}
    bootstrapper.change_layout(layout(more=dict(more)))
    connections = [dial() for _ in more]
    for connection, name in zip(connections, more, strict=True):
        connection.send(Register(name, 0, b"i" * 16))
    assert all(isinstance(answer(connection), LayoutMessage) for connection in connections)
    assert len(bootstrapper.nodes()) == 100


def test_the_check_prints_the_layout_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(__file__).parents[2] / "resources" / "configs" / "demo-layout.toml"
    assert bootstrap_main(["-config", str(config), "--check"]) == 0
    out = capsys.readouterr().out
    assert "└── n2" in out
    assert out.endswith("demo-layout.toml: 5 nodes, 6 links, 2 servers: ok\n")


RUNNABLE = ["--config", "CONFIG", "--address", "127.0.0.1:0"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: --config (see mcast-bootstrap --help)"),
        (["--config", "missing.toml"], "missing.toml: there is no such file"),
        (["--config", "CONFIG"], "--address HOST:PORT is missing"),
        (["--config", "CONFIG", "--address", "127.0.0.1"], "argument --address: '127.0.0.1' has no port"),
        (["--config", "CONFIG", "--address", "127.0.0.1:IN-USE"], "port IN-USE is in use on 127.0.0.1"),
        (["--config", "CONFIG", "--address", "192.0.2.1:1"], "192.0.2.1:1: this machine has no address"),
        ([*RUNNABLE, "--http", "127.0.0.1:IN-USE"], "port IN-USE is in use on 127.0.0.1"),
        ([*RUNNABLE, "--http", "0.0.0.0:0"], "--http 0.0.0.0:0: other machines can connect there"),
        ([*RUNNABLE, "--http-open"], "--http-open belongs to --http HOST:PORT, which is missing"),
    ],
)
def test_each_mistake_of_the_user_is_one_line_and_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(Path(__file__).parents[2] / "resources" / "configs" / "demo-layout.toml")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        arguments = [text.replace("CONFIG", config).replace("IN-USE", port) for text in arguments]
        assert bootstrap_main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("mcast-bootstrap: error: " + complaint.replace("IN-USE", port))
    assert err.count("\n") == 1


def test_sighup_reads_the_file_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "campus.toml"
    text = 'rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:%d"\n'
    config.write_text(text % 5000)
    program = Path(__file__).parents[2] / "bin" / "mcast-bootstrap"
    options = ("--config", str(config), "--address", "127.0.0.1:0", "--log-format", "json")
    command = [sys.executable, str(program), *options]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as stack,
    ):
        assert process.stderr is not None
        stack.callback(process.kill)
        entries = map(json.loads, iter(process.stderr.readline, ""))
        listening = next(entry for entry in entries if entry.get("event") == "listening")
        with connect(listening["address"], 5) as connection:
            first = register(connection)
            config.write_text("rendezvous = ")
            process.send_signal(signal.SIGHUP)
            refused = next(entry for entry in entries if entry.get("event") == "layout_refused")
            assert refused["file"] == str(config)
            assert refused["reason"].startswith(f"{config}: no valid TOML")
            config.write_text(text % 5001)
            process.send_signal(signal.SIGHUP)
            second = answer(connection)
        read = next(entry for entry in entries if entry.get("event") == "layout_read")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert isinstance(first, LayoutMessage)
    assert isinstance(second, LayoutMessage)
    assert (first.address, second.address) == ("127.0.0.1:5000", "127.0.0.1:5001")
    assert (read["nodes"], read["links"], read["servers"]) == (1, 0, [])
