"""The rendezvous point's choice, read from its log."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay.choice import Figures as Measured
from tools.experiments.choices import Figures, read_choices

FIGURES = "delay 450 us, latency 820 us, jitter 690 us, metric 768"
LOG = f"""\
10:00:00.000 INFO    [moon] server choice 1: 10.0.6.10:7000: {FIGURES} (decide)
10:00:00.000 INFO    [moon] server choice 2: 10.0.6.11:7000: not measured yet (decide)
10:00:01.000 INFO    [earth] server choice 1: 10.0.6.11:7000: not measured yet (decide)
10:00:02.000 INFO    [moon] server choice 1: 10.0.6.11:7000: {FIGURES} (decide)
"""


def test_each_choice_lists_its_servers_the_best_first() -> None:
    first, second = read_choices(LOG, "moon")
    assert first.best == "10.0.6.10"
    assert first.figures("10.0.6.10") == Figures(450, 820, 690, 768)
    assert first.figures("10.0.6.11") is None
    assert second.servers == (("10.0.6.11", Figures(450, 820, 690, 768)),)


def test_a_choice_is_shown_in_milliseconds() -> None:
    first, _ = read_choices(LOG, "moon")
    assert first.rows == [
        ("1", "10.0.6.10", "0.45 ms", "0.82 ms", "0.69 ms", "0.77 ms"),
        ("2", "10.0.6.11", "-", "-", "-", "-"),
    ]


def test_what_the_program_says_of_its_figures_can_be_read() -> None:
    said = f"[moon] server choice 1: 10.0.6.10:7000: {Measured(1000, 2000, 500)}"
    (choice,) = read_choices(said, "moon")
    assert choice.figures("10.0.6.10") == Figures(1000, 2000, 500, 1400)


@given(st.text())
def test_any_log_can_be_read(text: str) -> None:
    read_choices(text, "moon")
