"""A stream that stands still, or ends early, is told from one that is complete."""

from pathlib import Path
from typing import Any

import pytest

from machine import need_ffmpeg
from mcast.media.source.prepared import Prepared
from mcast.wire.rtp import CLOCK_RATE
from tools.demo.check import Sent, sent_by
from tools.demo.contents import Picture, make
from tools.experiments.recordings import sent_between
from tools.resilience.stalls import TOLERANCE, arrears_of, gap_between, longest_pause_ms, stops_of

IN_TIME = {"late_datagrams": 0}
FIRST = 5
"""The witness's first number."""
BEGAN = 1_700_000_000.0
"""When its first datagram went out."""


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    need_ffmpeg()
    directory = tmp_path_factory.mktemp("stalls")
    picture = Picture("quick", "testsrc2=size=160x90:rate=25", "sine=frequency=440", 3, 25, 200_000)
    return sent_by(make(picture, directory), directory / "cache")


def test_a_gap_that_the_buffer_hides_is_no_stop() -> None:
    assert stops_of("c1", IN_TIME, 500.0, 500) == []


def test_a_gap_above_the_latency_is_a_stop() -> None:
    assert stops_of("c1", IN_TIME, 501.0, 500) == ["c1 got nothing for 501 ms: a stop, as 500 are hidden"]


def test_what_comes_when_it_was_given_up_was_not_shown_either() -> None:
    assert stops_of("c1", {"late_datagrams": 3}, 20.0, 500) == ["c1 got 3 datagrams too late"]


@pytest.mark.parametrize(
    ("since", "until", "longest"),
    [
        (100.0, 200.0, 900.0),
        (111.0, 200.0, 700.0),  # the longest was over by then
        (110.5, 200.0, 900.0),  # it was not
        (111.0, 119.0, 300.0),
        (160.0, 200.0, 300.0),  # nothing is known of then, but that it was no more
    ],
)
def test_the_gap_is_that_of_the_time_that_is_asked_for(since: float, until: float, longest: float) -> None:
    figures = {"longest_gaps": [[110.0, 900.0], [120.0, 700.0], [115.0, 300.0]]}
    assert gap_between(figures, since, until) == longest


def test_a_client_that_got_nothing_has_no_gap() -> None:
    assert gap_between({"longest_gaps": []}, 0.0, 1.0) == 0.0


class Witness:
    """A recording that is in time until it stops."""

    def __init__(self, sent: Sent, stops_after: float, late: float = 0.0) -> None:
        self.sent = sent
        with Prepared(sent.entry, sent.datagram_packets, loop=True) as prepared:
            ticks = prepared.train_at(FIRST, 0, 1).timestamp(0)
            end = prepared.due_by(prepared.time_of(FIRST) + round((stops_after - late) * CLOCK_RATE))
        self.size = sent_between(sent, FIRST, end)
        seconds = range(int(stops_after) + 1)
        outputs = [((ticks + each * CLOCK_RATE) % 2**32, BEGAN + each) for each in seconds]
        self.figures: dict[str, Any] = {"first_number": FIRST, "output_times": outputs}

    def problems_at(self, seconds: float, since: float = 0.0) -> list[str]:
        return arrears_of(self.figures, self.sent, self.size, BEGAN + seconds, BEGAN + since)


def test_a_witness_that_has_what_was_due_is_complete(sent: Sent) -> None:
    assert Witness(sent, 8.0).problems_at(8.0) == []
    assert Witness(sent, 8.0, late=TOLERANCE - 0.1).problems_at(8.0) == []


@pytest.mark.parametrize("since", [0.0, 3.5, 7.9])
def test_a_witness_that_has_stopped_early_is_found_whenever_it_is_looked_at_from(
    sent: Sent, since: float
) -> None:
    (problem,) = Witness(sent, 4.0).problems_at(8.0, since)
    assert problem.startswith("the stream has stopped")


def test_a_stream_that_has_lost_time_is_behind_though_it_goes_on(sent: Sent) -> None:
    behind = Witness(sent, 8.0, late=2.0)
    behind.figures["output_times"] = [
        (ticks, at if at < BEGAN + 5 else at + 2.0) for ticks, at in behind.figures["output_times"]
    ]
    assert behind.problems_at(8.0)


def test_what_was_late_before_all_had_joined_is_forgiven(sent: Sent) -> None:
    recovering = Witness(sent, 8.0, late=2.0)
    recovering.figures["output_times"] = [
        (ticks, at if at < BEGAN + 3 else at + 2.0) for ticks, at in recovering.figures["output_times"]
    ]
    assert recovering.problems_at(8.0, since=6.5) == []


def test_a_witness_that_has_put_out_nothing_is_no_witness() -> None:
    figures: dict[str, Any] = {"first_number": None, "output_times": []}
    assert arrears_of(figures, Sent(Path("unused")), 0, BEGAN, BEGAN) == ["the witness has put out nothing"]


def test_the_longest_pause_of_a_content_is_what_its_clock_says(sent: Sent) -> None:
    assert 0 < longest_pause_ms(sent) <= 100
