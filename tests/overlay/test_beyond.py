"""Nodes beyond the neighbours: asked where the neighbours have no way, chosen where there are none."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from mcast.overlay import actions as do
from mcast.overlay.beyond import (
    CHOICE_SECONDS,
    FIRST_REACHED,
    HOME_SECONDS,
    KEPT_SECONDS,
    LAST_LOOK_SECONDS,
    LOOK_SPREAD,
    MAX_ASKED,
    OFFER_MS,
)
from mcast.overlay.events import (
    Accepted,
    Answered,
    DiscReceived,
    Feed,
    FeedChanged,
    Introduced,
    LayoutChanged,
    Offered,
    ParentLost,
    Refused,
    RoundTripMeasured,
    StreamReceived,
    TimePassed,
    Unasked,
)
from mcast.overlay.node_core import NodeCore
from mcast.overlay.table import State
from mcast.wire.bootstrap import MAX_OFFERED, NamedAddress, Policy
from mcast.wire.identity import Identity
from mcast.wire.node import Miss, MissReason
from mcast.wire.rtcp import FeedState
from overlay.cores import asked, fed_node, node
from overlay.messages import N1, R2, RP, disc, found, miss, port, stream
from overlay.simulation import Network

FAR = Identity.node("far")
OFFER = Offered((NamedAddress("far", "10.0.9.9:5000"), NamedAddress("farther", "10.0.9.8:5000")))


def of_kind(actions: list[do.Action], kind: type[do.Action]) -> list[do.Action]:
    return [action for action in actions if isinstance(action, kind)]


def let_fail(core: NodeCore, now: float, until: float) -> list[do.Action]:
    """Let time pass, and every flood fail as no neighbour can be reached; return what was done."""
    done: list[do.Action] = []
    while now < until:
        new = core.handle(TimePassed(), now)
        for ask in of_kind(new, do.Ask):
            assert isinstance(ask, do.Ask)
            new = [*new, *core.handle(Unasked(ask.neighbour, ask.disc.request, "refused"), now)]
        done += new
        now += 0.05
    return done


def cut_off() -> NodeCore:
    """Return n1, whose parent rp is lost at 1.0, and whose other neighbour cannot be reached."""
    core = fed_node()
    core.handle(FeedChanged(1, Feed.FED), 0.4)
    core.handle(ParentLost(1, "reset"), 1.0)
    return core


def test_a_node_whose_neighbours_have_no_way_has_others_offered() -> None:
    done = let_fail(cut_off(), 1.0, 1.5)
    assert of_kind(done, do.Seek) == [do.Seek("news")]


def asking_n2() -> tuple[NodeCore, do.Ask]:
    """Return n1, which has just begun to look for another parent than rp, and what it asks n2."""
    core = cut_off()
    assert core.due is not None
    done = core.handle(TimePassed(), core.due)
    assert of_kind(done, do.Seek) == [do.Seek("news")], "it is told of others while it asks"
    (ask,) = of_kind(done, do.Ask)
    assert isinstance(ask, do.Ask)
    return core, ask


def test_who_was_offered_while_the_neighbours_are_asked_is_connected_to_when_these_have_no_way() -> None:
    core, ask = asking_n2()
    assert reaches(core.handle(OFFER, 1.02)) == []
    done = core.handle(Answered(ask.neighbour, miss(MissReason.CUT, ask.disc.request)), 1.05)
    assert reaches(done) == [["far", "farther"]]


def test_who_was_offered_is_let_go_without_a_word_when_a_neighbour_has_a_way() -> None:
    core, ask = asking_n2()
    assert reaches(core.handle(OFFER, 1.02)) == []
    (subscribe,) = of_kind(core.handle(Answered("n2", found(ask.disc.request)), 1.05), do.Subscribe)
    assert isinstance(subscribe, do.Subscribe)
    core.handle(Accepted(subscribe.upstream, port(RP, Identity.node("n2"))), 1.1)
    assert reaches(core.handle(FeedChanged(subscribe.upstream, Feed.FED), 1.2)) == []
    assert not core._neighbours._beyond._offered


def no_way_told(done: list[do.Action]) -> bool:
    return do.Supply("news", FeedState.CUT, no_way=True) in done


def test_those_below_are_not_told_that_there_is_no_way_before_others_were_asked() -> None:
    core = cut_off()
    assert not no_way_told(let_fail(core, 1.0, 1.3)), "a flood has failed, and others are offered"
    assert no_way_told(let_fail(core, 1.3, 1.7))


def test_where_none_are_offered_they_are_told_at_once() -> None:
    core = cut_off()
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(repair_anyone=False)), 1.0)
    assert no_way_told(let_fail(core, 1.0, 1.1))


def test_those_below_a_rendezvous_point_are_told_at_once_as_they_alone_may_have_a_way_without_it() -> None:
    core = cut_off()
    core.handle(LayoutChanged(("rp", "n2"), rendezvous=("rp", "n1")), 1.0)
    assert no_way_told(let_fail(core, 1.0, 1.1))


def test_it_asks_again_only_after_a_second() -> None:
    done = let_fail(cut_off(), 1.0, 3.3)
    assert len(of_kind(done, do.Ask)) > 3
    assert 1 < len(of_kind(done, do.Seek)) <= 3


def test_none_are_offered_where_the_layout_says_so() -> None:
    core = cut_off()
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(repair_anyone=False)), 1.0)
    assert of_kind(let_fail(core, 1.0, 3.0), do.Seek) == []


def test_who_waits_for_its_parent_s_repair_does_not_ask_for_others_yet() -> None:
    core = fed_node(RP, FAR)
    core.handle(FeedChanged(1, Feed.FED), 0.4)
    core.handle(FeedChanged(1, Feed.NO_WAY), 1.0)
    assert of_kind(let_fail(core, 1.0, 1.9), do.Seek) == []
    assert of_kind(let_fail(core, 2.0, 3.5), do.Seek)


def reached(core: NodeCore, now: float = 1.5) -> list[do.Action]:
    """Let a node connect to one of two that it is offered; return what it asks then."""
    assert core.handle(OFFER, now) == [do.Reach(OFFER.nodes)]
    return core.handle(RoundTripMeasured("far", 20.0), now)


def test_only_one_that_could_be_reached_is_asked_and_at_once() -> None:
    core = cut_off()
    let_fail(core, 1.0, 1.5)
    asked = {ask.neighbour for ask in of_kind(reached(core), do.Ask) if isinstance(ask, do.Ask)}
    assert "far" in asked
    assert "farther" not in asked


AWAY = {"a": 30.0, "b": 5.0, "c": 60.0, "d": 10.0, "e": 40.0, "f": 20.0}
"""How far some are that are offered, in milliseconds."""


def cut_off_with(away: Mapping[str, float], rendezvous: tuple[str, ...] = ()) -> NodeCore:
    """Return n1, cut off since 1.0, that has reached all of those that it was offered."""
    core = cut_off()
    core._neighbours._beyond._width = MAX_OFFERED
    core.handle(LayoutChanged(("rp", "n2"), rendezvous=rendezvous), 1.0)
    let_fail(core, 1.0, 1.5)
    core.handle(offered(*away), 1.5)
    for name, round_trip_ms in away.items():
        core.handle(RoundTripMeasured(name, round_trip_ms), 1.5)
    return core


def floods(core: NodeCore, until: float = 4.0) -> list[set[str]]:
    """Let all fail for some seconds; return who of those that were offered each flood asks."""
    asked: dict[bytes, set[str]] = {}
    for ask in of_kind(let_fail(core, 1.5, until), do.Ask):
        assert isinstance(ask, do.Ask)
        asked.setdefault(ask.disc.request, set()).add(ask.neighbour)
    return [names - {"rp", "n2"} for names in asked.values()]


def test_of_many_that_could_be_reached_the_nearest_are_asked_first_and_then_all_in_turn() -> None:
    first, second, third, *_ = floods(cut_off_with(AWAY))
    assert first == {"b", "d", "f", "e"}  # a was reached first, and asked at once
    assert second == {"c", "b", "d", "f"}
    assert third == {"a", "e", "c", "b"}
    assert len(third) == MAX_ASKED


def test_one_of_those_that_are_asked_is_a_rendezvous_point_however_far_it_is() -> None:
    for names in floods(cut_off_with({**AWAY, "top": 200.0}, rendezvous=("top",))):
        assert "top" in names
        assert len(names) == MAX_ASKED


def test_one_of_them_is_the_one_that_the_bootstrapper_thinks_most_of_however_far_it_is() -> None:
    first, second, *_ = floods(cut_off_with({"a": 30.0, "best": 200.0, "better": 300.0, **AWAY}))
    assert first == {"best", "b", "d", "f"}
    assert "better" in second


def test_of_several_rendezvous_points_each_is_asked_in_turn() -> None:
    away = {**AWAY, "top": 200.0, "top2": 300.0}
    first, second, third, *_ = floods(cut_off_with(away, rendezvous=("top", "top2")))
    assert [asked & {"top", "top2"} for asked in (first, second, third)] == [{"top"}, {"top2"}, {"top"}]


def test_who_is_not_offered_any_more_is_asked_no_more() -> None:
    core = cut_off_with(AWAY)
    assert core.handle(offered("c", "g"), 1.5) == [do.Reach(offered("c", "g").nodes)]
    assert set().union(*floods(core)) == {"c"}


def test_from_whom_the_stream_comes_is_kept_though_it_is_not_offered_any_more() -> None:
    core = fed_from_far()
    (reach,) = core.handle(offered("other"), 2.0)
    assert isinstance(reach, do.Reach)
    assert [each.name for each in reach.nodes] == ["far", "other"]


def test_who_has_found_a_way_is_asked_for_the_stream_though_it_is_another_s_turn_by_then() -> None:
    core = node("n2")
    core._neighbours._beyond._width = MAX_OFFERED
    core.handle(DiscReceived(1, disc()), 1.5)
    core.handle(Unasked("n2", disc().request, "refused"), 1.6)
    away = {**AWAY, "g": 70.0, "h": 80.0}
    core.handle(offered(*away), 1.7)
    for name, round_trip_ms in away.items():
        core.handle(RoundTripMeasured(name, round_trip_ms), 1.7)
    core.handle(DiscReceived(1, disc(R2)), 1.8)
    core.handle(Answered("b", found(R2)), 1.9)
    assert "b" not in asked(core.handle(DiscReceived(2, disc(bytes([7]) * 16)), 1.9))
    (subscribe,) = of_kind(core.handle(StreamReceived(1, stream(R2)), 2.0), do.Subscribe)
    assert isinstance(subscribe, do.Subscribe)
    assert subscribe.parent == do.NodeParent("b")


def reaches(done: list[do.Action]) -> list[list[str]]:
    """Return whom a node connects to, each time that this changes."""
    return [[each.name for each in action.nodes] for action in done if isinstance(action, do.Reach)]


def test_a_few_of_many_are_connected_to_at_first_and_more_as_long_as_nobody_has_a_way() -> None:
    core = cut_off()
    core.handle(LayoutChanged(("rp", "n2"), rendezvous=("top",)), 1.0)
    let_fail(core, 1.0, 1.5)
    (first,) = reaches(core.handle(offered(*"abcdefghi", "top"), 1.5))
    assert first == ["top", "a"], "a rendezvous point has a way if anybody has"
    widths = [len(names) for names in reaches(let_fail(core, 1.5, 5.0))]
    assert widths == [FIRST_REACHED + MAX_ASKED, 10], "and no more at a time"


def test_whoever_is_connected_to_stays_so_when_others_are_thought_more_of() -> None:
    core = cut_off()
    let_fail(core, 1.0, 1.5)
    assert reaches(core.handle(offered(*"abcdef"), 1.5)) == [["a", "b"]]
    others_first = Offered(offered(*"abcdef").nodes[::-1])
    assert reaches(core.handle(others_first, 1.6)) == []


def test_when_all_is_well_again_they_are_let_go_and_at_the_next_failure_a_few_come_first() -> None:
    core = node("n2")

    def ask_in_vain(request: bytes, now: float) -> list[list[str]]:
        core.handle(DiscReceived(1, disc(request)), now)
        return reaches(core.handle(Unasked("n2", request, "refused"), now))

    ask_in_vain(R2, 1.0)
    assert reaches(core.handle(offered(*"abcdef"), 1.1)) == [["a", "b"]]
    assert ask_in_vain(bytes([7]) * 16, 1.5) == [[*"abcdef"]]
    assert reaches(core.handle(TimePassed(), 1.5 + KEPT_SECONDS)) == [[]]
    ask_in_vain(bytes([8]) * 16, 20.0)
    assert reaches(core.handle(offered(*"abcdef"), 20.1)) == [["a", "b"]]


def fed_from_far() -> NodeCore:
    """Return n1, which takes news from far, a node that the layout does not link with it."""
    core = cut_off()
    let_fail(core, 1.0, 1.5)
    (request,) = {ask.disc.request for ask in of_kind(reached(core), do.Ask) if isinstance(ask, do.Ask)}
    (subscribe,) = of_kind(core.handle(Answered("far", found(request)), 1.6), do.Subscribe)
    assert isinstance(subscribe, do.Subscribe)
    assert subscribe.parent == do.NodeParent("far")
    core.handle(Accepted(subscribe.upstream, port(RP, FAR)), 1.7)
    told = core.handle(FeedChanged(subscribe.upstream, Feed.FED), 1.8)
    assert [a.fields for a in told if isinstance(a, do.Announce) and a.event == "link_beyond_file"] == [
        (("content", "news"), ("parent", "far"), ("taken", True))
    ]
    return core


def test_a_link_beyond_the_layout_is_said_and_shown() -> None:
    core = fed_from_far()
    assert core.branches["news"].state is State.FED
    assert core.parents_beyond == ("far",)


def test_those_that_are_of_no_use_are_let_go() -> None:
    core = fed_from_far()
    done = let_fail(core, 1.9, 15.0)
    assert of_kind(done, do.Reach) == [do.Reach(OFFER.nodes[:1])]


def homing(core: NodeCore, now: float) -> tuple[float, bytes]:
    """Let time pass until the neighbours are asked for a way home; return when, and the flood's id."""
    until = now + HOME_SECONDS * LOOK_SPREAD[1] + 0.2
    while now < until:
        asks = [ask for ask in core.handle(TimePassed(), now) if isinstance(ask, do.Ask)]
        if asks:
            assert {ask.neighbour for ask in asks} <= {"rp", "n2"}
            return now, asks[0].disc.request
        now += 0.05
    raise AssertionError("nobody was asked")


