"""The first rendezvous point lives and is no help: a standby begins what nobody else can give."""

from dataclasses import replace
from random import Random

import pytest

from mcast.overlay.actions import Action, NodeParent, Parent, Reply, Subscribe
from mcast.overlay.events import (
    Answered,
    DiscReceived,
    LayoutChanged,
    ServerListed,
    ServerLost,
    StreamReceived,
)
from mcast.overlay.node_core import NodeCore
from mcast.wire.identity import Identity
from mcast.wire.node import Found, Miss, MissReason
from mcast.wire.server import ContentInfo, Readiness
from overlay.cores import SERVERS, misses, node
from overlay.cores import asked as questions
from overlay.effort import TIMEOUT, seeds
from overlay.messages import R1, R2, R3, disc, found, miss, stream
from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

(SERVER,) = SERVERS[:1]
CUT = MissReason.CUT


def one_of_two(name: str) -> NodeCore:
    """Return a rendezvous point of two, whose neighbour is n1, and whose server has the news."""
    core = NodeCore(Identity.node(name), Random(1), rendezvous=True)
    core.handle(LayoutChanged(("n1",), (SERVER,), ("rp", "rp2")), 0.0)
    core.handle(ServerListed(SERVER, (ContentInfo("news"),)), 0.0)
    return core


def ask(core: NodeCore, request: bytes, content: str = "news", *, last_resort: bool = True) -> list[Action]:
    asked = replace(disc(request, content), last_resort=last_resort)
    return core.handle(DiscReceived(1, asked), 0.1)


def replies(actions: list[Action]) -> list[object]:
    return [action.message for action in actions if isinstance(action, Reply)]


def asked_for_media(actions: list[Action]) -> list[Parent]:
    return [action.parent for action in actions if isinstance(action, Subscribe)]


# The decisions of one


def test_a_standby_begins_a_content_only_as_the_last_resort_and_if_nobody_else_can_give_it() -> None:
    core = one_of_two("rp2")
    assert questions(ask(core, R1, last_resort=False)).keys() == {"n1"}
    assert misses(core.handle(Answered("n1", miss(CUT)), 0.2)) == [CUT]
    assert misses(core.handle(StreamReceived(1, stream(R1)), 0.3)) == [MissReason.GONE]
    assert questions(ask(core, R2)).keys() == {"n1"}  # somebody may stream it
    me = Identity.node("rp2")
    assert replies(core.handle(Answered("n1", miss(CUT, R2)), 0.2)) == [found(R2, giver=me)]
    (parent,) = asked_for_media(core.handle(StreamReceived(1, stream(R2)), 0.3))
    assert str(parent) == f"server {SERVER}"


def test_a_standby_leads_to_who_streams_the_content_where_somebody_does() -> None:
    core = one_of_two("rp2")
    ask(core, R1)
    (answer,) = replies(core.handle(Answered("n1", found()), 0.2))
    assert isinstance(answer, Found)
    assert asked_for_media(core.handle(StreamReceived(1, stream()), 0.3)) == [NodeParent("n1")]


def test_a_standby_whose_servers_do_not_have_the_content_says_what_others_say() -> None:
    core = one_of_two("rp2")
    ask(core, R1, "films")
    no = miss(MissReason.ABSENT, content="films")
    assert misses(core.handle(Answered("n1", no), 0.2)) == [MissReason.ABSENT]


def test_one_of_several_says_absent_only_where_it_reaches_all_servers() -> None:
    core = one_of_two("rp")
    assert misses(ask(core, R1, "films", last_resort=False)) == [MissReason.ABSENT]
    core.handle(ServerLost(SERVER, "gone"), 0.1)
    (no,) = replies(ask(core, R2, last_resort=False))
    assert isinstance(no, Miss)
    assert (no.reason, no.text) == (CUT, f"no answer from server {SERVER}")
    core.handle(ServerListed(SERVER, ()), 0.1)
    assert misses(ask(core, R3, last_resort=False)) == [MissReason.ABSENT]


def test_an_only_one_says_absent_though_a_server_has_gone() -> None:
    core = NodeCore(Identity.node("rp"), Random(1), rendezvous=True)
    core.handle(LayoutChanged(("n1",), (SERVER,), ("rp",)), 0.0)
    core.handle(ServerListed(SERVER, (ContentInfo("news"),)), 0.0)
    core.handle(ServerLost(SERVER, "gone"), 0.1)
    assert misses(ask(core, R1)) == [MissReason.ABSENT]


