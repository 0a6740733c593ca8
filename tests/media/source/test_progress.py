import io
import logging

import pytest

from mcast.media.source.progress import READING, progress_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_which_is_cleared_at_the_end() -> None:
    terminal = Terminal()
    with progress_of("earth", terminal) as on_progress:
        on_progress(0.5)
        on_progress(0.6)  # too soon to be drawn
    assert terminal.getvalue() == (
        "\rpreparing earth [###############...............]  50 %, 0:00 left\x1b[K\r\x1b[K"
    )


def test_how_long_it_takes_is_not_told_before_anything_is_done() -> None:
    terminal = Terminal()
    with progress_of("earth", terminal) as on_progress:
        on_progress(0.0)
    assert terminal.getvalue() == "\rpreparing earth [..............................]   0 %\x1b[K\r\x1b[K"


def test_elsewhere_a_long_preparation_gives_plain_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    file = io.StringIO()
    with progress_of("earth", file) as on_progress:
        on_progress(0.1)  # most are over before anybody has noticed
        now = 1.5
        on_progress(0.25)
        on_progress(0.3)
        now = 12.0
        on_progress(0.5)
    assert file.getvalue() == ""
    assert caplog.messages == ["preparing: 25 %", "preparing: 50 %"]


def test_a_large_file_that_is_read_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = iter((0.0, 2.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress_of("earth", io.StringIO(), doing=READING) as on_progress:
        on_progress(0.07)
    assert caplog.messages == ["[earth] reading: 7 %"]