def test_it_is_left_when_a_neighbour_has_a_way_again_and_not_before_that_one_feeds() -> None:
    core = fed_from_far()
    now, request = homing(core, 2.0)
    asked = core.handle(Answered("rp", found(request)), now)
    (subscribe,) = [a for a in asked if isinstance(a, do.Subscribe)]
    assert subscribe.parent == do.NodeParent("rp")
    assert subscribe.resume
    assert of_kind(asked, do.Leave) == []
    core.handle(Accepted(subscribe.upstream, port(RP)), now + 0.1)
    left = core.handle(FeedChanged(subscribe.upstream, Feed.FED), now + 0.2)
    assert len(of_kind(left, do.Leave)) == 1
    assert core.parents_beyond == ()
    assert core.branches["news"].path == (RP, N1)


def paired_with_far(neighbour: str) -> NodeCore:
    """Return n1, which wants two parents: it takes news from far, and from another one as well since 4.0."""
    core = fed_from_far()
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(parents=2)), 1.9)
    core.handle(FeedChanged(2, Feed.SUSPECT), 1.9)
    core.handle(FeedChanged(2, Feed.FED), 1.95)  # from when media comes on, it is time for a second one
    asks: list[do.Action] = []
    for step in range(20):
        asks += of_kind(core.handle(TimePassed(), 2.0 + step / 10), do.Ask)
    ask = asks[-1]
    assert isinstance(ask, do.Ask)
    (subscribe,) = of_kind(core.handle(Answered(neighbour, found(ask.disc.request)), 4.0), do.Subscribe)
    assert isinstance(subscribe, do.Subscribe)
    core.handle(Accepted(subscribe.upstream, port(RP, Identity.node(neighbour))), 4.0)
    core.handle(FeedChanged(subscribe.upstream, Feed.FED), 4.0)
    assert core.branches["news"].state is State.DOUBLED
    return core


