"""The decisions of a node, alone and wired to others in a simulation: no socket is opened here."""

from itertools import combinations
from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.discovery import MAX_FLOODS, MAX_HOPS, MAX_REQUESTS, REQUEST_TTL
from mcast.overlay.node_core import NodeCore
from mcast.overlay.tree import FOLLOW_TIMEOUT, MAX_CONTENTS
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Found, Miss, MissReason, StopReason
from mcast.wire.position import Position
from overlay.simulation import Network, stream_request
from overlay.simulation import port as port_packet

N1, N2, RP = Identity.node("n1"), Identity.node("n2"), Identity.node("rp")
VIEWER = Identity.client(bytes(16))
R1, R2 = b"1" * 16, b"2" * 16
LINE = [("rp", "n1"), ("n1", "n2"), ("n2", "n3")]
RING = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "rp")]
MESH = list(combinations(["rp", "n1", "n2", "n3", "n4"], 2))


def disc(request: bytes = R1, content: str = "news", sender: Identity = VIEWER, **more: object) -> Disc:
    fields = {"hops": 0, "port": 0, "remaining_ms": 4000, **more}
    return Disc(request=request, source=None, content=content, sender=sender, **fields)  # type: ignore[arg-type]


def no(request: bytes, reason: MissReason) -> Miss:
    return Miss(request=request, source=None, hops=0, content="news", port=0, reason=reason)


def yes(request: bytes, giver: Identity = RP) -> Found:
    return Found(request=request, source=None, hops=0, content="news", port=0, sender=giver)


def node(**round_trips: float) -> NodeCore:
    core = NodeCore(N1)
    core.set_neighbours(round_trips)
    return core


def streaming_node() -> NodeCore:
    """Return n1, streaming news from rp to the viewer on link 1."""
    core = node(rp=1.0, n2=1.0)
    core.on_disc(disc(), 1, now=0.0)
    core.on_found(R1, "rp", yes(R1), now=0.1)
    asked = stream_request("news", R1, VIEWER, 0)
    core.on_stream(asked, 1, now=0.2)
    core.on_port("news", R1, port_packet(asked, (RP,), Position(7, 0), 1))
    return core


def reasons(actions: list[do.Action]) -> list[MissReason]:
    return [a.message.reason for a in actions if isinstance(a, do.Reply) and isinstance(a.message, Miss)]


def asked_neighbours(actions: list[do.Action]) -> dict[str, int]:
    return {a.neighbour: a.disc.remaining_ms for a in actions if isinstance(a, do.Ask)}


# Discovery


def test_a_disc_goes_to_every_neighbour_but_the_one_it_came_from() -> None:
    core = node(rp=1.0, n2=1.0, n3=1.0)
    assert set(asked_neighbours(core.on_disc(disc(sender=N2), 1, 0.0))) == {"rp", "n3"}


def test_an_excluded_neighbour_is_not_asked() -> None:
    actions = node(rp=1.0, n2=1.0).on_disc(disc(excluded=(RP,)), 1, 0.0)
    assert set(asked_neighbours(actions)) == {"n2"}


def test_each_hop_takes_off_100_ms_or_twice_the_round_trip() -> None:
    actions = node(near=1.0, far=300.0).on_disc(disc(remaining_ms=1000), 1, 0.0)
    assert asked_neighbours(actions) == {"near": 900, "far": 400}


def test_with_too_little_time_left_nobody_is_asked() -> None:
    actions = node(rp=1.0).on_disc(disc(remaining_ms=150), 1, 0.0)
    assert (asked_neighbours(actions), reasons(actions)) == ({}, [MissReason.DEADLINE])


def test_a_request_is_answered_once() -> None:
    core = node(rp=1.0)
    core.on_disc(disc(), 1, 0.0)
    assert reasons(core.on_disc(disc(sender=RP), 2, 0.1)) == [MissReason.DUPLICATE]


