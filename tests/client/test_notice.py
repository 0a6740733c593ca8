"""What a client says while it waits."""

import logging

import pytest

from mcast.client.notice import LOG_AFTER, LOG_EACH, Notice


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_line_follows_at_once_and_the_log_after_a_second_and_then_every_ten(
    shown: list[str], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    notice = Notice("film", shown.append, clock)
    for second in range(25):
        notice.look(f"preparing {second} %")
        clock.now += 1.0
    assert shown == [f"film: waiting: preparing {second} %" for second in range(25)]
    logged = [1, 1 + LOG_EACH, 1 + 2 * LOG_EACH]
    assert caplog.messages == [f"[film] waiting: preparing {second:g} %" for second in logged]
    assert caplog.records[0].event == "waiting"  # type: ignore[attr-defined]


def test_what_is_over_within_a_second_is_not_logged(
    shown: list[str], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    notice = Notice("film", shown.append, clock)
    for _ in range(5):
        notice.look("the server waits")
        clock.now += LOG_AFTER / 2
        notice.look("")
        clock.now += LOG_AFTER
    assert caplog.messages == []
    assert len(shown) == 5
