"""The rendezvous point's measure of its servers."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay.choice import WINDOW, Figures, PingWindow, ranked


def test_no_measurement_gives_no_figures() -> None:
    assert PingWindow().figures() is None


def test_latency_is_the_average_and_jitter_the_variation() -> None:
    window = PingWindow()
    for delay in (1000, 3000, 2000):
        window.add(delay)
    assert window.figures() == Figures(delay_us=2000, latency_us=2000, jitter_us=1500)


def test_the_metric_weighs_latency_six_and_jitter_four_tenths() -> None:
    assert Figures(delay_us=5, latency_us=1000, jitter_us=500).metric == 800.0


def test_old_measurements_are_forgotten() -> None:
    window = PingWindow()
    for delay in [900_000] * WINDOW + [100] * WINDOW:
        window.add(delay)
    assert window.figures() == Figures(100, 100, 0)


def test_a_steady_server_is_taken_before_a_nearer_but_unsteady_one() -> None:
    servers = {"steady": Figures(2000, 2000, 0), "unsteady": Figures(1500, 1800, 2000)}
    assert ranked(servers) == ["steady", "unsteady"]


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=50))
def test_figures_stay_within_what_was_measured(delays: list[int]) -> None:
    window = PingWindow()
    for delay in delays:
        window.add(delay)
    figures = window.figures()
    assert figures is not None
    recent = delays[-WINDOW:]
    assert min(recent) <= figures.latency_us <= max(recent)
    assert 0 <= figures.jitter_us <= max(recent) - min(recent)
