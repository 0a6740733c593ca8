"""The receive buffer fits the stream's rate."""

import pytest

from mcast.media.buffer_fit import MAX_RECEIVE_BUFFER, BufferFit, size_for
from mcast.net.udp import RECEIVE_BUFFER

MEGABIT = 1_000_000 / 8


def followed(*megabits: float) -> BufferFit:
    """Return it after so many seconds, each at another rate."""
    fit, octets = BufferFit(), 0.0
    fit.look(0, 100.0)
    for second, rate in enumerate(megabits, 1):
        octets += rate * MEGABIT
        for part in range(50):
            fit.look(round(octets), 100.0 + second + part / 50)
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
    for second in range(60):
        octets += (300 + 5 * second) * MEGABIT
        changes += rising.look(round(octets), float(second))
    assert changes <= 2
    assert followed(724.0, 1.0, 1.0).size == followed(724.0).size


def test_no_rate_takes_all_memory() -> None:
    assert size_for(1e12) == MAX_RECEIVE_BUFFER
    assert followed(100_000.0).size == MAX_RECEIVE_BUFFER
