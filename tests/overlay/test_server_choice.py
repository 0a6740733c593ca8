"""The rendezvous point's measure of its servers."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay.server_choice import WINDOW, Measurement, PingWindow, ranked


def window(*delays_us: int) -> PingWindow:
    pings = PingWindow()
    for delay_us in delays_us:
        pings.add(delay_us)
    return pings


def test_without_a_ping_there_is_no_measurement() -> None:
    assert PingWindow().measurement() is None


def test_one_ping_has_no_jitter() -> None:
    assert window(700).measurement() == Measurement(700, 700, 0)


def test_latency_is_the_average_and_jitter_the_variation() -> None:
    measured = window(1000, 3000, 2000).measurement()
    assert measured == Measurement(delay_us=2000, latency_us=2000, jitter_us=1500)


def test_the_metric_weighs_latency_six_and_jitter_four_tenths() -> None:
    assert Measurement(delay_us=5, latency_us=1000, jitter_us=500).metric == 800.0


def test_old_measurements_are_forgotten() -> None:
    assert window(*[900_000] * WINDOW, *[100] * WINDOW).measurement() == Measurement(100, 100, 0)


def test_a_steady_server_is_taken_before_a_nearer_but_unsteady_one() -> None:
    servers = {"unsteady": Measurement(1500, 1800, 2000), "steady": Measurement(2000, 2000, 0)}
    assert ranked(servers) == ["steady", "unsteady"]


def test_equal_servers_are_taken_by_name_so_that_a_choice_repeats() -> None:
    same = Measurement(1, 1, 1)
    assert ranked({"b": same, "a": same}) == ["a", "b"]


def test_a_measurement_is_told_with_its_units() -> None:
    assert str(Measurement(5, 1000, 500)) == "delay 5 us, latency 1000 us, jitter 500 us, metric 800"


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=50))
def test_a_measurement_stays_within_what_was_measured(delays: list[int]) -> None:
    measured, recent = window(*delays).measurement(), delays[-WINDOW:]
    assert measured is not None
    assert measured.delay_us == delays[-1]
    assert min(recent) <= measured.latency_us <= max(recent)
    assert 0 <= measured.jitter_us <= max(recent) - min(recent)
