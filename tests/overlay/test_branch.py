"""One content at one node: parents that answer, say nothing or die; children that come, drain and go."""

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import LOCAL, SearchFailure, ServerParent
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import SIGN_ANSWERS
from mcast.overlay.candidates import PATIENCE, SPARE_PATIENCE, Candidates
from mcast.overlay.events import GIVE_UP_SECONDS, Departure, Feed, Stopped
from mcast.overlay.search import DOUBT_FLOOD_SECONDS, MAX_TRIES, REPAIR_FLOOD_SECONDS
from mcast.overlay.table import State
from mcast.overlay.transitions import (
    DRAIN_SECONDS,
    HANDOVER_SECONDS,
    JOIN_SECONDS,
    LINGER_SECONDS,
    REPAIR_WAIT_SECONDS,
    SERVER_JOIN_SECONDS,
)
from mcast.wire.node import MissReason, Port, StopReason
from mcast.wire.rtcp import FeedState
from overlay.branches import (
    ASKED,
    N4,
    NEXT_SPARE,
    OTHER,
    PARENT,
    RESUMING,
    SPARE,
    absent,
    asks,
    cut,
    doubled,
    doubted,
    ended,
    events,
    fed,
    handover,
    joining,
    left,
    lingering,
    repairing,
    said,
    searching,
    spare_port,
    supplied,
    told,
    unmeasured,
)
from overlay.cores import SERVERS, misses, without_announcements
from overlay.messages import N1, N2, N3, R1, R2, R3, RP, VIEWER, port, stream

# Joining


def test_the_first_child_s_request_is_sent_on_under_its_own_id() -> None:
    branch = absent()
    actions = branch.on_routed(stream(R1, hops=2), 1, Candidates([PARENT]), 0.0)
    assert actions == [do.Subscribe(1, "news", R1, PARENT, 3)]
    assert branch.state is State.JOINING


def test_a_parent_that_accepts_opens_the_relay_before_the_children_are_taken_in() -> None:
    branch = joining()
    branch.on_asked(OTHER, 2, 0.1)
    assert branch.on_port(1, port(RP, N2), 0.2) == [
        do.Receive(1, "news"),
        do.Accept(1, ASKED, (RP, N2, N1), 1),
        do.Accept(2, OTHER, (RP, N2, N1), 1),
    ]
    assert branch.fed


def test_a_parent_that_refuses_is_told_on_to_all_who_wait() -> None:
    branch = joining()
    branch.on_asked(OTHER, 2, 0.1)
    actions = branch.on_refused(1, MissReason.FULL, "", 0.2)
    assert actions[0] == do.Leave(1, "news", StopReason.UNSUBSCRIBE)
    assert misses(actions) == [MissReason.FULL] * 2
    assert branch.state is State.ABSENT


def test_a_parent_that_says_nothing_is_given_up_after_five_seconds() -> None:
    branch = joining()
    assert branch.on_time(JOIN_SECONDS - 0.01) == []
    actions = branch.on_time(JOIN_SECONDS)
    assert misses(actions) == [MissReason.DEADLINE]
    assert do.Leave(1, "news", StopReason.UNSUBSCRIBE) in actions
    (reply,) = [action for action in actions if isinstance(action, do.Reply)]
    assert getattr(reply.message, "text", "") == "n2: no answer"


def test_a_parent_that_is_below_this_node_is_left_at_once() -> None:
    branch = joining()
    actions = branch.on_port(1, port(RP, N1, N2), 0.1)
    assert (misses(actions), actions[0]) == ([MissReason.LOOP], do.Leave(1, "news", StopReason.UNSUBSCRIBE))


def test_a_parent_that_is_cut_off_itself_is_no_parent() -> None:
    assert misses(joining().on_port(1, port(RP, N2, cut=True), 0.1)) == [MissReason.CUT]


def test_a_branch_whose_last_waiter_has_left_asks_no_more() -> None:
    branch = joining()
    assert branch.on_child_gone(1, Departure.UNSUBSCRIBED, 0.1) == [
        do.Leave(1, "news", StopReason.UNSUBSCRIBE)
    ]
    assert branch.state is State.ABSENT


def test_a_parent_is_left_again_if_all_who_waited_are_on_its_path() -> None:
    branch = absent()
    branch.on_routed(stream(R1, sender=N3), 1, Candidates([PARENT]), 0.0)
    actions = branch.on_port(1, port(RP, N3, N2), 0.1)
    assert misses(actions) == [MissReason.LOOP]
    assert actions[-2:] == [do.Leave(1, "news", StopReason.UNSUBSCRIBE), do.CloseRelay("news")]


# Servers that hang


def hung_servers(count: int) -> Branch:
    return joining(*(ServerParent(address) for address in SERVERS[:count]))


def test_a_server_that_refuses_costs_no_time() -> None:
    branch = hung_servers(2)
    actions = branch.on_refused(1, MissReason.GONE, "preparing", 0.3)
    assert actions[0] == do.Leave(1, "news", StopReason.UNSUBSCRIBE)
    assert asks(actions) == [f"server {SERVERS[1]}"]
    cause = f"server {SERVERS[0]}: preparing"
    assert said(actions, "server_passed_over") == {
        "content": "news", "server": SERVERS[0], "to": SERVERS[1], "cause": cause,
    }  # fmt: skip


