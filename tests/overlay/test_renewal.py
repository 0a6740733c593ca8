"""A parent whose media comes and whose control connection is silent: it is asked anew, beside."""

from mcast.overlay import actions as do
from mcast.overlay import renewal
from mcast.overlay.actions import Dismiss, End, Leave, Receive, ServerParent, Subscribe
from mcast.overlay.branch import Branch
from mcast.overlay.candidates import Candidates
from mcast.overlay.events import ControlSilent, Feed, Renewed
from mcast.overlay.table import State
from mcast.wire.node import MissReason, StopReason
from overlay.branches import ASKED, RESUMING, absent, doubled, events, fed, repairing, said, unmeasured
from overlay.cores import fed_node
from overlay.messages import N2, OTHER_VIEWER, R2, RP, port, stream


def silent() -> Branch:
    """Return a fed branch whose parent n2 (upstream 1) is silent since 5.0; it is asked anew (upstream 2)."""
    branch = fed()
    branch.on_control_silent(1, 5.0)
    branch.on_time(5.0)
    return branch


def subscribed(actions: list[do.Action]) -> list[tuple[int, str, bool]]:
    return [(a.upstream, str(a.parent), a.resume) for a in actions if isinstance(a, Subscribe)]


def left(actions: list[do.Action]) -> list[int]:
    return [action.upstream for action in actions if isinstance(action, Leave)]


def test_silence_is_said_and_the_same_parent_is_asked_anew_while_it_feeds_on() -> None:
    branch = fed()
    assert said(branch.on_control_silent(1, 5.0), "control_silent") == {"content": "news", "parent": "n2"}
    asked = branch.on_time(5.0)
    assert (subscribed(asked), left(asked)) == ([(2, "n2", True)], [])
    assert (branch.state, branch.primary, branch.fed) == (State.FED, 1, True)
    assert branch.on_control_silent(1, 5.1) == []  # told twice: asked once
    assert branch.on_time(5.2) == []


def test_the_new_subscription_takes_the_old_ones_place_when_both_have_fed_for_a_while() -> None:
    branch = silent()
    assert branch.on_port(2, port(RP, N2), 5.1) == [Receive(2, "news")]
    branch.on_feed(2, Feed.FED, 5.2)
    assert (branch.state, branch.primary) == (State.DOUBLED, 1)
    actions = branch.on_outdone(2, 7.2, unmeasured)  # as good: the old one cannot be talked to
    assert left(actions) == [1]
    assert said(actions, "control_renewed") == {"content": "news", "parent": "n2", "after_ms": 2200}
    assert events(actions) == ["control_renewed"]  # and no other parent was taken
    assert (branch.state, branch.primary, branch.is_silent) == (State.FED, 2, False)
    assert branch.on_time(9.0) == []


def test_when_the_parent_leaves_the_old_one_out_the_new_one_takes_its_place_at_once() -> None:
    for is_told in (True, False):
        branch = silent()
        branch.on_port(2, port(RP, N2), 5.1)
        branch.on_feed(2, Feed.FED, 5.2)
        if is_told:  # the connection was not as dead as it looked
            actions = branch.on_lost(1, StopReason.REPLACED, "you have come anew", 5.3)
        else:
            actions = branch.on_feed(1, Feed.SILENT, 5.6)
        assert (left(actions), events(actions)) == ([1], ["control_renewed"])
        assert (branch.state, branch.primary) == (State.FED, 2)


def test_an_attempt_that_fails_costs_nothing_and_the_next_one_comes_later_and_later() -> None:
    branch, now, waits = silent(), 5.0, []
    for _ in range(7):
        (attempt,) = [u for u, entry in branch.upstreams.items() if entry.renews]
        assert left(branch.on_refused(attempt, MissReason.CUT, "no answer", now)) == [attempt]
        assert (branch.state, branch.primary) == (State.FED, 1)
        assert branch.on_time(branch.renewal.due - 0.01) == []
        waits.append(branch.renewal.due - now)
        now = branch.renewal.due
        assert len(subscribed(branch.on_time(now))) == 1
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_an_attempt_that_is_not_answered_is_given_up() -> None:
    branch = silent()
    late = 5.0 + renewal.RENEW_SECONDS
    assert branch.on_time(late - 0.01) == []
    assert left(branch.on_time(late)) == [2]
    assert subscribed(branch.on_time(late + renewal.FIRST_WAIT)) == [(3, "n2", True)]


