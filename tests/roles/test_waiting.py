"""Who waits longer than a moment is told what for, now and then, and nobody else is."""

import logging
import socket

import pytest

from helpers import Recorder, wait_until
from mcast.roles.client.main import main
from mcast.roles.waiting import SAY_AFTER, Waiting


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


def test_a_list_that_a_neighbour_is_slow_to_give_is_waited_for_aloud(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert main(["--neighbour", address, "--list", "--wait", f"{SAY_AFTER + 0.5}"]) == 4
    out, err = capfd.readouterr()
    assert out == ""
    waiting, failure = err.splitlines()
    assert f"client: waiting: {address} to tell which contents there are (waiting)" in waiting
    assert "nobody tells which contents there are" in failure
