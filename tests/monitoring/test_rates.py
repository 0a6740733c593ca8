"""Rates and losses out of two reports."""

import pytest

from mcast.monitoring.rates import LEAST_MS, RateMeter, Rates
from mcast.wire.health import StreamHealth
from mcast.wire.position import Position


def report(datagrams: int, *, repaired: int = 0, lost: int = 0, ssrc: int = 7) -> StreamHealth:
    return StreamHealth(
        "news", (), (), Position(ssrc, datagrams), lost, datagrams=datagrams, octets=datagrams * 1000,
        repaired=repaired,
    )  # fmt: skip


def test_a_rate_is_what_came_between_two_reports_by_the_nodes_own_clock() -> None:
    meter = RateMeter(report(100), 10_000)
    assert meter.rates == Rates()
    meter.look(report(300), 12_000)
    assert meter.rates.bit_rate == 800_000


def test_losses_are_told_before_and_after_repair() -> None:
    meter = RateMeter(report(0), 0)
    meter.look(report(90, repaired=15, lost=10), 1000)
    assert (meter.rates.lost_before_repair, meter.rates.lost) == (0.25, 0.1)


def test_a_gap_that_was_filled_is_no_negative_loss() -> None:
    meter = RateMeter(report(100, lost=20), 0)
    meter.look(report(200, repaired=20), 1000)
    assert (meter.rates.lost_before_repair, meter.rates.lost) == (0.2, 0.0)


def test_a_report_at_once_after_another_one_says_too_little_to_be_compared() -> None:
    meter = RateMeter(report(0), 0)
    meter.look(report(1), LEAST_MS - 1)
    assert meter.rates == Rates()
    meter.look(report(100), 1000)
    assert meter.rates.bit_rate == 800_000


@pytest.mark.parametrize(
    ("then", "uptime_ms"), [(report(5), 3000), (report(500, ssrc=8), 3000), (report(500), 500)]
)
def test_another_stream_or_another_process_begins_anew(then: StreamHealth, uptime_ms: int) -> None:
    meter = RateMeter(report(0), 1000)
    meter.look(report(100), 2000)
    meter.look(then, uptime_ms)
    assert meter.rates == Rates()