def test_a_hung_server_costs_a_second_and_is_asked_on_beside_the_next() -> None:
    branch = hung_servers(2)
    assert branch.on_time(PATIENCE - 0.01) == []
    actions = branch.on_time(PATIENCE)
    assert asks(actions) == [f"server {SERVERS[1]}"]
    assert not [action for action in actions if isinstance(action, do.Leave)]


def test_the_first_of_them_that_accepts_is_taken_and_the_others_are_left() -> None:
    branch = hung_servers(3)
    branch.on_time(1.0)
    branch.on_time(2.0)
    actions = branch.on_port(2, port(), 2.5)
    assert without_announcements(actions) == [
        do.Receive(2, "news"),
        do.Leave(1, "news", StopReason.UNSUBSCRIBE),
        do.Leave(3, "news", StopReason.UNSUBSCRIBE),
        do.Accept(1, ASKED, (N1,), 1),
    ]
    assert said(actions, "serves") == {"content": "news", "server": SERVERS[1]}


def test_behind_three_hung_servers_the_fourth_is_asked_after_three_seconds_and_answers_in_time() -> None:
    branch, asked_at = hung_servers(4), {0.0: [f"server {SERVERS[0]}"]}
    for tenth in range(1, 50):
        if new := asks(branch.on_time(tenth / 10)):
            asked_at[tenth / 10] = new
        if tenth == 31:
            branch.on_port(4, port(), 3.15)
    assert asked_at == {float(at): [f"server {SERVERS[at]}"] for at in range(4)}
    assert branch.fed


def test_servers_that_all_hang_are_given_up_before_the_child_gives_up() -> None:
    branch = hung_servers(3)
    actions: list[do.Action] = []
    for tenth in range(1, 46):
        actions = branch.on_time(tenth / 10)
    assert SERVER_JOIN_SECONDS < JOIN_SECONDS
    assert misses(actions) == [MissReason.DEADLINE]
    assert {a.upstream for a in actions if isinstance(a, do.Leave)} == {1, 2, 3}
    (reply,) = [action for action in actions if isinstance(action, do.Reply)]
    assert all(
        f"server {address}: no answer" in getattr(reply.message, "text", "") for address in SERVERS[:3]
    )


def test_one_that_was_asked_beside_may_still_accept_when_the_last_refuses() -> None:
    branch = hung_servers(2)
    branch.on_time(1.0)
    assert branch.on_refused(2, MissReason.GONE, "", 1.1) == [do.Leave(2, "news", StopReason.UNSUBSCRIBE)]
    branch.on_port(1, port(), 2.0)
    assert branch.fed


def test_why_each_server_refused_is_told() -> None:
    branch = hung_servers(2)
    branch.on_refused(1, MissReason.GONE, "preparing", 0.1)
    actions = branch.on_refused(2, MissReason.FULL, "", 0.2)
    (reply,) = [action for action in actions if isinstance(action, do.Reply)]
    text = f"server {SERVERS[0]}: preparing; server {SERVERS[1]}: full"
    assert (misses(actions), getattr(reply.message, "text", "")) == ([MissReason.FULL], text)


# Fed


def test_a_further_child_costs_no_further_subscription() -> None:
    assert fed().on_asked(OTHER, 2, 1.0) == [do.Accept(2, OTHER, (RP, N2, N1), 1)]


def test_the_last_child_that_leaves_prunes_the_branch() -> None:
    branch = fed(other=2)
    assert branch.on_child_gone(1, Departure.UNSUBSCRIBED, 1.0) == [do.Dismiss(1, "news")]
    assert branch.on_child_gone(2, Departure.UNSUBSCRIBED, 1.0) == [
        do.Dismiss(2, "news"),
        do.Leave(1, "news", StopReason.UNSUBSCRIBE),
        do.CloseRelay("news"),
    ]
    assert branch.state is State.ABSENT


def test_a_newer_port_brings_a_new_path_which_the_children_are_told() -> None:
    branch = fed()
    assert branch.on_port(1, port(RP, N3, N2, version=3), 1.0) == [
        do.Update(1, "news", (RP, N3, N2, N1), 2, cut=False)
    ]


def test_an_older_port_that_was_overtaken_is_ignored() -> None:
    branch = fed()
    branch.on_port(1, port(RP, N3, N2, version=3), 1.0)
    assert branch.on_port(1, port(RP, N2, version=2), 1.1) == []
    assert branch.path == (RP, N3, N2, N1)


@pytest.mark.parametrize(
    ("news", "cause"),
    [
        (port(RP, N1, N2, version=2), "cut the parent is below this node"),
        (port(RP, N2, version=2, ssrc=8), "replaced the stream was begun anew"),
    ],
    ids=["below", "another stream"],
)
def test_a_parent_that_comes_below_this_node_or_brings_another_stream_is_left(news: Port, cause: str) -> None:
    branch = fed(SPARE)
    actions = branch.on_port(1, news, 1.0)
    assert left(actions) == [1]
    assert asks(actions) == ["n3"]
    assert said(actions, "parent_lost")["cause"] == cause
    assert branch.state is State.REPAIRING


