"""Output times of several clients, compared."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.experiments.skew import STEP, WRAP, behind_the_first, shown_at, spreads, widest

CLOCK = 90_000


def notes(
    offset: float, origin: int = 1_000_000, phase: float = 0.0, count: int = 10
) -> list[tuple[int, float]]:
    """What a client notes that shows everything `offset` seconds late, about once a second."""
    moments = [phase + number * 1.01 for number in range(count)]
    return [(round(origin + m * CLOCK) % WRAP, 5_000.0 + m + offset) for m in moments]


def test_between_two_notes_the_time_is_interpolated() -> None:
    times = [(0.0, 100.0), (2.0, 102.5)]
    assert shown_at(times, 1.0) == 101.25
    assert shown_at(times, 2.0) == 102.5
    assert shown_at(times, 2.1) is None
    assert shown_at(times, -0.1) is None
    assert shown_at([], 0.0) is None


def test_a_client_is_behind_by_what_its_path_is_longer() -> None:
    behind = behind_the_first({"c1": notes(0.0), "c4": notes(0.025, phase=0.4)}, since=0.0)
    found = spreads(behind)
    assert found["c1"] == pytest.approx((0, 0, 0), abs=1e-4)
    assert found["c4"] == pytest.approx((0.025, 0.025, 0.025), abs=1e-4)
    assert widest(behind) == pytest.approx(0.025, abs=1e-4)


def test_a_moment_at_which_one_client_stood_still_is_told_and_not_judged() -> None:
    late = notes(0.02)
    late[4] = (late[4][0], late[4][1] + 0.3)
    behind = behind_the_first({"c1": notes(0.0), "c4": late}, since=0.0)
    assert widest(behind) == pytest.approx(0.02, abs=1e-3)
    assert spreads(behind)["c4"].most > 0.3


def test_only_moments_that_all_have_shown_are_compared() -> None:
    behind = behind_the_first({"a": notes(0.0, count=10), "b": notes(0.1, phase=5.0, count=3)}, since=0.0)
    assert len(behind["a"]) == len(behind["b"]) == int(2.02 / STEP) + 1


def test_what_was_shown_before_all_had_settled_does_not_count() -> None:
    behind = behind_the_first({"a": notes(0.0), "b": notes(0.0)}, since=5_005.0)
    assert 0 < len(behind["a"]) < 10 / STEP


def test_without_a_common_moment_there_is_no_skew() -> None:
    assert math.isnan(widest(behind_the_first({"a": notes(0.0), "b": []}, since=0.0)))
    apart = behind_the_first({"a": notes(0.0, count=3), "b": notes(0.0, phase=50.0, count=3)}, since=0.0)
    assert math.isnan(widest(apart))


@given(origin=st.integers(0, WRAP - 1), offset=st.floats(0, 0.5))
def test_timestamps_may_wrap(origin: int, offset: float) -> None:
    behind = behind_the_first({"a": notes(0.0, origin), "b": notes(offset, origin, phase=0.3)}, since=0.0)
    assert widest(behind) == pytest.approx(offset, abs=1e-3)
