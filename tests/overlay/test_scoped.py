"""Discovery that asks along the way to the content first: whom, and what if it leads nowhere."""

from dataclasses import replace
from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.dead_ends import DEAD_END_SECONDS
from mcast.overlay.events import (
    Advertised,
    Answered,
    DiscReceived,
    Introduced,
    LayoutChanged,
    Limited,
    RoundTripMeasured,
    TimePassed,
    Unasked,
)
from mcast.overlay.node_core import NodeCore
from mcast.wire.bootstrap import Policy
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Miss, MissReason
from overlay.cores import misses
from overlay.messages import N1, N2, N3, R1, R2, R3, RP, VIEWER, found, miss
from overlay.sim_life import graph
from overlay.simulation import Network

N4 = Identity.node("n4")
SCOPED = Disc(request=R1, content="news", sender=VIEWER, remaining_ms=2000, scoped=True)


def node(*, scoped: bool = True) -> NodeCore:
    """Return n1, two links from a rendezvous point by way of n2 or n3; n4 is as far as itself."""
    core = NodeCore(N1, Random(1))
    core.handle(LayoutChanged(("n2", "n3", "n4"), policy=Policy(scoped=scoped)), 0.0)
    for name, distance, ms in (("n2", 1, 20.0), ("n3", 1, 5.0), ("n4", 2, 1.0)):
        core.handle(Introduced(name, distance, None), 0.1)
        core.handle(RoundTripMeasured(name, ms), 0.1)
    return core


def asked(core: NodeCore, disc: Disc = SCOPED) -> set[str]:
    actions = core.handle(DiscReceived(1, disc), 1.0)
    asks = [action for action in actions if isinstance(action, do.Ask)]
    assert all(ask.disc.scoped == disc.scoped for ask in asks), "those that are asked do the same"
    return {ask.neighbour for ask in asks}


def test_a_scoped_request_goes_to_the_nearest_of_those_that_are_nearer_to_a_rendezvous_point() -> None:
    assert asked(node()) == {"n3"}


def test_who_streams_the_content_is_asked_first() -> None:
    core = node()
    core.handle(Advertised("n4", "news", (RP, N2, N4), True), 0.5)
    assert asked(core) == {"n4"}


@pytest.mark.parametrize("path", [(RP, N1, N4), (RP, N2, Identity.node("dead"), N4)], ids=["me", "excluded"])
def test_who_streams_it_by_way_of_us_or_of_one_to_avoid_is_not(path: do.Path) -> None:
    core = node()
    core.handle(Advertised("n4", "news", path, True), 0.5)
    disc = Disc(request=R1, content="news", sender=VIEWER, remaining_ms=2000, scoped=True,
                excluded=(Identity.node("dead"),))  # fmt: skip
    assert asked(core, disc) == {"n3"}


def test_it_does_not_go_back_to_who_sent_it() -> None:
    disc = Disc(request=R1, content="news", sender=N3, remaining_ms=2000, scoped=True)
    assert asked(node(), disc) == {"n2"}


def test_where_nobody_is_nearer_it_goes_to_who_is_next_and_nowhere_if_nobody_knows_a_way() -> None:
    disc = Disc(request=R1, content="news", sender=N3, remaining_ms=2000, scoped=True)
    core = node()
    core.handle(LayoutChanged(("n3", "n4"), policy=Policy(scoped=True)), 0.2)
    core.handle(Introduced("n4", 3), 0.3)
    assert asked(core, disc) == {"n4"}
    core.handle(Introduced("n4"), 1.1)
    again = replace(disc, request=R2)
    assert misses(core.handle(DiscReceived(2, again), 1.2)) == [MissReason.DUPLICATE]


def test_who_is_full_is_passed_over_with_the_content_or_on_the_way_to_it() -> None:
    core = node()
    core.handle(Advertised("n4", "news", (RP, N2, N4), True, full=True), 0.5)
    assert asked(core) == {"n3"}
    core.handle(Introduced("n3", 1, full=True), 1.1)
    assert asked(core, replace(SCOPED, request=R2)) == {"n2"}
    core.handle(Introduced("n2", 1, full=True), 1.2)
    core.handle(Advertised("n4", "news", (RP, N2, N4), True), 1.3)
    assert asked(core, replace(SCOPED, request=R3)) == {"n4"}
    core.handle(Introduced("n4", 2, full=True), 1.4)
    fourth = replace(SCOPED, request=bytes(16))
    assert misses(core.handle(DiscReceived(1, fourth), 1.5)) == [MissReason.DUPLICATE]


def ask_of(actions: list[do.Action]) -> list[str]:
    return [action.neighbour for action in actions if isinstance(action, do.Ask)]


def test_where_one_has_no_way_the_next_nearest_is_asked_and_only_then_it_is_given_up() -> None:
    core = node()
    assert asked(core) == {"n3"}
    assert ask_of(core.handle(Answered("n3", miss(MissReason.FULL)), 1.1)) == ["n2"]
    assert ask_of(core.handle(Unasked("n2", R1, "refused"), 1.2)) == ["n4"]
    assert misses(core.handle(Answered("n4", miss(MissReason.DUPLICATE)), 1.3)) == [MissReason.FULL]


def test_time_that_has_passed_is_not_given_to_the_next_one() -> None:
    core = node()
    asked(core)
    (ask,) = (a for a in core.handle(Answered("n3", miss(MissReason.FULL)), 1.5) if isinstance(a, do.Ask))
    assert ask.disc.remaining_ms == 1400