def test_leaving_tells_the_children_and_feeds_them_until_they_have_gone_elsewhere() -> None:
    branch = fed(other=2)
    actions = branch.on_leaving(1.0)
    assert told(actions) == [(False, False, True)] * 2
    assert (left(actions), branch.state) == ([], State.HANDOVER)
    assert branch.on_child_gone(1, Departure.UNSUBSCRIBED, 1.1) == [do.Dismiss(1, "news")]
    last = branch.on_child_gone(2, Departure.UNSUBSCRIBED, 1.2)
    assert last[1:] == [do.Leave(1, "news", StopReason.LEAVING), do.CloseRelay("news")]


def test_who_has_not_gone_when_the_time_to_leave_is_over_is_sent_away() -> None:
    branch = handover()
    assert branch.on_time(1.0 + HANDOVER_SECONDS - 0.01) == []
    assert ended(branch.on_time(1.0 + HANDOVER_SECONDS)) == {1: (StopReason.LEAVING, None)}
    assert branch.state is State.ABSENT


def test_a_client_that_leaves_hands_nobody_over() -> None:
    branch = searching()
    branch.on_found(Candidates([PARENT]), 0.5)
    branch.on_port(1, port(RP, N2), 0.6)
    assert branch.on_leaving(1.0) == [do.Leave(1, "news", StopReason.LEAVING), do.CloseRelay("news")]


def test_who_asks_a_node_that_leaves_is_refused() -> None:
    assert misses(handover().on_asked(OTHER, 2, 1.1)) == [MissReason.GONE]
    assert misses(handover().on_asked(RESUMING, 2, 1.1)) == [MissReason.GONE]


# The last child is lost


def test_a_stream_outlives_the_loss_of_its_last_child_and_is_taken_over() -> None:
    branch = lingering()
    assert branch.on_time(1.0 + LINGER_SECONDS - 0.01) == []
    assert branch.on_asked(RESUMING, 2, 2.0) == [do.Accept(2, RESUMING, (RP, N2, N1), 1)]
    assert (branch.state, branch.deadline) == (State.FED, None)


def test_a_stream_that_nobody_takes_over_ends() -> None:
    branch = lingering()
    assert branch.on_time(1.0 + LINGER_SECONDS) == [
        do.Leave(1, "news", StopReason.UNSUBSCRIBE),
        do.CloseRelay("news"),
    ]


def test_who_is_refused_by_a_lingering_stream_does_not_keep_it_for_ever() -> None:
    branch = lingering()
    assert misses(branch.on_asked(stream(R2, sender=N2), 2, 2.0)) == [MissReason.LOOP]
    assert branch.state is State.LINGERING


def test_a_lingering_stream_that_fails_is_over() -> None:
    for feed in (Feed.CUT, Feed.SILENT, Feed.NO_WAY):
        assert lingering().on_feed(1, feed, 2.0)[-1] == do.CloseRelay("news")


# A parent is lost


def test_a_parent_that_is_lost_is_replaced_by_a_spare_within_one_round_trip() -> None:
    branch = fed(SPARE)
    actions = branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    assert said(actions, "parent_lost") == {
        "content": "news", "parent": "n2", "cause": "cut connection reset", "after_ms": 0,
    }  # fmt: skip
    (ask,) = [action for action in actions if isinstance(action, do.Subscribe)]
    assert (ask.parent, ask.resume, ask.onward) == (SPARE, True, None)
    assert told(actions) == [(True, False, False)]
    assert branch.on_port(2, spare_port(), 1.02) == [do.Receive(2, "news")]
    actions = branch.on_feed(2, Feed.FED, 1.03)
    assert said(actions, "parent_taken") == {"content": "news", "parent": "n3", "gap_ms": 30}
    assert branch.parent_changes == 1
    assert said(actions, "fed") == {"content": "news", "after_ms": 30}
    assert without_announcements(actions) == [
        do.Supply("news", FeedState.FED),
        do.Update(1, "news", (RP, N4, N3, N1), 3, cut=False),
    ]
    assert (branch.state, branch.primary, ended(actions)) == (State.FED, 2, {})


def test_without_a_spare_it_searches_at_once_and_for_as_long_as_it_may() -> None:
    branch = fed()
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert branch.search is not None
    assert branch.search.due is not None
    assert 1.0 <= branch.search.due <= 1.03
    now = 1.1
    while now < 1.0 + GIVE_UP_SECONDS:
        branch.search.begin(now)
        branch.on_not_found(MissReason.ABSENT, "", now)
        now = branch.search.due
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert ended(actions) == {1: (StopReason.CUT, None)}
    (end,) = [action for action in actions if isinstance(action, do.End)]
    assert end.stop.text == "no media for 10 s, since n2 was lost (cut reset)"


def test_what_a_parent_says_as_it_gives_up_is_handed_on_as_it_is() -> None:
    branch, why = fed(), "no media for 10 s, since rp was lost (silent)"
    branch.on_upstream(Stopped(1, StopReason.CUT, None, why), lambda *_: None, 1.0)
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert [action.stop.text for action in actions if isinstance(action, do.End)] == [why]


def test_a_parent_that_sends_nothing_for_too_long_is_named() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    (end,) = [action for action in actions if isinstance(action, do.End)]
    assert end.stop.text == "no media for 10 s from n2"


