"""What is held to be sent with more, and when it goes on."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.gathering import Gathering
from mcast.wire.train import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, Train
from media.plane.streams import numbers_of, stream, train


def spans(trains: list[Train]) -> list[tuple[int, int]]:
    return [(each.first, each.count) for each in trains]


def test_trains_that_follow_on_are_one_when_their_time_is_over() -> None:
    gathering = Gathering(0.03)
    assert [gathering.take(train(first, 5), 1.0 + first / 500) for first in (0, 5, 10)] == [[], [], []]
    assert gathering.due == 1.03
    assert gathering.flush() == [train(0, 15)]
    assert (gathering.due, gathering.flush()) == (float("inf"), [])


def test_what_does_not_follow_on_sends_what_is_held_first() -> None:
    gathering = Gathering(0.03)
    gathering.take(train(0, 5), 1.0)
    assert spans(gathering.take(train(7, 5), 1.01)) == [(0, 5)]
    assert gathering.due == 1.04
    assert spans(gathering.flush()) == [(7, 5)]


def test_repairs_go_on_at_once_beside_what_is_gathered() -> None:
    gathering = Gathering(0.03)
    gathering.take(train(0, 5), 1.0)
    gathering.take(train(7, 5), 1.01)
    assert spans(gathering.take(train(5, 2), 1.02)) == [(5, 2)]
    assert spans(gathering.flush()) == [(7, 5)]
    assert spans(gathering.take(train(6, 1), 1.05)) == [(6, 1)]


def test_a_shorter_datagram_ends_a_train() -> None:
    gathering = Gathering(0.03)
    gathering.take(train(0, 5), 1.0)
    assert spans(gathering.take(train(5, 3, short=[7]), 1.0)) == [(0, 8)]


def test_a_train_is_sent_on_as_soon_as_it_can_carry_no_more() -> None:
    gathering = Gathering(0.03)
    gathering.take(train(0, 40), 1.0)
    assert spans(gathering.take(train(40, 9), 1.0)) == [(0, 49)]
    gathering.take(train(49, 40), 1.0)
    assert spans(gathering.take(train(89, 10), 1.0)) == [(49, 40)]


@given(st.lists(st.tuples(st.integers(1, 49), st.integers(0, 3), st.booleans()), max_size=20))
def test_nothing_is_lost_doubled_or_too_long(steps: list[tuple[int, int, bool]]) -> None:
    gathering, number = Gathering(0.03), 0
    came: list[Train] = []
    went: list[Train] = []
    for count, gap, is_short in steps:
        number += gap
        for item in stream(number, count, short=[number + count - 1] if is_short else []):
            came.append(item)
            went += gathering.take(item, 1.0)
        number += count
    went += gathering.flush()
    assert numbers_of(went) == numbers_of(came)
    assert b"".join(each.data for each in went) == b"".join(each.data for each in came)
    assert all(each.count <= MAX_TRAIN_DATAGRAMS and len(each.data) <= MAX_TRAIN_BYTES for each in went)
