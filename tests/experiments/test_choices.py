"""The rendezvous point's choice, read from its events."""

import json
import logging

import pytest

from mcast.eventlog import note
from mcast.overlay.server_choice import Measurement
from mcast.roles.logs import JsonFormatter
from tools.demo.event_log import LoggedEvent, events_in
from tools.experiments.choices import LoggedFigures, read_choices

MEASURED = LoggedFigures(450, 820, 690, 768)


def choice(place: int, server: str, figures: LoggedFigures | None, content: str = "moon") -> LoggedEvent:
    delay, latency, jitter, metric = figures or (None,) * 4
    return LoggedEvent(
        "server_choice",
        {
            "content": content, "place": place, "server": server,
            "delay_us": delay, "latency_us": latency, "jitter_us": jitter, "metric": metric,
        },
    )  # fmt: skip


EVENTS = [
    LoggedEvent("server_listed", {"server": "10.0.6.10:7000", "contents": ["moon"]}),
    choice(1, "10.0.6.10:7000", MEASURED),
    choice(2, "10.0.6.11:7000", None),
    choice(1, "10.0.6.11:7000", None, content="earth"),
    choice(1, "10.0.6.11:7000", MEASURED),
]


def test_each_choice_lists_its_servers_the_best_first() -> None:
    first, second = read_choices(EVENTS, "moon")
    assert first.best == "10.0.6.10"
    assert first.figures("10.0.6.10") == MEASURED
    assert first.figures("10.0.6.11") is None
    assert second.servers == (("10.0.6.11", MEASURED),)


def test_a_choice_whose_beginning_is_not_there_is_left_out() -> None:
    assert read_choices(EVENTS[2:3], "moon") == []


def test_a_choice_is_shown_in_milliseconds() -> None:
    first, _ = read_choices(EVENTS, "moon")
    assert first.rows == [
        ("1", "10.0.6.10", "0.45 ms", "0.82 ms", "0.69 ms", "0.77 ms"),
        ("2", "10.0.6.11", "-", "-", "-", "-"),
    ]


def test_what_a_program_logs_of_its_figures_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    figures = Measurement(1000, 2000, 500)
    note(
        logging.getLogger("mcast.test"), "server_choice", "chosen", content="moon", place=1,
        server="10.0.6.10:7000", delay_us=figures.delay_us, latency_us=figures.latency_us,
        jitter_us=figures.jitter_us, metric=round(figures.metric),
    )  # fmt: skip
    line = JsonFormatter("mcast-node").format(caplog.records[0])
    assert json.loads(line)["place"] == 1
    (choice,) = read_choices(events_in([line.encode()]), "moon")
    assert choice.figures("10.0.6.10") == LoggedFigures(1000, 2000, 500, 1400)