def test_a_reason_that_explains_itself_is_told_once() -> None:
    branch = fed()
    told = branch.on_lost(1, StopReason.LEAVING, "leaving", 1.0)
    said = {each.event: dict(each.fields) for each in told if isinstance(each, do.Announce)}
    assert said["parent_lost"]["cause"] == "leaving"


def test_that_there_is_no_way_is_told_once() -> None:
    branch = fed()
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert branch.search is not None
    branch.search.begin(1.1)
    actions = branch.on_not_found(MissReason.CUT, "", 1.1)
    assert supplied(actions) == [do.Supply("news", FeedState.CUT, no_way=True)]
    assert told(actions) == [(True, True, False)]
    branch.search.begin(1.3)
    assert branch.on_not_found(MissReason.CUT, "", 1.3) == []


def test_who_is_in_doubt_asks_farther_at_first_than_who_is_sure() -> None:
    doubted, lost = fed(), fed()
    doubted.on_feed(1, Feed.SUSPECT, 1.0)
    lost.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert doubted.search is not None
    assert lost.search is not None
    assert doubted.search.flood_seconds() == DOUBT_FLOOD_SECONDS
    assert lost.search.flood_seconds() == REPAIR_FLOOD_SECONDS


def test_no_way_found_in_doubt_is_told_with_the_first_word_of_the_cut() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SUSPECT, 1.0)
    assert branch.search is not None
    branch.search.begin(1.03)
    assert branch.on_not_found(MissReason.CUT, "", 1.04) == [], "it may yet be a false alarm"
    actions = branch.on_feed(1, Feed.SILENT, 1.15)
    assert supplied(actions) == [do.Supply("news", FeedState.CUT, no_way=True)]
    assert told(actions) == [(True, True, False)]


def test_no_way_found_in_a_doubt_that_is_over_is_forgotten() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SUSPECT, 1.0)
    assert branch.search is not None
    branch.search.begin(1.03)
    branch.on_not_found(MissReason.CUT, "", 1.04)
    branch.on_feed(1, Feed.FED, 1.1)
    assert told(branch.on_lost(1, StopReason.CUT, "reset", 2.0)) == [(True, False, False)]


def test_a_way_found_in_doubt_after_none_counts() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SUSPECT, 1.0)
    assert branch.search is not None
    branch.search.begin(1.03)
    branch.on_not_found(MissReason.CUT, "", 1.04)
    branch.search.begin(1.1)
    assert asks(branch.on_found(Candidates([SPARE]), 1.12)) == ["n3"]
    assert told(branch.on_feed(1, Feed.SILENT, 1.15)) == [(True, False, False)]


def test_a_spare_that_refuses_costs_a_round_trip_and_the_next_is_asked() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    actions = branch.on_refused(2, MissReason.CUT, "", 1.02)
    assert (left(actions), asks(actions)) == ([2], ["n4"])
    branch.on_refused(3, MissReason.CUT, "", 1.04)
    assert branch.search is not None


@pytest.mark.parametrize(
    "answer",
    [spare_port(cut=True), spare_port(RP, N1, N3), spare_port(ssrc=8)],
    ids=["cut off", "below this node", "another stream"],
)
def test_a_spare_that_is_no_help_is_passed_over(answer: Port) -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    actions = branch.on_port(2, answer, 1.02)
    assert (left(actions), asks(actions)) == ([2], ["n4"])


def test_a_spare_that_says_nothing_is_asked_on_beside_the_next_and_beside_the_search() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    assert branch.due == 1.0 + SPARE_PATIENCE
    assert asks(branch.on_time(1.0 + SPARE_PATIENCE)) == ["n4"]
    assert branch.search is None
    now = 1.0 + 2 * SPARE_PATIENCE
    assert branch.on_time(now) == []
    assert branch.search is not None
    assert set(branch.upstreams) == {2, 3}
    branch.search.begin(now + 0.1)
    assert asks(branch.on_found(Candidates([PARENT]), now + 0.15)) == ["n2"]
    actions = branch.on_port(2, spare_port(), now + 0.2)  # the first one wakes up
    assert actions[0] == do.Receive(2, "news")
    assert left(actions) == [3, 4]


def test_somebody_found_who_says_nothing_does_not_end_the_search() -> None:
    branch = fed()
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert branch.search is not None
    branch.search.begin(1.05)
    branch.on_found(Candidates([SPARE]), 1.1)
    assert branch.search.due is None
    assert branch.on_time(1.1 + SPARE_PATIENCE) == []
    assert branch.search.due is not None
    branch.search.begin(1.5)
    assert branch.on_refused(2, MissReason.CUT, "", 1.6) == [do.Leave(2, "news", StopReason.UNSUBSCRIBE)]
    assert branch.search.due is None, "one flood at a time"


def test_a_parent_that_accepts_and_never_sends_is_left_for_another() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 1.02)
    actions = branch.on_feed(2, Feed.SILENT, 2.0)
    assert (left(actions), asks(actions)) == ([2], ["n4"])
    assert N3 in branch.helpless
    assert branch.spares() == [NEXT_SPARE, SPARE]


def test_a_parent_that_accepts_and_brings_nothing_soon_is_left_where_another_is_known() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 1.02)
    assert branch.due is not None
    assert branch.on_time(branch.due - 0.001) == []
    assert branch.due == pytest.approx(1.02 + SPARE_PATIENCE + SIGN_ANSWERS * 0.02)
    actions = branch.on_time(branch.due)
    assert (left(actions), asks(actions)) == ([2], ["n4"])
    assert N3 in branch.helpless


