"""Events of a log, kept for a node's report."""

import logging

import pytest

from mcast.eventlog import note
from mcast.roles.event_tap import MAX_PENDING, MAX_TEXT, EventTap, tapped
from mcast.wire.health import MAX_REPORTED_EVENTS, EventField

logger = logging.getLogger("mcast.test")


def cut(content: str = "news", cause: str = "why") -> None:
    note(logger, "cut", "%s is cut off", content, content=content, cause=cause)


def test_an_event_is_kept_with_its_sentence_content_and_fields() -> None:
    with tapped() as tap:
        cut()
        logger.info("no event")
        (told,) = tap.take(1000)
    assert (told.name, told.text, told.content) == ("cut", "news is cut off", "news")
    assert told.fields == (EventField("cause", "why"),)
    assert not tap.pending


def test_numbers_stay_numbers_and_a_path_is_readable() -> None:
    with tapped() as tap:
        note(logger, "fed", "fed", content="news", after_ms=35)
        note(logger, "attached", "new", content="news", child="n2", path=("rp", "n1"))
        note(logger, "server_choice", "untold", content="news", place=1, server="s", delay_us=1,
             latency_us=1, jitter_us=1, metric=1)  # fmt: skip
        fed, attached = tap.take(1000)
    assert fed.fields == (EventField("after_ms", number=35),)
    assert attached.fields[1].text == "rp > n1"


def test_how_old_an_event_is_is_told_when_it_is_taken() -> None:
    now = 10.0
    tap = EventTap(clock=lambda: now)
    record = logging.LogRecord("mcast", logging.INFO, "", 1, "x", None, None)
    record.__dict__.update(event="fed", fields={})
    tap.emit(record)
    now = 10.25
    assert tap.take(100)[0].age_ms == 250


def test_as_many_are_taken_as_there_is_room_for_and_one_at_least() -> None:
    with tapped() as tap:
        for number in range(40):
            cut(str(number))
        assert len(tap.take(1)) == 1
        assert 1 < len(tap.take(200)) < 10
        assert len(tap.take(10**6)) == MAX_REPORTED_EVENTS


def test_nobody_takes_them_and_the_oldest_make_room() -> None:
    with tapped() as tap:
        for number in range(MAX_PENDING + 5):
            cut(str(number))
        assert tap.take(1)[0].content == "5"


def test_an_explanation_that_never_ends_is_cut() -> None:
    with tapped() as tap:
        cut(cause="x" * 10_000)
        assert len(tap.take(1)[0].fields[0].text) == MAX_TEXT


def test_a_log_that_shows_warnings_alone_shows_no_more_and_loses_no_event() -> None:
    root, lines = logging.getLogger(), list[str]()

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    before, level, handler = root.handlers[:], root.level, Lines()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    try:
        with tapped() as tap:
            cut()
            logger.warning("shown")
            assert len(tap.take(1000)) == 1
        assert handler.level == logging.NOTSET
        cut()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert lines == ["shown"]


@pytest.mark.parametrize("text", ["\ud800", "ä" * 300])
def test_any_text_can_be_told(text: str) -> None:
    with tapped() as tap:
        cut(cause=text)
        (told,) = tap.take(1000)
    assert told.fields[0].text
