"""Two parents all the time: when a second one is asked for, who, and what becomes of the two."""

import math
from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent
from mcast.overlay.branch import Branch
from mcast.overlay.events import (
    Accepted,
    Advertised,
    ConnectionGone,
    Departure,
    Feed,
    FeedChanged,
    LayoutChanged,
    ParentLost,
    StreamReceived,
    TimePassed,
)
from mcast.overlay.pairing import (
    FIRST_PAUSE,
    HURRY_SECONDS,
    LONGEST_PAUSE,
    PAIR_SECONDS,
    SPREAD,
    WATCHED_SECONDS,
    Pairing,
    Wish,
    shared,
)
from mcast.overlay.spares import Adverts
from mcast.overlay.table import State
from mcast.wire.bootstrap import Policy
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, StopReason
from overlay import resilience
from overlay.branches import (
    N4,
    N5,
    NEXT_SPARE,
    SPARE,
    asks,
    events,
    fed,
    left,
    pairing,
    said,
    spare_port,
    told,
    unmeasured,
    want_two,
)
from overlay.cores import fed_node
from overlay.effort import TIMEOUT, seeds
from overlay.messages import N1, N2, N3, R2, RP, port, stream
from overlay.simulation import Network
from overlay.test_resilience import watching

pytestmark = pytest.mark.timeout(TIMEOUT)

SQUARE = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]
RING = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "rp")]


def paired() -> Branch:
    """Return a branch that n2 (upstream 1) and n3 (upstream 2) feed, as two are wanted."""
    branch = pairing(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 5.1)
    branch.on_feed(2, Feed.FED, 5.2)
    return branch


def test_who_wants_two_parents_asks_for_the_second_when_media_comes_from_the_first() -> None:
    branch = fed(SPARE)
    want_two(branch)
    branch.pairing.on_state(State.JOINING, State.FED, 0.1)
    due = branch.due
    assert due is not None
    assert branch.on_time(due - 0.01) == []
    assert asks(branch.on_time(due)) == ["n3"]
    assert branch.state is State.PAIRING


def test_where_nobody_watches_one_parent_is_enough() -> None:
    branch = fed(SPARE)
    want_two(branch)
    branch.watched_at = 10.0
    branch.pairing.on_state(State.JOINING, State.FED, 20.0)
    assert [asks(branch.on_time(20.0 + second)) for second in range(60)] == [[]] * 60
    branch.watched_at = 79.0
    assert asks(branch.on_time(80.0)) == ["n3"]


def test_the_second_is_left_some_seconds_after_the_last_viewer() -> None:
    branch = paired()
    branch.watched_at = 10.0
    assert left(branch.on_time(10.0 + WATCHED_SECONDS - 0.1)) == []
    assert left(branch.on_time(10.0 + WATCHED_SECONDS)) == [2]
    assert (branch.state, branch.others) == (State.FED, [])


def test_who_wants_one_parent_never_asks_for_a_second() -> None:
    branch = fed(SPARE)
    branch.pairing.on_state(State.JOINING, State.FED, 0.1)
    assert (branch.on_time(100.0), branch.due, branch.state) == ([], None, State.FED)


def test_as_long_as_the_first_brings_nothing_there_is_no_second() -> None:
    branch = fed(SPARE)
    branch.on_feed(1, Feed.WAITING, 0.2)
    want_two(branch)
    branch.pairing.on_state(State.JOINING, State.FED, 0.2)
    assert branch.on_time(5.0) == []
    assert branch.due is not None
    assert branch.due > 5.0, "nobody asks the clock again and again"


def test_both_are_kept_however_their_race_ends() -> None:
    branch = paired()
    assert branch.state is State.DOUBLED
    assert branch.on_outdone(1, 8.0, unmeasured) == branch.on_outdone(2, 10.0, unmeasured) == []
    branch.wish.parents = 1
    assert left(branch.on_outdone(2, 12.0, unmeasured)) == [2], "the layout says one again"


def test_the_loss_of_the_first_is_no_cut_and_the_next_second_is_asked_for_soon() -> None:
    branch = paired()
    actions = branch.on_lost(1, StopReason.CUT, "reset", 20.0)
    assert events(actions) == ["parent_lost", "parent_taken"]
    assert told(actions) == [(False, False, False)], "a new path, and nobody is cut off"
    assert (branch.state, branch.path) == (State.FED, (RP, N4, N3, N1))
    assert branch.due is not None
    assert branch.due <= 20.0 + SPREAD[1]


