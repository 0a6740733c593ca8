"""From a server to a viewer over nodes as they run in mcast-node, in this process; and how that ends."""

import time

import pytest

from helpers import PATIENCE, wait_until
from mcast.media.timing import Timing
from mcast.net.connection import PeerGone
from mcast.overlay import branch_data, transitions
from mcast.overlay.actions import ServerParent
from mcast.overlay.servers import Servers
from mcast.wire.identity import Identity
from mcast.wire.node import Found, Miss, MissReason, Port, Stop, StopReason
from roles.overlay_parts import (
    KEYFRAMES,
    Contents,
    World,
    children_left,
    events_of,
    follow_at_peer,
    streams_of,
)
from roles.partners import (
    N1,
    RP,
    Peer,
    miss,
    new_request,
    port_for,
    read,
    silent_address,
    stop_for,
)

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


def test_a_server_that_lists_what_it_still_prepares_is_told_to_the_viewer(world: World) -> None:
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
    assert answer.retry_ms > 0, "all the way down the viewer hears that it is worth waiting for"
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
    (passed_over,) = events_of(caplog, "server_passed_over")
    assert (passed_over["server"], passed_over["to"]) == (refuses, streams)
    assert "preparing half of it" in str(passed_over["cause"])
    assert events_of(caplog, "server_failover") == []
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
    monkeypatch.setattr(branch_data, "GIVE_UP_SECONDS", 0.3)
    contents = Contents("news")
    server = world.server(contents)
    n1 = world.node("n1", rp=world.node("rp", (str(server.address),)))
    viewer = world.viewer(n1, "news").watch()
    world.end(server)
    assert viewer.ended() is StopReason.CUT  # there is no other server
    world.wait_idle()


def test_a_parent_that_falls_silent_is_told_as_a_cut_and_given_up(
    world: World, peer: Peer, silent_port: int, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    monkeypatch.setattr(branch_data, "GIVE_UP_SECONDS", 0.2)
    viewer, asked, above = follow_at_peer(world, peer)
    above.send(port_for(asked, port=silent_port))
    assert viewer.next(Port).cut is False
    assert viewer.next(Port).cut is True
    assert viewer.ended() is StopReason.CUT
    assert read(above, Stop).reason is StopReason.UNSUBSCRIBE
    assert "[news] cut off" in caplog.text


def test_news_from_above_are_passed_on_and_another_stream_is_none(
    world: World, peer: Peer, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_data, "GIVE_UP_SECONDS", 0.2)
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
    assert read(above, Stop).reason is StopReason.UNSUBSCRIBE
    assert viewer.ended() is StopReason.CUT


def test_an_end_above_waits_for_the_last_datagram_but_not_for_ever(
    world: World, peer: Peer, silent_port: int, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    monkeypatch.setattr(transitions, "DRAIN_SECONDS", 0.4)
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
