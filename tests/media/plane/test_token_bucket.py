"""How fast something may go: no more than its rate, but for what was saved up."""

from hypothesis import given
from hypothesis import strategies as st

from mcast.media.token_bucket import TokenBucket


def test_it_begins_full_and_saves_no_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=10, burst=5, now=0.0)
    assert bucket.left(0.0) == 5
    bucket.take(5)
    assert bucket.left(0.1) == 1
    assert bucket.left(100.0) == 5


def test_debt_is_paid_by_time() -> None:
    bucket = TokenBucket(rate=10, burst=5, now=0.0)
    bucket.take(15)
    assert bucket.left(0.0) == -10
    assert bucket.left(1.0) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=10, burst=5, now=10.0)
    bucket.take(5)
    assert bucket.left(3.0) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 50)), max_size=30))
def test_never_is_more_taken_than_rate_and_burst_allow(steps: list[tuple[float, float]]) -> None:
    bucket, now, taken = TokenBucket(rate=10, burst=5, now=0.0), 0.0, 0.0
    for pause, wish in steps:
        now += pause
        units = min(wish, max(bucket.left(now), 0.0))
        bucket.take(units)
        taken += units
        assert taken <= 5 + 10 * now + 1e-6
