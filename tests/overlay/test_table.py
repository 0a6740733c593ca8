"""Every cell of the table of a content's states."""

import itertools
from collections.abc import Mapping

import pytest

from mcast.overlay.admission import Admission
from mcast.overlay.branch import _STEPS, Branch, Why
from mcast.overlay.table import IGNORED, TABLE, Input, State, Step
from overlay.messages import N1
from tools.state_table import PAGE, main, replaced, section, section_of

IMPOSSIBLE: Mapping[State, frozenset[Input]] = {
    # Nobody has asked for anything, so there is nothing that could answer, fail, feed or end.
    State.ABSENT: frozenset(Input) - {Input.WANTED, Input.ROUTED},
    # A branch begins once; and there is no parent before one has been found.
    State.SEARCHING: frozenset(
        {
            Input.WANTED, Input.ROUTED, Input.LATE, Input.ACCEPTED, Input.PASSED_OVER, Input.REFUSED,
            Input.MISSED, Input.NEWS, Input.FEEDS, Input.STARVES, Input.LOST, Input.OVER, Input.DRAINED,
            Input.EXPIRED,
        }
    ),
    # No parent has accepted, so none is there to feed, to end or to be lost.
    State.JOINING: frozenset(
        {
            Input.WANTED, Input.ROUTED, Input.FOUND, Input.NEWS, Input.FEEDS, Input.STARVES, Input.LOST,
            Input.OVER, Input.DRAINED, Input.EXPIRED,
        }
    ),
    # The parent is there, so none is searched; being fed has no end of its own.
    State.FED: frozenset(
        {
            Input.WANTED, Input.ROUTED, Input.FOUND, Input.FAILED, Input.LATE, Input.ACCEPTED,
            Input.PASSED_OVER, Input.REFUSED, Input.MISSED, Input.DRAINED, Input.EXPIRED,
        }
    ),
    State.CUT: frozenset(
        {
            Input.WANTED, Input.ROUTED, Input.FOUND, Input.FAILED, Input.LATE, Input.ACCEPTED,
            Input.PASSED_OVER, Input.REFUSED, Input.MISSED, Input.DRAINED,
        }
    ),
    State.ENDING: frozenset(
        {
            Input.WANTED, Input.ROUTED, Input.FOUND, Input.FAILED, Input.LATE, Input.ACCEPTED,
            Input.PASSED_OVER, Input.REFUSED, Input.MISSED,
        }
    ),
}  # fmt: skip


def branch_in(state: State) -> Branch:
    branch = Branch("news", N1, itertools.count(1))
    branch.state = state
    return branch


def successors(state: State) -> set[State]:
    return {cell.next for cell in TABLE[state].values()}


def reachable_from(state: State) -> set[State]:
    known, new = {state}, [state]
    while new:
        for following in successors(new.pop()) - known:
            known.add(following)
            new.append(following)
    return known


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_cell_is_a_transition_or_ignored_or_impossible(state: State) -> None:
    for happened in Input:
        kinds = [happened in TABLE[state], happened in IGNORED[state], happened in IMPOSSIBLE[state]]
        assert kinds.count(True) == 1, happened


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_is_ignored_changes_nothing(state: State) -> None:
    for happened in IGNORED[state]:
        branch = branch_in(state)
        assert branch._take(happened, Why(0.0)) == [], happened
        assert branch.state is state, happened


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_is_impossible_is_a_bug_of_the_caller(state: State) -> None:
    for happened in IMPOSSIBLE[state]:
        with pytest.raises(AssertionError, match=f"{happened} cannot come in {state}"):
            branch_in(state)._take(happened, Why(0.0))


def test_each_step_has_its_method_and_its_place_in_the_table() -> None:
    used = {step for cells in TABLE.values() for cell in cells.values() for step in cell.steps}
    assert set(_STEPS) == used == set(Step)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_state_is_reached_from_absent_and_leads_back_to_it(state: State) -> None:
    assert state in reachable_from(State.ABSENT)
    assert State.ABSENT in reachable_from(state)


@pytest.mark.parametrize("state", [State.JOINING, State.FED, State.CUT, State.ENDING], ids=lambda s: s.name)
def test_whoever_comes_back_to_absent_leaves_no_parent(state: State) -> None:
    for cell in TABLE[state].values():
        if cell.next is State.ABSENT:
            assert Step.LEAVE_ALL in cell.steps


@pytest.mark.parametrize("state", [State.FED, State.CUT, State.ENDING], ids=lambda s: s.name)
def test_whoever_has_a_relay_closes_it_last_and_ends_its_children_first(state: State) -> None:
    for happened, cell in TABLE[state].items():
        if cell.next is State.ABSENT:
            assert cell.steps[-1] is Step.CLOSE
            if happened is not Input.EMPTIED:
                assert cell.steps.index(Step.END_ALL) < cell.steps.index(Step.LEAVE_ALL)


@pytest.mark.parametrize("state", [State.SEARCHING, State.JOINING], ids=lambda s: s.name)
def test_whoever_gives_up_before_a_parent_was_found_answers_all_who_wait(state: State) -> None:
    for happened, cell in TABLE[state].items():
        if cell.next is State.ABSENT and happened is not Input.EMPTIED:
            assert Step.REFUSE_ALL in cell.steps


@pytest.mark.parametrize("state", [s for s in State if s is not State.ABSENT], ids=lambda s: s.name)
def test_every_state_can_be_left_by_the_last_child_and_by_the_process(state: State) -> None:
    assert TABLE[state][Input.EMPTIED].next is TABLE[state][Input.LEAVING].next is State.ABSENT


def test_a_new_branch_has_no_children_and_no_parents() -> None:
    branch = branch_in(State.ABSENT)
    assert (branch.path, branch.fed, dict(branch.children)) == ((), False, {})
    assert branch.admission == Admission("news")


def test_the_page_on_the_architecture_holds_exactly_this_table() -> None:
    assert section_of(PAGE.read_text()) == section(), "run tools/state_table.py --write"


def test_the_section_is_replaced_within_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    page = "# Page\n\n## States of a content at a node\n\nold\n\n## Next\n\nmore\n"
    renewed = replaced(page)
    assert section_of(renewed) == section()
    assert renewed.endswith("\n## Next\n\nmore\n")
    with pytest.raises(ValueError, match="has no section"):
        replaced("# Page\n")
    assert (main([]), capsys.readouterr().out) == (0, section())
