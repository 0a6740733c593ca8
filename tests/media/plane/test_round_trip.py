"""The smoothed round trip, and how long an answer is waited for."""

from mcast.media.round_trip import DEFAULT_ROUND_TRIP, LONGEST_ROUND_TRIP, MIN_PATIENCE, RoundTrip


def measured(*samples: float) -> RoundTrip:
    trip = RoundTrip()
    for sample in samples:
        trip.note(sample)
    return trip


def test_before_it_is_measured_it_is_guessed() -> None:
    assert measured().smoothed is None
    assert DEFAULT_ROUND_TRIP < measured().patience < 2 * DEFAULT_ROUND_TRIP


def test_the_first_sample_counts_whole_and_later_ones_an_eighth() -> None:
    assert measured(0.4).smoothed == 0.4
    assert abs((measured(0.4, 0.24).smoothed or 0) - 0.38) < 1e-9


def test_what_was_slow_for_a_moment_is_soon_forgotten() -> None:
    crowd = measured(*[0.02] * 20, *[0.8] * 5)
    assert (crowd.smoothed or 0) > 0.3
    for _ in range(5):
        crowd.note(0.02)
    assert (crowd.smoothed or 0) < 0.04


def test_it_follows_a_path_that_has_become_shorter_or_longer() -> None:
    assert abs((measured(0.4, *[0.04] * 40).smoothed or 0) - 0.04) < 0.003
    assert abs((measured(0.04, *[0.4] * 40).smoothed or 0) - 0.4) < 0.003


def test_an_answer_is_given_a_quarter_more_than_usual_and_twice_as_much_where_it_varies() -> None:
    assert abs(measured(*[0.1] * 60).patience - 0.125) < 0.001
    trembling = measured(*[0.05, 0.15] * 30)
    assert trembling.smoothed is not None
    assert abs(trembling.patience - 2 * trembling.smoothed) < 0.001


def test_a_thread_is_given_time_to_answer_on_the_shortest_path() -> None:
    assert measured(0.0).patience == measured(*[0.0002] * 50).patience == MIN_PATIENCE


def test_what_makes_no_sense_is_ignored() -> None:
    assert measured(0.1, -0.5, LONGEST_ROUND_TRIP, 1e9).smoothed == 0.1
