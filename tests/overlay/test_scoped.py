"""Discovery that asks along the way to the content first: whom, and what if it leads nowhere."""

from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.events import Advertised, DiscReceived, Introduced, LayoutChanged, RoundTripMeasured
from mcast.overlay.node_core import NodeCore
from mcast.wire.bootstrap import Policy
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, MissReason
from overlay.cores import misses
from overlay.messages import N1, N2, N3, R1, RP, VIEWER
from overlay.resilience import graph
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


def test_it_does_not_go_back_to_who_sent_it_and_nowhere_if_nobody_is_nearer() -> None:
    core = node()
    disc = Disc(request=R1, content="news", sender=N3, remaining_ms=2000, scoped=True)
    assert asked(core, disc) == {"n2"}
    core = node()
    core.handle(LayoutChanged(("n3", "n4"), policy=Policy(scoped=True)), 0.2)
    assert misses(core.handle(DiscReceived(1, disc), 1.0)) == [MissReason.DUPLICATE]


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