def test_a_parent_that_accepts_and_brings_nothing_is_waited_for_where_nobody_else_is_known() -> None:
    branch = repairing(SPARE)
    branch.on_port(2, spare_port(), 1.02)
    assert (left(branch.on_time(1.9)), set(branch.upstreams)) == ([], {2})


def test_who_was_no_help_is_asked_again_when_nobody_else_is_left() -> None:
    branch = repairing()
    branch.on_refused(2, MissReason.CUT, "", 1.02)
    assert branch.search is not None
    assert set(branch.helpless) == {N2, N3}
    branch.search.begin(1.1)
    branch.on_not_found(MissReason.BUSY, "", 1.2)
    assert set(branch.helpless) == {N2, N3}
    branch.search.begin(1.4)
    branch.on_not_found(MissReason.ABSENT, "", 1.5)
    assert branch.helpless == ()


def test_a_parent_that_accepts_and_says_that_it_is_cut_off_is_no_help_either() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 1.02)
    assert left(branch.on_port(2, spare_port(version=2, cut=True), 1.05)) == [2]


def test_a_child_that_goes_elsewhere_may_be_a_parent_now() -> None:
    branch = fed()
    branch.on_asked(stream(R2, sender=N4), 2, 0.5)
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert branch.search is not None
    branch.search.begin(1.05)
    branch.on_not_found(MissReason.CUT, "", 1.1, unreachable=True)
    branch.on_child_gone(2, Departure.UNSUBSCRIBED, 1.11)
    assert branch.search.due == 1.11


# Suspicion: make before break


def test_a_parent_that_is_suspected_is_kept_and_a_second_one_is_asked_beside_it() -> None:
    branch = fed(SPARE)
    actions = branch.on_feed(1, Feed.SUSPECT, 1.0)
    assert (asks(actions), left(actions), told(actions)) == (["n3"], [], [])
    assert said(actions, "parent_doubted") == {"content": "news", "parent": "n2"}
    assert branch.fed
    branch.on_port(2, spare_port(), 1.05)
    assert branch.on_feed(2, Feed.FED, 1.1) == []
    assert (branch.state, branch.primary) == (State.DOUBLED, 1)


def test_a_suspicion_that_was_wrong_leaves_nothing_behind() -> None:
    waiting, accepted = doubted(), doubted()
    accepted.on_port(2, spare_port(), 1.05)
    for branch in (waiting, accepted):
        assert left(branch.on_feed(1, Feed.FED, 1.1)) == [2]
        assert (branch.state, set(branch.upstreams)) == (State.FED, {1})


def test_who_suspects_and_then_hears_that_its_parent_repairs_waits_with_one_parent() -> None:
    branch = doubted()
    branch.on_port(2, spare_port(), 1.05)
    actions = branch.on_feed(1, Feed.CUT, 1.1)
    assert (left(actions), told(actions)) == ([2], [(True, False, False)])
    assert (branch.state, set(branch.upstreams)) == (State.CUT, {1})


def test_who_is_sure_leaves_its_parent_as_soon_as_another_feeds_it() -> None:
    branch = doubted()
    branch.on_port(2, spare_port(), 1.05)
    assert told(branch.on_feed(1, Feed.SILENT, 1.15)) == [(True, False, False)]
    actions = branch.on_feed(2, Feed.FED, 1.2)
    assert (left(actions), told(actions)) == ([1], [(False, False, False)])
    assert branch.path == (RP, N4, N3, N1)


def test_a_frozen_parent_that_wakes_up_before_another_was_found_is_kept() -> None:
    branch = doubted()
    branch.on_feed(1, Feed.SILENT, 1.15)
    actions = branch.on_feed(1, Feed.FED, 1.3)
    assert (left(actions), branch.state) == ([2], State.FED)


def test_the_worse_of_two_parents_is_left() -> None:
    branch = doubled()
    actions = branch.on_outdone(2, 3.1, unmeasured)
    assert (left(actions), branch.primary, told(actions)) == ([2], 1, [])
    branch = doubled()
    actions = branch.on_outdone(1, 3.1, unmeasured)
    assert (left(actions), branch.primary, told(actions)) == ([1], 2, [(False, False, False)])


@pytest.mark.parametrize("feed", [Feed.SILENT, Feed.CUT, Feed.NO_WAY, Feed.REFUSED], ids=lambda f: f.name)
def test_of_two_parents_the_one_that_fails_costs_nothing(feed: Feed) -> None:
    branch = doubled()
    assert left(branch.on_feed(1, feed, 1.2)) == [1]
    assert (branch.state, branch.primary) == (State.FED, 2)
    branch = doubled()
    assert left(branch.on_feed(2, feed, 1.2)) == [2]
    assert (branch.state, branch.primary) == (State.FED, 1)


def test_of_two_parents_the_first_may_be_lost() -> None:
    actions = doubled().on_lost(1, StopReason.CUT, "reset", 1.2)
    assert events(actions) == ["parent_lost", "parent_taken"]
    assert left(actions) == [1]


