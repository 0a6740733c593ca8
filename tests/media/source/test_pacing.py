import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcast.media.source.pacing import MAX_LAG, MAX_OVERDUE, Overdue, PreparedSource
from mcast.media.source.prepared import Prepared
from mcast.wire.position import MAX_NUMBER, Position
from mcast.wire.train import Train

Make = Callable[[str], Path]
START = 1_000.0


@pytest.fixture(scope="module")
def film(entry: Make) -> Iterator[Prepared]:
    with Prepared(entry("fit.mp4"), 7, loop=True) as content:
        yield content


@pytest.fixture(scope="module")
def once(entry: Make) -> Iterator[Prepared]:
    with Prepared(entry("fit.mp4"), 7, loop=False) as content:
        yield content


Begin = Callable[[Prepared, Position, float], PreparedSource]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begin to play; what was begun ends with the test."""
    with contextlib.ExitStack() as open_sources:

        def make(content: Prepared, position: Position, now: float) -> PreparedSource:
            return open_sources.enter_context(contextlib.closing(PreparedSource(content, position, now)))

        yield make


def numbers(trains: list[Train]) -> list[int]:
    return [train.first + index for train in trains for index in range(train.count)]


def wire(trains: list[Train]) -> bytes:
    return b"".join(train.data for train in trains)


def play(source: PreparedSource, seconds: float, pace: float = 0.01) -> list[tuple[float, Train]]:
    ticks = (START + tick * pace for tick in range(round(seconds / pace) + 1))
    return [(now, train) for now in ticks for train in source.due(now)]


def test_each_datagram_leaves_at_the_first_look_after_it_is_due(film: Prepared, begin: Begin) -> None:
    sent = play(begin(film, Position(7, 0), START), 10.0)
    assert numbers([train for _, train in sent]) == list(range(film.due_by(10 * 90_000)))
    for now, train in sent:
        due = [START + film.time_of(train.first + index) / 90_000 for index in range(train.count)]
        assert all(-0.0001 <= now - moment < 0.0102 for moment in due)
        assert train.timestamp(0) == (film.time_of(train.first) + film.description.first_pcr // 300) % 2**32


def test_a_stream_taken_over_begins_at_its_number_at_once(film: Prepared, begin: Begin) -> None:
    first = 5 * film.datagrams + 17
    sent = play(begin(film, Position(7, first), START), 1.0)
    assert sent[0][0] == START
    assert numbers([train for _, train in sent])[0] == first
    huge = begin(film, Position(7, MAX_NUMBER), START)
    assert huge.due(START)[0].first == MAX_NUMBER


def test_irregular_looks_do_not_add_up(film: Prepared, begin: Begin) -> None:
    source = begin(film, Position(7, 0), START)
    now = START
    while now < START + 60:
        trains = source.due(now)
        now += 0.0137
    assert numbers(trains)[-1] + 1 == film.due_by(int((now - 0.0137 - START) * 90_000))


def test_a_suspended_server_goes_on_from_where_it_was(
    film: Prepared, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    source = begin(film, Position(7, 0), START)
    head = numbers(source.due(START + 0.5))[-1]
    after = numbers(source.due(START + 100.0))
    assert after[0] == head + 1
    assert len(after) < 20
    assert "behind the clock by 99." in caplog.text
    caplog.clear()
    assert numbers(source.due(START + 100.0 + 0.9 * MAX_LAG))
    assert not caplog.text


def test_a_content_that_does_not_loop_ends_and_stays_so(once: Prepared, begin: Begin) -> None:
    source = begin(once, Position(7, 0), START)
    sent = [train for _, train in play(source, 6.0)]
    assert source.ended
    assert numbers(sent) == list(range(once.datagrams))
    assert source.due(START + 7) == []
    late = begin(once, Position(7, once.datagrams), START)
    assert late.ended
    assert late.due(START) == []


@pytest.mark.parametrize("outage", [0.35, 9.5])
def test_who_takes_over_sends_at_once_what_is_overdue_and_keeps_the_others_clock(
    film: Prepared, begin: Begin, outage: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    first = film.datagrams - 40  # it runs on into the next round
    alone = [train for _, train in play(begin(film, Position(7, first), START), outage + 2)]
    source = begin(film, Position(7, first), START + outage)
    source.set_back(Overdue(outage))
    at_once = source.due(START + outage)
    assert wire(at_once) == wire(alone)[: len(wire(at_once))]
    assert numbers(at_once)[-1] + 1 == film.due_by(film.time_of(first) + round(outage * 90_000))
    sent = at_once + [train for tick in range(201) for train in source.due(START + outage + tick * 0.01)]
    assert wire(sent) == wire(alone)
    assert not caplog.text


@pytest.mark.parametrize("known", [0, 300])
def test_the_clock_may_be_told_by_any_number_of_the_stream(film: Prepared, begin: Begin, known: int) -> None:
    first, outage = 100, 0.35
    alone = [train for _, train in play(begin(film, Position(7, first), START), outage)]
    source = begin(film, Position(7, first), START + outage)
    ahead = (film.time_of(known) - film.time_of(first)) / 90_000
    source.set_back(Overdue(outage - ahead, known))
    at_once = source.due(START + outage)
    assert abs(numbers(at_once)[-1] - numbers(alone)[-1]) <= 1


def test_a_number_that_is_due_only_later_makes_a_stream_begin_later(film: Prepared, begin: Begin) -> None:
    source = begin(film, Position(7, 300), START)
    source.set_back(Overdue(0.0, 0))  # the beginning is due now
    assert source.due(START) == []
    begins = (film.time_of(300) - film.time_of(0)) / 90_000
    assert numbers(source.due(START + begins + 0.001))[0] == 300


def test_what_has_been_overdue_for_too_long_is_made_up_for_in_part(film: Prepared, begin: Begin) -> None:
    source = begin(film, Position(7, 0), START)
    source.set_back(Overdue(1_000.0))
    assert numbers(source.due(START)) == list(range(film.due_by(int(MAX_OVERDUE * 90_000))))


def test_a_server_that_is_suspended_after_it_took_over_goes_on_from_where_it_was(
    film: Prepared, begin: Begin
) -> None:
    source = begin(film, Position(7, 0), START)
    source.set_back(Overdue(5.0))
    head = numbers(source.due(START))[-1]
    after = numbers(source.due(START + 5.0))  # no longer anything but a lag
    assert after[0] == head + 1
    assert len(after) < 20


def test_what_was_sent_can_be_read_again_byte_for_byte(film: Prepared, begin: Begin) -> None:
    first = film.datagrams - 40
    sent = [train for _, train in play(begin(film, Position(7, first), START), 2.0)]
    other = begin(film, Position(7, first + 5_000), START)
    number, again = first, list[Train]()
    while number < sent[-1].next:
        again.append(other.read(number, sent[-1].next - number))
        number = again[-1].next
    assert wire(again) == wire(sent)
