"""Every cell of the table of a content's states."""

from collections.abc import Mapping

import pytest

from mcast.overlay.admission import Admission
from mcast.overlay.branch import Branch
from mcast.overlay.branch_data import Why
from mcast.overlay.steps import STEPS
from mcast.overlay.table import IGNORED, TABLE, Input, State, Step
from overlay.branches import IN, absent
from tools.state_table import PAGE, main, replaced, section, section_of

_BEGINS = {Input.WANTED, Input.ROUTED}
_ASIDE = {Input.PAIRS, Input.MOVES}
_SEARCHED = {Input.FOUND, Input.NOWHERE, Input.FAILED}
_ANSWERED = {Input.LATE, Input.ACCEPTED, Input.PASSED_OVER, Input.REFUSED, Input.MISSED}
_SOUGHT = _SEARCHED | _ANSWERED
_OF_PARENT = {
    Input.NEWS, Input.FEEDS, Input.SUSPECTED, Input.SILENT, Input.STARVES, Input.NO_WAY, Input.LEAVES,
    Input.LOST, Input.OVER,
}  # fmt: skip
_ANEW = {Input.BEGUN_ANEW}
_OF_OTHER = {Input.OTHER_FEEDS, Input.OTHER_LOST, Input.OUTDONE, Input.OTHER_OUTDONE}

IMPOSSIBLE: Mapping[State, set[Input]] = {
    # Nobody has asked for anything, so there is nothing that could answer, fail, feed or end.
    State.ABSENT: set(Input) - _BEGINS,
    # A branch begins once; and there is no parent before one has been found.
    State.SEARCHING: _BEGINS | _ANEW | _ASIDE | _ANSWERED | _OF_PARENT | _OF_OTHER
    | {Input.DRAINED, Input.EXPIRED},
    # No parent has accepted, so none is there to feed, to end or to be lost; the search has found somebody.
    State.JOINING: _BEGINS | _ANEW | _ASIDE | {Input.FOUND, Input.NOWHERE} | _OF_PARENT | _OF_OTHER
    | {Input.DRAINED, Input.EXPIRED},
    # The parent is there, so none is searched; being fed has no end of its own.
    # It may be asked anew, though, and take us in once more (renewal.py).
    State.FED: _BEGINS | _ANEW | {Input.MOVES} | _SOUGHT - {Input.ACCEPTED} | {Input.DRAINED, Input.EXPIRED},
    # Two are wanted: one flood, and no end of the search but with it.
    State.PAIRING: _BEGINS | _ANEW | _ASIDE | {Input.NOWHERE, Input.MISSED, Input.DRAINED},
    # Who repairs never gives up because of a flood: REPAIRING has its own time, DOUBTED ends with its parent.
    State.DOUBTED: _BEGINS | _ANEW | _ASIDE | {Input.FAILED, Input.DRAINED, Input.EXPIRED},
    State.DOUBLED: _BEGINS | _ANEW | _SOUGHT | {Input.DRAINED, Input.EXPIRED},
    State.CUT: _BEGINS | _ANEW | _ASIDE | _SOUGHT | {Input.DRAINED},
    State.REPAIRING: _BEGINS | _ASIDE | {Input.FAILED, Input.DRAINED},
    # No child is left that could leave.
    State.LINGERING: _BEGINS | _ANEW | _ASIDE | _SOUGHT | {Input.DRAINED, Input.EMPTIED, Input.DESERTED},
    # Who leaves looks for nobody any more; what is over meanwhile is over at once.
    State.HANDOVER: _BEGINS | _ANEW | _ASIDE | _SOUGHT | {Input.DRAINED},
    State.ENDING: _BEGINS | _ANEW | _ASIDE | _SOUGHT,
}  # fmt: skip

FEEDING = [
    State.FED, State.PAIRING, State.DOUBTED, State.DOUBLED, State.CUT, State.REPAIRING, State.HANDOVER,
    State.ENDING,
]  # fmt: skip
"""States in which there are children that have been taken in, and a relay."""


