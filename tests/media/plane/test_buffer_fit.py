"""The receive buffer fits the stream's rate."""

import itertools

import pytest

from mcast.media.buffer_fit import MAX_RECEIVE_BUFFER, BufferFit, size_for
from mcast.net.udp import RECEIVE_BUFFER

MEGABIT = 1_000_000 / 8
DEFAULT_GRANT = 425_984
"""What a kernel grants whose limit nobody has raised."""


def followed(*megabits: float) -> BufferFit:
    """Return it after so many seconds, each at another rate."""
    fit, looks = BufferFit(), itertools.count()
    octets = 0.0
    for rate in megabits:
        for _ in range(50):
            fit.look(round(octets), 100.0 + next(looks) / 50)
            octets += rate * MEGABIT / 50
    fit.look(round(octets), 100.0 + next(looks) / 50)
    return fit


@pytest.mark.parametrize("rate", [0.0, 5.0, 50.0, 150.0])
def test_a_usual_stream_needs_no_more_than_was_asked_for_at_first(rate: float) -> None:
    assert followed(*[rate] * 5).size == RECEIVE_BUFFER


def test_a_quarter_of_a_second_of_a_fast_stream_finds_room() -> None:
    size = followed(724.0, 724.0).size
    datagrams = 2 * size / 2_304  # the kernel grants twice what is asked for, and counts so much for each
    assert datagrams * 1_328 >= 0.25 * 724 * MEGABIT
    assert size < MAX_RECEIVE_BUFFER


def test_it_grows_by_steps_and_never_shrinks() -> None:
    grown = {followed(*[rate] * 2).size for rate in range(400, 430, 5)}
    assert len(grown) > 1  # each by its own rate
    rising = BufferFit()
    octets, changes = 0.0, 0
    for tenth in range(600):
        octets += (300 + tenth / 2) * MEGABIT / 10
        changes += rising.look(round(octets), tenth / 10)
    assert changes <= 3
    assert followed(724.0, 1.0, 1.0).size == followed(724.0).size


def test_it_fits_soon_after_a_burst_has_begun() -> None:
    fit, octets, now = BufferFit(), 0.0, 100.0
    fit.look(0, now)
    while not fit.look(round(octets), now):
        octets += 724 * MEGABIT / 50
        now += 0.02
    assert now < 100.2
    assert fit.size == followed(724.0).size


def test_what_is_needed_of_the_system_is_told_where_it_is_lasting_or_much() -> None:
    catching_up = followed(*[20.0] * 1, *[5.0] * 9)
    assert catching_up.needed <= DEFAULT_GRANT
    assert followed(*[10.0] * 9).needed == 0, "it may be over in a moment"
    assert followed(*[10.0] * 11).needed == 2 * size_for(10 * MEGABIT) > DEFAULT_GRANT
    assert followed(724.0).needed == 2 * size_for(724 * MEGABIT)


def test_it_is_told_once_as_long_as_the_rate_stays_about_the_same() -> None:
    fit, octets, told = BufferFit(), 0.0, 0
    for second in range(100):
        octets += (10 + second % 20 / 10) * MEGABIT
        told += fit.look(round(octets), float(second))
    assert told == 1


def test_no_rate_takes_all_memory() -> None:
    assert size_for(1e12) == MAX_RECEIVE_BUFFER
    assert followed(100_000.0).size == MAX_RECEIVE_BUFFER
