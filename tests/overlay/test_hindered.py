"""A question that could not go on as it should, as a neighbour is dead or says nothing: others are asked."""

from dataclasses import replace
from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.beyond import OFFER_MS
from mcast.overlay.events import (
    Advertised,
    Answered,
    DiscReceived,
    Introduced,
    LayoutChanged,
    Offered,
    RoundTripMeasured,
    TimePassed,
    Unasked,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.search import REPAIR_FLOOD_SECONDS, Search
from mcast.wire.bootstrap import NamedAddress, Policy
from mcast.wire.identity import Identity
from mcast.wire.node import Disc, Miss, MissReason
from overlay.cores import asked, node
from overlay.effort import TIMEOUT, seeds
from overlay.messages import R1, R2, RP, disc, found, miss
from overlay.simulation import Network, Viewer

pytestmark = pytest.mark.timeout(TIMEOUT)

CHAIN = [("rp", "n1"), ("n1", "n2"), ("n2", "n3")]
FAR = Identity.node("far")


def told(done: list[do.Action]) -> Miss:
    (reply,) = (each for each in done if isinstance(each, do.Reply))
    assert isinstance(reply.message, Miss)
    return reply.message


def sought(done: list[do.Action]) -> list[str]:
    return [each.content for each in done if isinstance(each, do.Seek)]


def asking(question: Disc | None = None, policy: Policy | None = None) -> NodeCore:
    """Return n1, which has handed a viewer's question on to n2, which is dead, and to n3."""
    core = node("n2", "n3")
    core.handle(LayoutChanged(("n2", "n3"), policy=policy or Policy()), 0.0)
    core.handle(DiscReceived(1, question or disc()), 1.5)
    assert core.handle(Unasked("n2", R1, "refused"), 1.5) == []
    return core


def test_a_helpless_neighbour_that_answers_after_the_dead_one_changes_nothing() -> None:
    done = asking().handle(Answered("n3", miss(MissReason.DUPLICATE)), 1.6)
    assert sought(done) == ["news"]
    again = told(done)
    assert (again.reason, again.retry_ms) == (MissReason.DEADLINE, OFFER_MS)
    assert again.text == "n1 looks for another way: refused"


def test_a_neighbour_that_says_nothing_is_as_good_as_dead() -> None:
    core = node("n2")
    core.handle(DiscReceived(1, disc(remaining_ms=1000)), 1.5)
    done = core.handle(TimePassed(), 2.5)
    assert sought(done) == ["news"]
    again = told(done)
    assert (again.reason, again.retry_ms) == (MissReason.DEADLINE, OFFER_MS)
    assert again.text == "n1 looks for another way: a neighbour says nothing"


def test_a_neighbour_that_says_it_knows_of_no_way_is_not_asked() -> None:
    core = node("n2", "n3")
    core.handle(Introduced("n2", None), 1.0)
    done = core.handle(DiscReceived(1, disc()), 1.5)
    assert set(asked(done)) == {"n3"}, "it has said nothing of itself: it may be of an older version"
    done = core.handle(Answered("n3", miss(MissReason.DUPLICATE)), 1.6)
    assert sought(done) == ["news"]
    assert (told(done).reason, told(done).retry_ms) == (MissReason.DEADLINE, OFFER_MS)
    assert told(done).text == "n1 looks for another way: n1's neighbours know of none"


def test_where_none_knows_of_a_way_that_is_the_answer() -> None:
    core = node("n2", "n3")
    for name in ("n2", "n3"):
        core.handle(Introduced(name, None), 1.0)
    done = core.handle(DiscReceived(1, disc()), 1.5)
    assert (asked(done), sought(done)) == ({}, ["news"])
    assert (told(done).reason, told(done).retry_ms) == (MissReason.DEADLINE, OFFER_MS)


def test_one_that_streams_the_content_has_a_way_whatever_it_knows_of_others() -> None:
    core = node("n2", "n3")
    for name in ("n2", "n3"):
        core.handle(Introduced(name, None), 1.0)
    core.handle(Advertised("n3", "news", (RP, Identity.node("n3")), True), 1.0)
    assert set(asked(core.handle(DiscReceived(1, disc()), 1.5))) == {"n3"}


@pytest.mark.parametrize(
    "reason", [MissReason.ABSENT, MissReason.FULL, MissReason.BUSY], ids=lambda r: r.name
)
def test_what_a_living_neighbour_knows_of_the_content_is_worth_more(reason: MissReason) -> None:
    done = asking().handle(Answered("n3", miss(reason)), 1.6)
    assert sought(done) == []
    assert (told(done).reason, told(done).retry_ms) == (reason, 0)


def test_that_a_node_further_on_looks_for_another_way_does_not_hide_that_there_is_no_such_content() -> None:
    looks = replace(miss(MissReason.DEADLINE, text="n2 looks for another way"), retry_ms=OFFER_MS)
    prepared = replace(miss(MissReason.CUT, text="preparing 43 %"), retry_ms=1000)
    absent = miss(MissReason.ABSENT)
    cut = miss(MissReason.CUT)
    for first, other, passed_on in (
        (looks, absent, absent),
        (looks, prepared, prepared),
        (looks, cut, looks),
    ):
        for answers in ((first, other), (other, first)):
            core = node("n2", "n3")
            core.handle(DiscReceived(1, disc()), 1.5)
            core.handle(Answered("n2", answers[0]), 1.6)
            answer = told(core.handle(Answered("n3", answers[1]), 1.6))
            assert (answer.reason, answer.text) == (passed_on.reason, passed_on.text)


def test_where_none_are_offered_nobody_is_told_to_wait_for_them() -> None:
    core = asking(policy=Policy(repair_anyone=False))
    done = core.handle(Answered("n3", miss(MissReason.DUPLICATE)), 1.6)
    assert sought(done) == []
    assert (told(done).reason, told(done).retry_ms) == (MissReason.CUT, 0)


def test_who_was_asked_along_one_way_only_asks_all_others_before_he_waits() -> None:
    core = asking(replace(disc(), scoped=True), Policy(scoped=False))
    assert told(core.handle(Answered("n3", miss(MissReason.DUPLICATE)), 1.6)).retry_ms == OFFER_MS
    core = node("n2")
    core.handle(LayoutChanged(("n2",), policy=Policy(scoped=True)), 0.0)
    done = core.handle(DiscReceived(1, replace(disc(remaining_ms=1000), scoped=True)), 1.5)
    done += core.handle(TimePassed(), 2.5)
    assert told(done).retry_ms == 0


def test_one_that_is_offered_is_asked_as_soon_as_it_is_reached_in_what_is_asked_already() -> None:
    core = node("n2")
    core.handle(DiscReceived(2, disc(R2, remaining_ms=200)), 1.3)
    assert sought(core.handle(TimePassed(), 1.5)) == ["news"]
    core.handle(DiscReceived(1, disc(remaining_ms=1000)), 1.5)
    core.handle(Offered((NamedAddress("far", "10.0.9.9:5000"),)), 1.7)
    assert asked(core.handle(RoundTripMeasured("far", 20.0), 1.8)) == {"far": 600}
    assert asked(core.handle(RoundTripMeasured("far", 20.0), 1.8)) == {}
    (reply, cancel) = core.handle(Answered("far", found(R1, FAR)), 1.9)
    assert (reply, cancel) == (do.Reply(1, found(R1, FAR)), do.CancelAsks(R1, ("n2",)))


def test_while_somebody_looks_for_another_way_the_last_resort_is_asked_as_often_as_it_takes() -> None:
    search = Search(Random(1), 0.0, 10.0)
    for _ in range(5):
        now = search.due
        assert now is not None
        search.begin(now)
        assert search.on_missed(MissReason.DEADLINE, "n2 looks", now, retry_ms=OFFER_MS) is None
        assert search.is_last_resort


# Together, in the simulation


def joins(net: Network, viewer: Viewer, within: float) -> None:
    begun = net.now
    net.run(within)
    assert viewer.state == "watching"
    assert viewer.joined_at is not None
    assert viewer.joined_at - begun < within


@pytest.mark.parametrize("at", ["n2", "n3"])
@pytest.mark.parametrize("seed", seeds(3))
def test_behind_a_cut_vertex_that_is_dead_a_viewer_joins_at_any_node(at: str, seed: int) -> None:
    """The dead one's host refuses at once, before a helpless neighbour has answered."""
    net = Network(CHAIN, media=True, seed=seed, offers=True, steady=True)
    for link in CHAIN:
        net.world.link(*link).media_delay = 0.002 if link == ("n1", "n2") else 0.005
    net.kill("n1")
    net.run(12)
    joins(net, net.client(at), within=1.0)


@pytest.mark.parametrize("at", ["n2", "n3"])
def test_behind_a_cut_vertex_that_is_frozen_too(at: str) -> None:
    net = Network(CHAIN, media=True, offers=True)
    net.freeze("n1")
    net.run(15)
    joins(net, net.client(at, patience=10.0), within=3.0)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_a_viewer_whose_only_other_neighbour_is_behind_a_frozen_one_goes_on_there(seed: int) -> None:
    net = Network([*CHAIN, ("rp", "n4")], media=True, seed=seed, offers=True)
    viewer = net.client("n4", "n2")
    net.run(3)
    assert str(viewer.path[-2]) == "n4"
    for name in ("rp", "n1", "n3"):
        net.world.cut(viewer.node.name, name)
    net.freeze("n1")
    net.run(12)
    net.kill("n4")
    net.run(3)
    assert viewer.state == "watching"
    assert viewer.longest_gap < REPAIR_FLOOD_SECONDS + 0.3
