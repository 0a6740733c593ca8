"""How the allowance for catching up follows what the machine gives."""

import pytest

from mcast.media.allowance import FEED_SECONDS, LEAST_BURST, LOOK_SECONDS, MOST, Allowance

LEAST = 50e6


class Scene:
    """An allowance, and children that take all of it, or part of it, at each turn."""

    def __init__(self) -> None:
        self.now = self.clock = 100.0
        self.allowance = Allowance(LEAST, self.now, lambda: self.clock)

    def turns(self, seconds: float, *, share: float = 1.0, lost: float = 0.0) -> float:
        """Take this share of what is left each 10 ms, of which so much is lost; return how much it was."""
        taken, end = 0.0, self.now + seconds
        while self.now < end:
            self.now += 0.01
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
    assert scene.turns(0.1) < 0.3 * LEAST
    scene.turns(0.9)
    assert scene.allowance.rate > 10 * LEAST
    scene.turns(5.0)
    assert scene.allowance.rate == MOST


def test_what_is_not_used_does_not_grow(scene: Scene) -> None:
    scene.turns(2.0, share=0.5)
    assert scene.allowance.rate == LEAST


def test_losses_take_it_back_but_not_below_where_it_began(scene: Scene) -> None:
    scene.turns(1.0)
    high = scene.allowance.rate
    scene.turns(2 * LOOK_SECONDS, lost=0.1)
    assert LEAST < scene.allowance.rate < high
    scene.turns(2.0, lost=0.1)
    assert scene.allowance.rate == LEAST


def test_few_losses_are_one_childs_and_hold_nobody_up(scene: Scene) -> None:
    scene.turns(1.0, lost=0.01)
    assert scene.allowance.rate > 10 * LEAST


def test_a_turn_ends_when_it_has_lasted_long_and_the_next_begins_anew(scene: Scene) -> None:
    assert scene.allowance.left(scene.now) > 0
    scene.clock += FEED_SECONDS / 2
    assert scene.allowance.left(scene.now) > 0
    scene.clock += FEED_SECONDS
    assert scene.allowance.left(scene.now) == 0
    scene.now += 0.01
    assert scene.allowance.left(scene.now) > 0


def test_a_small_one_still_lets_two_trains_go(scene: Scene) -> None:
    assert Allowance(1000.0, scene.now, lambda: scene.clock).left(scene.now) == LEAST_BURST
