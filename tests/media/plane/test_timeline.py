"""When a datagram is due: RTP time, least transit, latency."""

from itertools import pairwise

from mcast.media.timeline import MAX_DRIFT, WINDOW_SECONDS, Timeline


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


def arrive(timeline: Timeline, begin: float, seconds: float, transit: float) -> list[float]:
    """Let datagrams of each 10 ms arrive; return how long each takes from its RTP time to the output."""
    delays = []
    for step in range(round(seconds * 100)):
        ticks = round((begin + step / 100) * 90_000)
        now = begin + step / 100 + transit
        timeline.note(ticks, now)
        delays.append(timeline.due(ticks, now) - ticks / 90_000)
    return delays


def test_a_longer_way_is_followed_by_one_percent_of_the_time_and_the_wait_for_holes_comes_back() -> None:
    timeline = Timeline(0.5)
    assert abs(arrive(timeline, 0.0, 5.0, transit=0.1)[-1] - 0.6) < 1e-6
    timeline.change_way(5.1)
    delays = arrive(timeline, 5.0, 35.0, transit=0.3)
    assert abs(delays[0] - 0.6) < 0.01
    steps = [later - earlier for earlier, later in pairwise(delays)]
    assert max(steps) <= MAX_DRIFT * 0.01 + 1e-9  # no jump
    assert min(steps) >= -1e-9
    assert abs(delays[1_000] - 0.7) < 0.01  # half of it in 10 s
    assert abs(delays[-1] - 0.8) < 1e-6


def test_a_shorter_way_is_followed_as_slowly() -> None:
    timeline = Timeline(0.5)
    arrive(timeline, 0.0, 5.0, transit=0.3)
    timeline.change_way(5.1)
    delays = arrive(timeline, 5.0, 30.0, transit=0.2)
    assert delays[-1] > 0.5
    assert abs(delays[-1] - 0.7) < 1e-6


def test_a_change_before_anything_has_come_changes_nothing() -> None:
    timeline = Timeline(0.5)
    timeline.change_way(1.0)
    timeline.note(0, 10.0)
    assert timeline.due(0, 10.0) == 10.5