def test_of_two_parents_that_are_wanted_the_one_that_is_no_neighbour_is_left() -> None:
    core = paired_with_far("n2")
    left: list[do.Action] = []
    for step in range(100):
        left += of_kind(core.handle(TimePassed(), 4.0 + step / 10), do.Leave)
    (leave,) = left
    assert isinstance(leave, do.Leave)
    assert leave.upstream == 2
    assert core.branches["news"].path == (RP, Identity.node("n2"), N1)
    assert core.parents_beyond == ()


def test_of_two_parents_that_are_no_neighbours_one_is_left_and_a_way_home_is_looked_for() -> None:
    core = paired_with_far("n2")
    core.handle(LayoutChanged(("rp",), policy=Policy(parents=2)), 4.1)  # n2 is none any more
    done: list[do.Action] = []
    for step in range(70):
        done += core.handle(TimePassed(), 4.2 + step / 10)
        if of_kind(done, do.Leave):
            break
    assert [leave.upstream for leave in of_kind(done, do.Leave) if isinstance(leave, do.Leave)] == [3]
    assert {ask.neighbour for ask in of_kind(done, do.Ask) if isinstance(ask, do.Ask)} == {"rp"}
    assert core.parents_beyond == ("far",)


def test_it_stays_where_the_neighbour_refuses_after_all() -> None:
    core = fed_from_far()
    now, request = homing(core, 2.0)
    (subscribe,) = of_kind(core.handle(Answered("rp", found(request)), now), do.Subscribe)
    assert isinstance(subscribe, do.Subscribe)
    core.handle(Refused(subscribe.upstream, MissReason.FULL), now + 0.1)
    assert core.branches["news"].state is State.FED
    assert core.parents_beyond == ("far",)
    again, _ = homing(core, now + 0.2)
    assert again > now + HOME_SECONDS * LOOK_SPREAD[0] - 0.1


