"""What a node as it runs in mcast-node survives, and how it starts, changes and stops."""

import json
import random
import threading
from pathlib import Path

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.media.timing import Timing
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.ports import MediaPorts
from mcast.overlay import discovery, trace
from mcast.overlay.actions import Action
from mcast.roles.node.options import NodeOptions
from mcast.roles.node.program import NodeProgram
from mcast.wire.bootstrap import LayoutMessage, NodeKind
from mcast.wire.frame import Message
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Stop, StopReason, Stream
from mcast.wire.server import Wake
from roles.overlay_parts import LOCALHOST, Contents, World, layout_of, streams_of
from roles.partners import (
    VIEWER,
    Peer,
    disc,
    found,
    miss,
    new_request,
    port_for,
    read,
    silent_address,
    stop_for,
    stream_of,
)

# What a node survives


@pytest.mark.parametrize(
    "messages",
    [
        [disc(), disc()],
        [disc(), stream_of(disc())],
        [found(disc())],
        [miss(disc(), MissReason.BUSY)],
        [port_for(stream_of(disc()))],
    ],
)
def test_what_has_no_place_ends_the_connection_and_nothing_else(
    world: World, messages: list[Message], peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    node = world.node("n1", rp=peer.address)  # whose answer does not come, so the first one is open
    peer.accept_warm()
    stranger = world.viewer(node, "news")
    for message in messages:
        stranger.connection.send(message)
    stranger.expect_end()
    wait_until(lambda: "breaks the protocol" in caplog.text)
    again = world.viewer(node, "news")
    again.ask()
    while peer.question(Disc)[1].request != again.request:
        pass  # the stranger's


def test_a_second_stream_on_a_subscription_ends_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (rp, *_) = world.line(Contents("news", "sea"), 0)
    viewer = world.viewer(rp, "news").watch()
    viewer.content = "sea"
    viewer.subscribe()
    viewer.expect_end()
    assert "Stream has no place here" in caplog.text
    world.wait_idle()


def test_a_stop_without_a_stream_is_no_crime(world: World, caplog: pytest.LogCaptureFixture) -> None:
    node = world.node("n1")
    with connect(node.address, PATIENCE) as connection:
        connection.send(stop_for(stream_of(disc()), StopReason.UNSUBSCRIBE))
        with pytest.raises(PeerGone):
            connection.receive(PATIENCE)
    assert "breaks the protocol" not in caplog.text


def test_a_stream_nobody_has_a_way_for_is_gone_and_may_be_asked_for_again(world: World) -> None:
    viewer = world.viewer(world.node("n1"), "news")
    for _ in range(2):
        viewer.subscribe()
        assert viewer.next(Miss).reason is MissReason.GONE


def test_a_stream_that_claims_255_hops_is_followed_all_the_same(world: World) -> None:
    _, n1 = world.line(Contents("news"))
    world.viewer(n1, "news").watch().leave()
    world.wait_idle()
    viewer = world.viewer(n1, "news", request=b"\xff" * 16)
    viewer.ask()
    viewer.next(Found)
    viewer.subscribe(hops=255)
    assert isinstance(viewer.connection.receive(PATIENCE), Port)


def test_a_flood_takes_no_longer_than_a_client_may_want(
    world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "MAX_TIME_MS", 300)
    node = world.node("n1", rp=peer.address)
    peer.accept_warm()
    with connect(node.address, PATIENCE) as connection:
        connection.send(Disc(request=new_request(), content="x", sender=VIEWER, remaining_ms=2**32 - 1))
        assert read(connection, Miss).reason is MissReason.DEADLINE


def test_a_neighbour_that_cannot_be_reached_is_a_cut(world: World, peer: Peer) -> None:
    peer.stop_listening()
    viewer = world.viewer(world.node("n1", rp=peer.address), "news")
    viewer.ask()
    assert viewer.next(Miss).reason is MissReason.CUT


def test_beyond_the_bound_a_newcomer_takes_the_place_of_one_that_rests(world: World) -> None:
    node = world.node("n1")
    node._inbound._crowd._most = 1
    with connect(node.address, PATIENCE) as first, connect(node.address, PATIENCE) as second:
        first.send(disc())
        read(first, Miss)
        second.send(disc())
        read(second, Miss)
        with pytest.raises(PeerGone):
            first.receive(PATIENCE)


def test_a_program_that_looks_for_a_server_is_told_that_this_is_a_node(world: World) -> None:
    with connect(world.node("n1").address, PATIENCE) as connection:
        connection.send(Wake())
        with pytest.raises(PeerGone, match="this is a mcast-node, not a mcast-server"):
            connection.receive(PATIENCE)


def test_a_child_that_no_port_is_left_for_is_refused_and_the_others_are_fed(world: World) -> None:
    (rp, *_) = world.line(Contents("news"), 0)
    watching = world.viewer(rp, "news").watch()
    relay = rp._relays.get("news")
    assert relay is not None

    def no_port(*_: object) -> int:
        raise ConfigError("--media-ports 1-2: all are in use")

    relay.take_in = no_port  # type: ignore[method-assign, assignment]
    viewer = world.viewer(rp, "news")
    viewer.ask()
    viewer.next(Found)
    viewer.subscribe()
    answer = viewer.next(Miss)
    assert (answer.reason, answer.text) == (MissReason.FULL, "--media-ports 1-2: all are in use")
    seen = len(watching.trains)
    wait_until(lambda: len(watching.trains) > seen)
    wait_until(lambda: [s.children for s in streams_of(world, "rp")] == [(watching.identity,)])


def test_no_way_to_the_media_ends_the_stream_and_not_the_node(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr("mcast.peer.upstream.connect_media_socket", no_route)
    monkeypatch.setattr("mcast.overlay.branch_data.GIVE_UP_SECONDS", 0.2)
    (rp, *_) = world.line(Contents("news"), 0)
    viewer = world.viewer(rp, "news")
    while True:
        viewer.ask()
        if isinstance(viewer.connection.receive(PATIENCE), Found):
            break
        viewer.request = new_request()
    viewer.subscribe()
    while not isinstance(stop := viewer.connection.receive(PATIENCE), Stop):
        pass
    assert stop.reason is StopReason.CUT
    assert "No route to host" in stop.text
    monkeypatch.undo()
    world.viewer(rp, "news").watch()


# Start, stop, layouts


def test_a_port_in_use_is_said_and_leaves_nothing_behind(world: World, crash: Recorder) -> None:
    node = world.node("n1")
    with pytest.raises(ConfigError, match=str(node.address.port)):
        NodeProgram(layout_of("n2"), node.address, MediaPorts(), Recorder(), lambda: 1, crash)


def test_a_node_that_was_never_started_can_be_stopped(crash: Recorder) -> None:
    NodeProgram(layout_of("n1"), LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash).stop()


@pytest.mark.parametrize("moment", range(4))
def test_stop_while_floods_and_follows_are_pending_is_quick(
    world: World, peer: Peer, crash: Recorder, caplog: pytest.LogCaptureFixture, moment: int
) -> None:
    with silent_address() as nowhere:
        layout = layout_of("n1", n2=nowhere, rp=peer.address)
        node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash)
        node.start(layout)
        viewer = world.viewer(node.address, "news")
        if moment > 0:
            warm = peer.accept_warm()
            viewer.ask()
            asked = read(warm, Disc)
        if moment > 1:
            warm.send(found(asked))
            viewer.next(Found)
            viewer.subscribe()
        if moment > 2:
            wait_until(lambda: node._performer._upstreams)
        node.stop()
        viewer.expect_end()
    assert "has not ended" not in caplog.text


def test_fifty_contents_are_left_at_once_though_the_parent_answers_nothing(
    world: World, peer: Peer, silent_port: int, crash: Recorder
) -> None:
    layout = layout_of("n1", rp=peer.address)
    patient = Timing(start_silence=2 * PATIENCE)  # else the first are asked for anew where all take a second
    node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash, timing=patient)
    node.start(layout)
    above: list[Connection] = []
    for number in range(50):
        viewer = world.viewer(node.address, f"content {number}")
        viewer.ask()
        warm, asked = peer.question(Disc)
        warm.send(found(asked))
        viewer.next(Found)
        viewer.subscribe()
        connection, subscribed = peer.question(Stream)
        connection.send(port_for(subscribed, port=silent_port))
        viewer.next(Port)
        above.append(connection)
    reaped: list[bool] = []
    hold = threading.Event()
    node._reaper.post(
        lambda: reaped.append(hold.wait(PATIENCE))
    )  # nobody's end is waited for until it is let
    ending = threading.Thread(target=node.stop)
    ending.start()
    for connection in above:  # all hear STOP, though the first one's end has not been waited for
        while not isinstance(message := connection.receive(PATIENCE), Stop):
            pass
        assert message.reason is StopReason.LEAVING
    assert reaped == []
    hold.set()
    ending.join()


