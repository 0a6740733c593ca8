"""Reception: each number once, every loss seen."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.reception import MAX_JUMP, MAX_MISSING_RANGES, WINDOW, Asking, Reception, extend


@given(st.integers(0, 2**64 - 2**17), st.integers(-32_768, 32_767))
def test_sixteen_bits_are_extended_to_the_nearest_number(expected: int, distance: int) -> None:
    assert extend((expected + distance) & 0xFFFF, expected) == expected + distance


def test_contiguous_trains_are_new_and_nothing_is_missing() -> None:
    reception = Reception(65_530)
    assert reception.accept(65_530, 10, 0.0) == ((65_530, 10),)
    assert reception.accept(65_540, 5, 0.0) == ((65_540, 5),)
    assert (reception.received, reception.lost, reception.next) == (15, 0, 65_545)


def test_first_to_arrive_is_the_start_unless_told() -> None:
    reception = Reception(1000)
    assert reception.accept(600, 10, 0.0) == ((600, 10),)
    assert (reception.start, reception.lost) == (600, 0)
    told = Reception(1000, start=590)
    assert told.accept(600, 10, 0.0) == ((600, 10),)
    assert told.lost == 10


def test_parents_word_sets_the_start_and_shows_a_lost_tail() -> None:
    reception = Reception(1000)
    reception.begin(600, 0.0)
    assert reception.accept(602, 1, 0.0) == ((602, 1),)
    assert reception.lost == 2
    reception.begin(610, 0.0)
    assert (reception.lost, reception.next) == (9, 610)
    assert reception.begin(605, 0.0)
    assert not reception.begin(610 + MAX_JUMP, 0.0)
    assert reception.next == 610


def test_a_gap_is_filled_once_and_told_apart_from_duplicates() -> None:
    reception = Reception(0, start=0)
    reception.accept(0, 10, 0.0)
    reception.accept(20, 10, 0.0)
    assert reception.lost == 10
    assert reception.accept(8, 6, 0.0) == ((10, 4),)
    assert reception.accept(12, 12, 0.0) == ((14, 6),)
    assert reception.accept(10, 10, 0.0) == ()
    assert (reception.lost, reception.duplicates, reception.reordered) == (0, 2 + 6 + 10, 10)


def test_numbers_below_the_start_are_never_new() -> None:
    reception = Reception(100, start=100)
    assert reception.accept(-5, 1, 0.0) == ()
    assert reception.accept(95, 10, 0.0) == ((100, 5),)
    fresh = Reception(2)  # of which RTP says less than nothing
    assert fresh.accept(-3, 5, 0.0) == ((0, 2),)
    assert fresh.lost == 0


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=60)


@given(spans)
def test_whatever_arrives_each_number_is_new_exactly_once(arrivals: list[tuple[int, int]]) -> None:
    reception = Reception(0, start=0)
    seen: set[int] = set()
    for first, count in arrivals:
        offered = set(range(first, first + count))
        new = [
            n for begin, length in reception.accept(first, count, 0.0) for n in range(begin, begin + length)
        ]
        assert new == sorted(offered - seen)
        seen |= offered
    assert reception.received == len(seen)
    assert reception.lost == (max(seen) + 1 - len(seen) if seen else 0)
    assert reception.received + reception.duplicates == sum(count for _, count in arrivals)
    assert {n for gap in reception.missing for n in range(gap.begin, gap.end)} == set(
        range(max(seen, default=-1) + 1)
    ) - seen


def test_memory_of_gaps_is_bounded_and_what_is_forgotten_stays_lost() -> None:
    reception = Reception(0, start=0)
    for number in range(0, 4 * MAX_MISSING_RANGES, 2):
        reception.accept(number, 1, 0.0)
    assert len(reception.missing) == MAX_MISSING_RANGES
    assert reception.accept(1, 1, 0.0) == ()
    reception.accept(10 * WINDOW, 1, 0.0)
    assert sum(gap.end - gap.begin for gap in reception.missing) <= WINDOW
    assert reception.lost == reception.expected - reception.received


def ask(
    reception: Reception, now: float, *, most: int = 9, upstream: int = 0, end: int = 1000, begin: int = 0
) -> list[int]:
    return reception.to_ask(Asking(upstream, begin, end, patience=0.125), now, most)


def test_missing_numbers_are_asked_for_once_a_round_trip_until_they_are_given_up() -> None:
    reception = Reception(0, start=0)
    reception.accept(0, 1, 10.0)
    reception.accept(3, 1, 10.0)
    assert ask(reception, 10.0) == [1, 2]
    assert ask(reception, 10.05) == []
    assert ask(reception, 10.125) == [1, 2]
    assert reception.accept(1, 1, 10.2) == ((1, 1),)
    assert (reception.repaired, reception.reordered) == (1, 0)
    assert ask(reception, 10.25) == [2]
    reception.give_up(before=10.0)
    assert ask(reception, 11.0) == []
    assert reception.accept(2, 1, 11.1) == ()
    assert reception.lost == 1


def test_a_long_gap_is_asked_for_in_portions() -> None:
    reception = Reception(0, start=0)
    reception.accept(10, 1, 0.0)
    portions = [ask(reception, 0.0, most=4) for _ in range(4)]
    assert portions == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]


def test_a_parent_is_asked_only_for_what_it_has_sent() -> None:
    reception = Reception(0, start=0)
    reception.accept(10, 1, 0.0)
    assert ask(reception, 0.0, begin=2, end=5) == [2, 3, 4]
    assert ask(reception, 0.0, upstream=1, begin=0, end=7) == [0, 1, 5, 6]
    assert reception.accept(0, 11, 0.1) == ((0, 2), (2, 3), (5, 2), (7, 3))
    assert (reception.repaired, reception.reordered) == (7, 3)


def test_what_one_parent_has_not_answered_is_the_turn_of_the_other() -> None:
    reception = Reception(0, start=0)
    reception.accept(2, 1, 0.0)

    def turn(upstream: int, now: float) -> list[int]:
        return reception.to_ask(Asking(upstream, 0, 3, patience=0.1), now, 9, lambda _: True)

    assert turn(0, 0.0) == [0, 1]
    assert turn(1, 0.05) == []  # the first one's answer may still come
    assert turn(0, 0.1) == []
    assert turn(1, 0.1) == [0, 1]
    assert turn(0, 0.2) == [0, 1]


def test_wanted_is_the_first_missing_number_or_else_the_next() -> None:
    reception = Reception(70)
    assert reception.wanted == 70
    reception.accept(50, 10, 0.0)
    assert reception.wanted == 60
    reception.accept(65, 5, 0.0)
    assert reception.wanted == 60
    reception.accept(60, 5, 0.0)
    assert reception.wanted == 70


@given(spans)
def test_wanted_is_never_above_what_is_missing(arrivals: list[tuple[int, int]]) -> None:
    reception, seen = Reception(0, start=0), set[int]()
    for first, count in arrivals:
        reception.accept(first, count, 0.0)
        seen |= set(range(first, first + count))
        ask(reception, 0.0, most=3)
        assert reception.wanted == min(set(range(max(seen) + 2)) - seen)


def test_what_lies_below_the_start_can_be_wanted_later_and_is_new_then() -> None:
    reception = Reception(0, start=50)
    reception.accept(50, 10, 0.0)
    assert reception.reach_back(40, 1.0)
    assert (reception.wanted, reception.lost) == (40, 10)
    assert ask(reception, 1.0, most=20) == list(range(40, 50))
    assert reception.accept(40, 10, 1.1) == ((40, 10),)
    assert (reception.wanted, reception.lost) == (60, 0)


def test_neither_what_is_wanted_already_nor_what_nobody_holds_any_more_is_reached_back_for() -> None:
    reception = Reception(0, start=WINDOW + 50)
    assert not Reception(0).reach_back(0, 0.0), "nothing has come, so it has no start"
    assert not reception.reach_back(WINDOW + 60, 0.0)
    assert not reception.reach_back(49, 0.0)
    assert reception.reach_back(50, 0.0)


def test_older_gaps_are_given_up_in_their_time_behind_one_that_was_reached_back_for() -> None:
    reception = Reception(0, start=50)
    reception.accept(55, 1, 0.0)
    reception.reach_back(40, 1.0)
    reception.give_up(before=0.5)
    assert ask(reception, 1.1, most=30) == list(range(40, 50))