def test_the_first_that_has_lost_its_servers_leads_to_the_standby() -> None:
    core = one_of_two("rp")
    core.handle(ServerLost(SERVER, "gone"), 0.1)
    assert questions(ask(core, R1)).keys() == {"n1"}
    assert isinstance(replies(core.handle(Answered("n1", found()), 0.2))[0], Found)
    assert asked_for_media(core.handle(StreamReceived(1, stream()), 0.3)) == [NodeParent("n1")]


def test_the_first_says_what_it_knows_where_no_standby_is_any_help() -> None:
    core = one_of_two("rp")
    core.handle(ServerLost(SERVER, "gone"), 0.1)
    ask(core, R1)
    assert misses(core.handle(Answered("n1", miss(MissReason.DUPLICATE)), 0.2)) == [CUT]


def test_who_waits_while_a_content_is_prepared_is_told_so_without_asking_others() -> None:
    core = one_of_two("rp")
    core.handle(
        ServerListed(SERVER, (ContentInfo("news", format="7 %", readiness=Readiness.PREPARING),)), 0.1
    )
    (no,) = replies(ask(core, R1))
    assert isinstance(no, Miss)
    assert (no.reason, no.text) == (CUT, "7 %")
    assert no.retry_ms


def test_what_a_flood_has_led_to_is_no_answer_to_the_last_resort() -> None:
    core = node("n2")
    assert questions(ask(core, R1, last_resort=False)).keys() == {"n2"}
    core.handle(Answered("n2", miss(CUT)), 0.1)
    assert misses(ask(core, R2, last_resort=False)) == [CUT]
    assert questions(ask(core, R3)).keys() == {"n2"}
    core.handle(Answered("n2", miss(CUT, R3)), 0.1)
    assert misses(ask(core, b"4" * 16)) == [CUT]


# What viewers see

APART = [("rp", "n1"), ("n1", "n2"), ("n1", "rp2")]
BESIDE = [("rp", "n1"), ("n1", "n2"), ("rp", "rp2"), ("n2", "rp2")]
LINE = [("rp", "n1"), ("n1", "n2"), ("n2", "rp2")]


def watched(links: list[tuple[str, str]], seed: int, *at: str) -> Network:
    net = Network(links, rendezvous=("rp", "rp2"), media=True, records=True, seed=seed)
    for name in at:
        net.client(name)
    net.run(3)
    assert all(str(viewer.path[0]) == "rp" for viewer in net.viewers)
    Watchdog(net)
    return net


def unharmed(net: Network) -> None:
    """Nobody has lost his stream, and who came later has got the same one."""
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    assert {str(viewer.path[0]) for viewer in net.viewers} == {"rp2"}
    assert max(viewer.longest_gap for viewer in net.viewers) < 0.7
    assert len({ssrc for viewer in net.viewers for ssrc in viewer.received}) == 1
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    net.world.mend("rp", "s1")
    net.settle(20)  # TCP sends again what was cut off
    net.check_trees()
    net.check_media()


@pytest.mark.parametrize("links", [APART, BESIDE], ids=["apart", "beside"])
@pytest.mark.parametrize("seed", seeds(2))
def test_the_first_loses_its_way_to_the_server_and_nobody_his_stream(
    links: list[tuple[str, str]], seed: int
) -> None:
    net = watched(links, seed, "n1", "n2")
    net.world.cut("rp", "s1")
    net.run(3)
    for name in ("n2", "rp2", "rp"):
        net.client(name)
    net.run(7)  # the first takes its server for well, and waits for its answer, for some seconds
    unharmed(net)


def test_who_comes_when_the_first_has_lost_its_servers_is_fed_by_the_standby() -> None:
    net = watched(APART, 1)
    net.world.cut("rp", "s1")
    net.run(6)
    for name in ("n2", "rp2", "rp"):
        net.client(name)
        net.run(3)
    unharmed(net)


@pytest.mark.parametrize("seed", seeds(2))
def test_the_node_between_two_rendezvous_points_that_still_hear_each_other_dies(seed: int) -> None:
    net = watched(LINE, seed, "n2")
    net.kill("n1")
    net.run(1)
    net.client("n2")
    net.run(3)
    assert not net.nodes["rp2"].core.serves
    unharmed(net)


@pytest.mark.parametrize("seed", seeds(2))
def test_a_newcomer_there_finds_the_standby_too(seed: int) -> None:
    net = watched(LINE, seed)
    net.kill("n1")
    net.run(1)
    net.client("n2")
    net.run(4)
    assert not net.nodes["rp2"].core.serves
    unharmed(net)