def test_the_first_found_is_passed_back_and_the_others_are_cancelled() -> None:
    core = node(rp=1.0, n2=1.0, n3=1.0)
    core.on_disc(disc(), 1, 0.0)
    reply, cancel = core.on_found(R1, "n2", yes(R1), 0.1)
    assert isinstance(reply, do.Reply)
    assert isinstance(reply.message, Found)
    assert cancel == do.CancelAsks(R1, ("n3", "rp"))
    assert core.on_found(R1, "rp", yes(R1), 0.2) == []


def test_a_flood_ends_when_the_last_neighbour_has_said_miss() -> None:
    core = node(rp=1.0, n2=1.0)
    core.on_disc(disc(), 1, 0.0)
    assert core.on_miss(R1, "n2", no(R1, MissReason.DUPLICATE)) == []
    assert reasons(core.on_miss(R1, "rp", no(R1, MissReason.ABSENT))) == [MissReason.ABSENT]


def test_a_flood_that_nobody_answers_ends_with_its_time() -> None:
    core = node(rp=1.0, n2=1.0)
    core.on_disc(disc(remaining_ms=4000), 1, 0.0)
    assert core.on_time(3.9) == []
    late = core.on_time(4.0)
    assert reasons(late) == [MissReason.DEADLINE]
    assert late[1] == do.CancelAsks(R1, ("n2", "rp"))


def test_absent_is_told_by_the_rendezvous_point_alone_and_only_when_it_is_sure() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset({"news"}), doubts="server 10.0.6.10:7000 has not answered yet")
    assert reasons(core.on_disc(disc(R1, "films"), 1, 0.0)) == [MissReason.CUT]
    core.set_offers(frozenset({"news"}))
    assert reasons(core.on_disc(disc(R2, "films"), 1, 0.0)) == [MissReason.ABSENT]


def test_an_asker_that_hangs_up_cancels_its_flood() -> None:
    core = node(rp=1.0)
    core.on_disc(disc(), 1, 0.0)
    assert core.on_link_gone(1) == [do.CancelAsks(R1, ("rp",))]
    assert core.on_found(R1, "rp", yes(R1), 0.2) == []


def test_floods_and_remembered_requests_are_bounded() -> None:
    core = node(rp=1.0)
    for number in range(MAX_FLOODS):
        core.on_disc(disc(number.to_bytes(16, "big")), number, 0.0)
    assert reasons(core.on_disc(disc(b"x" * 16), 1, 0.0)) == [MissReason.BUSY]
    answering = NodeCore(RP, rendezvous=True)
    for number in range(MAX_REQUESTS):
        answering.on_disc(disc(number.to_bytes(16, "big")), 1, 0.0)
    assert reasons(answering.on_disc(disc(b"x" * 16), 1, 0.1)) == [MissReason.BUSY]
    assert reasons(answering.on_disc(disc(b"x" * 16), 1, REQUEST_TTL)) == [MissReason.ABSENT]


def test_a_disc_that_came_too_far_goes_no_further() -> None:
    actions = node(rp=1.0).on_disc(disc(hops=MAX_HOPS), 1, 0.0)
    assert (asked_neighbours(actions), reasons(actions)) == ({}, [MissReason.DEADLINE])


def test_a_positive_entry_expires() -> None:
    core = node(rp=1.0)
    core.on_disc(disc(), 1, 0.0)
    core.on_found(R1, "rp", yes(R1), 0.1)
    actions = core.on_stream(stream_request("news", R1, VIEWER, 0), 1, REQUEST_TTL + 0.2)
    assert reasons(actions) == [MissReason.GONE]


# Streaming


def test_stream_goes_where_found_came_from_and_port_opens_the_relay() -> None:
    core = node(rp=1.0, n2=1.0)
    core.on_disc(disc(), 1, 0.0)
    core.on_found(R1, "n2", yes(R1), 0.1)
    asked = stream_request("news", R1, VIEWER, 0)
    assert core.on_stream(asked, 1, 0.2) == [do.Follow("news", R1, "n2", 1)]
    opened, accepted = core.on_port("news", R1, port_packet(asked, (RP, N2), Position(7, 40), 1))
    assert opened == do.OpenRelay("news", Position(7, 40))
    assert accepted == do.Accept(1, asked, (RP, N2, N1), 1)


