"""Several rendezvous points: which one serves, and what viewers see when the first one dies and returns."""

from dataclasses import replace

import pytest

from mcast.overlay.actions import Announce, Due, NodeParent, ServerParent, Subscribe
from mcast.overlay.events import Accepted, LayoutChanged, ServerListed, ServerLost, StreamReceived
from mcast.overlay.seniority import GRACE_SECONDS, Seniority
from mcast.overlay.table import State
from mcast.wire.identity import Identity
from mcast.wire.position import Position
from mcast.wire.server import ContentInfo
from overlay import resilience
from overlay.cores import SERVERS, node, rendezvous
from overlay.effort import TIMEOUT, seeds
from overlay.messages import port, stream
from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network, Viewer

pytestmark = pytest.mark.timeout(TIMEOUT)

CAMPUS = [("rp", "n1"), ("rp", "n2"), ("rp2", "n2"), ("rp2", "n3"), ("n1", "n2"), ("n1", "n3"), ("n3", "n4")]
"""The standby is two links away from the first rendezvous point."""
BESIDE = [("rp", "rp2"), ("rp", "n1"), ("rp2", "n2"), ("n1", "n2")]
"""The standby is a neighbour of the first rendezvous point, and may be on the way."""


def network(links: list[tuple[str, str]] = CAMPUS, seed: int = 0, **options: object) -> Network:
    rendezvous = ("rp", "rp2")
    return Network(links, rendezvous=rendezvous, media=True, records=True, seed=seed, **options)  # type: ignore[arg-type]


def watching(net: Network, *neighbours: str) -> list[Viewer]:
    viewers = [net.client(name) for name in neighbours]
    net.run(2)
    assert {viewer.state for viewer in viewers} == {"watching"}
    return viewers


def unharmed(net: Network) -> None:
    """Nothing is missing, nobody has gone, all is as it should be."""
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    net.settle(5)
    net.check_trees()
    net.check_media()


def streams(net: Network) -> set[int]:
    return {ssrc for viewer in net.viewers for ssrc in viewer.received}


# Who serves


def said(news: list[Announce] | None) -> list[str]:
    return [announced.event for announced in news or []]


def test_the_first_in_the_list_serves_at_once() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2"), "rp", 0.0)
    assert not seniority.is_standby(0.0)
    assert seniority.news(0.0) == []


def test_a_standby_gives_those_before_it_a_second_to_answer_and_then_serves() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2"), "rp2", 5.0)
    assert seniority.news(5.0) == []
    assert seniority.due == 5.0 + GRACE_SECONDS
    assert seniority.is_standby(5.9)
    (taken,) = seniority.news(6.0) or []
    assert dict(taken.fields) == {"before": "rp", "cause": "never heard"}
    assert seniority.due is None


def test_a_standby_serves_as_soon_as_the_last_one_before_it_is_lost_and_stands_by_when_one_is_back() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2", "rp3"), "rp3", 0.0)
    seniority.on_heard("rp")
    seniority.on_heard("rp2")
    assert seniority.news(0.0) == []
    seniority.on_lost("rp", "lost")
    assert seniority.is_standby(0.1)
    assert seniority.news(0.1) is None
    seniority.on_lost("rp2", "lost")
    assert not seniority.is_standby(0.2)
    (taken,) = seniority.news(0.2) or []
    assert dict(taken.fields) == {"before": "rp2", "cause": "lost"}
    seniority.on_heard("rp")
    assert said(seniority.news(0.3)) == ["rendezvous_given_back"]


def test_a_standby_serves_as_soon_as_the_one_before_it_says_that_it_is_about_to_end() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2"), "rp2", 0.0)
    seniority.on_heard("rp")
    assert seniority.news(0.0) == []
    seniority.on_lost("rp", "leaving")
    (taken,) = seniority.news(0.1) or []
    assert dict(taken.fields) == {"before": "rp", "cause": "leaving"}


def test_who_is_no_rendezvous_point_and_who_stands_behind_it_is_not_waited_for() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2", "rp3"), "rp2", 0.0)
    seniority.on_heard("rp3")
    seniority.on_heard("n1")
    assert not seniority.is_standby(GRACE_SECONDS)


def test_a_new_list_may_take_away_who_was_waited_for() -> None:
    seniority = Seniority()
    seniority.on_layout(("rp", "rp2"), "rp2", 0.0)
    seniority.on_heard("rp")
    seniority.on_layout(("rp2", "rp"), "rp2", 1.0)
    assert not seniority.is_standby(1.0)


# What a standby says


def test_a_standby_begins_no_stream_while_the_first_lives() -> None:
    net = network()
    watching(net, "n3", "n4", "rp2")
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp"}
    assert net.nodes["rp2"].core.rendezvous
    assert not net.nodes["rp2"].core.serves
    unharmed(net)


def test_a_standby_says_absent_no_more_than_any_other_node() -> None:
    net = network([("rp", "n1"), ("rp2", "n2"), ("n1", "n3"), ("n2", "n4")])  # no way between the two
    viewer = net.client("n4", content="films", patience=3)
    net.run(6)
    assert viewer.failure is not None
    assert viewer.failure.reason.name != "ABSENT"


