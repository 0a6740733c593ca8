"""Who waits longer than a moment is told what for, now and then, and nobody else is."""

import logging

import pytest

from helpers import Recorder, wait_until
from mcast.roles.waiting import Waiting


def test_what_lasts_is_said_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Waiting("10.0.0.1:5000 to answer", crashes := Recorder(), after=0.001, each=0.001):
        wait_until(lambda: len(caplog.messages) >= 3)
    assert set(caplog.messages) == {"waiting: 10.0.0.1:5000 to answer"}
    assert crashes.calls == []


def test_what_is_quick_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Waiting("10.0.0.1:5000 to answer", Recorder(), after=600):
        pass
    assert caplog.messages == []
