"""Which of two parents is not needed."""

import pytest

from mcast.media.parent import Parent
from mcast.media.race import Race
from mcast.media.reports import Speaker
from mcast.wire.position import Position
from media.plane.streams import SSRC


def two() -> tuple[Parent, Parent]:
    older, newer = (Parent(n, Speaker(n, "me", b"t" * 16), Position(SSRC, 0), 0.0) for n in (3, 4))
    return older, newer


def test_who_has_brought_nothing_first_is_the_loser_each_time_anew() -> None:
    older, newer = two()
    race = Race(older, newer, 0.0)
    newer.new += 100
    assert race.loser(1.9, 2.0) is None
    assert race.loser(2.0, 2.0) == 3
    older.new += 1
    assert race.loser(3.9, 2.0) is None
    assert race.loser(4.0, 2.0) == 4


@pytest.mark.parametrize(("first", "then"), [(500, 500), (450, 550), (900, 100), (1, 1)])
def test_the_newer_one_loses_unless_it_brings_clearly_more_of_the_stream_first(first: int, then: int) -> None:
    older, newer = two()
    race = Race(older, newer, 0.0)
    older.new, newer.new = first, then
    assert race.loser(2.0, 2.0) == 4


@pytest.mark.parametrize(("first", "then"), [(1, 999), (449, 551), (0, 1)])
def test_the_older_one_loses_although_it_brings_something_if_it_is_clearly_worse(
    first: int, then: int
) -> None:
    older, newer = two()
    race = Race(older, newer, 0.0)
    older.new, newer.new = first, then
    assert race.loser(2.0, 2.0) == 3


def test_nobody_loses_while_nothing_new_comes() -> None:
    assert Race(*two(), 0.0).loser(9.0, 2.0) is None