def test_a_standby_tells_the_distance_of_its_way_to_the_first_and_none_when_it_serves() -> None:
    net = network()
    assert distance(net, "rp2") == 2
    net.kill("rp")
    net.run(1)
    assert distance(net, "rp2") == 0
    assert distance(net, "n1") == 2


def distance(net: Network, name: str) -> int | None:
    return net.nodes[name].adverts._distance


def test_a_server_that_goes_on_with_a_stream_of_which_nothing_has_come_here_is_told_when_it_was_due() -> None:
    core = rendezvous("news", servers=SERVERS[:2])
    one, other = SERVERS[:2]
    info = ContentInfo("news", digest=b"d" * 32)
    core.handle(ServerListed(one, (replace(info, running=(Position(7, 900),)),)), 3.0)
    core.handle(ServerListed(other, (info,)), 3.0)
    core.handle(ServerLost(one, "gone"), 4.0)
    asked = core.handle(StreamReceived(1, stream(resume=Position(7, 880))), 4.1)
    (subscribe,) = [action for action in asked if isinstance(action, Subscribe)]
    assert (subscribe.parent, subscribe.onward) == (ServerParent(other, b"d" * 32), Position(7, 880))
    assert subscribe.due == Due(900, 3.0)


def test_a_list_that_changes_at_run_time_makes_a_node_a_rendezvous_point_or_takes_that_away() -> None:
    core = node("rp", me=Identity.node("n1"))
    core.handle(LayoutChanged(("rp",), SERVERS[:1], ("n1", "rp")), 1.0)
    core.handle(ServerListed(SERVERS[0], (ContentInfo("news"),)), 1.0)
    assert (core.rendezvous, core.serves) == (True, True)
    core.handle(StreamReceived(1, stream()), 1.1)
    core.handle(Accepted(1, port()), 1.2)
    core.handle(LayoutChanged(("rp",), (), ("rp",)), 2.0)
    assert (core.rendezvous, core.serves) == (False, False)
    assert core.branches["news"].state is State.FED  # what streams here streams on


@pytest.mark.parametrize("seed", seeds(2))
def test_who_is_taken_off_the_list_goes_below_the_new_first_without_a_gap(seed: int) -> None:
    net = network(BESIDE, seed)
    (early,) = watching(net, "n1")
    for name, node_ in net.nodes.items():
        servers = tuple(net.servers) if name == "rp2" else ()
        node_.set_layout(net.graph.around(name), servers, rendezvous=("rp2",))
    net.run(10)  # a way home is looked for every 5 s
    (late,) = watching(net, "n2")
    assert [str(viewer.path[0]) for viewer in (early, late)] == ["rp2", "rp2"]
    assert net.said("cut") == net.said("parent_lost") == []
    assert len(streams(net)) == 1
    unharmed(net)


def test_who_is_taken_off_the_list_and_has_no_other_way_goes_on_with_what_streams() -> None:
    net = network([("rp", "n1"), ("n1", "n2"), ("n2", "rp2")])
    watching(net, "n2")
    for name, node_ in net.nodes.items():
        servers = tuple(net.servers) if name == "rp2" else ()
        node_.set_layout(net.graph.around(name), servers, rendezvous=("rp2",))
    net.run(12)
    assert net.said("cut") == net.said("parent_taken") == []
    (viewer,) = net.viewers
    assert (viewer.state, viewer.lost(), str(viewer.path[0])) == ("watching", 0, "rp")


# The first dies, and returns


@pytest.mark.parametrize("links", [CAMPUS, BESIDE], ids=["apart", "beside"])
@pytest.mark.parametrize("seed", seeds(3))
def test_when_the_first_dies_the_standby_goes_on_with_the_same_stream_and_nothing_is_missing(
    links: list[tuple[str, str]], seed: int
) -> None:
    net = network(links, seed)
    watching(net, "n1", "n2")
    Watchdog(net)
    net.kill("rp")
    net.run(3)
    unharmed(net)
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp2"}
    assert max(viewer.longest_gap for viewer in net.viewers) < 0.6
    assert len(streams(net)) == 1
    ((_, who, taken),) = net.said("rendezvous_taken")
    assert (who, taken["before"]) == ("rp2", "rp")


@pytest.mark.parametrize("seed", seeds(2))
def test_a_standby_that_streams_itself_when_the_first_dies_takes_a_server_and_its_children_stay(
    seed: int,
) -> None:
    net = network(BESIDE, seed)
    watching(net, "rp2")
    watching(net, "n2")
    net.kill("rp")
    net.run(2)
    unharmed(net)
    assert max(viewer.longest_gap for viewer in net.viewers) < 0.3