def test_children_are_sent_on_where_the_parent_is_about_to_end_and_no_way_is_found() -> None:
    branch = fed()
    branch.on_port(1, port(RP, N2, version=2, leaving=True), 1.0)
    assert branch.search is not None
    branch.search.begin(1.05)
    actions = branch.on_not_found(MissReason.CUT, "", 1.1)
    assert told(actions) == [(False, False, True)]  # the way may lead through them
    branch.search.begin(1.3)
    assert told(branch.on_not_found(MissReason.CUT, "", 1.35)) == []
    assert told(branch.on_lost(1, StopReason.LEAVING, "", 1.8)) == [(True, True, False)]


def test_a_suspected_parent_is_no_reason_to_send_children_on() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SUSPECT, 1.0)
    assert branch.search is not None
    branch.search.begin(1.05)
    assert told(branch.on_not_found(MissReason.CUT, "", 1.1)) == []


def test_a_parent_that_was_about_to_send_its_children_on_may_stay_after_all() -> None:
    branch = fed(SPARE)
    branch.on_port(1, port(RP, N2, version=2, leaving=True), 1.0)
    actions = branch.on_port(1, port(RP, N4, N2, version=3), 1.1)
    assert (branch.state, left(actions), told(actions)) == (State.FED, [2], [(False, False, False)])
    assert branch.path[:2] == (RP, N4)


def test_a_parent_that_leaves_feeds_on_until_another_does() -> None:
    branch = fed(SPARE)
    actions = branch.on_port(1, port(RP, N2, version=2, leaving=True), 1.0)
    assert (asks(actions), left(actions), told(actions)) == (["n3"], [], [])
    assert branch.on_feed(1, Feed.FED, 1.02) == []
    assert branch.state is State.DOUBTED
    branch.on_port(2, spare_port(), 1.05)
    actions = branch.on_feed(2, Feed.FED, 1.1)
    assert (left(actions), branch.primary, branch.state) == ([1], 2, State.FED)
    assert told(actions) == [(False, False, False)]


def test_a_second_parent_that_leaves_is_none() -> None:
    branch = doubted(SPARE, NEXT_SPARE)
    branch.on_port(2, spare_port(), 1.05)
    assert left(branch.on_port(2, spare_port(version=2, leaving=True), 1.08)) == [2]


# Cut off


def test_a_branch_whose_parent_repairs_tells_its_children_once_and_takes_nobody_in() -> None:
    branch = fed()
    actions = branch.on_feed(1, Feed.CUT, 1.0)
    assert without_announcements(actions) == [
        do.Supply("news", FeedState.CUT),
        do.Update(1, "news", (RP, N2, N1), 2, cut=True),
    ]
    assert said(actions, "cut") == {"content": "news", "cause": "cut"}
    assert branch.on_feed(1, Feed.CUT, 1.1) == []
    assert misses(branch.on_asked(OTHER, 2, 1.2)) == [MissReason.CUT]
    assert misses(branch.on_asked(RESUMING, 3, 1.2)) == [MissReason.CUT]


@pytest.mark.parametrize("feed", [Feed.SILENT, Feed.REFUSED, Feed.NO_WAY], ids=lambda feed: feed.name)
def test_a_branch_whose_parent_is_no_help_tells_its_children_and_repairs(feed: Feed) -> None:
    branch = fed(SPARE)
    actions = branch.on_feed(1, feed, 1.0)
    assert (told(actions), asks(actions)) == ([(True, False, False)], ["n3"])
    assert branch.state is State.REPAIRING
    branch = cut()
    assert (asks(branch.on_feed(1, feed, 1.5)), branch.state) == (["n3"], State.REPAIRING)


def test_who_waits_for_its_parent_s_repair_repairs_itself_after_a_second_and_takes_what_comes_first() -> None:
    branch = cut()
    assert branch.on_time(1.0 + REPAIR_WAIT_SECONDS - 0.01) == []
    assert asks(branch.on_time(1.0 + REPAIR_WAIT_SECONDS)) == ["n3"]
    actions = branch.on_feed(1, Feed.FED, 2.1)
    assert (left(actions), branch.state) == ([2], State.FED)


def test_who_waits_for_its_parent_repairs_at_once_when_that_one_is_lost_or_leaves() -> None:
    assert asks(cut().on_lost(1, StopReason.CUT, "reset", 1.1)) == ["n3"]
    assert asks(cut().on_port(1, port(RP, N2, version=2, leaving=True), 1.1)) == ["n3"]
    assert asks(cut().on_port(1, port(RP, N2, version=2, cut=True, no_way=True), 1.1)) == ["n3"]


@pytest.mark.parametrize(("feed", "said_on"), [(Feed.FED, FeedState.FED), (Feed.WAITING, FeedState.WAITING)])
def test_media_that_comes_again_or_is_to_come_ends_the_cut(feed: Feed, said_on: FeedState) -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    actions = branch.on_feed(1, feed, 1.25)
    assert supplied(actions)[0] == do.Supply("news", said_on)
    assert told(actions) == [(False, False, False)]
    assert said(actions, "fed") == {"content": "news", "after_ms": 250}


def test_a_branch_that_stays_cut_off_gives_up() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    assert ended(branch.on_time(1.0 + GIVE_UP_SECONDS - 0.01)) == {}
    assert ended(branch.on_time(1.0 + GIVE_UP_SECONDS)) == {1: (StopReason.CUT, None)}
    assert branch.state is State.ABSENT