@pytest.mark.parametrize(("silent", "stays"), [(1, 2), (2, 1)])
def test_of_two_parents_the_one_that_can_be_talked_to_is_kept_and_another_is_asked_for(
    silent: int, stays: int
) -> None:
    branch = paired()
    assert events(branch.on_control_silent(silent, 20.0)) == ["control_silent"]
    assert left(branch.on_time(20.1)) == [silent]
    assert (branch.state, branch.primary) == (State.FED, stays)
    assert branch.due is not None
    assert branch.due <= 20.1 + SPREAD[1]


def test_a_first_parent_that_cannot_be_talked_to_is_asked_anew_before_a_second_is_asked_for() -> None:
    branch = fed(SPARE)
    want_two(branch)
    branch.pairing.on_state(State.JOINING, State.FED, 0.1)
    branch.on_control_silent(1, 5.0)
    assert asks(branch.on_time(5.0)) == ["n2"]
    assert branch.state is State.FED


def test_when_the_first_says_that_it_is_cut_off_the_second_s_path_counts_and_its_news_are_told() -> None:
    branch = paired()
    assert told(branch.on_port(1, port(RP, N2, version=2, cut=True), 20.0)) == [(False, False, False)]
    assert branch.path == (RP, N4, N3, N1)
    assert told(branch.on_port(2, port(RP, N5, N3, version=2), 21.0)) == [(False, False, False)]
    assert branch.path == (RP, N5, N3, N1)


def test_the_loss_of_the_second_is_told_to_nobody() -> None:
    branch = paired()
    assert told(branch.on_lost(2, StopReason.CUT, "reset", 20.0)) == []
    assert branch.state is State.FED


def test_a_second_whose_path_is_shorter_becomes_the_primary_one() -> None:
    branch = pairing()
    branch.on_port(1, spare_port(RP, N4, N2, version=2), 5.05)
    branch.on_port(2, spare_port(RP, N3), 5.1)
    actions = branch.on_feed(2, Feed.FED, 5.2)
    assert said(actions, "second_parent") == {"content": "news", "parent": "n3", "shared": 0}
    assert told(actions) == [(False, False, False)]
    assert branch.path == (RP, N3, N1)


def test_a_second_that_finds_itself_below_this_node_is_left() -> None:
    branch = paired()
    assert left(branch.on_port(2, spare_port(RP, N2, N1, N3, version=2), 9.0)) == [2]
    assert branch.state is State.FED


def test_a_try_that_fails_leaves_all_as_it_was_and_the_next_one_comes_later() -> None:
    branch = pairing()
    assert told(branch.on_refused(2, MissReason.FULL, "", 5.1)) == []
    assert branch.state is State.FED
    assert branch.due is not None
    assert branch.due >= 5.1 + 2 * SPREAD[0]


def test_a_try_that_comes_to_nothing_ends_after_some_time() -> None:
    branch = pairing()
    branch.on_port(2, spare_port(), 5.1)  # and no media
    assert branch.on_time(5.0 + PAIR_SECONDS - 0.1) == []
    assert left(branch.on_time(5.0 + PAIR_SECONDS)) == [2]


def test_pauses_grow_to_half_a_minute_and_every_other_try_is_for_anybody() -> None:
    pauses = Pairing(Random(1), Wish(2))
    strict = []
    for _ in range(12):
        strict.append(pauses.is_strict)
        pauses.on_state(State.PAIRING, State.FED, 0.0)
    assert pauses.due is not None
    assert LONGEST_PAUSE * SPREAD[0] <= pauses.due <= LONGEST_PAUSE * SPREAD[1]
    assert strict == [True, False] * 6


def test_who_appears_is_asked_soon_but_not_each_time_that_he_comes_and_goes() -> None:
    pauses = Pairing(Random(1), Wish(2))
    pauses.hurry(0.0)
    assert pauses.due is None, "as long as no try is to come"
    pauses.on_state(State.PAIRING, State.DOUBLED, 0.0)
    pauses.hurry(1.0)
    assert pauses.due is not None
    assert pauses.due <= 1.0 + FIRST_PAUSE * SPREAD[1]
    pauses.on_state(State.PAIRING, State.DOUBLED, 2.0)
    pauses.hurry(3.0)
    assert pauses.due >= 2.0 + LONGEST_PAUSE * SPREAD[0]
    pauses.hurry(1.0 + HURRY_SECONDS)
    assert pauses.due <= 1.0 + HURRY_SECONDS + FIRST_PAUSE * SPREAD[1]


