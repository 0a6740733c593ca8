"""The steps between two states, one by one: what each says to whom."""

import pytest

from mcast.overlay import actions as do
from mcast.overlay.actions import NodeParent, ServerParent
from mcast.overlay.branch_data import Why
from mcast.overlay.candidates import Candidates
from mcast.overlay.steps import STEPS, tell
from mcast.overlay.table import State, Step
from mcast.wire.node import MissReason, StopReason
from mcast.wire.position import Position
from mcast.wire.rtcp import FeedState
from overlay.branches import (
    IN,
    RESUMING,
    SPARE,
    absent,
    asks,
    cut,
    doubled,
    fed,
    joining,
    left,
    repairing,
    said,
    told,
)
from overlay.cores import misses
from overlay.messages import N1, N3, R2, RP, stream

WHY = Why(2.0, "why", stream=stream(R2), connection=2, upstream=1, refuse=MissReason.CUT)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step.REFUSE_CUT, MissReason.CUT),
        (Step.REFUSE_BUSY, MissReason.BUSY),
        (Step.REFUSE_GONE, MissReason.GONE),
    ],
    ids=lambda value: value.name,
)
def test_who_is_refused_is_told_why(step: Step, reason: MissReason) -> None:
    assert misses(STEPS[step](fed(), WHY)) == [reason]


def test_who_seeks_asks_a_spare_to_go_on_and_without_one_it_searches() -> None:
    (ask,) = STEPS[Step.SEEK](fed(SPARE), WHY)
    assert isinstance(ask, do.Subscribe)
    assert (ask.parent, ask.resume, len(ask.request)) == (SPARE, True, 16)
    branch = fed()
    assert STEPS[Step.SEEK](branch, WHY) == []
    assert branch.search is not None


def test_another_parent_is_asked_before_anybody_is_told_why() -> None:
    branch = fed(SPARE)
    first, *rest = branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert isinstance(first, do.Subscribe)
    assert [type(each) for each in rest] == [do.Announce, do.Leave, do.Announce, do.Supply, do.Update]


def test_the_first_parent_is_asked_to_go_on_where_the_first_child_has_left_another() -> None:
    branch = absent()
    (ask,) = branch.on_routed(RESUMING, 2, Candidates([NodeParent("n2")]), 0.0)
    assert isinstance(ask, do.Subscribe)
    assert (ask.resume, ask.onward) == (False, Position(7, 40))


def test_who_stops_to_seek_leaves_only_those_that_have_not_answered() -> None:
    assert left(STEPS[Step.STOP_SEEKING](repairing(), WHY)) == [2]
    assert left(STEPS[Step.STOP_SEEKING](doubled(), WHY)) == []
    assert left(STEPS[Step.LEAVE_OTHERS](doubled(), WHY)) == [2]


def test_another_server_that_is_asked_at_a_join_is_told_of() -> None:
    first, second = ServerParent("10.0.6.10:7000"), ServerParent("10.0.6.11:7000")
    actions = STEPS[Step.ASK_NEXT](joining(first, second), WHY)
    assert said(actions, "server_passed_over") == {
        "content": "news", "server": first.address, "to": second.address, "cause": "why",
    }  # fmt: skip
    assert asks(actions) == [str(second)]


def test_the_parent_that_is_promoted_gives_its_path() -> None:
    branch = doubled()
    actions = STEPS[Step.PROMOTE](branch, WHY)
    assert said(actions, "parent_taken")["parent"] == "n3"
    assert (branch.primary, branch.path[-1], branch.path[-2]) == (2, N1, N3)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.FED, (False, False, False)),
        (State.CUT, (True, False, False)),
        (State.REPAIRING, (True, False, False)),
        (State.HANDOVER, (False, False, True)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_children_are_told_how_it_is(state: State, expected: tuple[bool, bool, bool]) -> None:
    branch = IN[state]()
    branch.last_word, version = None, branch.version
    assert told(tell(branch)) == [expected]
    assert branch.version == version + 1


def test_what_all_children_know_they_are_not_told_again() -> None:
    branch = cut()
    version = branch.version
    assert tell(branch) == []
    assert branch.version == version
    assert told(tell(branch, clients_only=True)) == [(True, False, False)]


def test_who_came_meanwhile_and_was_told_another_path_hears_of_the_old_one_again() -> None:
    branch = fed()
    tell(branch)
    before, branch.path = branch.path, (RP, N3, N1)
    branch.on_asked(RESUMING, 2, 0.5)
    branch.path = before
    assert len(told(tell(branch))) == 2


def test_only_clients_are_told_what_concerns_clients() -> None:
    branch = fed()
    branch.on_asked(RESUMING, 2, 0.5)
    assert [a.connection for a in tell(branch, clients_only=True) if isinstance(a, do.Update)] == [1]


def test_that_there_is_no_way_and_that_media_comes_again_are_told_in_the_srs_too() -> None:
    branch = cut()
    assert do.Supply("news", FeedState.CUT, no_way=True) in STEPS[Step.TELL_NO_WAY](branch, WHY)
    assert STEPS[Step.TELL_NO_WAY](branch, WHY) == []
    assert do.Supply("news", FeedState.FED) in STEPS[Step.TELL_FED](branch, WHY)
    assert not branch.trouble.told_no_way


def test_a_parent_that_is_dropped_is_remembered_as_no_help() -> None:
    branch = fed()
    assert STEPS[Step.DROP](branch, WHY) == [do.Leave(1, "news", StopReason.UNSUBSCRIBE)]
    assert list(branch.failed) == [NodeParent("n2")]
    assert branch.primary is None