def test_a_new_subscription_that_was_accepted_and_brings_nothing_is_left_and_tried_again() -> None:
    branch = silent()
    branch.on_port(2, port(RP, N2), 5.1)
    assert branch.on_time(20.0) == []  # it is for its media to say
    assert left(branch.on_feed(2, Feed.SILENT, 20.0)) == [2]
    assert (branch.state, branch.primary) == (State.FED, 1)
    assert subscribed(branch.on_time(21.0)) == [(3, "n2", True)]


def test_a_parent_that_is_lost_by_a_word_is_lost_however_silent_it_was() -> None:
    branch = silent()
    actions = branch.on_lost(1, StopReason.CUT, "connection reset", 5.1)
    assert events(actions) == ["parent_lost", "cut"]
    assert branch.state is State.REPAIRING
    branch.on_port(2, port(RP, N2), 5.2)  # the attempt goes on, as any other
    branch.on_feed(2, Feed.FED, 5.3)
    assert (branch.state, branch.primary) == (State.FED, 2)


def test_silence_of_tcp_hides_no_silence_of_media() -> None:
    branch = silent()
    states = []
    for feed in (Feed.SUSPECT, Feed.SILENT, Feed.FED):
        branch.on_feed(1, feed, 5.1)
        states.append(branch.state)
    assert states == [State.DOUBTED, State.REPAIRING, State.FED]
    assert list(branch.upstreams) == [1]
    assert len(subscribed(branch.on_time(12.0))) == 1


def test_a_parent_that_is_cut_off_is_not_asked_anew_meanwhile() -> None:
    branch = silent()
    assert left(branch.on_feed(1, Feed.CUT, 5.1)) == [2]
    assert branch.state is State.CUT
    assert subscribed(branch.on_time(5.2)) == []


def test_a_second_parent_that_falls_silent_is_asked_anew_once_it_is_the_only_one() -> None:
    branch = doubled()
    assert said(branch.on_control_silent(2, 2.0), "control_silent")["parent"] == "n3"
    branch.on_outdone(1, 3.0, unmeasured)
    assert (branch.state, branch.primary) == (State.FED, 2)
    assert subscribed(branch.on_time(3.1)) == [(3, "n3", True)]


def test_who_was_asked_and_has_not_answered_is_no_parent_yet() -> None:
    branch = repairing()
    assert branch.on_control_silent(2, 2.0) == []
    assert not branch.upstreams[2].silent


def test_a_server_is_asked_anew_as_any_other_parent_and_it_is_no_failover() -> None:
    branch, server = absent(me=RP), ServerParent("10.0.6.10:7000")
    branch.on_routed(ASKED, 1, Candidates([server]), 0.0)
    branch.on_port(1, port(), 0.1)
    branch.on_feed(1, Feed.FED, 0.1)
    branch.on_control_silent(1, 5.0)
    asked = branch.on_time(5.0)
    assert (subscribed(asked), events(asked)) == ([(2, "server 10.0.6.10:7000", True)], [])


# At the parent


def test_the_older_subscription_of_a_child_that_has_come_anew_ends_when_the_newer_one_gets_everything() -> (
    None
):
    branch = fed()
    branch.on_asked(RESUMING, 2, 1.0)
    again = stream(bytes(16), sender=RESUMING.sender, resume=RESUMING.resume)
    branch.on_asked(again, 3, 2.0)
    assert set(branch.children) == {1, 2, 3}
    actions = branch.on_renewed(3, (2,))
    assert actions[0] == Dismiss(2, "news")
    assert [(a.connection, a.stop.reason) for a in actions if isinstance(a, End)] == [
        (2, StopReason.REPLACED)
    ]
    assert set(branch.children) == {1, 3}


def test_nobody_ends_the_subscription_of_another_child() -> None:
    branch = fed(other=2)
    branch.on_asked(stream(R2, sender=OTHER_VIEWER), 3, 1.0)
    assert branch.on_renewed(3, (1,)) == []  # another name
    assert branch.on_renewed(4711, (1, 2)) == []  # nobody, or no child any more
    assert set(branch.children) == {1, 2, 3}


def test_the_core_hands_both_to_the_branch_concerned() -> None:
    core = fed_node()
    assert events(core.handle(ControlSilent(1), 5.0)) == ["control_silent"]
    assert core.handle(ControlSilent(4711), 5.0) == []
    assert core.handle(Renewed("news", 1, (4711,)), 5.0) == []
    assert core.handle(Renewed("olds", 1, (4711,)), 5.0) == []
