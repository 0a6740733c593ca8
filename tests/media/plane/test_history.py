"""The history: what is held, by number, within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.history import History, HistoryBounds
from media.plane.streams import RATE, SIZE, datagram, numbers_of, since, stream, train


def filled(*trains: tuple[int, int], keys: tuple[int, ...] = ()) -> History:
    history = History(trains[0][0])
    for first, count in trains:
        history.insert(train(first, count, keys=keys), 0.0)
    return history


def test_what_was_put_in_comes_out_from_any_number_on() -> None:
    history = filled((100, 10), (110, 10))
    assert (history.tail, history.head, history.bytes) == (100, 120, 20 * SIZE)
    assert numbers_of(since(history, 105, 8)) == list(range(105, 113))
    assert numbers_of(since(history, 0, 99)) == list(range(100, 120))
    assert since(history, 120, 5) == []
    assert bytes(history.get(113) or b"") == datagram(113)
    assert history.get(99) is None
    assert history.get(120) is None


def test_empty_history_begins_where_it_is_told_until_something_lower_comes() -> None:
    history = History(1000)
    assert (history.tail, history.head, history.last_keyframe) == (1000, 1000, None)
    assert since(history, 0, 10) == []
    history.insert(train(600, 3), 0.0)
    assert (history.tail, history.head) == (600, 603)


def test_gaps_are_left_out_and_late_trains_fill_them() -> None:
    history = filled((0, 5), (10, 5))
    assert numbers_of(since(history, 3, 99)) == [3, 4, *range(10, 15)]
    assert history.get(7) is None
    history.insert(train(4, 8), 0.0)
    assert numbers_of(since(history, 0, 99)) == list(range(15))
    assert history.bytes == 15 * SIZE


def test_cleared_history_holds_nothing_and_goes_on_behind_its_head() -> None:
    history = filled((0, 10), (10, 10), keys=(2,))
    history.clear()
    assert (history.tail, history.head, history.bytes, history.last_keyframe) == (20, 20, 0, None)
    assert since(history, 0, 99) == []
    history.insert(train(20, 5), 0.0)
    assert numbers_of(since(history, 0, 99)) == list(range(20, 25))


def test_last_keyframe_is_known_also_when_it_came_late() -> None:
    history = filled((0, 5), (10, 5), (20, 5), keys=(2, 7, 12))
    assert history.last_keyframe == 12
    assert history.keyframe_from(3) == 12
    history.insert(train(5, 5, keys=[7]), 0.0)
    assert [history.keyframe_from(n) for n in (0, 3, 8, 13)] == [2, 7, 12, None]


def test_bounds_in_datagrams_bytes_and_seconds_drop_the_oldest() -> None:
    for bounds in (HistoryBounds(datagrams=100), HistoryBounds(bytes=100 * SIZE), HistoryBounds(seconds=0.1)):
        history = History(0, bounds)
        for first in range(0, 1000, 10):
            history.insert(train(first, 10, keys=range(0, 1000, 50)), first / RATE)
        assert history.head == 1000
        assert 880 <= history.tail <= 900
        assert history.bytes == (1000 - history.tail) * SIZE
        assert history.keyframe_from(0) == 900
        assert numbers_of(since(history, 0, 9999)) == list(range(history.tail, 1000))


def test_what_is_older_than_all_is_kept_unless_it_has_been_and_gone() -> None:
    history = History(0, HistoryBounds(datagrams=100))
    history.insert(train(10, 10), 0.0)
    history.insert(train(0, 5), 0.0)  # the relay's parent has repaired the stream's first datagrams
    assert numbers_of(since(history, 0, 99)) == [*range(5), *range(10, 20)]
    for first in range(20, 300, 10):
        history.insert(train(first, 10), 0.0)
    tail = history.tail
    history.insert(train(5, 5), 0.0)
    assert (history.tail, history.get(5)) == (tail, None)


def test_newest_train_stays_however_small_the_bounds_are() -> None:
    history = History(0, HistoryBounds(seconds=0, bytes=1, datagrams=1))
    history.insert(train(0, 5), 0.0)
    history.insert(train(5, 5), 9.0)
    assert (history.tail, history.head) == (5, 10)


def test_rate_and_lag_are_measured_in_media_time_also_over_the_wrap_of_timestamps() -> None:
    wrap = 2**32 // 90  # the number at which the 32-bit timestamp wraps
    for first in (0, wrap - 500):
        history = History(first)
        for item in stream(first, 1000):
            history.insert(item, 0.0)
        assert 990 < history.rate() < 1010
        assert 0.49 < history.lag(first + 500) < 0.51
    assert History(0).rate() == 0.0


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=40))
def test_any_order_overlap_and_repetition_leaves_every_number_once(trains: list[tuple[int, int]]) -> None:
    history = History(0)
    held: set[int] = set()
    for first, count in trains:
        history.insert(train(first, count, keys=range(0, 300, 7)), 0.0)
        held |= set(range(first, first + count))
        assert numbers_of(since(history, 0, 9999)) == sorted(held)
        assert history.bytes == len(held) * SIZE
        assert history.head == max(held) + 1
    for number in range(240):
        assert (history.get(number) is not None) == (number in held)
        assert history.keyframe_from(number) == min(
            (n for n in held if n % 7 == 0 and n >= number), default=None
        )