@pytest.mark.parametrize(("feed", "cause"), [(Feed.SILENT, "silent"), (Feed.REFUSED, "refused")])
def test_a_parent_that_has_failed_without_a_word_is_told_as_lost_when_it_is_left(
    feed: Feed, cause: str
) -> None:
    branch = fed(SPARE)
    branch.on_feed(1, Feed.SUSPECT, 1.0, 160)
    assert "parent_lost" not in events(branch.on_feed(1, feed, 1.2, 360))  # it may come again
    branch.on_port(2, spare_port(), 1.25)
    actions = branch.on_feed(2, Feed.FED, 1.3, 470)
    assert events(actions) == ["parent_lost", "parent_taken", "fed"]
    assert said(actions, "parent_lost") == {
        "content": "news", "parent": "n2", "cause": cause, "after_ms": 460,
    }  # fmt: skip
    assert said(actions, "parent_taken")["gap_ms"] == 470
    assert said(actions, "fed")["after_ms"] == 100


def test_a_hiccup_that_is_over_leaves_nothing_behind_in_what_is_told_later() -> None:
    branch = fed(SPARE)
    branch.on_feed(1, Feed.SUSPECT, 1.0, 160)
    branch.on_feed(1, Feed.FED, 1.1, 260)
    lost = branch.on_lost(1, StopReason.CUT, "connection reset", 5.0)
    assert said(lost, "parent_lost")["after_ms"] == 0
    (upstream,) = branch.upstreams
    branch.on_port(upstream, spare_port(), 5.01)
    assert said(branch.on_feed(upstream, Feed.FED, 5.03, 41), "parent_taken")["gap_ms"] == 41


def test_a_silent_parent_that_nobody_replaces_is_told_as_lost_when_all_is_given_up() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0, 300)
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert said(actions, "parent_lost") == {
        "content": "news", "parent": "n2", "cause": "silent", "after_ms": 10_300,
    }  # fmt: skip


def test_each_cut_has_its_own_time_to_give_up() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    branch.on_feed(1, Feed.FED, 3.0)
    assert branch.on_time(1.0 + GIVE_UP_SECONDS) == []
    branch.on_feed(1, Feed.SILENT, 7.0)
    assert ended(branch.on_time(7.0 + GIVE_UP_SECONDS - 0.01)) == {}


def test_a_parent_s_word_that_it_is_cut_off_counts_at_once_and_its_word_that_it_is_not_too() -> None:
    branch = fed()
    actions = branch.on_port(1, port(RP, N2, version=2, cut=True), 1.0)
    assert without_announcements(actions)[-1] == do.Update(1, "news", (RP, N2, N1), 2, cut=True)
    actions = branch.on_port(1, port(RP, N2, version=3), 1.5)
    assert without_announcements(actions)[-1] == do.Update(1, "news", (RP, N2, N1), 3, cut=False)


def test_a_cut_by_word_that_media_has_never_confirmed_is_taken_back_instead_of_repaired() -> None:
    branch = fed(SPARE)
    branch.on_port(1, port(RP, N2, version=2, cut=True), 1.0)
    actions = branch.on_time(1.0 + REPAIR_WAIT_SECONDS)
    assert (events(actions), asks(actions)) == (["fed"], [])
    assert branch.fed


def test_a_new_path_is_told_while_cut_off_too() -> None:
    branch = cut()
    actions = branch.on_port(1, port(RP, N3, N2, version=2, cut=True), 1.1)
    assert actions == [do.Update(1, "news", (RP, N3, N2, N1), 3, cut=True)]


# The end of a content


def ending(**children: int) -> Branch:
    branch = fed(**children)
    actions = branch.on_over(1, 99, "", 10.0)
    assert do.AwaitDrain("news", 99) in actions
    assert said(actions, "ended") == {"content": "news", "reason": "the content is over"}
    return branch


def test_one_mute_child_does_not_delay_the_end_of_the_others() -> None:
    branch = ending(second=2, mute=3)
    assert ended(branch.on_drained((1,), 10.1)) == {1: (StopReason.END, 99)}
    assert ended(branch.on_drained((2,), 10.2)) == {2: (StopReason.END, 99)}
    assert branch.on_time(10.0 + DRAIN_SECONDS - 0.01) == []
    actions = branch.on_time(10.0 + DRAIN_SECONDS)
    assert ended(actions) == {3: (StopReason.END, 99)}
    assert actions[-1] == do.CloseRelay("news")


def test_the_branch_ends_with_the_last_child_that_has_everything() -> None:
    branch = ending(second=2)
    actions = branch.on_drained((1, 2), 10.1)
    assert ended(actions) == {1: (StopReason.END, 99), 2: (StopReason.END, 99)}
    assert actions[-2:] == [do.Leave(1, "news", StopReason.UNSUBSCRIBE), do.CloseRelay("news")]


def test_who_asks_while_a_content_ends_is_refused_at_once() -> None:
    assert misses(ending().on_asked(OTHER, 2, 10.1)) == [MissReason.GONE]


