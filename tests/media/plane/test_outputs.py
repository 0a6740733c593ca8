"""Several outputs of one stream: each costs only itself, and what has broken is told at the end."""

import logging
import threading

import pytest

from helpers import PATIENCE, Recorder, refuse_threads
from mcast.errors import StreamEndedError
from mcast.media.output import Ended
from mcast.media.outputs import Outputs

BROKEN = Ended("disk full", StreamEndedError("disk full"))
CLOSED = Ended("mpv was closed")


class Part:
    """An output that the test plays."""

    dropped, written = 5, 10

    def __init__(self, name: str) -> None:
        self.name, self.has_room = name, True
        self.end: Ended | None = None
        self.taken: list[bytes] = []
        self.closed = threading.Event()
        self.waits_for: threading.Event | None = None

    def write(self, data: bytes) -> bool:
        self.taken.append(data)
        return self.has_room

    def begin_anew(self) -> None:
        self.taken.append(b"|")

    def ended(self) -> Ended | None:
        return self.end

    def close(self, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        del drain, is_over
        assert self.waits_for is None or self.waits_for.wait(PATIENCE)
        self.closed.set()
        return self.end


@pytest.fixture
def parts() -> tuple[Part, Part]:
    return Part("a.ts"), Part("mpv")


@pytest.fixture
def outputs(parts: tuple[Part, Part], crash: Recorder) -> Outputs:
    return Outputs(parts, "news", crash)


def test_without_threads_all_are_closed_all_the_same(
    outputs: Outputs, parts: tuple[Part, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch)
    parts[1].end = CLOSED
    assert outputs.close() == CLOSED
    assert all(part.closed.is_set() for part in parts)


def test_every_output_gets_all_that_is_written_though_one_has_no_room(
    outputs: Outputs, parts: tuple[Part, Part]
) -> None:
    assert outputs.write(b"1")
    parts[0].has_room = False
    assert not outputs.write(b"2")
    outputs.begin_anew()
    assert [part.taken for part in parts] == [[b"1", b"2", b"|"]] * 2
    assert (outputs.name, outputs.written, outputs.dropped) == ("a.ts, mpv", 20, 10)


@pytest.mark.parametrize("end", [BROKEN, CLOSED])
def test_one_that_ends_is_said_and_the_others_go_on(
    outputs: Outputs, parts: tuple[Part, Part], end: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parts[0].end = end
    assert outputs.ended() is None
    assert outputs.ended() is None
    outputs.write(b"1")
    assert [part.taken for part in parts] == [[], [b"1"]]
    assert caplog.messages == [f"[news] {end.reason}; the other outputs go on"]


@pytest.mark.parametrize(("first", "last"), [(BROKEN, CLOSED), (CLOSED, BROKEN)])
def test_when_the_last_has_ended_what_has_broken_counts(
    outputs: Outputs, parts: tuple[Part, Part], first: Ended, last: Ended
) -> None:
    parts[0].end = first
    assert outputs.ended() is None
    parts[1].end = last
    assert outputs.ended() is BROKEN
    assert outputs.close() is BROKEN


def test_closed_by_their_users_is_no_error(outputs: Outputs, parts: tuple[Part, Part]) -> None:
    parts[0].end = parts[1].end = CLOSED
    assert outputs.ended() is CLOSED


def test_one_that_has_broken_is_told_of_though_the_rest_has_all(
    outputs: Outputs, parts: tuple[Part, Part]
) -> None:
    parts[1].end = BROKEN
    outputs.ended()
    parts[1].end = None
    assert outputs.close() is BROKEN


@pytest.mark.parametrize("waiting", [0, 1])
def test_they_are_closed_at_the_same_time(outputs: Outputs, parts: tuple[Part, Part], waiting: int) -> None:
    parts[waiting].waits_for = parts[1 - waiting].closed
    assert outputs.close() is None
    assert parts[waiting].closed.is_set()