def test_a_stream_leaves_a_link_that_is_removed_without_a_gap() -> None:
    core = fed_node()
    core.handle(FeedChanged(1, Feed.FED), 0.4)
    core.handle(LayoutChanged(("n2",)), 1.0)
    (ask,) = [a for a in core.handle(TimePassed(), 1.1) if isinstance(a, do.Ask)]
    assert ask.neighbour == "n2"
    asked = core.handle(Answered("n2", found(ask.disc.request)), 1.2)
    (subscribe,) = [a for a in asked if isinstance(a, do.Subscribe)]
    core.handle(Accepted(subscribe.upstream, port(RP, Identity.node("n2"))), 1.3)
    left = core.handle(FeedChanged(subscribe.upstream, Feed.FED), 1.4)
    assert [leave.upstream for leave in left if isinstance(leave, do.Leave)] == [1]


def test_a_stream_of_which_nothing_has_changed_is_not_moved() -> None:
    core = fed_node()
    core.handle(FeedChanged(1, Feed.FED), 0.4)
    done = core.handle(LayoutChanged(("rp", "n5")), 1.0)
    for step in range(100):
        done = [*done, *core.handle(TimePassed(), 1.0 + step / 10)]
    assert of_kind(done, do.Ask) == []
    assert of_kind(done, do.Leave) == []


