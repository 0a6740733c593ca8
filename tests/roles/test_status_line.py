import io
from collections.abc import Iterator

import pytest

from helpers import FORGED
from mcast.client.notice import Notice
from mcast.net.line_writer import LineWriter
from mcast.roles.client.status_line import Status, StatusLine

STATUS = Status(12.04, 2_412_000, 509.6, 3, ("rp", "n1", "n3"))


@pytest.fixture
def terminal() -> "Terminal":
    return Terminal()


@pytest.fixture
def lines(terminal: "Terminal") -> Iterator[LineWriter]:
    lines = LineWriter(terminal)
    yield lines
    lines.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_time_rate_buffer_losses_and_the_way() -> None:
    assert str(STATUS) == "   12.0 s   2.41 Mbit/s   buffer 510 ms   lost 3   rp > n1 > n3"


def test_a_terminal_has_one_line_that_is_rewritten_and_left_standing(
    terminal: Terminal, lines: LineWriter
) -> None:
    line = StatusLine(lines)
    for _ in range(2):
        line.show(STATUS)
        assert lines.flush(10)
    line.close()
    line.close()
    lines.close()
    assert terminal.getvalue() == f"\r\x1b[K{STATUS}\r\x1b[K{STATUS}\n"


def test_a_narrow_terminal_is_not_overrun(
    terminal: Terminal, lines: LineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    StatusLine(lines).show(STATUS)
    lines.close()
    assert terminal.getvalue() == "\r\x1b[K" + str(STATUS)[:19]


def test_a_pipe_gets_no_status_line() -> None:
    pipe = io.StringIO()
    lines = LineWriter(pipe)
    line = StatusLine(lines)
    line.show(STATUS)
    line.close()
    lines.close()
    assert pipe.getvalue() == ""


def test_without_a_program_around_it_there_is_no_line() -> None:
    line = StatusLine()
    line.show(STATUS)
    line.close()
    assert not line.enabled


def test_a_line_that_was_never_shown_is_not_ended(terminal: Terminal, lines: LineWriter) -> None:
    StatusLine(lines).close()
    lines.close()
    assert terminal.getvalue() == ""


def test_what_a_node_says_cannot_leave_the_line_nor_command_the_terminal(
    terminal: Terminal, lines: LineWriter
) -> None:
    Notice("news", StatusLine(lines).show).look(FORGED)
    assert lines.flush(10)
    before, line = terminal.getvalue().split("\x1b[K")
    assert (before, line.isprintable()) == ("\r", True)
    assert line.startswith(r"news: waiting: a\n12:00:00.000 ERROR b\u001b[31m\u2028\u202e")
