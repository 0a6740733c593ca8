"""LabLink options: what is possible, what users write, what netem is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import ConfigError
from tools.lab.options import LinkOptions, parse_changes


@pytest.mark.parametrize(
    ("rate", "delay_us", "queue"),
    [(256_000, 500_000, 22), (10_000_000, 10_000, 17), (8_000, 1, 2), (256_000, 0, 1000), (0, 500_000, 1000)],
)
def test_the_default_queue_is_cores(rate: int, delay_us: int, queue: int) -> None:
    assert LinkOptions(rate=rate, delay_us=delay_us).queue == queue


def test_a_given_buffer_is_the_queue() -> None:
    assert LinkOptions(rate=256_000, delay_us=500_000, buffer=500).queue == 500


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"delay_us": -1}, "delay_us is -1"),
        ({"loss": 101.0}, "0 to 100 percent"),
        ({"loss": float("nan")}, "0 to 100 percent"),
        ({"loss_burst": 0.5}, "1 packet or more"),
        ({"loss": 90.0, "loss_burst": 2.0}, "raise burst to 9"),
    ],
)
def test_an_impossible_option_is_one_clear_line(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        LinkOptions(**values)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_changes_are_read_as_users_write_them() -> None:
    words = ["delay=20ms", "jitter=500us", "rate=2.5mbit", "loss=1%", "dup=0.5", "burst=4"]
    words += ["buffer=50", "reorder=yes"]
    assert LinkOptions().changed(parse_changes(words)) == LinkOptions(
        20_000, 500, 2_500_000, 1.0, 0.5, 50, loss_burst=4.0, reorder=True
    )


def test_what_is_not_named_stays_and_reset_forgets_it() -> None:
    before = LinkOptions(delay_us=5, loss=1.0)
    assert before.changed(parse_changes(["loss=2"])) == LinkOptions(delay_us=5, loss=2.0)
    assert before.changed(parse_changes(["reset=yes", "rate=1gbit"])) == LinkOptions(rate=10**9)


@pytest.mark.parametrize(
    "word", ["delay", "delay=", "delay=20", "delay=20kg", "speed=1", "loss=x", "reorder=1", "rate=5"]
)
def test_a_word_that_is_no_change_is_refused_by_name(word: str) -> None:
    with pytest.raises(ConfigError, match=f"'{word}'"):
        parse_changes([word])


@given(st.text())
def test_any_word_gives_changes_or_a_config_error(word: str) -> None:
    try:
        changes = parse_changes([word])
    except ConfigError:
        return
    assert changes


def test_netem_is_told_the_same() -> None:
    assert LinkOptions(delay_us=20_000, rate=10**6, loss=1.0).netem() == (
        ["limit", "4", "delay", "20000us", "0us", "loss", "1%", "rate", "1000000bit"]
    )
    bursts = LinkOptions(loss=20.0, loss_burst=4.0)
    assert bursts.netem() == ["limit", "1000", "loss", "gemodel", "6.25%", "25%"]


def test_netem_keeps_the_order_under_jitter_unless_asked() -> None:
    assert LinkOptions(jitter_us=5).netem()[-2:] == ["rate", "100gbit"]
    assert "rate" not in LinkOptions(jitter_us=5, reorder=True).netem()


def test_options_are_shown_with_units() -> None:
    assert str(LinkOptions(20_000, rate=2_000_000, loss=0.5)) == (
        "delay 20 ms, rate 2 Mbit/s, loss 0.5 %, queue 7 packets"
    )
    assert str(LinkOptions()) == "-"
