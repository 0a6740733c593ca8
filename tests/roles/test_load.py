"""How much of a core is used, by what was used so far."""

from mcast.roles.node.load import LOOKS, Share


def share_of(seconds: float, *looks: tuple[float, float]) -> float:
    share = Share(seconds)
    for now, used in looks:
        share.note(now, used)
    return round(share.of_a_core, 6)


def test_before_two_looks_nothing_is_known() -> None:
    assert share_of(1.0) == share_of(1.0, (5.0, 3.0)) == 0.0


def test_it_is_that_of_the_last_seconds_and_what_was_before_the_first_look_counts_as_nothing() -> None:
    assert share_of(1.0, (5.0, 3.0), (5.5, 3.4)) == 0.4
    assert share_of(1.0, (5.0, 3.0), (5.5, 3.4), (6.0, 3.8)) == 0.8
    assert share_of(1.0, (5.0, 3.0), (5.5, 3.4), (6.0, 3.8), (6.5, 3.8), (7.0, 3.8)) == 0.0


def test_however_often_it_is_looked_at_few_looks_are_kept() -> None:
    share = Share(1.0)
    for look in range(1000):
        share.note(look / 100, look / 200)
    assert abs(share.of_a_core - 0.5) < 0.01
    assert len(share._looks) <= LOOKS + 3