@pytest.mark.parametrize("answer", [miss(MissReason.ABSENT), miss(MissReason.CUT, retry_ms=1000)])
def test_what_another_could_not_know_better_is_passed_on_at_once(answer: Miss) -> None:
    core = node()
    asked(core)
    assert misses(core.handle(Answered("n3", answer), 1.1)) == [answer.reason]


def test_beside_one_that_says_nothing_another_is_asked_and_the_first_that_has_a_way_is_taken() -> None:
    core = node()
    asked(core)
    due = core.due
    assert due is not None
    assert due < 1.6, "long before the walk is over"
    assert ask_of(core.handle(TimePassed(), due)) == ["n2"]
    answered = core.handle(Answered("n2", found()), due + 0.01)
    assert do.CancelAsks(R1, ("n3",)) in answered


def test_the_node_next_to_the_trouble_is_the_first_to_ask_another() -> None:
    far, near = node(), node()
    asked(far)
    asked(near, replace(SCOPED, sender=N4, remaining_ms=1800))
    assert far.due is not None
    assert near.due is not None
    assert near.due < far.due


def test_what_led_nowhere_is_passed_over_for_a_while_unless_it_says_that_it_streams_the_content() -> None:
    core = node()
    asked(core)
    core.handle(Answered("n3", miss(MissReason.FULL)), 1.1)
    core.handle(Answered("n2", found()), 1.2)
    assert asked(core, replace(SCOPED, request=R2)) == {"n2"}
    assert asked(core, replace(SCOPED, request=R3, content="other")) == {"n3"}
    core.handle(Advertised("n3", "news", (RP, N3), True), 1.3)
    assert asked(core, replace(SCOPED, request=bytes(16))) == {"n3"}


def test_one_that_said_nothing_is_not_waited_for_by_the_next_viewer() -> None:
    core = node()
    asked(core)
    core.handle(TimePassed(), 1.9)
    core.handle(Answered("n2", found()), 1.95)
    assert asked(core, replace(SCOPED, request=R2)) == {"n2"}
    core.handle(Answered("n2", found(R2)), 2.0)
    later = replace(SCOPED, request=R3)
    assert ask_of(core.handle(DiscReceived(2, later), 1.9 + DEAD_END_SECONDS)) == ["n3"]


def test_without_the_policy_all_neighbours_are_asked() -> None:
    assert asked(node(scoped=False)) == {"n2", "n3", "n4"}


def test_any_other_request_is_flooded() -> None:
    plain = Disc(request=R1, content="news", sender=VIEWER, remaining_ms=2000)
    assert asked(node(), plain) == {"n2", "n3", "n4"}


def overlay(*, scoped: bool) -> Network:
    net = Network(graph(Random(3), 200), seed=3, adverts=True, steady=True, scoped=scoped)
    net.run(2.0)
    return net


def messages(net: Network) -> int:
    return sum(each.requests for each in net.everybody())


def join(net: Network, *names: str) -> list[int]:
    """Let clients join one after another; return the messages of each."""
    took = []
    for name in names:
        before = messages(net)
        net.client(name)
        net.settle()
        took.append(messages(net) - before)
        net.run(1)
    net.check_trees()
    return took


def test_a_join_costs_a_message_a_hop_and_the_same_trees_hold() -> None:
    names = [f"n{number}" for number in range(20, 200, 9)]
    scoped, flooded = join(overlay(scoped=True), *names), join(overlay(scoped=False), *names)
    assert max(scoped) <= 60 < flooded[0]
    assert scoped[-1] <= 10


def test_where_the_way_leads_to_a_node_that_is_cut_off_the_flood_finds_another() -> None:
    links = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("rp", "n4"), ("n4", "n5"), ("n5", "n6"), ("n6", "n3")]
    net = Network(links, seed=1, adverts=True, steady=True, scoped=True)
    net.run(2.0)
    net.kill("n1")  # n2 is alive, and no nearer to anything any more
    (took,) = join(net, "n3")
    (viewer,) = net.viewers
    assert [str(each) for each in viewer.path[:-1]] == ["rp", "n4", "n5", "n6", "n3"]
    assert took > 8


LADDER = [("rp", "a1"), ("rp", "b1"), ("a1", "a2"), ("b1", "b2"), ("a2", "a3"), ("b2", "b3"), ("a3", "b3")]
LADDER += [("a1", "b1"), ("a2", "b2")]


def ladder() -> Network:
    """Return two branches with links across."""
    net = Network(LADDER, seed=1, adverts=True, steady=True, scoped=True)
    net.run(2.0)
    return net


def test_full_nodes_on_the_way_cost_no_join_a_flood_and_who_knows_only_one_of_them_finds_another_branch() -> (
    None
):
    net = ladder()
    for name in ("a1", "a2"):
        net.nodes[name].handle(Limited(children=1))
    took = join(net, "a3")  # it fills a2, which fills a1
    net.run(1)
    took += join(net, "a2", "a1", "b1", "b2", "b3")
    assert [each.state for each in net.viewers] == ["watching"] * 6
    assert [str(each) for each in net.viewers[0].path[:-1]] == ["rp", "a1", "a2", "a3"]
    assert max(took) <= 30


def test_beside_a_node_that_hangs_the_first_viewer_waits_a_moment_and_the_next_do_not() -> None:
    net = ladder()
    net.freeze("a2")
    waited = []
    for _ in range(3):
        began = net.now
        viewer = net.client("a3")
        net.settle()
        assert viewer.joined_at is not None
        waited.append(viewer.joined_at - began)
        viewer.leave()
        net.run(0.5)
    print(waited)
    assert 0.3 < waited[0] - max(waited[1:]) < 0.6
