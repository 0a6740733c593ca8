"""Viewers that the relay shall feed, when it fails, are there."""

from collections.abc import Collection
from typing import cast

import pytest

from tools.demo.processes import ProgramError
from tools.resilience.idle import MOST_JOINS, around
from tools.resilience.trial import Trial

CASE = around(2, viewers=3)


class Joining:
    """A run whose clients come to the relay at their second try, or never."""

    def __init__(self, *astray: str, for_ever: bool = False) -> None:
        self.paths = {name: ["rp", "m1", "m2"] if name in astray else ["rp", "n1"] for name in CASE.viewers}
        self.joined_anew: list[list[str]] = []
        self._for_ever = for_ever

    def rejoin(self, names: Collection[str]) -> None:
        self.joined_anew.append([*names])
        if not self._for_ever:
            self.paths |= {name: ["rp", "n1"] for name in names}


def test_who_has_come_elsewhere_joins_anew_and_nobody_else() -> None:
    trial = Joining("c1", "c3")
    CASE.prepare(cast(Trial, trial))
    assert trial.joined_anew == [["c1", "c3"]]


def test_who_never_comes_there_ends_the_run() -> None:
    trial = Joining("c2", for_ever=True)
    with pytest.raises(ProgramError, match=f"another node than n1, {MOST_JOINS} times"):
        CASE.prepare(cast(Trial, trial))
