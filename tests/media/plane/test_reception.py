"""Reception: each number once, every loss seen."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.reception import MAX_JUMP, MAX_MISSING_RANGES, WINDOW, Reception, extend


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
    reception.begin(605, 0.0)
    reception.begin(610 + MAX_JUMP, 0.0)
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


def test_missing_numbers_are_asked_for_once_a_round_trip_until_too_old() -> None:
    reception = Reception(0, start=0)
    reception.accept(0, 1, 10.0)
    reception.accept(3, 1, 10.0)

    def ask(now: float) -> list[int]:
        return reception.to_ask(now, every=0.125, max_age=1.0, most=9)

    assert ask(10.0) == [1, 2]
    assert ask(10.05) == []
    assert ask(10.125) == [1, 2]
    assert reception.accept(1, 1, 10.2) == ((1, 1),)
    assert (reception.repaired, reception.reordered) == (1, 0)
    assert ask(10.25) == [2]
    assert ask(11.0) == []
    assert reception.accept(2, 1, 11.1) == ()
    assert reception.lost == 1


def test_a_long_gap_is_asked_for_in_portions() -> None:
    reception = Reception(0, start=0)
    reception.accept(10, 1, 0.0)
    portions = [reception.to_ask(0.0, every=1.0, max_age=9.0, most=4) for _ in range(4)]
    assert portions == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]


def test_report_block_says_what_was_lost_since_the_last_and_in_all() -> None:
    reception = Reception(0x1_FFFE, start=0x1_FFFE)
    reception.accept(0x1_FFFE, 1, 0.0)
    reception.accept(0x2_0001, 1, 0.0)
    block = reception.report(7, last_sr=5, delay_since_sr=6)
    assert (block.ssrc, block.fraction_lost, block.cumulative_lost) == (7, 128, 2)
    assert (block.highest_sequence, block.last_sr, block.delay_since_sr) == (0x2_0001, 5, 6)
    assert reception.report(7).fraction_lost == 0
    reception.accept(0x2_0000, 1, 0.0)
    late = reception.report(7)
    assert (late.fraction_lost, late.cumulative_lost) == (0, 1)


def test_report_before_anything_has_arrived_is_empty() -> None:
    block = Reception(500).report(7)
    assert (block.highest_sequence, block.fraction_lost, block.cumulative_lost) == (0, 0, 0)


def test_jitter_is_zero_on_a_steady_path_and_survives_the_wrap_of_timestamps() -> None:
    reception = Reception(0)
    for step in range(100):
        reception.note_arrival((2**32 - 900 + step * 90) % 2**32, step * 0.001)
    assert reception.jitter < 2
    reception.note_arrival((2**32 - 900 + 100 * 90) % 2**32, 0.1 + 0.016)
    assert 80 < reception.jitter < 100
