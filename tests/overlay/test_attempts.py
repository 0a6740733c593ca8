"""When a parent that says nothing is asked anew."""

from mcast.overlay.attempts import Attempts


def test_each_wait_is_twice_as_long_as_the_last_up_to_a_bound() -> None:
    attempts, waits = Attempts(due=5.0, wait=1.0), []
    for _ in range(4):
        now = attempts.due
        attempts.put_off(now, 3.0)
        waits.append(attempts.due - now)
    assert waits == [1.0, 2.0, 3.0, 3.0]
