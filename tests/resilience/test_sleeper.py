"""A process that only sleeps, and tells how well."""

import os
import sys
import threading

from tools.resilience.sleeper import Sleeper, longest_oversleep


def test_it_sleeps_until_it_is_told_to_end_and_tells_its_longest_oversleep() -> None:
    with Sleeper() as sleeper:
        assert sleeper.overslept_ms == 0.0
    assert sleeper.overslept_ms >= 0.0


def test_it_measures_how_much_too_long_it_slept() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as ended:
        timer = threading.Timer(0.05, os.close, (writing,))
        timer.start()
        assert 0.0 <= longest_oversleep([ended], step=0.001) < sys.maxsize
        timer.join()
