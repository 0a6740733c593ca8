"""Whom a branch asks, one after another and side by side."""

from mcast.overlay.actions import NodeParent, ServerParent
from mcast.overlay.candidates import PATIENCE, Candidates

FIRST, SECOND = ServerParent("10.0.6.10:7000"), NodeParent("n2")


def test_parents_are_asked_in_the_order_given() -> None:
    candidates = Candidates([FIRST, SECOND])
    assert (candidates.first, len(candidates)) == (FIRST, 2)
    assert [candidates.take(0.0), candidates.take(0.1), candidates.take(0.2)] == [FIRST, SECOND, None]
    assert (candidates.first, len(candidates)) == (None, 0)


def test_nobody_is_late_before_somebody_was_asked() -> None:
    assert not Candidates([FIRST]).is_late(100.0)


def test_who_says_nothing_for_its_time_is_doubted() -> None:
    candidates = Candidates([FIRST, SECOND])
    candidates.take(5.0)
    assert not candidates.is_late(5.0 + PATIENCE - 0.01)
    assert candidates.is_late(5.0 + PATIENCE)


def test_the_last_one_is_waited_for_as_there_is_no_other() -> None:
    candidates = Candidates([FIRST])
    candidates.take(0.0)
    assert not candidates.is_late(100.0)


def test_the_patience_begins_anew_with_each_that_is_asked() -> None:
    candidates = Candidates([FIRST, SECOND, NodeParent("n3")])
    candidates.take(0.0)
    candidates.take(PATIENCE)
    assert not candidates.is_late(2 * PATIENCE - 0.01)
    assert candidates.is_late(2 * PATIENCE)


def test_candidates_are_printed_as_those_who_are_left() -> None:
    candidates = Candidates([FIRST, SECOND])
    assert repr(candidates) == "<Candidates server 10.0.6.10:7000, n2>"
    candidates.take(0.0)
    candidates.take(0.0)
    assert repr(candidates) == "<Candidates none left>"