def test_every_decision_is_written_to_the_trace_and_can_be_replayed(
    tmp_path: Path, peer: Peer, crash: Recorder
) -> None:
    path, layout = tmp_path / "n1.jsonl", layout_of("n1", rp=peer.address)
    node = NodeProgram(
        layout, LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash, options=NodeOptions(trace_file=path)
    )
    node.start(layout)
    with connect(node.address, PATIENCE) as connection:
        connection.send(disc())
        warm, asked = peer.question(Disc)
        warm.send(miss(asked, MissReason.ABSENT))
        read(connection, Miss)
    node.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = [line["event"]["type"] for line in lines[1:]]
    assert {"LayoutChanged", "DiscReceived", "Answered", "TimePassed"} <= set(kinds)
    assert kinds[-1] == "Leaving"
    assert list(trace.replay(lines, random.Random(trace.seed_of(lines[0])))) == []


def test_a_trace_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, crash: Recorder) -> None:
    with pytest.raises(ConfigError, match="--trace"):
        NodeProgram(
            layout_of("n1"),
            LOCALHOST,
            MediaPorts(),
            Recorder(),
            lambda: 1,
            crash,
            options=NodeOptions(trace_file=tmp_path),
        )


def test_a_stream_that_comes_in_while_the_node_stops_leaves_nothing_behind(
    world: World, peer: Peer, crash: Recorder
) -> None:
    for _ in range(10):
        layout = layout_of("n1", rp=peer.address)
        node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash)
        node.start(layout)
        viewers = [world.viewer(node.address, f"c{number}") for number in range(8)]

        def knock(viewers=viewers) -> None:  # type: ignore[no-untyped-def]
            for viewer in viewers:
                try:
                    viewer.connection.send(
                        Stream(request=new_request(), content=viewer.content, sender=VIEWER)
                    )
                except PeerGone:
                    return

        knocking = threading.Thread(target=knock)
        knocking.start()
        node.stop()
        knocking.join()


