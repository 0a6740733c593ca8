"""When a stream has stood still."""

from mcast.media.gaps import MOST, Gaps


def noted(*moments: float) -> Gaps:
    gaps = Gaps()
    for moment in moments:
        gaps.note(moment)
    return gaps


def test_a_stream_that_has_not_begun_has_no_gaps() -> None:
    assert noted().longest(until=9.0) == []


def test_each_gap_is_known_by_its_beginning_the_longest_first() -> None:
    assert noted(1.0, 1.5, 3.5, 3.75).longest() == [(1.5, 2.0), (1.0, 0.5), (3.5, 0.25)]


def test_the_gap_at_the_end_counts_up_to_when_the_stream_was_left() -> None:
    gaps = noted(1.0, 1.5)
    assert gaps.longest(until=9.5) == [(1.5, 8.0), (1.0, 0.5)]
    assert gaps.longest() == [(1.0, 0.5)]
    assert gaps.longest(until=1.25) == [(1.0, 0.5)]


def test_the_longest_are_kept_whenever_they_came_and_no_more_than_that() -> None:
    moments = [0.0]
    for number in range(100):
        moments.append(moments[-1] + (2.0 if number % 20 == 7 else 0.5 if number % 20 == 3 else 0.25))
    lengths = [length for _, length in noted(*moments).longest()]
    assert lengths == [2.0] * 5 + [0.5] * (MOST - 5)
