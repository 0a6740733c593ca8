"""What a branch knows: who is excluded, who could feed it, when something is due."""

from mcast.overlay.actions import NodeParent, ServerParent
from mcast.overlay.candidates import PATIENCE, SPARE_PATIENCE
from mcast.overlay.events import Departure, Feed
from mcast.overlay.transitions import JOIN_SECONDS, REPAIR_WAIT_SECONDS
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason
from overlay.branches import (
    N5,
    NEXT_SPARE,
    PARENT,
    RESUMING,
    SPARE,
    absent,
    cut,
    doubled,
    doubted,
    fed,
    joining,
    repairing,
)
from overlay.messages import N2, N3, RP, port


def test_a_new_branch_knows_nobody_and_waits_for_nothing() -> None:
    branch = absent()
    assert (branch.path, branch.fed, dict(branch.children), branch.excluded) == ((), False, {}, ())
    assert (branch.due, branch.helpless, branch.below) == (None, (), frozenset())


def test_parents_are_excluded_by_the_name_they_have_here_and_by_the_one_others_call_them() -> None:
    assert doubled().excluded == (N2, N3)
    branch = joining(NodeParent("10.0.0.1:6000"))
    branch.on_port(1, port(RP, N2), 0.1)
    assert branch.excluded == (Identity.node("10.0.0.1:6000"), N2)
    at_server = joining(ServerParent("10.0.6.10:7000"))
    assert at_server.excluded == ()


def test_media_comes_in_states_of_which_the_children_notice_nothing() -> None:
    assert fed().fed
    assert doubted().fed
    assert doubled().fed
    assert not cut().fed
    assert not repairing().fed


def test_who_was_no_help_comes_last_and_is_forgiven_when_media_comes() -> None:
    branch = repairing(SPARE, NEXT_SPARE)
    branch.on_refused(2, MissReason.CUT, "", 1.1)
    assert set(branch.helpless) == {N2, N3}
    assert branch.spares() == [NEXT_SPARE, SPARE]
    branch.on_port(3, port(RP, Identity.node("n4")), 1.2)
    branch.on_feed(3, Feed.FED, 1.3)
    assert not branch.helpless


def test_children_that_are_nodes_are_below() -> None:
    branch = fed()
    branch.on_asked(RESUMING, 2, 0.5)
    assert N5 in branch.below
    branch.on_child_gone(2, Departure.UNSUBSCRIBED, 0.6)
    assert N5 not in branch.below


def test_what_is_due_first_is_told() -> None:
    assert joining().due == JOIN_SECONDS
    assert joining(PARENT, SPARE).due == PATIENCE
    assert fed().due is None
    assert cut().due == 1.0 + REPAIR_WAIT_SECONDS
    assert repairing(SPARE).due == 1.0 + SPARE_PATIENCE
