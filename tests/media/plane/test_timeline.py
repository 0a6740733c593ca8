"""When a datagram is due: RTP time, least transit, latency."""

from mcast.media.timeline import WINDOW_SECONDS, Timeline


def test_due_is_rtp_time_and_least_transit_and_latency() -> None:
    timeline = Timeline(0.5)
    timeline.note(0, 10.0)
    timeline.note(90_000, 11.3)  # 300 ms later than the first
    assert timeline.due(90_000, arrival=11.3) == 11.5


def test_nothing_is_held_for_longer_than_the_latency() -> None:
    timeline = Timeline(0.5)
    assert timeline.due(0, arrival=3.0) == 3.5
    timeline.note(0, 10.0)
    assert timeline.due(90_000 * 60, arrival=10.0) == 10.5


def test_timestamps_are_unwrapped_to_the_ticks_nearest_to_the_last() -> None:
    timeline = Timeline(0.5)
    assert timeline.unwrap(2**32 - 5) == 2**32 - 5
    assert timeline.unwrap(4) == 2**32 + 4
    assert timeline.unwrap(2**32 - 1) == 2**32 - 1


def test_least_transit_follows_a_path_that_has_become_longer() -> None:
    timeline = Timeline(0.5)
    timeline.note(0, 10.0)
    timeline.note(90_000, 11.2)
    assert timeline.least_transit == 10.0
    timeline.note(90_000 * 40, 10.2 + 40)
    assert timeline.least_transit is not None
    assert timeline.least_transit > 10.1
    assert WINDOW_SECONDS < 40
