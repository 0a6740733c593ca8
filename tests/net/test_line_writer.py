"""Whoever reads a stream, or does not: who writes lines to it never waits."""

import io
import os
import pty
import termios
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from helpers import wait_until
from mcast.net.line_writer import LineWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Return a pipe that holds some 64 KiB: the end to read, and a stream to write to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    os.close(reading)


def read_all(reading: int, size: int) -> str:
    data = b""
    while len(data) < size:
        data += os.read(reading, size - len(data))
    return data.decode()


def test_lines_come_whole_and_in_order(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = LineWriter(stream)
    for number in range(100):
        lines.put(f"line {number}\n")
    lines.close()
    assert os.read(reading, 65_536).decode().splitlines() == [f"line {number}" for number in range(100)]


def test_a_stream_without_a_descriptor_will_do() -> None:
    stream = io.StringIO()
    lines = LineWriter(stream)
    lines.put("a\n")
    lines.close()
    lines.close()
    lines.put("b\n")
    assert stream.getvalue() == "a\n"


def test_what_cannot_be_encoded_is_written_as_an_escape(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = LineWriter(stream)
    lines.put("\ud800\n")
    lines.close()
    assert os.read(reading, 100) == b"\\ud800\n"


def test_what_finds_no_room_is_counted_and_said_in_its_place(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = LineWriter(stream, max_waiting=10_000, left_out=lambda count: f"{count} missing\n")
    sent = 0
    while "0 lines missing" in repr(lines):
        lines.put("x" * 99 + "\n")
        sent += 1
        assert sent < 10_000
    for _ in range(4):
        lines.put("y" * 99 + "\n")
    text = read_all(reading, 100 * (sent - 1) + len("5 missing\n"))
    lines.put("later\n")
    lines.close()
    assert text == ("x" * 99 + "\n") * (sent - 1) + "5 missing\n"
    assert os.read(reading, 100) == b"later\n"


def test_what_is_worth_nothing_later_is_not_queued_behind_anything(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = LineWriter(stream)
    lines.put("x" * 100_000)  # more than the pipe takes
    lines.offer("12.0 s")
    assert read_all(reading, 100_000) == "x" * 100_000
    assert lines.flush(30)
    lines.offer("12.5 s")
    lines.close()
    assert os.read(reading, 100) == b"12.5 s"


def test_last_words_find_room_always(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    lines = LineWriter(stream, max_waiting=200_000)
    lines.put("x" * 200_000)
    lines.put("last\n", always=True)
    assert read_all(reading, 200_005) == "x" * 200_000 + "last\n"
    lines.close()


def test_nobody_who_reads_means_an_end_in_time_and_no_thread(pipe: tuple[int, TextIO]) -> None:
    lines = LineWriter(pipe[1])
    lines.put("x" * 100_000)
    lines.close(0.05)
    wait_until(lambda: "lines" not in {thread.name for thread in threading.enumerate()}, "the thread's end")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "Input/output error"), ValueError("closed")])
def test_a_reader_that_has_gone_disturbs_nobody(error: Exception) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise error

    lines = LineWriter(Broken())
    lines.put("a\n")
    assert lines.flush(30)
    lines.close()


def test_a_terminal_that_is_stopped_stops_nobody() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        termios.tcflow(terminal, termios.TCOOFF)  # Ctrl-S
        lines = LineWriter(terminal)
        assert lines.is_terminal
        lines.put("one\n")
        lines.offer("12.0 s")
        lines.put("two\n")
        assert not lines.flush(0.05)
        termios.tcflow(terminal, termios.TCOON)
        assert lines.flush(30)
        lines.close()
        assert read_all(ours, len(told := "one\r\ntwo\r\n")) == told  # it may come line by line
    os.close(ours)
