"""What is lost under a load, and what only seems to be: the train that a window's end has cut."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.relays import loads
from bench.relays.children import Loop
from bench.relays.contenders import Load, Running, Window
from bench.relays.latency import without_load
from bench.relays.loads import COST, LOSS, MOST_LOOKS, MOST_LOSS, Use, between_trains, carry, lost
from bench.relays.machine import CoreUse
from bench.relays.receivers import Counts, Progress, Receivers
from bench.relays.setting import Needs, Setting
from bench.relays.sources import Sources

CHILDREN, SECONDS = 100, 2.0
ALL = Load(1, CHILDREN).owed(SECONDS).datagrams
"""950 a content of 5 Mbit/s."""


class Later:
    """Receivers to which this comes next, and then nothing more."""

    def __init__(self, *counts: Counts) -> None:
        self.left = list(counts)
        self.contents = len(counts[0].contents) if counts else 0

    def take(self) -> Counts:
        return self.left.pop(0) if self.left else Counts(0, (Progress(),) * self.contents)


def came(rtp: int, *spans: int, seconds: float = SECONDS) -> Counts:
    """Return so many datagrams, of contents whose numbers went on so far; without any, time stood still."""
    each = (Progress(rtp * span // max(sum(spans), 1), span, seconds if span else 0.0) for span in spans)
    return Counts(1000 * rtp, tuple(each))


def loss(now: Counts, *later: Counts, children: int = CHILDREN) -> float:
    with contextlib.closing(Loop()) as loop:
        return lost(now, Later(*later), loop, Load(len(now.contents), children), SECONDS)


def test_a_train_that_was_cut_and_comes_a_moment_later_is_not_lost() -> None:
    assert loss(came(1000 * CHILDREN - 250, 1000), came(50 * CHILDREN + 250, 50)) == 0.0


def test_what_is_lost_stays_lost() -> None:
    assert loss(came(990 * CHILDREN, 1000), came(50 * CHILDREN, 50)) == pytest.approx(10 / 1050)


def test_another_train_that_is_cut_does_not_make_it_worse() -> None:
    assert loss(came(1000 * CHILDREN - 250, 1000), came(5 * CHILDREN - 250, 10)) == pytest.approx(0.0025)


def test_what_is_whole_or_nearly_so_is_looked_at_once() -> None:
    assert loss(came(1000 * CHILDREN, 1000)) == 0.0
    assert loss(came(1000 * CHILDREN - 50, 1000)) == pytest.approx(MOST_LOSS / 2)


def test_contents_of_which_nothing_comes_are_lost_although_no_number_of_theirs_went_by() -> None:
    silent = came(45 * 1000 * 10, *[1000] * 45, *[0] * 5), came(45 * 26 * 10, *[26] * 45, *[0] * 5)
    assert loss(*silent, children=10) == pytest.approx(5 * ALL / (45 * 1000 + 5 * ALL))


def test_a_content_that_comes_twice_makes_up_for_no_other() -> None:
    twice, none = Progress(2 * 1000 * CHILDREN, 1000, SECONDS), Progress(0, 1000, SECONDS)
    assert loss(Counts(0, (twice, none)), Counts(0, (Progress(), Progress()))) > 0.4


def test_a_window_in_which_nothing_comes_is_all_lost() -> None:
    assert loss(came(0, 0), came(0, 0)) == 1.0


def test_a_content_that_falls_silent_within_the_window_owes_the_rest() -> None:
    half = came(475 * CHILDREN, 475, seconds=1.0)
    assert loss(half, came(0, 0)) == pytest.approx(1 - 475 / ALL)


def test_a_content_that_is_a_little_late_owes_no_more_than_its_numbers() -> None:
    assert loss(came(850 * CHILDREN, 850, seconds=1.8)) == 0.0
    assert loss(came(690 * CHILDREN, 690)) == 0.0, "its pictures are small just now"


@pytest.mark.parametrize("seconds", [0.1, 1.0, 60.0])
def test_what_is_owed_is_never_nothing_however_short_a_window_is(seconds: float) -> None:
    owed = Load(1, 1).owed(seconds)
    assert 0 < owed.least_seconds < owed.seconds
    assert owed.datagrams == pytest.approx(475 * seconds, rel=0.001)


def until_rest(*counts: Counts) -> int:
    with contextlib.closing(Loop()) as loop:
        return between_trains(Later(*counts), loop).contents[0].rtp


def test_a_window_begins_and_ends_between_two_trains_where_there_is_a_rest() -> None:
    assert until_rest(came(500, 5), came(300, 1), came(200, 5), came(0, 0), came(7, 7)) == 1000
    assert until_rest(came(500, 5), came(0, 0), came(7, 7)) == 500


def test_where_trains_never_rest_a_window_ends_all_the_same() -> None:
    assert until_rest(*[came(1, 1)] * 100) == 1 + MOST_LOOKS


# A whole window


class Still:
    """A contender whose receivers are these."""

    name, ready_seconds = "still", 0.0

    def __init__(self, receivers: Receivers, *, carries_rtp: bool) -> None:
        self.receivers, self.carries_rtp = receivers, carries_rtp

    def lacking(self) -> str:
        return ""

    @contextlib.contextmanager
    def running(self, _: Setting, __: Load) -> Iterator[Running]:
        yield Running((os.getpid(),), self.receivers, settle_seconds=0.0, carries_rtp=self.carries_rtp)


def window(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *counts: Counts, carries_rtp: bool = True
) -> Window:
    monkeypatch.setattr(loads, "sink", lambda *_, **__: contextlib.nullcontext())
    setting = Setting(folder, Sources(folder), Needs(), seconds=0.1)
    try:
        (only,) = carry(Still(Later(*counts), carries_rtp=carries_rtp), setting, load=Load(1, 1))
    finally:
        setting.close()
    return only


def test_who_carries_rtp_and_delivers_nothing_has_lost_all_at_no_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = window(tmp_path, monkeypatch, came(0, 0), came(0, 0), came(0, 0))
    assert (silent.figures[LOSS], silent.figures[COST]) == (1.0, float("inf"))


def test_a_train_that_the_begin_of_a_window_cuts_makes_up_for_nothing_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = came(0, 0), Counts(0, (Progress(rtp=5),)), came(0, 0)
    told = window(tmp_path, monkeypatch, *begin, came(995, 1000), came(0, 0))
    assert told.figures[LOSS] == pytest.approx(0.005)


def test_of_what_is_no_rtp_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = window(tmp_path, monkeypatch, Counts(0), Counts(0), Counts(1000), carries_rtp=False)
    assert LOSS not in told.figures
    assert told.figures[COST] < float("inf")


def test_a_hop_that_leaves_the_other_contents_out_is_not_measured_under_that_load() -> None:
    load = Load(3, 1)
    assert without_load(came(2000, 0, 1000, 1000), load, SECONDS) == 0.0, "the first is the probe's"
    assert without_load(came(1000, 0, 1000, 0), load, SECONDS) == pytest.approx(ALL / (1000 + ALL))
    assert without_load(came(0, 0), Load(1, 1), SECONDS) == 0.0


def test_a_core_that_computes_all_the_time_is_busy_and_who_computes_is_told() -> None:
    allowed = os.sched_getaffinity(0)
    core = min(allowed)
    os.sched_setaffinity(0, {core})
    try:
        busy, use = CoreUse(core), Use((os.getpid(),))
        while use.seconds() < 0.1:
            sum(range(1000))
        assert busy.share() > 0.8
        assert use.seconds() >= 0.1
        assert 0.0 < use.shares()[loads.CORES] < 1.5
    finally:
        os.sched_setaffinity(0, allowed)
