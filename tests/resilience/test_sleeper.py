"""A process that only sleeps, and tells how well."""

import os
import threading

from tools.resilience.sleeper import Sleeper, oversleeps


def test_it_sleeps_until_it_is_told_to_end_and_tells_its_longest_oversleep() -> None:
    with Sleeper() as sleeper:
        assert sleeper.overslept_ms == 0.0
    assert sleeper.overslept_ms >= 0.0


def test_it_measures_how_much_too_long_it_slept_and_how_often_that_was_too_much() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as ended:
        timer = threading.Timer(0.05, os.close, (writing,))
        timer.start()
        longest, times = oversleeps([ended], step=0.001, limit_ms=-1.0)  # more than it was asked for: always
        timer.join()
    assert longest >= 0.0
    assert times > 0
