"""Who is believed that a parent has leapt ahead: two words that agree."""

from mcast.media.leap import MAX_DROPOUT, Leap
from mcast.wire.burst import Run
from media.plane.streams import SIZE, train

RUN = Run(1_000, SIZE, train(1_000, 5).data)


def test_what_is_a_little_ahead_needs_no_second_word() -> None:
    leap = Leap()
    assert not leap.is_one(20 + MAX_DROPOUT, 20)
    assert leap.is_one(21 + MAX_DROPOUT, 20)
    assert not leap.is_one(3, 20)


def test_the_second_word_goes_on_where_the_first_has_ended() -> None:
    for begin, believed in ((1_004, False), (1_005, True), (1_005 + MAX_DROPOUT, True), (2_000, False)):
        leap = Leap()
        assert not leap.believe(1_000, 1_005, 20, RUN)
        assert leap.believe(begin, begin + 5, 20) is believed


def test_nothing_may_have_come_in_between_from_where_the_parent_was() -> None:
    leap = Leap()
    assert not leap.believe(1_000, 1_005, 20, RUN)
    assert not leap.believe(1_005, 1_010, 25)
    assert leap.believe(1_010, 1_015, 25)


def test_what_came_with_the_first_word_is_kept_once() -> None:
    leap = Leap()
    leap.believe(1_000, 1_005, 20, RUN)
    assert leap.take() == (1_000, RUN)
    assert leap.take() is None
    leap.believe(1_000, 1_000, 20)  # an SR
    assert leap.take() is None