def test_a_viewer_s_next_question_goes_further_when_all_neighbours_are_dead() -> None:
    core = node("n2")
    first = disc()
    core.handle(DiscReceived(1, first), 1.5)
    done = core.handle(Unasked("n2", first.request, "refused"), 1.6)
    assert of_kind(done, do.Seek) == [do.Seek("news")]
    core.handle(OFFER, 1.7)
    core.handle(RoundTripMeasured("far", 20.0), 1.8)
    again = disc(bytes([7]) * 16)
    asked = {a.neighbour for a in core.handle(DiscReceived(1, again), 2.0) if isinstance(a, do.Ask)}
    assert asked == {"n2", "far"}


def test_neighbours_that_have_just_been_named_may_still_be_starting() -> None:
    core = node("n2")
    first = disc()
    core.handle(DiscReceived(1, first), 0.5)
    done = core.handle(Unasked("n2", first.request, "refused"), 0.9)
    assert of_kind(done, do.Seek) == []
    assert told(done).retry_ms == 100  # when a second is over, it goes further
    again = disc(bytes([7]) * 16)
    core.handle(DiscReceived(1, again), 0.9)
    done = core.handle(Unasked("n2", again.request, "refused"), 1.1)
    assert of_kind(done, do.Seek) == [do.Seek("news")]
    assert told(done).retry_ms == OFFER_MS