def test_a_crash_of_the_decider_ends_everything_all_the_same(world: World) -> None:
    crash = Recorder()
    contents = Contents("news")
    server = world.server(contents)
    layout = LayoutMessage("rp", NodeKind.RENDEZVOUS, "127.0.0.1:0", servers=(str(server.address),))
    node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), lambda: 1, crash)
    node.start(layout)
    viewer = world.viewer(node, "news").watch()

    def bug(_action: Action) -> None:
        raise ValueError("a bug")

    node._decider._perform = bug
    viewer.connection.close()  # which makes something to be done
    crash.wait_for(1)
    node.stop()
    assert [str(error) for error in crash.calls] == ["a bug"]


def test_a_new_layout_changes_whom_a_node_asks(world: World, peer: Peer, other_peer: Peer) -> None:
    node = world.node("n1", rp=peer.address)
    warm = peer.accept_warm()
    viewer = world.viewer(node, "news")
    viewer.ask()
    read(warm, Disc)
    node.update(layout_of("n1", n2=other_peer.address))
    assert viewer.next(Miss).reason is MissReason.CUT  # rp cannot answer any more, and is not waited for
    viewer.request = new_request()
    viewer.ask()
    assert other_peer.question(Disc)[1].request == viewer.request


def test_it_listens_on_the_address_that_it_is_given(world: World) -> None:
    node = world.node("n1")
    assert node.address == HostPort("127.0.0.1", node.address.port)
    assert node.address.port > 0
