"""How the allowance for catching up follows what the machine gives."""

import pytest

from mcast.media.allowance import FEED_SECONDS, LEAST, LEAST_BURST, LOOK_SECONDS, MOST, Allowance

BEGIN = 50e6


class Scene:
    """An allowance, and children that take all of it, or part of it, at each turn."""

    def __init__(self, most: float = MOST) -> None:
        self.now = self.clock = 100.0
        self.allowance = Allowance(BEGIN, self.now, most=most, clock=lambda: self.clock)

    def turns(self, seconds: float, *, share: float = 1.0, lost: float = 0.0, live: float = 0.0) -> float:
        """Take this share of what is left every 10 ms, of which so much is lost; return how much it was.

        `live` bytes a second are sent to live children beside it.
        """
        taken, end = 0.0, self.now + seconds
        while self.now < end:
            self.now += 0.01
            self.allowance.note_live(live * 0.01, self.now)
            units = max(0.0, self.allowance.left(self.now)) * share
            self.allowance.take(units)
            self.allowance.note_loss(units * lost)
            self.allowance.left(self.now)  # a look that finds nothing left, if all was taken
            taken += units
        return taken


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_grows_while_all_of_it_is_used_and_nothing_is_lost(scene: Scene) -> None:
    assert scene.turns(0.1) < 0.3 * BEGIN
    scene.turns(0.9)
    assert scene.allowance.rate > 10 * BEGIN
    scene.turns(5.0)
    assert scene.allowance.rate == MOST


def test_what_is_not_used_does_not_grow(scene: Scene) -> None:
    scene.turns(2.0, share=0.5)
    assert scene.allowance.rate == BEGIN


def test_losses_take_it_back_as_far_as_a_thin_link_needs_and_it_comes_again(scene: Scene) -> None:
    scene.turns(1.0)
    high = scene.allowance.rate
    scene.turns(2 * LOOK_SECONDS, lost=0.1)
    assert BEGIN < scene.allowance.rate < high
    scene.turns(2.0, lost=0.1)
    assert scene.allowance.rate == LEAST
    scene.turns(1.0)
    assert scene.allowance.rate > BEGIN


def test_beside_live_streams_half_as_much_is_always_allowed(scene: Scene) -> None:
    scene.turns(3.0, lost=1.0, live=4 * LEAST)
    assert scene.allowance.rate == pytest.approx(2 * LEAST, rel=0.05)


def test_a_loss_is_judged_beside_all_that_is_sent(scene: Scene) -> None:
    """Repairs alone, less than a thirtieth of the live streams: they are what was lost."""
    scene.turns(1.5, share=0.0, live=10 * BEGIN)
    scene.turns(3.0, share=0.001, lost=1.0, live=10 * BEGIN)
    assert scene.allowance.rate >= BEGIN


def test_few_losses_are_one_childs_and_hold_nobody_up(scene: Scene) -> None:
    scene.turns(1.0, lost=0.01)
    assert scene.allowance.rate > 10 * BEGIN


def test_a_turn_ends_when_it_has_lasted_long_and_the_next_begins_anew(scene: Scene) -> None:
    assert scene.allowance.left(scene.now) > 0
    scene.clock += FEED_SECONDS / 2
    assert scene.allowance.left(scene.now) > 0
    scene.clock += FEED_SECONDS
    assert scene.allowance.left(scene.now) == 0
    scene.now += 0.01
    assert scene.allowance.left(scene.now) > 0


def test_a_small_one_still_lets_two_trains_go(scene: Scene) -> None:
    assert Allowance(1000.0, scene.now, clock=lambda: scene.clock).left(scene.now) == LEAST_BURST


def test_with_a_bound_of_the_operator_it_is_what_live_streams_leave_of_it() -> None:
    scene = Scene(most=4 * LEAST)
    scene.turns(2.0)
    assert scene.allowance.rate == 4 * LEAST
    scene.turns(3.0, live=2 * LEAST)
    assert scene.allowance.rate == pytest.approx(2 * LEAST, rel=0.05)
    scene.turns(3.0, live=4 * LEAST)
    assert scene.allowance.rate == LEAST, "with less nobody would ever catch up"
    scene.turns(3.0)
    assert scene.allowance.rate == 4 * LEAST


def test_a_bound_below_what_a_child_needs_to_catch_up_is_kept() -> None:
    scene = Scene(most=LEAST / 4)
    scene.turns(3.0)
    assert scene.allowance.rate == LEAST / 4