def test_who_has_been_told_to_wait_by_another_neighbour_waits_the_longer_time() -> None:
    core = node("n2", "n3")
    asked = disc()
    core.handle(DiscReceived(1, asked), 0.5)
    later = Answered("n3", replace(miss(MissReason.CUT), retry_ms=700))
    assert core.handle(later, 0.6) == []
    assert told(core.handle(Unasked("n2", asked.request, "refused"), 0.9)).retry_ms == 700


def told(done: list[do.Action]) -> Miss:
    (reply,) = (each for each in done if isinstance(each, do.Reply))
    assert isinstance(reply.message, Miss)
    return reply.message


def test_a_neighbour_that_was_reached_is_believed_to_be_gone_at_once() -> None:
    core = node("n2")
    core.handle(Introduced("n2", 1, None), 0.1)
    first = disc()
    core.handle(DiscReceived(1, first), 0.2)
    done = core.handle(Unasked("n2", first.request, "refused"), 0.3)
    assert of_kind(done, do.Seek) == [do.Seek("news")]


def test_a_neighbour_that_answers_no_is_no_reason_to_go_further() -> None:
    core = node("n2")
    core.handle(DiscReceived(1, disc()), 0.0)
    assert of_kind(core.handle(Answered("n2", miss(MissReason.ABSENT)), 0.1), do.Seek) == []


# Nodes that join


def joined(most: int = 2) -> NodeCore:
    """Return a node that the file does not name, without neighbours."""
    core = NodeCore(N1, Random(1))
    core.handle(LayoutChanged((), policy=Policy(max_neighbours=most), joined=True), 0.0)
    return core


def offered(*names: str) -> Offered:
    return Offered(tuple(NamedAddress(name, f"10.0.0.{at}:5000") for at, name in enumerate(names, 1)))


def test_a_node_that_joins_takes_the_nearest_that_it_can_reach() -> None:
    core = joined(most=2)
    assert of_kind(core.handle(TimePassed(), 0.0), do.Seek) == [do.Seek("")]
    core.handle(offered("a", "b", "c", "behind-nat"), 0.1)
    for name, round_trip_ms in (("a", 30.0), ("b", 5.0), ("c", 10.0)):
        core.handle(RoundTripMeasured(name, round_trip_ms), 0.2)
    assert of_kind(core.handle(TimePassed(), 0.3), do.TakeLinks) == []
    done = core.handle(TimePassed(), 0.1 + CHOICE_SECONDS)
    assert of_kind(done, do.TakeLinks) == [do.TakeLinks(("b", "c"))]


def test_it_chooses_at_once_when_it_has_reached_all() -> None:
    core = joined()
    core.handle(TimePassed(), 0.0)
    core.handle(offered("a"), 0.1)
    core.handle(RoundTripMeasured("a", 5.0), 0.2)
    assert of_kind(core.handle(TimePassed(), 0.3), do.TakeLinks) == [do.TakeLinks(("a",))]