def test_a_parent_that_is_suspected_meanwhile_is_replaced_by_whom_was_asked() -> None:
    branch = pairing()
    branch.on_port(2, spare_port(), 5.1)
    assert asks(branch.on_feed(1, Feed.SUSPECT, 5.2)) == [], "one is on the way already"
    branch.on_feed(1, Feed.SILENT, 5.3)
    assert branch.state is State.REPAIRING
    assert "parent_taken" in events(branch.on_feed(2, Feed.FED, 5.4))


# Whom


def test_whose_path_shares_nothing_comes_first_and_the_others_when_there_is_nobody() -> None:
    adverts, branch = Adverts(), pairing()
    branch.upstreams.pop(2)
    near = dict.fromkeys(("n3", "n4", "n5"), 1.0)
    for name, path in {"n3": (RP, N2, N3), "n4": (RP, N5, N4), "n5": (RP, N2, N1, N5)}.items():
        adverts.on_advertised(name, "news", path, fed=True)
    assert [str(each) for each in adverts.partners(branch, near)] == ["n4"]
    branch.pairing.on_state(State.PAIRING, State.FED, 6.0)
    assert [str(each) for each in adverts.partners(branch, near)] == ["n4", "n3"], "n5 is below this node"
    assert shared((RP, N2, N3), branch.path) == 1


def test_of_those_that_share_as_much_whoever_has_two_parents_himself_comes_first() -> None:
    adverts, branch = Adverts(), pairing()
    branch.upstreams.pop(2)
    branch.pairing.on_state(State.PAIRING, State.FED, 6.0)
    for name, viewers in {"n3": 0, "n4": 1, "n5": 0}.items():
        adverts.on_advertised(name, "news", (RP, N2, Identity.node(name)), fed=True, viewers=viewers)
    near = {"n3": 2.0, "n4": 3.0, "n5": 1.0}
    assert [str(each) for each in adverts.partners(branch, near)] == ["n4", "n5", "n3"]


def test_a_second_is_searched_around_the_path_of_the_first_and_then_anywhere() -> None:
    core = fed_node(RP, N3)
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(parents=2)), 0.3)
    branch = core.branches["news"]
    branch.on_feed(1, Feed.FED, 0.4)
    branch.pairing.on_state(State.JOINING, State.FED, 0.4)
    excluded = []
    for now in (5.0, 15.0, 30.0):
        branch.watched_at = now
        asked = [a for a in core.handle(TimePassed(), now) if isinstance(a, do.Ask)]
        assert [ask.neighbour for ask in asked] == ["n2"], "and not the parent itself"
        excluded += [ask.disc.excluded for ask in asked]
        core.handle(TimePassed(), now + 4.5)
    assert excluded == [(N3,), (), (N3,)]


def test_a_second_that_shares_something_gives_way_to_one_that_does_not() -> None:
    branch = pairing(SPARE)
    branch.on_port(2, spare_port(RP, N2, N3), 5.1)
    branch.on_feed(2, Feed.FED, 5.2)
    assert branch.overlap == 1
    actions = branch.on_time(5.2 + LONGEST_PAUSE * SPREAD[1])
    assert (left(actions), asks(actions)) == ([2], ["n3"])


def test_a_child_may_be_a_second_parent_and_its_loss_ends_both_halves() -> None:
    core = fed_node()
    core.handle(LayoutChanged(("rp", "n2"), policy=Policy(parents=2)), 0.3)
    core.handle(FeedChanged(1, Feed.FED), 0.4)
    core.handle(StreamReceived(2, stream(R2, sender=N2)), 0.5)
    core.handle(Advertised("n2", "news", (RP, N2), fed=True), 0.6)  # this node is its second parent
    branch = core.branches["news"]
    branch.watched_at = math.inf
    branch.pairing.on_state(State.JOINING, State.FED, 0.6)
    (ask,) = [a for a in core.handle(TimePassed(), 5.0) if isinstance(a, do.Subscribe)]
    core.handle(Accepted(ask.upstream, port(RP, N2)), 5.1)
    core.handle(FeedChanged(ask.upstream, Feed.FED), 5.2)
    assert (ask.parent, branch.state, branch.others) == (NodeParent("n2"), State.DOUBLED, [ask.upstream])
    assert N2 in branch.below
    told = [*core.handle(ConnectionGone(2, Departure.LOST), 6.0),
            *core.handle(ParentLost(ask.upstream, "connection reset"), 6.0)]  # fmt: skip
    assert N2 not in branch.below
    assert (branch.state, branch.others, branch.path) == (State.FED, [], (RP, N1))
    assert [action for action in told if isinstance(action, do.Update)] == []