def test_a_second_viewer_costs_no_second_follow() -> None:
    core = streaming_node()
    second = stream_request("news", R2, Identity.client(b"2" * 16), 0)
    assert core.on_stream(second, 2, 1.0) == [do.Accept(2, second, (RP, N1), 1)]


def test_a_stream_waits_only_behind_a_smaller_request_id() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset({"news"}))
    assert core.on_stream(stream_request("news", b"5" * 16, N1, 0), 1, 0.0) == [
        do.Follow("news", b"5" * 16, None, 1)
    ]
    assert core.on_stream(stream_request("news", b"7" * 16, N2, 0), 2, 0.0) == []
    assert reasons(core.on_stream(stream_request("news", b"3" * 16, VIEWER, 0), 3, 0.0)) == [MissReason.BUSY]


def test_a_stream_without_a_positive_entry_is_told_to_discover_again() -> None:
    assert reasons(node(rp=1.0).on_stream(stream_request("news", R1, VIEWER, 0), 1, 0.0)) == [MissReason.GONE]


def test_a_failed_follow_is_told_to_all_who_waited() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset({"news"}))
    core.on_stream(stream_request("news", R1, N1, 0), 1, 0.0)
    core.on_stream(stream_request("news", R2, N2, 0), 2, 0.0)
    actions = core.on_refused("news", R1, MissReason.FULL)
    assert reasons(actions) == [MissReason.FULL] * 2
    assert actions[-1] == do.CloseUpstream("news", StopReason.UNSUBSCRIBE)


def test_an_upstream_that_never_answers_is_given_up() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset({"news"}))
    core.on_stream(stream_request("news", R1, N1, 0), 1, 0.0)
    assert core.on_time(FOLLOW_TIMEOUT - 0.1) == []
    assert reasons(core.on_time(FOLLOW_TIMEOUT)) == [MissReason.DEADLINE]


def test_a_follow_whose_last_waiter_has_left_is_cancelled_and_a_late_port_opens_nothing() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset({"news"}))
    asked = stream_request("news", R1, N1, 0)
    core.on_stream(asked, 1, 0.0)
    assert core.on_link_gone(1) == [do.CloseUpstream("news", StopReason.UNSUBSCRIBE)]
    assert core.on_port("news", R1, port_packet(asked, (), Position(7, 0), 1)) == []


def test_a_node_leaves_a_parent_that_is_below_itself() -> None:
    core = node(n2=1.0)
    core.on_disc(disc(), 1, 0.0)
    core.on_found(R1, "n2", yes(R1), 0.1)
    asked = stream_request("news", R1, VIEWER, 0)
    core.on_stream(asked, 1, 0.2)
    actions = core.on_port("news", R1, port_packet(asked, (RP, N1, N2), Position(7, 0), 1))
    assert reasons(actions) == [MissReason.LOOP]
    assert not core.streaming


def test_a_child_that_is_above_is_refused() -> None:
    actions = streaming_node().on_stream(stream_request("news", R2, RP, 0), 2, 1.0)
    assert reasons(actions) == [MissReason.LOOP]


def test_a_cut_off_node_tells_its_children_and_takes_nobody_in() -> None:
    core = streaming_node()
    assert core.on_fed("news", False) == [do.Update(1, "news", (RP, N1), 2, cut=True)]
    assert core.on_fed("news", False) == []
    assert reasons(core.on_stream(stream_request("news", R2, VIEWER, 0), 2, 1.0)) == [MissReason.CUT]
    assert set(asked_neighbours(core.on_disc(disc(R2), 2, 1.0))) == {"rp", "n2"}
    assert core.on_fed("news", True) == [do.Update(1, "news", (RP, N1), 3, cut=False)]


def test_a_newer_port_replaces_the_path_and_is_passed_on_but_an_older_one_is_ignored() -> None:
    core = streaming_node()
    asked = stream_request("news", R1, VIEWER, 0)
    news = port_packet(asked, (Identity.node("rp2"),), Position(7, 90), 3)
    assert core.on_port("news", R1, news) == [do.Update(1, "news", (Identity.node("rp2"), N1), 2, cut=False)]
    assert core.on_port("news", R1, port_packet(asked, (RP,), Position(7, 90), 2)) == []