@pytest.mark.parametrize("links", [CAMPUS, BESIDE], ids=["apart", "beside"])
@pytest.mark.parametrize("seed", seeds(3))
def test_a_first_that_ends_in_order_is_replaced_before_it_is_gone(
    links: list[tuple[str, str]], seed: int
) -> None:
    net = network(links, seed)
    watching(net, "n1", "n2")
    Watchdog(net)
    net.nodes["rp"].stop()
    net.run(3)
    assert not net.nodes["rp"].alive
    unharmed(net)
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp2"}
    assert net.said("cut") == net.said("parent_lost") == []
    assert max(viewer.longest_gap for viewer in net.viewers) < 0.1
    ((_, _, taken),) = net.said("rendezvous_taken")
    assert taken["cause"] == "leaving"


@pytest.mark.parametrize("seed", seeds(2))
def test_a_first_that_returns_takes_new_streams_and_nothing_moves(seed: int) -> None:
    net = network(seed=seed, optimise=False)  # else who has a better way moves, whoever returns
    first, *_ = watching(net, "n4", "n1")
    net.kill("rp")
    net.run(3)
    changes = len(net.said("parent_taken"))
    net.start("rp")
    net.run(4)
    unharmed(net)
    assert len(net.said("parent_taken")) == changes
    assert str(first.path[0]) == "rp2"
    assert not net.nodes["rp2"].core.serves
    (later,) = watching(net, "rp")  # it asks who streams, and else begins by itself: the same stream
    assert len(streams(net)) == 1
    assert later.lost() == 0
    assert [who for _, who, _ in net.said("rendezvous_given_back")] == ["rp2"]


@pytest.mark.parametrize("how", ["it freezes", "it is cut off"])
@pytest.mark.parametrize("seed", seeds(2))
def test_a_first_that_freezes_or_is_cut_off_costs_a_viewer_less_than_a_second(seed: int, how: str) -> None:
    net = network(seed=seed)
    watching(net, "n1", "n3")
    others = [name for name in (*net.nodes, *net.servers) if name != "rp"]
    if how == "it freezes":
        net.freeze("rp")
    else:
        for other in others:
            net.world.cut("rp", other)
    net.run(4)
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp2"}
    assert max(viewer.longest_gap for viewer in net.viewers) < 1.0
    net.thaw("rp")
    for other in others:
        net.world.mend("rp", other)
    net.run(5)
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    net.settle(5)
    net.check_trees()


@pytest.mark.parametrize("seed", seeds(2))
def test_the_first_and_its_server_may_die_at_once(seed: int) -> None:
    net = network(seed=seed, servers=("s1", "s2"))
    watching(net, "n1", "n3")
    (active,) = [name for name, server in net.servers.items() if server.streamers]
    net.kill(active)
    net.kill("rp")
    net.run(3)
    unharmed(net)
    assert len(streams(net)) == 1


@pytest.mark.parametrize("seed", seeds(2))
def test_whatever_fails_rendezvous_points_too_who_has_a_way_to_one_is_fed_again(seed: int) -> None:
    assert resilience.played("churn", seed, nodes=12 + seed * 7 % 30, standbys=2).lost == 0


def test_two_that_cannot_see_each_other_serve_both_and_carry_the_same_stream() -> None:
    net = network([("rp", "n1"), ("rp2", "n2"), ("rp", "rp2")])
    net.world.cut("rp", "rp2")
    net.run(20)  # until their kernels give up, too
    watching(net, "n1", "n2")
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp", "rp2"}
    assert len(streams(net)) == 1
    unharmed(net)


def test_a_false_alarm_of_a_standby_costs_nobody_anything() -> None:
    net = network()
    early = watching(net, "n1", "n3")
    paths = [viewer.path for viewer in early]
    net.world.cut("rp", "rp2")  # they are no neighbours: only the standby's watching is cut
    net.run(2)
    assert [who for _, who, _ in net.said("rendezvous_taken")] == ["rp2"]
    watching(net, "n2", "rp2")  # whoever comes meanwhile
    net.world.mend("rp", "rp2")
    net.run(5)
    assert [who for _, who, _ in net.said("rendezvous_given_back")] == ["rp2"]
    assert [viewer.path for viewer in early] == paths
    assert net.said("parent_taken") == net.said("cut") == []
    assert len(streams(net)) == 1
    unharmed(net)


def test_a_standby_below_the_first_stays_below_it_when_it_knows_another_way() -> None:
    net = network([("rp", "n1"), ("rp", "n2"), ("n1", "rp2"), ("n2", "rp2")])
    viewer, *_ = watching(net, "rp2", "n1", "n2")
    net.kill(str(viewer.path[1]))
    net.run(2)
    assert viewer.lost() == 0
    branch = net.branch("rp2")
    assert branch is not None
    assert branch.primary is not None
    assert isinstance(branch.upstreams[branch.primary].parent, NodeParent)


def test_a_standby_that_is_cut_off_from_the_first_by_the_death_of_all_between_takes_a_server() -> None:
    net = network([("rp", "n1"), ("n1", "rp2"), ("rp2", "n2")])
    watching(net, "n2")
    net.kill("n1")
    net.run(3)
    unharmed(net)
    branch = net.branch("rp2")
    assert branch is not None
    assert branch.primary is not None
    assert isinstance(branch.upstreams[branch.primary].parent, ServerParent)
