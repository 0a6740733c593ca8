"""Which of two parents is not needed."""

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


def test_on_a_tie_the_newer_one_loses() -> None:
    older, newer = two()
    race = Race(older, newer, 0.0)
    older.new, newer.new = 1, 1_000
    assert race.loser(2.0, 2.0) == 4


def test_nobody_loses_while_nothing_new_comes() -> None:
    assert Race(*two(), 0.0).loser(9.0, 2.0) is None