def branch_in(state: State) -> Branch:
    branch = absent()
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
        assert branch.take(happened, Why(0.0)) == [], happened
        assert branch.state is state, happened


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_is_impossible_is_a_bug_of_the_caller(state: State) -> None:
    for happened in IMPOSSIBLE[state]:
        with pytest.raises(AssertionError, match=f"{happened} cannot come in {state}"):
            branch_in(state).take(happened, Why(0.0))


def test_each_step_has_its_function_and_its_place_in_the_table() -> None:
    used = {step for cells in TABLE.values() for cell in cells.values() for step in cell.steps}
    assert set(STEPS) == used == set(Step)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_state_is_reached_from_absent_and_leads_back_to_it(state: State) -> None:
    assert state in reachable_from(State.ABSENT)
    assert State.ABSENT in reachable_from(state)


@pytest.mark.parametrize("state", IN, ids=lambda state: state.name)
def test_each_state_is_where_a_life_may_lead(state: State) -> None:
    assert IN[state]().state is state


@pytest.mark.parametrize("state", [State.JOINING, State.LINGERING, *FEEDING], ids=lambda s: s.name)
def test_whoever_comes_back_to_absent_leaves_no_parent(state: State) -> None:
    for cell in TABLE[state].values():
        if cell.next is State.ABSENT:
            assert Step.LEAVE_ALL in cell.steps


@pytest.mark.parametrize("state", FEEDING, ids=lambda s: s.name)
def test_whoever_has_a_relay_closes_it_last_and_ends_its_children_first(state: State) -> None:
    for happened, cell in TABLE[state].items():
        if cell.next is State.ABSENT:
            assert cell.steps[-1] is Step.CLOSE
            if happened not in (Input.EMPTIED, Input.DESERTED):
                assert cell.steps.index(Step.END_ALL) < cell.steps.index(Step.LEAVE_ALL)


@pytest.mark.parametrize("state", [State.SEARCHING, State.JOINING], ids=lambda s: s.name)
def test_whoever_gives_up_before_a_parent_was_found_answers_all_who_wait(state: State) -> None:
    for happened, cell in TABLE[state].items():
        if cell.next is State.ABSENT and happened not in (Input.EMPTIED, Input.DESERTED):
            assert Step.REFUSE_ALL in cell.steps


@pytest.mark.parametrize(
    "state", [s for s in State if s not in (State.ABSENT, State.LINGERING)], ids=lambda s: s.name
)
def test_every_state_can_be_left_by_the_last_child_and_by_the_process(state: State) -> None:
    assert TABLE[state][Input.EMPTIED].next is State.ABSENT
    leaving = TABLE[state].get(Input.LEAVING)
    assert leaving is None or leaving.next in (State.ABSENT, State.HANDOVER)


@pytest.mark.parametrize("state", State, ids=lambda s: s.name)
def test_one_copy_comes_in_wherever_no_second_parent_is_looked_for_or_compared(state: State) -> None:
    """A second parent is left, or takes over, on every way out of the states that may have one."""
    second = (State.DOUBTED, State.DOUBLED, State.REPAIRING)
    ends = (State.ABSENT, State.HANDOVER, State.ENDING)  # which leave all parents themselves, soon
    if state not in second:
        return
    leaves = (Input.OTHER_LOST, Input.BEGUN_ANEW)  # the step BEGIN_ANEW leaves all others, too
    for happened, cell in TABLE[state].items():
        if cell.next not in (*second, *ends) and happened not in leaves:
            assert Step.LEAVE_OTHERS in cell.steps, happened


@pytest.mark.parametrize("state", [State.DOUBTED, State.CUT, State.REPAIRING], ids=lambda s: s.name)
def test_who_looks_for_a_parent_takes_nobody_in_who_comes_to_resume(state: State) -> None:
    assert TABLE[state][Input.RESUMES].steps == (Step.REFUSE_CUT,)


def test_only_who_lost_its_last_child_without_a_word_lingers() -> None:
    ways = {
        happened for cells in TABLE.values() for happened, cell in cells.items()
        if cell.next is State.LINGERING
    }  # fmt: skip
    assert ways == {Input.DESERTED}


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
