"""Counters over time: sums, rates, and when a link fell silent."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.experiments.branches import Branch
from tools.experiments.findings import link_copies
from tools.experiments.tally import LOUD_BYTES, Sample, Tally
from tools.lab.counters import Flow, Traffic

ONE, OTHER = Flow("a-b", "a", "b"), Flow("b-c", "b", "c")
STEP = 0.05


def tally_of(steps: list[tuple[int, int]]) -> Tally:
    """Bytes that entered both links in each interval, from 100.0 s on."""
    tally, totals = Tally(), [0, 0]
    tally.add(Sample(100.0, {ONE: Traffic(), OTHER: Traffic()}))
    for number, pair in enumerate(steps, 1):
        totals = [total + size for total, size in zip(totals, pair, strict=True)]
        flows = {
            flow: Traffic(sent_bytes=total, delivered_bytes=total)
            for flow, total in zip((ONE, OTHER), totals, strict=True)
        }
        tally.add(Sample(100.0 + STEP * number, flows))
    return tally


def test_what_was_carried_between_two_moments_is_their_difference() -> None:
    tally = tally_of([(1000, 1), (2000, 2), (4000, 4)])
    assert tally.between(100.0, 100.2)[ONE].sent_bytes == 7000
    assert tally.between(100.06, 100.11)[ONE].sent_bytes == 2000
    assert tally.between(0, 200.0)[OTHER].sent_bytes == 7


def test_rates_are_bits_per_second_of_each_step() -> None:
    rates = tally_of([(1000, 0)] * 8).rates(ONE, 100.0, 100.4, 0.1)
    assert [round(rate.bits_per_second) for rate in rates] == [160_000] * 4
    assert rates[-1].at == pytest.approx(100.4)


def test_a_link_with_reports_only_is_silent() -> None:
    tally = tally_of([(5000, LOUD_BYTES - 1)] * 4)
    assert tally.loud(100.0, 100.2) == {ONE}


def test_reports_that_come_together_for_once_are_no_media() -> None:
    tally = tally_of([(5000, LOUD_BYTES), *[(5000, 0)] * 7])
    assert tally.loud(99.0, 100.4) == {ONE}


def test_silence_begins_behind_the_last_interval_with_media() -> None:
    tally = tally_of([(5000, 0), (5000, 0), (5000, 0), (100, 0), (0, 5000)])
    assert tally.silent_since(ONE, 100.06) == pytest.approx(100.15)
    assert tally.silent_since(OTHER, 100.06) == pytest.approx(100.25)


def test_silence_is_never_told_too_early() -> None:
    """Within an interval nobody knows: media in the one in which the client left may have come later."""
    tally = tally_of([(5000, 0), (0, 0)])
    assert tally.silent_since(ONE, 100.03) == pytest.approx(100.05)
    assert tally.silent_since(ONE, 100.07) == pytest.approx(100.07)


def test_what_leaves_a_slow_link_is_media_too() -> None:
    tally = Tally()
    tally.add(Sample(1.0, {ONE: Traffic(9000, 9, 0, 0)}))
    tally.add(Sample(1.05, {ONE: Traffic(9000, 9, 9000, 9)}))
    assert tally.silent_since(ONE, 1.0) == 1.05


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=20))
def test_rates_add_up_to_what_was_carried(steps: list[tuple[int, int]]) -> None:
    tally = tally_of(steps)
    end = tally.samples[-1].at
    previous, total = 100.0, 0.0
    for rate in tally.rates(ONE, 100.0, end, STEP):
        total += rate.bits_per_second * (rate.at - previous) / 8
        previous = rate.at
    assert total == pytest.approx(tally.between(100.0, end)[ONE].sent_bytes, abs=1)


def test_copies_are_measured_in_units_of_each_content() -> None:
    tree = [
        Branch("earth", "a", "b", (ONE,)),
        Branch("mars", "a", "b", (ONE,)),
        Branch("earth", "b", "c", (OTHER,)),
    ]
    tally = tally_of([(300, 100)] * 10)
    one, other = link_copies(tally, (100.0, 100.5), tree, by_unicast(), {"earth": 1000, "mars": 2000})
    assert (one.branches, one.measured, one.as_it_should_be) == (2, 2.0, True)
    assert (other.branches, other.measured, other.unicast) == (1, 1.0, 3)


def test_a_second_copy_is_noticed() -> None:
    tree = [Branch("earth", "b", "c", (OTHER,))]
    tally = tally_of([(0, 200)] * 10)
    (link,) = link_copies(tally, (100.0, 100.5), tree, by_unicast(), {"earth": 1000})
    assert link.measured == 2.0
    assert not link.as_it_should_be


def by_unicast() -> Counter[Flow]:
    return Counter({OTHER: 3})