def settled() -> NodeCore:
    """Return one that has chosen a and b, of which both have a way to the rendezvous point."""
    core = joined(most=2)
    core.handle(TimePassed(), 0.0)
    core.handle(offered("a", "b"), 0.1)
    for name in ("a", "b"):
        core.handle(RoundTripMeasured(name, 5.0), 0.2)
    core.handle(TimePassed(), 0.3)
    core.handle(LayoutChanged(("a", "b"), policy=Policy(max_neighbours=2), joined=True), 0.4)
    for name in ("a", "b"):
        core.handle(Introduced(name, 1), 0.5)
    return core


def seeks(core: NodeCore, begin: float, end: float) -> list[float]:
    """Return when it asks for others."""
    times = [begin + step / 10 for step in range(round((end - begin) * 10))]
    return [now for now in times if of_kind(core.handle(TimePassed(), now), do.Seek)]


def test_one_with_all_its_neighbours_asks_for_no_others() -> None:
    assert seeks(settled(), 1.0, 100.0) == []


def test_it_takes_another_in_the_place_of_one_that_has_left() -> None:
    core = settled()
    core.handle(LayoutChanged(("b",), policy=Policy(max_neighbours=2), joined=True), 1.0)
    (first, *_) = seeks(core, 1.0, 1.0 + LAST_LOOK_SECONDS * LOOK_SPREAD[1] + 1)
    core.handle(offered("c"), first)
    core.handle(RoundTripMeasured("c", 5.0), first)
    assert of_kind(core.handle(TimePassed(), first + 0.1), do.TakeLinks) == [do.TakeLinks(("b", "c"))]


def test_one_whose_neighbours_are_all_cut_off_takes_another_for_one_of_them() -> None:
    core = settled()
    for name in ("a", "b"):
        core.handle(Introduced(name, None), 1.0)
    (first, *_) = seeks(core, 1.0, 5.0)
    core.handle(offered("c"), first)
    core.handle(RoundTripMeasured("c", 5.0), first)
    assert of_kind(core.handle(TimePassed(), first + 0.1), do.TakeLinks) == [do.TakeLinks(("a", "c"))]


def test_who_finds_nobody_asks_more_and_more_rarely() -> None:
    times = seeks(joined(), 0.0, 120.0)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert times[0] == 0.0
    assert pauses[0] < 3.0
    assert max(pauses) > LAST_LOOK_SECONDS * LOOK_SPREAD[0] - 1
    assert len(times) < 15


def test_more_than_are_offered_at_a_time_are_not_reached() -> None:
    core = joined()
    (reach,) = core.handle(offered(*(f"n{number}" for number in range(10, 10 + 2 * MAX_OFFERED))), 0.1)
    assert isinstance(reach, do.Reach)
    assert len(reach.nodes) == MAX_OFFERED


# Together, in the simulation


def test_below_a_cut_vertex_that_dies_nothing_is_lost() -> None:
    net = Network([("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("rp", "n4")], media=True, offers=True)
    viewer = net.client("n3")
    net.run(5)
    net.kill("n1")
    net.run(10)
    assert [fields["parent"] for _, name, fields in net.said("link_beyond_file") if name == "n2"]
    net.check_media()
    assert viewer.longest_gap < 1.0
    net.start("n1")
    net.run(20)
    assert [node.name for node in viewer.path[:4]] == ["rp", "n1", "n2", "n3"]
    net.check_media()


def test_without_a_bootstrapper_a_cut_vertex_is_waited_for() -> None:
    net = Network([("rp", "n1"), ("n1", "n2"), ("rp", "n4")], media=True)
    viewer = net.client("n2")
    net.run(5)
    net.kill("n1")
    net.run(3)
    assert viewer.is_cut


def test_a_node_that_joins_is_fed_and_feeds() -> None:
    net = Network([("rp", "n1"), ("n1", "n2")], media=True, offers=True)
    net.bootstrapper.join("lab-1")
    net.run(5)
    viewer = net.client("lab-1")
    net.run(5)
    assert viewer.state == "watching"
    net.check_media()