def test_that_no_more_media_comes_and_the_parent_goes_is_in_order_at_the_end() -> None:
    branch = ending()
    assert branch.on_feed(1, Feed.SILENT, 10.2) == []
    assert branch.on_port(1, port(RP, N3, N2, version=2), 10.2) == []
    assert branch.on_lost(1, StopReason.CUT, "closed", 10.3) == []
    assert branch.on_over(1, 99, "", 10.4) == []
    assert branch.state is State.ENDING


def test_a_child_that_leaves_before_it_has_everything_ends_the_branch_too() -> None:
    actions = ending().on_child_gone(1, Departure.UNSUBSCRIBED, 10.1)
    assert actions[0] == do.Dismiss(1, "news")
    assert actions[-1] == do.CloseRelay("news")


def test_a_node_that_leaves_meanwhile_still_says_that_the_content_is_over() -> None:
    assert ended(ending().on_leaving(10.1)) == {1: (StopReason.END, 99)}


def test_a_content_may_end_while_its_parent_is_silent() -> None:
    branch = fed()
    states: list[State] = []
    branch.on_feed(1, Feed.SILENT, 9.0)
    states.append(branch.state)
    branch.on_over(1, 99, "", 9.1)
    states.append(branch.state)
    assert states == [State.REPAIRING, State.ENDING]


def test_children_are_drained_at_the_end_only() -> None:
    assert fed().on_drained((1,), 1.0) == []


# A node's, or a client's, own search


def test_what_a_search_has_found_is_asked_under_the_search_s_id() -> None:
    branch = searching()
    assert branch.search is not None
    request = branch.search.request
    assert branch.on_found(Candidates([PARENT]), 0.5) == [do.Subscribe(1, "news", request, PARENT, 0)]


def test_the_local_child_is_told_the_path_by_accept() -> None:
    branch = searching()
    branch.on_found(Candidates([PARENT]), 0.5)
    actions = branch.on_port(1, port(RP, N2), 0.6)
    assert actions == [do.Receive(1, "news"), do.Accept(LOCAL, stream(bytes(16)), (RP, N2, VIEWER), 1)]


def test_after_a_refusal_the_search_goes_on_and_ends_with_its_tries() -> None:
    branch, actions = searching(), []
    for tried in range(MAX_TRIES + 1):  # the scoped flood is none
        assert branch.state is State.SEARCHING
        branch.on_found(Candidates([PARENT]), float(tried))
        actions = branch.on_refused(tried + 1, MissReason.FULL, "no room", tried + 0.1)
    assert do.Fail("news", SearchFailure(MissReason.FULL, "no room", MAX_TRIES)) in actions
    assert branch.state is State.ABSENT


def test_a_search_that_finds_that_there_is_no_such_content_fails_at_once() -> None:
    branch = searching()
    actions = branch.on_not_found(MissReason.ABSENT, "no server has it", 0.5)
    assert actions == [do.Fail("news", SearchFailure(MissReason.ABSENT, "no server has it", 1))]


def test_who_leaves_while_searching_leaves_nothing_behind() -> None:
    branch = searching()
    assert branch.on_child_gone(LOCAL, Departure.UNSUBSCRIBED, 0.5) == []
    assert branch.state is State.ABSENT


def test_a_process_that_ends_while_searching_refuses_who_waits_for_it() -> None:
    branch = searching()
    assert branch.on_asked(stream(b"\xff" * 16), 1, 0.1) == []
    assert misses(branch.on_leaving(0.5)) == [MissReason.GONE]
    assert branch.state is State.ABSENT


def test_others_may_wait_behind_a_search_with_a_smaller_id() -> None:
    branch = searching()
    assert branch.search is not None
    branch.search.request = R2
    assert misses(branch.on_asked(stream(R1), 1, 0.1)) == [MissReason.BUSY]
    assert branch.on_asked(stream(R3), 2, 0.1) == []


def test_the_local_child_is_refused_by_a_failure_where_others_are_refused_by_an_answer() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    (fail,) = branch.on_asked(stream(bytes(16)), LOCAL, 1.1)
    assert fail == do.Fail("news", SearchFailure(MissReason.CUT, "n1 is cut off from the source", 0))


# Two parents


def test_what_concerns_another_parent_than_the_primary_costs_that_one_alone() -> None:
    gone = [do.Leave(2, "news", StopReason.UNSUBSCRIBE)]
    assert doubled().on_over(2, 50, "", 2.1) == gone
    assert doubled().on_lost(2, StopReason.CUT, "", 2.2) == gone
    assert doubled().on_refused(2, MissReason.GONE, "after all", 2.2) == gone
    branch = doubled()
    assert branch.on_port(2, spare_port(RP, N3, version=2), 2.0) == [], "no news for the children"
    assert branch.on_port(2, spare_port(RP, N1, N3, version=3), 2.1) == gone, "it has come below this node"
    assert (branch.state, branch.primary) == (State.FED, 1)


def test_a_branch_is_printed_with_its_state_and_its_upstreams() -> None:
    assert repr(joining()).startswith("<Branch news JOINING {1: UpstreamEntry(")


def test_a_parent_that_waits_for_media_itself_is_kept_when_nobody_else_was_found() -> None:
    branch = repairing(SPARE)
    branch.on_port(2, spare_port(), 1.1)
    branch.on_feed(2, Feed.WAITING, 1.2)
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert "parent_taken" in events(actions)
    assert (branch.state, ended(actions), branch.path[-2].name) == (State.FED, {}, "n3")
