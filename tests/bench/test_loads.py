"""What is lost under a load, and what only seems to be: the train that a window's end has cut."""

import contextlib

import pytest

from bench.relays.children import Loop
from bench.relays.loads import MOST_LOSS, lost
from bench.relays.receivers import Counts

CHILDREN = 100


class Later:
    """Receivers to which this comes next."""

    def __init__(self, *counts: Counts) -> None:
        self.left = list(counts)

    def take(self) -> Counts:
        return self.left.pop(0)


def loss(came: Counts, *later: Counts) -> float | None:
    with contextlib.closing(Loop()) as loop:
        return lost(came, Later(*later), loop, CHILDREN)


def test_a_train_that_was_cut_and_comes_a_moment_later_is_not_lost() -> None:
    cut = Counts(0, rtp=1000 * CHILDREN - 250, span=1000)
    assert loss(cut, Counts(0, rtp=50 * CHILDREN + 250, span=50)) == 0.0


def test_what_is_lost_stays_lost() -> None:
    holes = Counts(0, rtp=990 * CHILDREN, span=1000)
    assert loss(holes, Counts(0, rtp=50 * CHILDREN, span=50)) == pytest.approx(10 / 1050)


def test_another_train_that_is_cut_does_not_make_it_worse() -> None:
    cut = Counts(0, rtp=1000 * CHILDREN - 250, span=1000)
    assert loss(cut, Counts(0, rtp=5 * CHILDREN - 250, span=10)) == pytest.approx(0.0025)


def test_what_is_whole_or_nearly_so_is_looked_at_once() -> None:
    assert loss(Counts(0, rtp=1000 * CHILDREN, span=1000)) == 0.0
    nearly = Counts(0, rtp=1000 * CHILDREN - 50, span=1000)
    assert loss(nearly) == pytest.approx(MOST_LOSS / 2)


def test_of_what_is_no_rtp_nothing_is_said() -> None:
    assert loss(Counts(1000)) is None
