import io

import pytest

from mcast.roles.client.status_line import Status, StatusLine

STATUS = Status(12.04, 2_412_000, 509.6, 3, ("rp", "n1", "n3"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_time_rate_buffer_losses_and_the_way() -> None:
    assert str(STATUS) == "   12.0 s   2.41 Mbit/s   buffer 510 ms   lost 3   rp > n1 > n3"


def test_a_terminal_has_one_line_that_is_rewritten_and_left_standing() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show(STATUS)
    line.show(STATUS)
    line.close()
    line.close()
    assert terminal.getvalue() == f"\r\x1b[K{STATUS}\r\x1b[K{STATUS}\n"


def test_a_narrow_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    StatusLine(terminal).show(STATUS)
    assert terminal.getvalue() == "\r\x1b[K" + str(STATUS)[:19]


def test_anything_else_gets_nothing() -> None:
    pipe = io.StringIO()
    line = StatusLine(pipe)
    line.show(STATUS)
    line.close()
    assert pipe.getvalue() == ""


def test_a_line_that_was_never_shown_is_not_ended() -> None:
    terminal = Terminal()
    StatusLine(terminal).close()
    assert terminal.getvalue() == ""


def test_a_terminal_that_is_closed_disturbs_nobody() -> None:
    class Closed(Terminal):
        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    line = StatusLine(Closed())
    line.show(STATUS)
    line.close()