def test_the_last_child_that_leaves_prunes_the_stream() -> None:
    core = streaming_node()
    core.on_stream(stream_request("news", R2, VIEWER, 0), 2, 1.0)
    assert core.on_link_gone(1) == [do.Dismiss(1, "news")]
    assert core.on_link_gone(2) == [
        do.Dismiss(2, "news"),
        do.CloseUpstream("news", StopReason.UNSUBSCRIBE),
    ]
    assert not core.streaming


def test_the_end_of_a_content_reaches_the_children_with_its_last_number() -> None:
    end, closed = streaming_node().on_upstream_end("news", StopReason.END, 99)
    assert isinstance(end, do.End)
    assert (end.link, end.stop.reason, end.stop.last) == (1, StopReason.END, 99)
    assert isinstance(closed, do.CloseUpstream)


def test_contents_are_bounded() -> None:
    core = NodeCore(RP, rendezvous=True)
    core.set_offers(frozenset(f"c{n}" for n in range(MAX_CONTENTS + 1)))
    for number in range(MAX_CONTENTS):
        core.on_stream(stream_request(f"c{number}", R1, N1, 0), number, 0.0)
    assert reasons(core.on_stream(stream_request(f"c{MAX_CONTENTS}", R1, N1, 0), 1, 0.0)) == [MissReason.FULL]


def test_a_node_that_leaves_ends_everything() -> None:
    core = streaming_node()
    end, closed = core.on_shutdown()
    assert isinstance(end, do.End)
    assert end.stop.reason is StopReason.LEAVING
    assert isinstance(closed, do.CloseUpstream)


# Whole networks


@pytest.mark.parametrize("links", [LINE, RING, MESH], ids=["line", "ring", "mesh"])
def test_one_viewer_builds_a_tree_and_leaves_nothing_behind(links: list[tuple[str, str]]) -> None:
    net = Network(links)
    viewer = net.client("n3")
    net.run(5)
    assert (viewer.state, str(viewer.path[0]), str(viewer.path[-1])) == ("streaming", "rp", "n3")
    net.check_trees()
    viewer.leave()
    net.run(5)
    net.check_empty()


def test_twenty_viewers_behind_one_node_cost_one_copy_on_the_way_to_it() -> None:
    net = Network(LINE)
    for _ in range(20):
        net.client("n3")
    net.run(5)
    net.check_trees()
    assert [len(net.nodes[n].core.streaming["news"].children) for n in ("rp", "n1", "n2", "n3")] == [
        1,
        1,
        1,
        20,
    ]
    assert net.server_streams == 1


def test_a_content_that_nobody_has_is_absent_everywhere() -> None:
    net = Network(MESH)
    viewers = [net.client(name, "films") for name in net.nodes]
    net.run(5)
    assert {viewer.misses[-1] for viewer in viewers} == {MissReason.ABSENT}
    net.check_empty()


@pytest.mark.parametrize("seed", range(100))
def test_thirty_viewers_that_join_crosswise_at_once_all_get_the_stream(seed: int) -> None:
    random = Random(seed)
    net = Network(MESH, seed=seed)
    for _ in range(30):
        net.client(random.choice(["n1", "n2", "n3", "n4"]), after=random.uniform(0, 0.03))
    net.run(15)
    assert {client.state for client in net.clients} == {"streaming"}
    net.check_trees()
    for client in net.clients:
        net.clock.at(net.clock.now + random.uniform(0, 0.05), client.leave)
    net.run(10)
    net.check_empty()


@pytest.mark.parametrize("seed", range(50))
def test_viewers_that_join_while_others_leave_never_hang(seed: int) -> None:
    random = Random(seed)
    net = Network(RING, seed=seed)
    for _ in range(20):
        client = net.client(random.choice(["n1", "n2", "n3"]), after=random.uniform(0, 1))
        net.clock.at(random.uniform(0, 1.5), client.leave)
    stayer = net.client("n2", after=0.5)
    net.run(15)
    assert stayer.state == "streaming"
    net.check_trees()
    stayer.leave()
    net.run(10)
    net.check_empty()
