"""One content at one node: parents that answer, say nothing or die; children that come, drain and go."""

import itertools
from random import Random

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import LOCAL, NodeParent, Parent, SearchFailure, ServerParent
from mcast.overlay.branch import DRAIN_SECONDS, GIVE_UP_SECONDS, JOIN_SECONDS, SERVER_JOIN_SECONDS, Branch
from mcast.overlay.candidates import PATIENCE, Candidates
from mcast.overlay.events import Feed
from mcast.overlay.search import MAX_TRIES, Search
from mcast.overlay.table import State
from mcast.wire.node import MissReason, StopReason
from mcast.wire.rtcp import FeedState
from overlay.cores import SERVERS, misses, without_announcements
from overlay.messages import N1, N2, N3, OTHER_VIEWER, R1, R2, R3, RP, VIEWER, port, stream

PARENT = NodeParent("n2")
ASKED = stream(R1)
OTHER = stream(R2, sender=OTHER_VIEWER)


def joining(*parents: Parent) -> Branch:
    """Return a branch at n1 that has asked the first of these parents (upstream 1) for connection 1."""
    branch = Branch("news", N1, itertools.count(1))
    branch.on_routed(ASKED, 1, Candidates(parents or [PARENT]), 0.0)
    return branch


def fed(**children: int) -> Branch:
    """Return a branch that n2 feeds (upstream 1), with connection 1 as a child, and others."""
    branch = joining()
    branch.on_port(1, port(RP, N2), 0.1)
    for connection in children.values():
        request = bytes([connection]) * 16
        branch.on_asked(stream(request, sender=OTHER_VIEWER), connection, 0.2)
    return branch


def searching() -> Branch:
    """Return a client's branch, whose search has flooded once."""
    branch, search = Branch("news", VIEWER, itertools.count(1)), Search(Random(1), 0.0, 10.0)
    branch.on_wanted(stream(bytes(16)), search, 0.0)
    search.begin(0.0)
    return branch


def events(actions: list[do.Action]) -> list[str]:
    return [action.event for action in actions if isinstance(action, do.Announce)]


def said(actions: list[do.Action], event: str) -> dict[str, object]:
    (fields,) = [dict(a.fields) for a in actions if isinstance(a, do.Announce) and a.event == event]
    return fields


def ended(actions: list[do.Action]) -> dict[int, tuple[StopReason, int | None]]:
    return {a.connection: (a.stop.reason, a.stop.last) for a in actions if isinstance(a, do.End)}


# Joining


def test_the_first_child_s_request_is_sent_on_under_its_own_id() -> None:
    branch = Branch("news", N1, itertools.count(1))
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
    assert branch.on_child_gone(1, 0.1) == [do.Leave(1, "news", StopReason.UNSUBSCRIBE)]
    assert branch.state is State.ABSENT


def test_a_parent_is_left_again_if_all_who_waited_are_on_its_path() -> None:
    branch = Branch("news", N1, itertools.count(1))
    branch.on_routed(stream(R1, sender=N3), 1, Candidates([PARENT]), 0.0)
    actions = branch.on_port(1, port(RP, N3, N2), 0.1)
    assert misses(actions) == [MissReason.LOOP]
    assert actions[-2:] == [do.Leave(1, "news", StopReason.UNSUBSCRIBE), do.CloseRelay("news")]


# Servers that hang


def hung_servers(count: int) -> Branch:
    return joining(*(ServerParent(address) for address in SERVERS[:count]))


def asked_servers(actions: list[do.Action]) -> list[str]:
    return [str(action.parent) for action in actions if isinstance(action, do.Subscribe)]


def test_a_server_that_refuses_costs_no_time() -> None:
    branch = hung_servers(2)
    actions = branch.on_refused(1, MissReason.GONE, "preparing", 0.3)
    assert actions[0] == do.Leave(1, "news", StopReason.UNSUBSCRIBE)
    assert asked_servers(actions) == [f"server {SERVERS[1]}"]
    cause = f"server {SERVERS[0]}: preparing"
    assert said(actions, "server_failover") == {
        "content": "news", "server": SERVERS[0], "to": SERVERS[1], "cause": cause,
    }  # fmt: skip


