"""The events in a program's log, among whatever else stands there."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.demo.event_log import EventLog, LoggedEvent, events_in, read_events


def line(**entry: object) -> bytes:
    return json.dumps(entry).encode()


JOINED = line(event="joined", content="earth", path=["rp", "n1"])


def test_events_are_found_among_other_lines() -> None:
    lines = [b"mcast-client: error: x", line(message="no event"), JOINED, b"[]", b'{"event": 3}', b"\xff\x00"]
    assert [event.name for event in events_in(lines)] == ["joined"]


def test_each_look_reads_on_where_the_last_one_ended(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    assert log.read() == []  # there is no file yet
    for end in (10, len(JOINED)):  # a line may be written in pieces
        log.file.write_bytes(JOINED[:end])
        assert len(log) == 0
    log.file.write_bytes(JOINED + b"\n" + JOINED + b"\n" + JOINED)
    assert len(log) == 2
    assert read_events(log.file) == log.read()


def test_an_event_is_found_by_its_fields_and_after_others(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    log.file.write_bytes(b"\n".join([JOINED, line(event="left", content="mars"), JOINED, b""]))
    assert log.find("joined", content="earth") is not None
    assert log.find("joined", content="mars") is None
    assert log.find("joined", after=2) is not None
    assert log.find("joined", after=3) is None
    assert log.find("left", path=["rp"]) is None


def test_fields_have_the_type_that_was_asked_for() -> None:
    event = LoggedEvent("e", {"text": "a", "number": 7, "flag": True, "names": ["a", "b"], "mixed": ["a", 1]})
    assert (event.text("text"), event.number("number"), event.names("names")) == ("a", 7, ["a", "b"])
    for read in (
        lambda: event.text("number"),
        lambda: event.number("text"),
        lambda: event.number("flag"),
        lambda: event.names("text"),
        lambda: event.names("mixed"),
    ):
        with pytest.raises(TypeError, match="event 'e'"):
            read()
    with pytest.raises(KeyError):
        event.text("nothing")


@given(st.lists(st.binary() | st.text().map(lambda text: b'{"event": ' + text.encode() + b"}")))
def test_whatever_else_stands_in_a_log_its_events_are_found(lines: list[bytes]) -> None:
    found = list(events_in([*lines, JOINED]))
    assert found[-1].name == "joined"
    assert len(found) <= len(lines) + 1