# Whole overlays


@pytest.mark.parametrize("seed", seeds(2))
def test_a_relay_that_dies_on_either_path_costs_nobody_a_moment(seed: int) -> None:
    for name in ("n1", "n2"):
        net = watching(SQUARE, "n3", seed=seed, parents=2)
        net.settle(20)
        net.kill(name)
        net.run(3)
        (viewer,) = net.viewers
        assert (viewer.state, viewer.lost()) == ("watching", 0)
        assert viewer.longest_gap < 0.1, "nothing has been waited for"


def test_a_client_takes_its_neighbours_both() -> None:
    net = Network(SQUARE, media=True, parents=2, records=True)
    viewer = net.client("n1", "n2")
    net.run(10)
    branch = viewer.node.core.branches["news"]
    assert (branch.state, branch.overlap) == (State.DOUBLED, 0)
    net.kill(str(viewer.path[1]))
    net.run(3)
    assert (viewer.state, viewer.lost(), viewer.longest_gap < 0.1) == ("watching", 0, True)


@pytest.mark.parametrize("seed", seeds(2))
def test_a_neighbour_that_streams_by_the_first_way_is_no_answer_where_another_way_is_longer(
    seed: int,
) -> None:
    around = [("rp", "n3"), ("n3", "n5"), ("n5", "n4")]
    net = watching(
        [("rp", "n1"), ("n1", "n2"), ("n1", "n4"), ("n2", "n4"), *around], "n2", "n4", seed=seed, parents=2
    )
    net.run(20)
    branch = net.nodes["n4"].core.branches["news"]
    assert (branch.state, branch.overlap) == (State.DOUBLED, 0), "by way of n5, which streamed nothing"


@pytest.mark.parametrize("seed", seeds(2))
def test_where_both_ways_round_a_ring_meet_both_are_taken(seed: int) -> None:
    net = watching(RING, "n1", "n2", "n3", "n4", seed=seed, parents=2)
    net.run(60)
    for name, state in {"n1": State.FED, "n2": State.DOUBLED, "n3": State.DOUBLED, "n4": State.FED}.items():
        branch = net.branch(name)
        assert branch is not None
        assert (branch.state, branch.overlap) == (state, 0), "n1 and n4 know only who is below them"
    net.check_trees()


@pytest.mark.parametrize("seed", seeds(2))
def test_who_is_back_soon_takes_the_place_of_a_second_that_shares_something(seed: int) -> None:
    links = [("rp", "n1"), ("n1", "n2"), ("n1", "n3"), ("n2", "n3"), ("rp", "n4"), ("n4", "n3")]
    net = watching(links, "n3", seed=seed, parents=2)
    net.run(20)
    net.kill("n4")
    net.run(3 * LONGEST_PAUSE)
    branch = net.branch("n3")
    assert branch is not None
    assert (branch.state, branch.overlap) == (State.DOUBLED, 1), "by n1 and by n1 and n2"
    net.start("n4")
    net.client("n4")
    net.run(4)  # the pause between tries is four times as long at least
    assert (branch.state, branch.overlap) == (State.DOUBLED, 0)


MESH = [
    *(("rp", near) for near in ("n1", "n2", "n3")),
    *(("n1", name) for name in ("n2", "n4", "n5")), *(("n2", name) for name in ("n4", "n5", "n6")),
    *(("n3", name) for name in ("n5", "n6")), ("n4", "n5"), ("n5", "n6"),
]  # fmt: skip


@pytest.mark.parametrize("seed", seeds(4))
def test_who_is_another_s_second_does_not_keep_him_when_all_viewers_have_left(seed: int) -> None:
    net = watching(MESH, "n4", "n5", "n6", seed=seed, parents=2)
    net.run(10)
    states = [branch.state for name in ("n4", "n5", "n6") if (branch := net.branch(name)) is not None]
    assert states == [State.DOUBLED] * 3
    for viewer in net.viewers:
        viewer.leave()
    net.run(WATCHED_SECONDS + 10)
    assert [node.name for node in net.all_nodes() if node.core.branches] == []


@pytest.mark.parametrize("seed", seeds(1))
def test_nothing_loops_and_all_are_fed_whatever_fails_with_two_parents(seed: int) -> None:
    assert resilience.played("churn", seed, nodes=16, parents=2).lost == 0