def test_a_hung_server_costs_a_second_and_is_asked_on_beside_the_next() -> None:
    branch = hung_servers(2)
    assert branch.on_time(PATIENCE - 0.01) == []
    actions = branch.on_time(PATIENCE)
    assert asked_servers(actions) == [f"server {SERVERS[1]}"]
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
        if new := asked_servers(branch.on_time(tenth / 10)):
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
    assert branch.on_child_gone(1, 1.0) == [do.Dismiss(1, "news")]
    assert branch.on_child_gone(2, 1.0) == [
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


def test_a_parent_that_comes_below_this_node_is_left_and_the_children_go_elsewhere() -> None:
    branch = fed()
    actions = branch.on_port(1, port(RP, N1, N2, version=2), 1.0)
    assert ended(actions) == {1: (StopReason.CUT, None)}
    assert actions[-2:] == [do.Leave(1, "news", StopReason.UNSUBSCRIBE), do.CloseRelay("news")]


def test_another_stream_in_the_place_of_the_old_ends_the_branch() -> None:
    actions = fed().on_port(1, port(RP, N2, version=2, ssrc=8), 1.0)
    assert ended(actions) == {1: (StopReason.REPLACED, None)}


def test_a_parent_that_is_lost_ends_the_branch_and_is_told() -> None:
    branch = fed(other=2)
    actions = branch.on_lost(1, StopReason.CUT, "connection reset", 1.0)
    assert ended(actions) == {1: (StopReason.CUT, None), 2: (StopReason.CUT, None)}
    assert said(actions, "parent_lost") == {
        "content": "news", "parent": "n2", "cause": "cut connection reset", "after_ms": 0,
    }  # fmt: skip
    assert (branch.state, branch.path) == (State.ABSENT, ())


def test_leaving_ends_children_and_parents_alike() -> None:
    actions = fed().on_leaving(1.0)
    assert ended(actions) == {1: (StopReason.LEAVING, None)}
    assert do.Leave(1, "news", StopReason.LEAVING) in actions


# Cut off


@pytest.mark.parametrize("feed", [Feed.CUT, Feed.SILENT, Feed.REFUSED], ids=lambda feed: feed.name)
def test_a_branch_without_media_tells_its_children_once_and_takes_nobody_in(feed: Feed) -> None:
    branch = fed()
    actions = branch.on_feed(1, feed, 1.0)
    assert without_announcements(actions) == [
        do.Supply("news", FeedState.CUT),
        do.Update(1, "news", (RP, N2, N1), 2, cut=True),
    ]
    assert said(actions, "cut") == {"content": "news", "cause": feed.name.lower()}
    assert without_announcements(branch.on_feed(1, Feed.SILENT, 1.1)) == [do.Supply("news", FeedState.CUT)]
    assert misses(branch.on_asked(OTHER, 2, 1.2)) == [MissReason.CUT]


@pytest.mark.parametrize(("feed", "told"), [(Feed.FED, FeedState.FED), (Feed.WAITING, FeedState.WAITING)])
def test_media_that_comes_again_or_is_to_come_ends_the_cut(feed: Feed, told: FeedState) -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    actions = branch.on_feed(1, feed, 1.25)
    assert without_announcements(actions) == [
        do.Supply("news", told),
        do.Update(1, "news", (RP, N2, N1), 3, cut=False),
    ]
    assert said(actions, "fed") == {"content": "news", "after_ms": 250}


def test_a_branch_that_stays_cut_off_gives_up_and_says_for_how_long() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    assert branch.on_time(1.0 + GIVE_UP_SECONDS - 0.01) == []
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert ended(actions) == {1: (StopReason.CUT, None)}
    assert said(actions, "parent_lost")["after_ms"] == GIVE_UP_SECONDS * 1000
    assert branch.state is State.ABSENT


def test_each_cut_has_its_own_time_to_give_up() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
    branch.on_feed(1, Feed.FED, 3.0)
    assert branch.on_time(1.0 + GIVE_UP_SECONDS) == []
    branch.on_feed(1, Feed.SILENT, 7.0)
    assert branch.on_time(7.0 + GIVE_UP_SECONDS - 0.01) == []


def test_a_parent_s_word_that_it_is_cut_off_counts_at_once_and_its_word_that_it_is_not_too() -> None:
    branch = fed()
    actions = branch.on_port(1, port(RP, N2, version=2, cut=True), 1.0)
    assert without_announcements(actions)[-1] == do.Update(1, "news", (RP, N2, N1), 2, cut=True)
    actions = branch.on_port(1, port(RP, N2, version=3), 1.5)
    assert without_announcements(actions)[-1] == do.Update(1, "news", (RP, N2, N1), 3, cut=False)


def test_a_cut_by_word_that_media_has_never_confirmed_is_taken_back_instead_of_given_up() -> None:
    branch = fed()
    branch.on_feed(1, Feed.FED, 0.5)
    branch.on_port(1, port(RP, N2, version=2, cut=True), 1.0)
    actions = branch.on_time(1.0 + GIVE_UP_SECONDS)
    assert events(actions) == ["fed"]
    assert branch.fed


def test_a_new_path_is_told_while_cut_off_too() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 1.0)
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
    actions = ending().on_child_gone(1, 10.1)
    assert actions[0] == do.Dismiss(1, "news")
    assert actions[-1] == do.CloseRelay("news")


def test_a_node_that_leaves_meanwhile_still_says_that_the_content_is_over() -> None:
    assert ended(ending().on_leaving(10.1)) == {1: (StopReason.END, 99)}


def test_a_content_may_end_while_its_parent_is_silent() -> None:
    branch = fed()
    branch.on_feed(1, Feed.SILENT, 9.0)
    branch.on_over(1, 99, "", 9.1)
    assert branch.state is State.ENDING


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
    for tried in range(MAX_TRIES):
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
    assert branch.on_child_gone(LOCAL, 0.5) == []
    assert branch.state is State.ABSENT


def test_a_process_that_ends_while_searching_fails_its_local_child() -> None:
    (fail,) = searching().on_leaving(0.5)
    assert isinstance(fail, do.Fail)
    assert fail.failure.text == "leaving"


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
    assert fail == do.Fail("news", SearchFailure(MissReason.CUT, "", 0))


# Two parents


def test_what_concerns_another_parent_than_the_primary_costs_that_one_alone() -> None:
    branch = hung_servers(2)
    branch.on_time(1.0)
    branch.on_port(1, port(), 1.1)
    assert list(branch.upstreams) == [1]
    branch.upstreams[9] = branch.upstreams[1]
    assert branch.on_feed(9, Feed.SILENT, 2.0) == []
    assert branch.on_over(9, 50, "", 2.1) == [do.Leave(9, "news", StopReason.UNSUBSCRIBE)]
    branch.upstreams[9] = branch.upstreams[1]
    assert branch.on_lost(9, StopReason.CUT, "", 2.2) == [do.Leave(9, "news", StopReason.UNSUBSCRIBE)]
    assert branch.state is State.FED


def test_it_shows_where_it_stands() -> None:
    assert repr(joining()).startswith("<Branch news JOINING {1: UpstreamEntry(")
