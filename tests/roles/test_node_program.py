"""Nodes as they run in mcast-node, with real sockets and neighbours, in this process."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import PATIENCE, Recorder, wait_until
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.media.timing import Timing
from mcast.net.connection import Connection, PeerGone, connect
from mcast.net.ports import MediaPorts
from mcast.overlay import branch, discovery, trace
from mcast.overlay.actions import Action, ServerParent
from mcast.overlay.rendezvous import Servers
from mcast.roles.node.program import NodeProgram
from mcast.wire.bootstrap import LayoutMessage, Neighbour, NodeKind, StreamHealth
from mcast.wire.frame import Message
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, Port, Stop, StopReason, Stream
from roles.overlay_parts import KEYFRAMES, LOCALHOST, Contents, World
from roles.partners import (
    N1,
    RP,
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


def streams_of(world: World, name: str) -> tuple[StreamHealth, ...]:
    told = world.health[name]
    return told[-1].streams if told else ()


def events_of(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    return [r.__dict__["fields"] for r in caplog.records if getattr(r, "event", "") == name]


def children_left(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    return [(fields["child"], fields["reason"]) for fields in events_of(caplog, "child_left")]


# From a server to a viewer


def test_a_viewer_gets_the_stream_from_a_keyframe_on_and_the_way_it_comes(world: World) -> None:
    rp, _, n2 = world.line(Contents("news"), 2)
    viewer = world.viewer(n2, "news")
    port = viewer.join_somehow()
    assert [str(node) for node in port.path] == ["rp", "n1", "n2"]
    viewer.receive(port)
    wait_until(lambda: viewer.trains and viewer.trains[-1].next > 10)
    assert viewer.trains[0].first % KEYFRAMES == 0
    wait_until(lambda: streams_of(world, "rp"))
    (health,) = streams_of(world, "rp")
    assert (health.content, health.path, health.children, health.fed) == ("news", (RP,), (N1,), True)
    assert rp.address.port


def test_a_second_viewer_costs_no_second_copy_and_the_last_to_leave_ends_the_stream(world: World) -> None:
    rp, n1 = world.line(Contents("news"))
    first = world.viewer(n1, "news").watch()
    second = world.viewer(n1, "news").watch()
    wait_until(lambda: [len(s.children) for s in streams_of(world, "n1")] == [2])
    assert [len(s.children) for s in streams_of(world, "rp")] == [1]
    at_rp = world.viewer(rp, "news").watch()
    ssrc = streams_of(world, "rp")[0].position.ssrc
    for viewer in (first, second, at_rp):
        assert streams_of(world, "rp")[0].position.ssrc == ssrc
        viewer.leave()
    world.wait_idle()
    again = world.viewer(n1, "news")
    port = again.join_somehow()
    assert port.stream.ssrc != ssrc  # a viewer after the last begins a new stream


def test_a_content_that_is_over_ends_with_its_last_number_after_the_last_datagram(world: World) -> None:
    _, _, n2 = world.line(Contents(clip=60), 2)
    viewer = world.viewer(n2, "clip").watch()
    stop = None
    while stop is None:
        message = viewer.connection.receive(PATIENCE)
        stop = message if isinstance(message, Stop) else None
    assert (stop.reason, stop.last) == (StopReason.END, 59)
    wait_until(lambda: viewer.trains[-1].next == 60)
    world.wait_idle()


def test_what_no_server_has_is_absent(world: World) -> None:
    _, n1 = world.line(Contents("news"))
    world.viewer(n1, "news").watch()  # now all know each other
    viewer = world.viewer(n1, "olds")
    viewer.ask()
    assert viewer.next(Miss).reason is MissReason.ABSENT


def test_a_server_that_has_not_answered_makes_no_content_absent(world: World) -> None:
    with silent_address() as address:
        viewer = world.viewer(world.node("rp", (address,)), "news")
        viewer.ask()
        answer = viewer.next(Miss)
        assert answer.reason is MissReason.CUT
        assert "has not answered yet" in answer.text
        world.close()


def test_a_server_that_is_still_preparing_is_told_to_the_viewer(world: World) -> None:
    contents = Contents("news")
    contents.preparing.add("news")
    rp, n1 = world.line(contents)
    del rp
    viewer = world.viewer(n1, "news")
    while True:
        viewer.ask()
        answer = viewer.connection.receive(PATIENCE)
        if isinstance(answer, Found):
            break
        viewer.request = new_request()
    viewer.subscribe()
    answer = viewer.next(Miss)
    assert answer.reason is MissReason.CUT
    assert "preparing half of it" in answer.text
    viewer.request = new_request()  # the connection may ask again
    viewer.ask()
    viewer.next(Found)


def test_a_server_that_refuses_is_followed_by_the_next_one_and_that_is_an_event(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    half, whole = Contents("news"), Contents("news")
    half.preparing.add("news")
    refuses, streams = str(world.server(half).address), str(world.server(whole).address)
    order = [ServerParent(refuses), ServerParent(streams)]  # whichever happens to answer sooner
    monkeypatch.setattr(Servers, "ranking", lambda self, content: order if self.has(content) else [])
    rp = world.node("rp", (refuses, streams))
    wait_until(lambda: len(events_of(caplog, "server_listed")) == 2)
    world.viewer(rp, "news").watch()
    (failover,) = events_of(caplog, "server_failover")
    assert (failover["server"], failover["to"]) == (refuses, streams)
    assert "preparing half of it" in str(failover["cause"])
    assert events_of(caplog, "serves") == [{"content": "news", "server": streams}]


def test_viewers_that_come_at_once_make_one_follow(world: World) -> None:
    _, n1 = world.line(Contents("news"))
    world.viewer(n1, "news").watch().leave()
    world.wait_idle()
    viewers = [world.viewer(n1, "news") for _ in range(6)]
    for viewer in viewers:
        viewer.ask()
    for viewer in viewers:
        viewer.next(Found)
    for viewer in viewers:
        viewer.subscribe()
    answers = [viewer.connection.receive(PATIENCE) for viewer in viewers]
    # Whose request id is smaller than that of the follow gets BUSY at once, and tries again.
    assert all(isinstance(a, Port) or (isinstance(a, Miss) and a.reason is MissReason.BUSY) for a in answers)
    ports = [answer for answer in answers if isinstance(answer, Port)]
    assert ports
    assert len({port.stream.ssrc for port in ports}) == 1
    assert len({port.token for port in ports}) == len(ports)


# How subscriptions end


@pytest.mark.parametrize("says_hello", [True, False])
def test_a_viewer_of_whom_nothing_is_heard_gets_stop_lease_and_its_connection_is_closed(
    world: World, caplog: pytest.LogCaptureFixture, says_hello: bool
) -> None:
    caplog.set_level("INFO")
    world.timing = Timing(first_hello=0.3, lease=0.9)
    (rp, *_) = world.line(Contents("news"), 0)
    viewer = world.viewer(rp, "news")
    if says_hello:
        viewer.watch().fall_silent()
    else:
        viewer.join_somehow()
    assert viewer.ended() is StopReason.LEASE
    world.wait_idle()
    assert (str(viewer.identity), "lease") in children_left(caplog)


def test_a_viewer_says_stop_or_just_closes(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (rp, *_) = world.line(Contents("news"), 0)
    polite, rude = world.viewer(rp, "news").watch(), world.viewer(rp, "news").watch()
    polite.connection.send(Stop(request=polite.request, content="news", reason=StopReason.UNSUBSCRIBE))
    wait_until(lambda: [s.children for s in streams_of(world, "rp")] == [(rude.identity,)])
    rude.leave()
    world.wait_idle()
    wait_until(lambda: len(children_left(caplog)) >= 3)  # the node's two, and the server's node
    assert (str(polite.identity), "STOP(unsubscribe)") in children_left(caplog)


def test_a_node_that_leaves_says_so_to_its_children_and_to_its_parent(world: World) -> None:
    rp, n1 = world.line(Contents("news"))
    viewer = world.viewer(n1, "news").watch()
    world.end(n1)
    assert viewer.ended() is StopReason.LEAVING
    wait_until(lambda: not streams_of(world, "rp"))
    del rp


def test_what_the_source_loses_the_viewers_hear(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branch, "GIVE_UP_SECONDS", 0.3)
    contents = Contents("news")
    server = world.server(contents)
    n1 = world.node("n1", rp=world.node("rp", (str(server.address),)))
    viewer = world.viewer(n1, "news").watch()
    world.end(server)
    assert viewer.ended() is StopReason.LEAVING  # the server said so, and it came down the tree
    world.wait_idle()


def test_a_parent_that_falls_silent_is_told_as_a_cut_and_given_up(
    world: World, peer: Peer, silent_port: int, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    monkeypatch.setattr(branch, "GIVE_UP_SECONDS", 0.2)
    viewer, asked, above = follow_at_peer(world, peer)
    above.send(port_for(asked, port=silent_port))
    assert viewer.next(Port).cut is False
    assert viewer.next(Port).cut is True
    assert viewer.next(Stop).reason is StopReason.CUT
    assert read(above, Stop).reason is StopReason.UNSUBSCRIBE
    assert "[news] cut off" in caplog.text


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give a UDP port where hellos arrive and nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def follow_at_peer(world: World, peer: Peer):  # type: ignore[no-untyped-def]
    """Have a node n1 follow the test itself; give its viewer, the STREAM, and its connection."""
    viewer = world.viewer(world.node("n1", rp=peer.address), "news")
    warm = peer.accept()
    viewer.ask()
    asked = read(warm, Disc)
    warm.send(found(asked))
    viewer.next(Found)
    viewer.subscribe()
    above, followed = peer.question(Stream)
    return viewer, followed, above


def test_news_from_above_are_passed_on_and_another_stream_is_none(
    world: World, peer: Peer, silent_port: int
) -> None:
    viewer, asked, above = follow_at_peer(world, peer)
    above.send(port_for(asked, port=silent_port))
    first = viewer.next(Port)
    assert first.path == (RP, N1)
    other = Identity.node("other")
    above.send(port_for(asked, port=silent_port, version=2, path=(RP, other)))
    news = viewer.next(Port)
    assert news.path == (RP, other, N1)
    assert news.version > first.version
    above.send(port_for(asked, port=silent_port, version=3, ssrc=8))
    while isinstance(end := viewer.connection.receive(PATIENCE), Port):
        pass  # it may have been found cut off meanwhile
    assert isinstance(end, Stop)
    assert end.reason is StopReason.REPLACED


def test_an_end_above_waits_for_the_last_datagram_but_not_for_ever(
    world: World, peer: Peer, silent_port: int, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    monkeypatch.setattr(branch, "DRAIN_SECONDS", 0.4)
    viewer, asked, above = follow_at_peer(world, peer)
    above.send(port_for(asked, port=silent_port))
    viewer.next(Port)
    above.send(stop_for(asked, StopReason.END, 1000))
    above.close()  # as a node does behind its STOP
    began = time.monotonic()
    stop = viewer.next(Stop)
    assert (stop.reason, stop.last) == (StopReason.END, 1000)
    assert time.monotonic() - began > 0.2
    assert "cut off" not in caplog.text


def test_a_follow_that_is_refused_is_told_with_its_reason_and_leaves_no_stop_behind(
    world: World, peer: Peer
) -> None:
    viewer, asked, above = follow_at_peer(world, peer)
    above.send(miss(asked, MissReason.LOOP, "because"))
    answer = viewer.next(Miss)
    assert (answer.reason, answer.text) == (MissReason.LOOP, "because")
    with pytest.raises(PeerGone):
        above.receive(PATIENCE)


def test_a_viewer_that_leaves_while_the_follow_is_pending_cancels_it(world: World, peer: Peer) -> None:
    viewer, _, above = follow_at_peer(world, peer)
    viewer.leave()
    assert read(above, Stop).reason is StopReason.UNSUBSCRIBE


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
    peer.accept()
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
    peer.accept()
    with connect(node.address, PATIENCE) as connection:
        connection.send(Disc(request=new_request(), content="x", sender=VIEWER, remaining_ms=2**32 - 1))
        assert read(connection, Miss).reason is MissReason.DEADLINE


def test_a_neighbour_that_cannot_be_reached_is_a_cut(world: World, peer: Peer) -> None:
    peer.stop_listening()
    viewer = world.viewer(world.node("n1", rp=peer.address), "news")
    viewer.ask()
    assert viewer.next(Miss).reason is MissReason.CUT


def test_there_is_a_bound_on_connections(world: World, caplog: pytest.LogCaptureFixture) -> None:
    node = world.node("n1")
    node._inbound._most = 1
    with connect(node.address, PATIENCE) as first, connect(node.address, PATIENCE) as second:
        with pytest.raises(PeerGone):
            second.receive(PATIENCE)
        first.send(disc())
        read(first, Miss)
    assert "too many connections" in caplog.text


def test_a_child_that_no_port_is_left_for_is_refused_and_the_others_are_fed(world: World) -> None:
    (rp, *_) = world.line(Contents("news"), 0)
    watching = world.viewer(rp, "news").watch()
    relay = rp._relays.get("news")
    assert relay is not None

    def no_port(*_: object) -> Port:
        raise ConfigError("--media-ports 1-2: all are in use")

    relay.admit = no_port  # type: ignore[method-assign, assignment]
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
    (rp, *_) = world.line(Contents("news"), 0)
    viewer = world.viewer(rp, "news")
    while True:
        viewer.ask()
        if isinstance(viewer.connection.receive(PATIENCE), Found):
            break
        viewer.request = new_request()
    viewer.subscribe()
    stop = viewer.next(Stop)
    assert stop.reason is StopReason.ERROR
    assert "No route to host" in stop.text
    monkeypatch.undo()
    world.viewer(rp, "news").watch()


# Start, stop, layouts


def layout_of(name: str, **neighbours: str) -> LayoutMessage:
    found = tuple(Neighbour(other, address) for other, address in neighbours.items())
    return LayoutMessage(name, NodeKind.OVERLAY, "127.0.0.1:0", neighbours=found)


def test_a_port_in_use_is_said_and_leaves_nothing_behind(world: World, crash: Recorder) -> None:
    node = world.node("n1")
    with pytest.raises(ConfigError, match=str(node.address.port)):
        NodeProgram(layout_of("n2"), node.address, MediaPorts(), Recorder(), crash)


def test_a_node_that_was_never_started_can_be_stopped(crash: Recorder) -> None:
    NodeProgram(layout_of("n1"), LOCALHOST, MediaPorts(), Recorder(), crash).stop()


@pytest.mark.parametrize("moment", range(4))
def test_stop_while_floods_and_follows_are_pending_is_quick(
    world: World, peer: Peer, crash: Recorder, caplog: pytest.LogCaptureFixture, moment: int
) -> None:
    with silent_address() as nowhere:
        layout = layout_of("n1", n2=nowhere, rp=peer.address)
        node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), crash)
        node.start(layout)
        viewer = world.viewer(node.address, "news")
        if moment > 0:
            warm = peer.accept()
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
    node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), crash)
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
    node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), crash, trace_file=path)
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
        NodeProgram(layout_of("n1"), LOCALHOST, MediaPorts(), Recorder(), crash, trace_file=tmp_path)


def test_a_stream_that_comes_in_while_the_node_stops_leaves_nothing_behind(
    world: World, peer: Peer, crash: Recorder
) -> None:
    for _ in range(10):
        layout = layout_of("n1", rp=peer.address)
        node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), crash)
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
    node = NodeProgram(layout, LOCALHOST, MediaPorts(), Recorder(), crash)
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
    warm = peer.accept()
    viewer = world.viewer(node, "news")
    viewer.ask()
    read(warm, Disc)
    node.update(layout_of("n1", n2=other_peer.address))
    assert viewer.next(Miss).reason is MissReason.CUT  # rp cannot answer any more, and is not waited for
    viewer.request = new_request()
    viewer.ask()
    assert read(other_peer.accept(), Disc).request == viewer.request


def test_it_listens_on_the_address_that_it_is_given(world: World) -> None:
    node = world.node("n1")
    assert node.address == HostPort("127.0.0.1", node.address.port)
    assert node.address.port > 0
